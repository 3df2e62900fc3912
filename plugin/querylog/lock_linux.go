package querylog

import (
	"os"

	"golang.org/x/sys/unix"
)

// tryLock takes the lock on an open file; a second open file of the same
// process does not get it either. Closing the file gives it back.
func tryLock(file *os.File) bool {
	return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}
