package querylog

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"
)

// newFileLog makes a log with one file at path. It is closed by the test.
func newFileLog(t testing.TB, options FileOptions) *Log {
	t.Helper()
	sink, err := NewFile(options)
	if err != nil {
		t.Fatal(err)
	}
	log, err := New(Destination{Name: "file", Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// namesIn returns the names of the whole lines of a file, which may be compressed.
func namesIn(t testing.TB, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var reader io.Reader = bytes.NewReader(data)
	switch filepath.Ext(path) {
	case ".gz":
		reader, err = gzip.NewReader(reader)
	case ".zst":
		reader, err = zstd.NewReader(reader, zstd.WithDecoderConcurrency(1))
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if data, err = io.ReadAll(reader); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return wholeNames(data)
}

// wholeNames returns the names of the records that are on a line of their own.
func wholeNames(data []byte) []string {
	var names []string
	for line := range bytes.Lines(data) {
		var decoded jsonLine
		if json.Unmarshal(line, &decoded) == nil && bytes.HasSuffix(line, []byte("\n")) {
			names = append(names, decoded.Name)
		}
	}
	return names
}

// filesOf returns the names of the files of a directory, oldest first.
func filesOf(t testing.TB, directory string) []string {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(entries))
	for index, entry := range entries {
		names[index] = entry.Name()
	}
	// "query.log", the newest, would sort before none and after all others.
	slices.SortFunc(names, func(a, b string) int {
		return strings.Compare(strings.TrimPrefix(a, "query"), strings.TrimPrefix(b, "query"))
	})
	return names
}

func TestFileRotatesBySize(t *testing.T) {
	for _, compression := range []string{"", "gzip", "zstd"} {
		t.Run("compression="+compression, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { fileRotatesBySize(t, compression) })
		})
	}
}

func fileRotatesBySize(t *testing.T, compression string) {
	directory := t.TempDir()
	path := filepath.Join(directory, "query.log")
	log := newFileLog(t, FileOptions{Path: path, MaxSize: 200_000, Compression: compression})
	for number := range 30 {
		adder(log.Log).numbered(100*number, 100)
		time.Sleep(time.Second)
	}
	mustClose(t, log)
	var names []string
	files := filesOf(t, directory)
	for _, name := range files {
		if want := map[string]string{"": ".log", "gzip": ".gz", "zstd": ".zst"}[compression]; name != "query.log" && filepath.Ext(name) != want {
			t.Errorf("the rotated file is called %s with compression %q", name, compression)
		}
		if information, err := os.Stat(filepath.Join(directory, name)); err != nil || information.Size() > 200_000 {
			t.Errorf("%s has %d bytes, %v, want at most 200,000", name, information.Size(), err)
		}
		names = append(names, namesIn(t, filepath.Join(directory, name))...)
	}
	if len(files) < 5 {
		t.Errorf("there are %d files, want at least 5 of a million bytes", len(files))
	}
	expectNumbered(t, names, 3000)
}

// While a reload is under way, two instances have the file. Neither writes over
// the other's lines, whoever rotates.
func TestTwoInstancesShareAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		directory := t.TempDir()
		path := filepath.Join(directory, "query.log")
		old, young := newFileLog(t, FileOptions{Path: path, MaxSize: 60_000}), newFileLog(t, FileOptions{Path: path, MaxSize: 60_000})
		for number := range 100 {
			adder(old.Log).numbered(20*number, 10)
			adder(young.Log).numbered(20*number+10, 10)
			time.Sleep(300 * time.Millisecond)
		}
		mustClose(t, old)
		mustClose(t, young)
		var names []string
		for _, name := range filesOf(t, directory) {
			names = append(names, namesIn(t, filepath.Join(directory, name))...)
		}
		expectAll(t, names, 2000)
	})
}

func TestFileKeepsOnlySoMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		directory := t.TempDir()
		log := newFileLog(t, FileOptions{Path: filepath.Join(directory, "query.log"), MaxSize: 30_000, MaxFiles: 2})
		for number := range 10 {
			adder(log.Log).numbered(100*number, 100)
			// The library counts the rotations of one millisecond as one.
			time.Sleep(time.Second)
		}
		mustClose(t, log)
		files := filesOf(t, directory)
		if len(files) != 3 {
			t.Fatalf("the directory has %q, want the current file and two rotated", files)
		}
		if names := namesIn(t, filepath.Join(directory, "query.log")); names[len(names)-1] != "999" {
			t.Errorf("the current file ends with record %s, want 999", names[len(names)-1])
		}
	})
}

// A file is rotated by age where nothing is logged, and one that an earlier
// process left is rotated when its period is over.
func TestFileRotatesByAgeWithoutTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		directory := t.TempDir()
		path := filepath.Join(directory, "query.log")
		yesterday := append(AppendJSON(nil, plainRecord("yesterday")), `{"time":`...)
		if err := os.WriteFile(path, yesterday, 0o640); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Minute)); err != nil {
			t.Fatal(err)
		}
		log := newFileLog(t, FileOptions{Path: path, RotateEvery: time.Minute})
		time.Sleep(watchInterval + sweepInterval)
		adder(log.Log).numbered(1, 1)
		time.Sleep(time.Minute)
		adder(log.Log).numbered(2, 1)
		time.Sleep(2 * time.Minute) // a minute without a line makes no file
		mustClose(t, log)
		var got [][]string
		for _, name := range filesOf(t, directory) {
			got = append(got, namesIn(t, filepath.Join(directory, name)))
		}
		if want := [][]string{{"yesterday"}, {"1"}, {"2"}, nil}; !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("the files hold %q, want %q", got, want)
		}
	})
}

// Whatever is done to the file or its directory is noticed within a second:
// lines that are logged then are in a file at the path.
func TestFileComesBack(t *testing.T) {
	tests := []struct {
		name string
		harm func(directory string) error
	}{
		{"directory deleted", os.RemoveAll},
		{"directory renamed", func(directory string) error { return os.Rename(directory, directory+".old") }},
		{"file deleted", func(directory string) error { return os.Remove(filepath.Join(directory, "query.log")) }},
		{"file renamed", func(directory string) error {
			return os.Rename(filepath.Join(directory, "query.log"), filepath.Join(directory, "query.log.1"))
		}},
		{"file renamed and an empty one made, as logrotate does", func(directory string) error {
			path := filepath.Join(directory, "query.log")
			return errorOf(os.Rename(path, path+".1"), os.WriteFile(path, nil, 0o640))
		}},
		{"another file put in its place", func(directory string) error {
			path := filepath.Join(directory, "query.log")
			return errorOf(os.WriteFile(path+".new", []byte("not ours"), 0o640), os.Rename(path+".new", path))
		}},
		{"file truncated", func(directory string) error { return os.Truncate(filepath.Join(directory, "query.log"), 0) }},
	}
	for _, tc := range tests {
		for _, rotated := range []bool{false, true} {
			name := tc.name
			if rotated {
				name += " after a rotation"
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { fileComesBack(t, tc.harm, rotated) })
			})
		}
	}
}

func fileComesBack(t *testing.T, harm func(directory string) error, rotated bool) {
	directory := filepath.Join(t.TempDir(), "log")
	if err := os.Mkdir(directory, 0o750); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(directory, "query.log")
	log := newFileLog(t, FileOptions{Path: path, MaxSize: 1 << 20})
	if rotated {
		adder(log.Log).numbered(0, 4000)
	}
	adder(log.Log).numbered(0, 10)
	time.Sleep(time.Second)
	if err := harm(directory); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	adder(log.Log).numbered(0, 10)
	time.Sleep(time.Second)
	expectNumbered(t, namesIn(t, path), 10)
	mustClose(t, log)
	if s := log.Statistics()[0]; s.Refused != 0 || s.Err != nil {
		t.Errorf("Statistics() = %+v, want nothing refused", s)
	}
}

func errorOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// While the directory cannot be made again, lines are lost and counted; then
// the log goes on by itself, and says both.
func TestFileRecoversWhenItsDirectoryCanBeMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		directory := filepath.Join(t.TempDir(), "log")
		if err := os.Mkdir(directory, 0o750); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(directory, "query.log")
		sink, err := NewFile(FileOptions{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		var changes []bool
		log, err := New(Destination{Name: "file", Sink: sink, Changed: func(err error) { changes = append(changes, err == nil) }})
		if err != nil {
			t.Fatal(err)
		}
		adder(log.Log).numbered(0, 1)
		time.Sleep(time.Second)
		if err := errorOf(os.RemoveAll(directory), os.WriteFile(directory, []byte("in the way"), 0o640)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		adder(log.Log).numbered(1, 5)
		time.Sleep(time.Second)
		if s := log.Statistics()[0]; s.Refused != 5 || s.Err == nil {
			t.Errorf("Statistics() = %+v, want 5 refused and an error", s)
		}
		if err := os.Remove(directory); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		adder(log.Log).numbered(0, 2)
		time.Sleep(time.Second)
		mustClose(t, log)
		expectNumbered(t, namesIn(t, path), 2)
		if !slices.Equal(changes, []bool{false, true}) {
			t.Errorf("the changes to working were %v, want one failure and one recovery", changes)
		}
	})
}

// A crash leaves a part of a line; the first line after it must be readable.
func TestFileEndsTheTornLineOfACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "query.log")
	if err := os.WriteFile(path, []byte(`{"time":"2026-03-01T12`), 0o640); err != nil {
		t.Fatal(err)
	}
	log := newFileLog(t, FileOptions{Path: path})
	adder(log.Log).numbered(0, 3)
	mustClose(t, log)
	expectNumbered(t, namesIn(t, path), 3)
}

func TestNewFileRefuses(t *testing.T) {
	directory := t.TempDir()
	tests := []struct {
		name    string
		options FileOptions
		want    string
	}{
		{"no directory", FileOptions{Path: filepath.Join(directory, "nowhere", "query.log")}, "no such file"},
		{"a directory", FileOptions{Path: directory}, "is a directory"},
		{"an unknown compression", FileOptions{Path: filepath.Join(directory, "a"), Compression: "lz4"}, `"lz4"`},
		{"a rotation too often", FileOptions{Path: filepath.Join(directory, "a"), RotateEvery: time.Second}, "every 1s"},
		{"a negative size", FileOptions{Path: filepath.Join(directory, "a"), MaxSize: -1}, "negative"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if sink, err := NewFile(tc.options); sink != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("NewFile() = %v, %v, want an error with %q", sink, err, tc.want)
			}
		})
	}
}

// A symbolic link is never renamed: /dev/stdout is one.
func TestFileThatIsALinkIsNotRotated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		directory := t.TempDir()
		path, target := filepath.Join(directory, "query.log"), filepath.Join(directory, "target")
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		log := newFileLog(t, FileOptions{Path: path, MaxSize: 1000, RotateEvery: time.Minute})
		for number := range 10 {
			adder(log.Log).numbered(10*number, 10)
			time.Sleep(time.Minute)
		}
		mustClose(t, log)
		if files := filesOf(t, directory); len(files) != 2 {
			t.Errorf("the directory has %q, want the link and its target", files)
		}
		expectNumbered(t, namesIn(t, target), 100)
	})
}

// A reader that hangs: nobody reads the pipe that stdout is.
func TestStreamToAPipeThatNobodyReads(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	log := newLog(t, writer)
	const count = 5000
	adder(log.Log).numbered(0, count)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := log.Close(ctx); err == nil {
		t.Error("Close() = nil, want the hung sink named")
	}
	checkTotals(t, log, count)
	// The kernel keeps 64 KiB, which is a block.
	if s := log.Statistics()[0]; s.QueueFull == 0 || s.Late == 0 || s.Written > 2*blockLength/300 {
		t.Errorf("Statistics() = %+v, want the queue full, the rest late, and no more written than a pipe holds", s)
	}
	writer.Close()
}
