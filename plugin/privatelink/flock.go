//go:build !linux

package privatelink

import "os"

// lockDirectory takes no lock outside linux.
func lockDirectory(string) (*os.File, error) { return nil, nil }
