package privatelink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
)

// chasesFile is the file in the state directory that carries the memory of
// chases from one process to the next.
const chasesFile = "chases"

// restoreChases reads what the process before left, and removes it: after a
// crash it would be a lie about what was given out since. It returns nil with
// an error if there is something that cannot be used, nil without one if there
// is nothing.
func restoreChases(directory string, now time.Time) (*policy.ChaseMemory, error) {
	path := filepath.Join(directory, chasesFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the memory of chases: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return nil, fmt.Errorf("removing the memory of chases once it is read: %w", err)
	}
	memory, err := policy.RestoreChaseMemory(data, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return memory, nil
}

// saveChases writes the memory of chases for the next process, whole or not at
// all. The last answer must have gone out.
func saveChases(directory string, memory *policy.ChaseMemory, now time.Time) error {
	path := filepath.Join(directory, chasesFile)
	temporary := path + ".new"
	if err := os.WriteFile(temporary, memory.Snapshot(now), 0o600); err != nil {
		return fmt.Errorf("writing the memory of chases: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("writing the memory of chases: %w", err)
	}
	return nil
}
