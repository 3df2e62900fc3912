package querylog

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	spoolSuffix   = ".json.gz"
	spoolNew      = ".new"
	spoolLock     = "lock"
	spoolFileMode = 0o600
)

// spool keeps shipments in a directory, one file each, oldest first, and never
// more than a number of bytes: the oldest go first. It is guarded by its
// shipper's mutex. While a reload is under way, two instances have the same
// directory: only the one that holds its lock uses it.
type spool struct {
	directory string
	limit     int64
	lock      *os.File // nil where another instance has it
	files     []*spooled
	size      int64
	next      uint64
}

// spooled is a file of the spool.
type spooled struct {
	name    string
	size    int64
	records int
	// earlier: it is of an earlier process, whose figures its records are in.
	earlier bool
	// busy: it is being sent.
	busy bool
}

// openSpool makes a directory if need be, and sees that it can be written: at
// the start, not in an outage.
func openSpool(directory string, limit int64) (*spool, error) {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, err
	}
	probe, err := os.CreateTemp(directory, "probe-*")
	if err != nil {
		return nil, err
	}
	_ = probe.Close()
	return &spool{directory: directory, limit: limit}, os.Remove(probe.Name())
}

// claim takes over what is in the directory, unless another instance still has
// it, and reports whether it is ours now and was not before.
func (s *spool) claim() bool {
	if s.lock != nil {
		return false
	}
	lock, err := os.OpenFile(filepath.Join(s.directory, spoolLock), os.O_CREATE|os.O_RDWR, spoolFileMode)
	if err != nil {
		return false
	}
	if !tryLock(lock) {
		_ = lock.Close()
		return false
	}
	s.lock = lock
	entries, _ := os.ReadDir(s.directory)
	for _, entry := range entries {
		s.adopt(entry)
	}
	return true
}

// isOurs reports whether the spool can be used; a nil spool cannot.
func (s *spool) isOurs() bool { return s != nil && s.lock != nil }

// leave gives the directory to the next instance.
func (s *spool) leave() {
	if s.isOurs() {
		_ = s.lock.Close()
		s.lock, s.files, s.size = nil, nil, 0
	}
}

// adopt takes a file over that an earlier process left. ReadDir sorts by name,
// and the name begins with the number.
func (s *spool) adopt(entry os.DirEntry) {
	if strings.HasSuffix(entry.Name(), spoolNew) {
		_ = os.Remove(filepath.Join(s.directory, entry.Name()))
		return
	}
	file := &spooled{name: entry.Name(), earlier: true}
	var number uint64
	if _, err := fmt.Sscanf(file.name, "%020d-%d"+spoolSuffix, &number, &file.records); err != nil || file.name != spoolName(number, file.records) {
		return // not ours
	}
	if information, err := entry.Info(); err == nil && file.records > 0 {
		file.size = information.Size()
		s.files, s.size, s.next = append(s.files, file), s.size+file.size, number+1
	}
}

func spoolName(number uint64, records int) string {
	return fmt.Sprintf("%020d-%d%s", number, records, spoolSuffix)
}

// put keeps a shipment. It returns how many records of others had to go for it;
// on an error the shipment is not kept.
func (s *spool) put(b shipment) (lost int, err error) {
	size := int64(len(b.body))
	if size > s.limit {
		return 0, fmt.Errorf("the spool of %d bytes has no room for a call of %d", s.limit, size)
	}
	for s.size+size > s.limit {
		oldest := slices.IndexFunc(s.files, func(f *spooled) bool { return !f.busy })
		if oldest < 0 {
			return lost, fmt.Errorf("the spool of %d bytes is full", s.limit)
		}
		lost += shipment{records: s.files[oldest].records, file: s.files[oldest]}.counted()
		s.remove(s.files[oldest])
	}
	file := &spooled{name: spoolName(s.next, b.records), size: size, records: b.records}
	path := filepath.Join(s.directory, file.name)
	if err := os.WriteFile(path+spoolNew, b.body, spoolFileMode); err != nil {
		_ = os.Remove(path + spoolNew)
		return lost, fmt.Errorf("spooling: %w", err)
	}
	if err := os.Rename(path+spoolNew, path); err != nil {
		return lost, fmt.Errorf("spooling: %w", err)
	}
	s.next++
	s.files, s.size = append(s.files, file), s.size+size
	return lost, nil
}

// take returns the oldest shipment that nobody is sending; without records
// where there is none. One that cannot be read is lost.
func (s *spool) take() (b shipment, lost int) {
	for {
		oldest := slices.IndexFunc(s.files, func(f *spooled) bool { return !f.busy })
		if oldest < 0 {
			return shipment{}, lost
		}
		file := s.files[oldest]
		body, err := os.ReadFile(filepath.Join(s.directory, file.name))
		if err == nil && int64(len(body)) == file.size {
			file.busy = true
			return shipment{body: body, records: file.records, file: file}, lost
		}
		lost += shipment{records: file.records, file: file}.counted()
		s.remove(file)
	}
}

func (s *spool) release(file *spooled) { file.busy = false }

// remove deletes a file that was sent or has to go.
func (s *spool) remove(file *spooled) {
	_ = os.Remove(filepath.Join(s.directory, file.name))
	s.files = slices.DeleteFunc(s.files, func(f *spooled) bool { return f == file })
	s.size -= file.size
}
