package privatelink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// lintPlaces looks at where the server writes. What this user cannot write, the server's
// own may: so that is a warning, and what nobody can write to is a mistake.
func lintPlaces(l *linted) {
	if directory := l.config.stateDirectory(); directory != "" {
		where := l.config.state.where
		above, err := nearest(directory)
		if err != nil {
			l.fault("state-place", fmt.Errorf("%s: state %s: %w", where, directory, err))
		} else if !mayWrite(above) {
			l.warn(where, "state-place", "state %s: this user cannot %s; the server's must be able to (the systemd unit sees to it for /var/lib/privatelink-dns)", directory, writing(directory, above))
		}
	}
	for index := range l.config.querylogs {
		if written := &l.config.querylogs[index]; written.kind() == toFile {
			l.lintLogFile(written.where, l.config.path(written.target))
		}
	}
}

// lintLogFile looks at the place of a query log: its directory is not made by the server.
func (l *linted) lintLogFile(where, path string) {
	directory := filepath.Dir(path)
	information, fileErr := os.Stat(path)
	above, err := nearest(directory)
	switch {
	case fileErr == nil && information.IsDir():
		l.fault("querylog-place", fmt.Errorf("%s: querylog %s: found a directory, expected a file in it, such as %s", where, path, filepath.Join(path, "query.log")))
	case fileErr == nil && !mayWrite(path):
		l.warn(where, "querylog-place", "querylog %s: this user cannot write to it; the server's must be able to", path)
	case fileErr == nil:
	case err != nil:
		l.fault("querylog-place", fmt.Errorf("%s: querylog %s: %w", where, path, err))
	case above != directory:
		l.warn(where, "querylog-place", "querylog %s: there is no %s, without which the server does not start: make it (the systemd unit does for /var/log/privatelink-dns)", path, directory)
	case !mayWrite(directory):
		l.warn(where, "querylog-place", "querylog %s: this user cannot write to %s; the server's must be able to", path, directory)
	}
}

// nearest is the directory itself or, where it is missing, the first above it that is
// there; an error where something else stands in the way. What this user may not look
// into is taken for the nearest.
func nearest(directory string) (string, error) {
	for {
		information, err := os.Stat(directory)
		above := filepath.Dir(directory)
		switch {
		case err == nil && !information.IsDir():
			return "", fmt.Errorf("found %s, which is no directory", directory)
		case err == nil || above == directory || errors.Is(err, fs.ErrPermission):
			return directory, nil
		}
		directory = above
	}
}

// writing says what is to be done where the nearest directory is the one asked for, or
// one above it.
func writing(directory, above string) string {
	if directory == above {
		return "write to it"
	}
	return "make it in " + above
}

// lintCookies finds secrets that not only the owner and its group can read: who has one
// makes cookies for any address.
func lintCookies(l *linted) {
	where := l.config.written["cookies"]
	if where == "" {
		return
	}
	information, err := os.Stat(l.config.cookieFile)
	if err == nil && information.Mode().Perm()&0o006 != 0 {
		l.warn(where, "cookies-readable", "%s can be read or changed by every user of this machine (mode %04o), and who knows the secret makes cookies for any address: chmod 640, and give it to root and the server's group", l.config.cookieFile, information.Mode().Perm())
	}
}
