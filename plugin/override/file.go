package override

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrFile says that a file of overrides is damaged. It is wrapped with what was found.
var ErrFile = errors.New("not a usable file of overrides")

const (
	fileVersion = 1
	// maxOverrideSize is more than the longest names, addresses and texts take
	// together, in bytes of JSON; with it a file bounds the memory that reading takes.
	maxOverrideSize = 4096
	maxFileSize     = MaxOverrides*maxOverrideSize + 1024
)

// document is the whole file.
type document struct {
	Version   int       `json:"version"`
	Overrides overrides `json:"overrides"`
}

// overrides are written as a list also where there are none.
type overrides []*Override

// Restore brings in what an earlier process wrote to the file, but for what has
// expired, returns how many that are, and writes every later change to that file.
// A file that does not exist is an empty one. A second call does nothing: the
// first file stays.
//
// A damaged file is an error that wraps ErrFile: nothing of it is used, and it is
// kept aside, so that nothing is lost and the next change can be written. A file that
// can neither be read nor kept aside is an error, too, and is not touched: later
// changes are in force, but are not written.
func (s *Store) Restore(path string, now time.Time) (restored int, err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.path != "" {
		return 0, nil
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		s.path = path
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the overrides, later ones will not survive a restart: %w", err)
	}
	written, err := read(file)
	_ = file.Close()
	if errors.Is(err, ErrFile) {
		return 0, s.keepAside(path, err, now)
	}
	if err != nil {
		return 0, fmt.Errorf("reading the overrides, later ones will not survive a restart: %w", err)
	}
	s.path, s.written = path, now
	next := s.usable(now)
	for _, o := range written {
		if o.lasts(now); o.live(now) {
			next[o.Name] = o
			restored++
		}
	}
	s.use(next)
	return restored, nil
}

// keepAside renames a damaged file.
func (s *Store) keepAside(path string, damage error, now time.Time) error {
	aside := path + ".damaged-" + now.UTC().Format("20060102T150405Z")
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("%s: %w; keeping it aside, later overrides will not survive a restart: %w", path, damage, err)
	}
	s.path = path
	return fmt.Errorf("%s: %w; none of its overrides is in force, it is kept as %s", path, damage, aside)
}

// read reads a file of overrides whole. It takes no more memory than MaxOverrides
// can need. The error wraps ErrFile, unless it is the reader's.
func read(from io.Reader) ([]*Override, error) {
	data, err := io.ReadAll(io.LimitReader(from, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrFile, maxFileSize)
	}
	var found document
	if err := unmarshalStrictly(data, &found); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	if found.Version != fileVersion {
		return nil, fmt.Errorf("%w: found version %d, expected %d", ErrFile, found.Version, fileVersion)
	}
	if found.Overrides == nil {
		return nil, fmt.Errorf("%w: found no list of overrides", ErrFile)
	}
	seen := make(map[string]bool, len(found.Overrides))
	for index, o := range found.Overrides {
		if err := o.check(); err != nil {
			return nil, fmt.Errorf("%w: override %d: %w", ErrFile, index+1, err)
		}
		if seen[o.Name] {
			return nil, fmt.Errorf("%w: override %d: found a second one of %s", ErrFile, index+1, o.Name)
		}
		seen[o.Name] = true
		o.Created, o.Expires = o.Created.UTC(), o.Expires.UTC()
	}
	return found.Overrides, nil
}

// UnmarshalJSON reads one override after the other, so that neither their number
// nor their size can be excessive.
func (list *overrides) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	if opening, err := decoder.Token(); err != nil || opening != json.Delim('[') {
		return errors.New("found overrides that are no list")
	}
	*list = overrides{}
	for decoder.More() {
		var one json.RawMessage
		if err := decoder.Decode(&one); err != nil {
			return err
		}
		switch {
		case len(*list) == MaxOverrides:
			return fmt.Errorf("found more than %d overrides", MaxOverrides)
		case len(one) > maxOverrideSize:
			return fmt.Errorf("override %d: found %d bytes, expected at most %d", len(*list)+1, len(one), maxOverrideSize)
		}
		o := new(Override)
		if err := unmarshalStrictly(one, o); err != nil {
			return fmt.Errorf("override %d: %w", len(*list)+1, err)
		}
		*list = append(*list, o)
	}
	return nil
}

// unmarshalStrictly refuses fields that it does not know, and anything behind the end.
func unmarshalStrictly(data []byte, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("found something behind the end")
	}
	return nil
}

// write replaces the file as a whole, or leaves it as it was. What it returns
// without an error for survives a crash of the machine.
func write(path string, list []*Override) error {
	directory := filepath.Dir(path)
	temporary, err := os.CreateTemp(directory, filepath.Base(path)+".new")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // in vain once it is renamed
	if err = errors.Join(encode(temporary, list), temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	// The name is the directory's to keep.
	entries, err := os.Open(directory)
	if err != nil {
		return err
	}
	return errors.Join(entries.Sync(), entries.Close())
}

func encode(to io.Writer, list []*Override) error {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	return encoder.Encode(document{Version: fileVersion, Overrides: list})
}
