package privatelink

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// processFile is the file in the state directory that says who has its lock, for who is
// refused. Only the lock counts: the file of a dead process does no harm.
const processFile = "pid"

var errLocked = errors.New("locked by another process")

// heldDirectory is a state directory that no other process may use meanwhile: two would
// take each other's admin socket and overwrite each other's files.
type heldDirectory struct {
	path     string
	identity os.FileInfo
	// lock is nil where there are no locks.
	lock  *os.File
	users []*running
}

// holdDirectory keeps other processes out of a state directory for as long as a user is
// there: one lock for all configurations of this process, under whatever path each names
// the directory.
func (s *slot) holdDirectory(path string, user *running) error {
	identity, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("locking the state directory: %w", err)
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, held := range s.directories {
		if os.SameFile(held.identity, identity) {
			held.users = append(held.users, user)
			return nil
		}
	}
	lock, err := lockDirectory(path)
	if errors.Is(err, errLocked) {
		return fmt.Errorf("state directory %s is in use by %s: one directory for one process", path, holderOf(path))
	}
	if err != nil {
		return fmt.Errorf("locking the state directory: %w", err)
	}
	s.directories = append(s.directories, &heldDirectory{path: path, identity: identity, lock: lock, users: []*running{user}})
	// Without it who is refused is not told the number: no reason not to serve.
	_ = writeWhole(filepath.Join(path, processFile), func(w io.Writer) error {
		_, err := fmt.Fprintln(w, os.Getpid())
		return err
	})
	return nil
}

// holderOf names the process that has a state directory, as it says itself.
func holderOf(path string) string {
	written, err := os.ReadFile(filepath.Join(path, processFile))
	if number, wrong := strconv.Atoi(strings.TrimSpace(string(written))); err == nil && wrong == nil {
		return fmt.Sprintf("process %d", number)
	}
	return "another process"
}

// leaveDirectories ends a user's hold. A directory that nobody uses any more is let go,
// but that of the admin socket and the overrides: they stay there over reloads, whatever
// the configuration names by then.
func (s *slot) leaveDirectories(user *running) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.directories = slices.DeleteFunc(s.directories, func(held *heldDirectory) bool {
		held.users = slices.DeleteFunc(held.users, func(one *running) bool { return one == user })
		if len(held.users) > 0 || s.admin != nil && s.admin.directory == held.path {
			return false
		}
		if held.lock != nil {
			_ = held.lock.Close()
		}
		return true
	})
}
