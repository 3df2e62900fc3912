//go:build race

package upstream

import "time"

// stormLength is shorter with the race detector, which makes each question tenfold
// slower; the real length is run without it.
const stormLength = 2 * time.Second
