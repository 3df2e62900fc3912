package querylog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/DeRuina/timberjack"
)

const (
	// watchInterval is how often the file's place is looked at.
	watchInterval = 500 * time.Millisecond
	day           = 24 * time.Hour
	defaultSize   = 100 << 20
	fileMode      = 0o640
	// librarySize is the size in MiB at which the library would rotate by itself:
	// never, because we do it.
	librarySize = math.MaxInt32
)

// FileOptions say where lines are written and when a new file is begun. Rotated
// files stand beside the current one, with the time and the reason (size, time,
// moved) in the name: query-2026-03-01T00-00-00.000-time.log.gz for query.log.
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
	if err := options.check(); err != nil {
		return nil, err
	}
	if options.MaxSize == 0 {
		options.MaxSize = defaultSize
	}
	f := &file{options: options, appends: true}
	if err := f.adopt(); err != nil {
		return nil, err
	}
	f.lines.to = f
	f.rotating = &timberjack.Logger{
		Filename:    options.Path,
		MaxSize:     librarySize,
		MaxBackups:  options.MaxFiles,
		MaxAge:      int((options.MaxAge + day - 1) / day),
		Compression: options.Compression,
		FileMode:    fileMode,
	}
	return f, nil
}

func (o *FileOptions) check() error {
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

// file is a sink. All of it belongs to its outlet's goroutine. The library
// renames, compresses and deletes; when that is due is decided here, because it
// would look only when it is written to.
type file struct {
	options  FileOptions
	lines    lineWriter
	rotating *timberjack.Logger

	// opened is the file as it was found at its place after it was opened; nil
	// where that is to be looked at after the next write.
	opened os.FileInfo
	size   int64
	// period is the multiple of RotateEvery that the file belongs to.
	period  int64
	watched time.Time
	// appends: the library opened the file to append. It does not so after a
	// rotation: it would go on after a hole where somebody truncates the file.
	appends bool
}

// adopt learns what is at the path, and makes it where there is nothing.
func (f *file) adopt() error {
	opened, err := os.OpenFile(f.options.Path, os.O_APPEND|os.O_CREATE|os.O_RDWR, fileMode)
	if errors.Is(err, os.ErrPermission) {
		opened, err = os.OpenFile(f.options.Path, os.O_APPEND|os.O_WRONLY, fileMode)
	}
	if err != nil {
		return err
	}
	defer opened.Close()
	information, err := opened.Stat()
	if err != nil {
		return err
	}
	f.size, f.period = information.Size(), f.periodOf(information.ModTime())
	var last [1]byte
	if f.size > 0 && information.Mode().IsRegular() {
		// A crash, or a full disk, left a part of a line.
		_, err := opened.ReadAt(last[:], f.size-1)
		f.lines.torn = err == nil && last[0] != '\n'
	}
	return nil
}

func (f *file) newEncoder() encoder { return appendJSON }
func (f *file) takesMessages() bool { return false }

// Write is for lines.
func (f *file) Write(data []byte) (int, error) {
	taken, err := f.rotating.Write(data)
	f.size += int64(taken)
	return taken, err
}

// write first begins a new file where one is due. Where it cannot, because the
// directory may not be written, lines go on into the old one.
func (f *file) write(b *block) (lost int, err error) {
	var failure error
	switch period := f.periodOf(time.Now()); {
	case f.size == 0:
		f.period = period
	case period != f.period:
		failure = f.rotate("time")
	case f.size+int64(len(b.data)) > f.options.MaxSize:
		failure = f.rotate("size")
	}
	lost, err = f.lines.write(b)
	if f.opened == nil {
		// The library opens at the first write.
		f.opened, _ = os.Stat(f.options.Path)
	}
	if err == nil {
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

// rotate begins a new file.
func (f *file) rotate(reason string) error {
	if err := f.rotating.RotateWithReason(reason); err != nil {
		return fmt.Errorf("rotating %s: %w", f.options.Path, err)
	}
	f.size, f.period, f.lines.torn, f.appends = 0, f.periodOf(time.Now()), false, false
	f.opened, _ = os.Stat(f.options.Path)
	return nil
}

// tick rotates by age where there is no traffic to do it, and notices within a
// second that the file is no longer where its path says: deleted, renamed,
// replaced, or truncated.
func (f *file) tick(now time.Time) (int, error) {
	if now.Sub(f.watched) < watchInterval {
		return 0, errNoNews
	}
	f.watched = now
	switch reason := f.isWrong(); {
	case reason != "":
		return 0, f.rotate(reason)
	case f.size > 0 && f.periodOf(now) != f.period:
		return 0, f.rotate("time")
	}
	return 0, errNoNews
}

// isWrong compares the file at the path with the one that is open, and returns
// why a new one must be begun; empty where none must. A rotation makes the
// directory again, and puts aside what stands in the file's place.
func (f *file) isWrong() string {
	if f.opened == nil {
		return ""
	}
	there, err := os.Stat(f.options.Path)
	switch {
	case err != nil:
		return "moved"
	case !os.SameFile(f.opened, there):
		if there.Size() == 0 {
			// As logrotate leaves it: not worth keeping. Where that fails, it is kept.
			_ = os.Remove(f.options.Path)
		}
		return "moved"
	case there.Size() < f.size && !f.appends:
		return "truncated"
	}
	f.size = there.Size()
	return ""
}

// close waits for the compression that was begun, until ctx ends; what is left
// of it is done after the next start.
func (f *file) close(ctx context.Context) (int, error) {
	closed := make(chan error, 1)
	go func() { closed <- f.rotating.Close() }()
	select {
	case err := <-closed:
		return 0, err
	case <-ctx.Done():
		return 0, errors.New("a rotated file is not compressed yet; that is done after the next start")
	}
}
