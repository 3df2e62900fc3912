package privatelink

import "golang.org/x/sys/unix"

// mayWrite reports whether this user may write to a file, or make files in a directory.
func mayWrite(path string) bool { return unix.Access(path, unix.W_OK) == nil }
