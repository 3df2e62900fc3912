package querylog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/DeRuina/timberjack"
)

const (
	// watchInterval is how often the file's place is looked at.
	watchInterval = 500 * time.Millisecond
	// lockAge is how long no rotation takes, and how long a lock is watched by the
	// monotonic clock before it counts as left: its date says nothing where the wall
	// clock was set.
	lockAge       = time.Minute
	day           = 24 * time.Hour
	defaultSize   = 100 << 20
	fileMode      = 0o640
	directoryMode = 0o750
	// librarySize is the size in MiB at which the library would rotate by itself:
	// never, because we do it.
	librarySize = math.MaxInt32
)

// FileOptions say where lines are written and when a new file is begun. Rotated
// files stand beside the current one, with the time and the reason (size or
// time) in the name: query-2026-03-01T00-00-00.000-time.log.gz for query.log.
//
// A device, a pipe or a symbolic link is written to and never rotated.
type FileOptions struct {
	// Path is the current file's. Its directory must exist when the sink is
	// made; one that vanishes later is made again.
	Path string
	// MaxSize is how many bytes a file has at most; 0 is 100 MiB. A new one is
	// begun before a piece of up to 64 KiB that does not fit.
	MaxSize int64
	// RotateEvery begins a new file at whole multiples of it since 1970 in UTC,
	// a day at midnight, also where nothing is logged; 0 never, a minute at least.
	RotateEvery time.Duration
	// Compression of rotated files: empty for none, gzip, or zstd, which costs a
	// fraction of gzip's time.
	Compression string
	// MaxFiles is how many rotated files are kept, MaxAge how long, rounded up
	// to a whole day; 0 is no limit.
	MaxFiles int
	MaxAge   time.Duration
}

// NewFile returns a sink that writes lines of JSON to a file, after what is
// there. It opens the file to see that it can be written, and makes it if need be.
func NewFile(options FileOptions) (Sink, error) {
	if err := options.Check(); err != nil {
		return nil, err
	}
	if options.MaxSize == 0 {
		options.MaxSize = defaultSize
	}
	f := &file{options: options}
	f.lines.to = f
	if err := f.open(); err != nil {
		return nil, err
	}
	return f, f.leave()
}

// Check says what is wrong with options that NewFile would not take. It does not look at
// the disk.
func (o *FileOptions) Check() error {
	switch {
	case o.MaxSize < 0 || o.MaxFiles < 0 || o.MaxAge < 0:
		return fmt.Errorf("found a negative size, number or age for %s, expected none", o.Path)
	case o.RotateEvery != 0 && o.RotateEvery < time.Minute:
		return fmt.Errorf("found a rotation every %v for %s, expected a minute at least", o.RotateEvery, o.Path)
	case o.Compression != "" && o.Compression != "gzip" && o.Compression != "zstd":
		return fmt.Errorf("found compression %q for %s, expected gzip or zstd", o.Compression, o.Path)
	}
	return nil
}

// file is a sink. All of it belongs to its outlet's goroutine.
//
// It writes by itself, always appending, because another instance of us may
// have the file too while a reload is under way. The library renames and makes
// files, compresses and deletes; a Logger of it lives for one rotation, because
// it would keep the file open, and the space of one that was deleted.
type file struct {
	options FileOptions
	lines   lineWriter
	// handle is nil while the file is not open; opened is what it is.
	handle *os.File
	opened os.FileInfo
	size   int64
	// fixed: what is at the path is no regular file. A device, a pipe or a
	// symbolic link must not be renamed.
	fixed bool
	// period is the multiple of RotateEvery that the file belongs to.
	period  int64
	watched time.Time
	// rival is another's lock, seen since rivalSince; nil for none.
	rival      os.FileInfo
	rivalSince time.Time
	// tidying is closed when the library has compressed and deleted; nil where
	// it has not begun.
	tidying chan struct{}
}

// open opens what is at the path, and makes it where there is nothing.
func (f *file) open() error {
	handle, err := os.OpenFile(f.options.Path, os.O_APPEND|os.O_CREATE|os.O_RDWR, fileMode)
	if errors.Is(err, os.ErrPermission) {
		handle, err = os.OpenFile(f.options.Path, os.O_APPEND|os.O_WRONLY, fileMode)
	}
	if err != nil {
		return err
	}
	information, err := handle.Stat()
	if err != nil {
		_ = handle.Close()
		return err
	}
	f.handle, f.opened, f.size, f.lines.torn = handle, information, information.Size(), false
	f.period = f.periodOf(information.ModTime())
	place, err := os.Lstat(f.options.Path)
	f.fixed = err == nil && !place.Mode().IsRegular()
	var last [1]byte
	if f.size > 0 && information.Mode().IsRegular() {
		// A crash, or a full disk, left a part of a line.
		_, err := handle.ReadAt(last[:], f.size-1)
		f.lines.torn = err == nil && last[0] != '\n'
	}
	return nil
}

// openAgain opens the file, and makes its directory again where that is gone.
func (f *file) openAgain() error {
	if err := os.MkdirAll(filepath.Dir(f.options.Path), directoryMode); err != nil {
		return err
	}
	return f.open()
}

// leave lets go of the file.
func (f *file) leave() error {
	if f.handle == nil {
		return nil
	}
	handle := f.handle
	f.handle = nil
	return handle.Close()
}

func (f *file) newEncoder() encoder { return appendJSON }
func (f *file) takesMessages() bool { return false }

// Write is for lines.
func (f *file) Write(data []byte) (int, error) {
	taken, err := f.handle.Write(data)
	f.size += int64(taken)
	return taken, err
}

// write first begins a new file where one is due. Where it cannot, because the
// directory may not be written, lines go on into the old one.
func (f *file) write(b *block) (lost int, err error) {
	if f.handle == nil {
		if err := f.openAgain(); err != nil {
			return b.records, err
		}
	}
	failure := f.rotateIfDue(time.Now(), len(b.data))
	if f.handle == nil {
		return b.records, failure
	}
	if lost, err = f.lines.write(b); err == nil {
		err = failure
	}
	return lost, err
}

func (f *file) periodOf(t time.Time) int64 {
	if f.options.RotateEvery == 0 {
		return 0
	}
	return t.UnixNano() / int64(f.options.RotateEvery)
}

// isOver reports whether the file's period is over. A clock that was set back makes the
// file one of the earlier period, or nothing would be rotated until it has caught up.
func (f *file) isOver(now time.Time) bool {
	period := f.periodOf(now)
	f.period = min(f.period, period)
	return period > f.period
}

// rotateIfDue begins a new file where a period is over, or so many bytes more
// have no room.
func (f *file) rotateIfDue(now time.Time, more int) error {
	switch {
	case f.size == 0:
		f.period = f.periodOf(now) // nothing of an earlier one is in it
	case f.fixed:
	case f.isOver(now):
		return f.rotate("time")
	case f.size+int64(more) > f.options.MaxSize:
		return f.rotate("size")
	}
	return nil
}

// rotate begins a new file, unless another instance of us has done so already
// or is about to.
func (f *file) rotate(reason string) error {
	unlock, err := f.lock(time.Now())
	if err != nil {
		return fmt.Errorf("rotating %s: %w", f.options.Path, err)
	}
	if unlock == nil {
		return nil
	}
	defer unlock()
	inPlace := f.isInPlace()
	// Not every system can rename an open file.
	_ = f.leave()
	if inPlace {
		err = f.setAside(reason)
	}
	return errors.Join(err, f.openAgain())
}

// lock makes sure that one instance rotates at a time, by a file that only one
// can make. It returns nil for unlock where another is rotating. A lock that has
// been there for lockAge was left by a crash.
func (f *file) lock(now time.Time) (unlock func(), err error) {
	path := f.options.Path + ".rotating"
	made, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if errors.Is(err, os.ErrExist) {
		there, err := os.Stat(path)
		switch {
		case err != nil:
		case f.rival == nil || !os.SameFile(f.rival, there) || !f.rival.ModTime().Equal(there.ModTime()):
			f.rival, f.rivalSince = there, now
		case now.Sub(f.rivalSince) >= lockAge:
			f.rival = nil
			return nil, os.Remove(path)
		}
		return nil, nil
	}
	f.rival = nil
	if err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(path) }, made.Close()
}

// setAside has the library rename the file and make a new one. It compresses
// and deletes meanwhile; one that is still at it is not joined by a second,
// because the next will find what that one left.
func (f *file) setAside(reason string) error {
	logger := &timberjack.Logger{Filename: f.options.Path, MaxSize: librarySize, FileMode: fileMode}
	tidied := make(chan struct{})
	if f.isTidy() {
		logger.MaxBackups, logger.Compression = f.options.MaxFiles, f.options.Compression
		logger.MaxAge = int((f.options.MaxAge + day - 1) / day)
		f.tidying = tidied
	}
	err := logger.RotateWithReason(reason)
	go func() {
		defer close(tidied)
		_ = logger.Close() // lets go of the file at once, then waits
	}()
	if err != nil {
		return fmt.Errorf("rotating %s: %w", f.options.Path, err)
	}
	return nil
}

func (f *file) isTidy() bool {
	select {
	case <-f.tidying:
		return true
	default:
		return f.tidying == nil
	}
}

// isInPlace reports whether the file that is open is the one at the path.
func (f *file) isInPlace() bool {
	there, err := os.Stat(f.options.Path)
	if err != nil || !os.SameFile(f.opened, there) {
		return false
	}
	f.size = there.Size() // somebody may have truncated it
	return true
}

// tick rotates by age where there is no traffic to do it, and notices within a
// second that the file is no longer where its path says: deleted, renamed,
// replaced.
func (f *file) tick(now time.Time) (int, error) {
	if now.Sub(f.watched) < watchInterval {
		return 0, errNoNews
	}
	f.watched = now
	if f.handle != nil && !f.isInPlace() {
		_ = f.leave()
		return 0, f.openAgain()
	}
	if f.size > 0 && !f.fixed && f.isOver(now) {
		return 0, f.rotate("time")
	}
	return 0, errNoNews
}

// close waits for the compression that was begun, until ctx ends; what is left
// of it is done after the next rotation.
func (f *file) close(ctx context.Context) (int, error) {
	err := f.leave()
	if f.isTidy() {
		return 0, err
	}
	select {
	case <-f.tidying:
		return 0, err
	case <-ctx.Done():
		return 0, errors.New("a rotated file is not compressed yet; that is done after the next rotation")
	}
}
