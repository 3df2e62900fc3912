//go:build !race

package upstream

import "time"

// stormLength is how long questions are asked in virtual time.
const stormLength = 10 * time.Second
