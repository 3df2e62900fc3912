package privatelink

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockDirectory takes the kernel's lock on a directory (flock(2)), which ends with the
// returned file, and so with the process, however that ends. It is on the directory and
// not on a file in it, which somebody could remove or another user could own. It returns
// errLocked where another holds it, and nil where the file system has no locks.
func lockDirectory(path string) (*os.File, error) {
	directory, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(directory.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case err == nil:
		return directory, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		err = errLocked
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, unix.ENOLCK):
		err = nil
	}
	_ = directory.Close()
	return nil, err
}
