package privatelink

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
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

// saveChases writes the memory of chases for the next process. The last answer
// must have gone out.
func saveChases(directory string, memory *policy.ChaseMemory, now time.Time) error {
	err := writeWhole(filepath.Join(directory, chasesFile), func(w io.Writer) error {
		_, err := w.Write(memory.Snapshot(now))
		return err
	})
	if err != nil {
		return fmt.Errorf("writing the memory of chases: %w", err)
	}
	return nil
}

// answersFile is the file in the state directory that carries the cache. Its
// entries have their times with them, so that an old file does no harm.
const answersFile = "answers"

// saveInterval is how much of the cache a crash can cost.
const saveInterval = 5 * time.Minute

// restoreAnswers brings in what the process before kept, and returns how many
// answers that are. A damaged file is an error, and nothing of it is used.
func restoreAnswers(directory string, answers *cache.Cache, now time.Time) (int, error) {
	path := filepath.Join(directory, answersFile)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the kept answers: %w", err)
	}
	defer func() { _ = file.Close() }()
	count, err := answers.ReadSnapshot(bufio.NewReader(file), now)
	if err != nil {
		return 0, fmt.Errorf("reading the kept answers: %s: %w", path, err)
	}
	return count, nil
}

func saveAnswers(directory string, answers *cache.Cache, now time.Time) error {
	err := writeWhole(filepath.Join(directory, answersFile), func(w io.Writer) error {
		return answers.WriteSnapshot(w, now)
	})
	if err != nil {
		return fmt.Errorf("writing the kept answers: %w", err)
	}
	return nil
}

// saveAnswers is saveAnswers, one at a time.
func (s *slot) saveAnswers(directory string, answers *cache.Cache) error {
	s.saves.Lock()
	defer s.saves.Unlock()
	return saveAnswers(directory, answers, time.Now())
}

// beginRestore reports whether the kept answers of the process before are still to be
// read.
func (s *slot) beginRestore() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	first := !s.restored
	s.restored = true
	return first
}

// writeWhole replaces a file by what write writes, or leaves it as it was.
func writeWhole(path string, write func(io.Writer) error) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // in vain once it is renamed
	buffered := bufio.NewWriter(temporary)
	err = errors.Join(write(buffered), buffered.Flush(), temporary.Sync(), temporary.Close())
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
