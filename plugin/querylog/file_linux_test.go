package querylog

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// smallDisk mounts a file system with the given options at a new directory.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	directory := t.TempDir()
	if err := syscall.Mount("tmpfs", directory, "tmpfs", 0, options); err != nil {
		t.Skipf("a small disk needs the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(directory, 0); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	return directory
}

// The disk fills up, in the middle of a line: what does not fit is counted,
// and when there is room again the log goes on by itself. Every record that
// counts as written can be read.
func TestFileOnAFullDisk(t *testing.T) {
	directory := smallDisk(t, "size=512k")
	path := filepath.Join(directory, "query.log")
	log := newFileLog(t, FileOptions{Path: path})
	filler := filepath.Join(directory, "filler")
	if err := os.WriteFile(filler, make([]byte, 200<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	appender := log.Appender()
	adder(appender.Add).numbered(0, 2000)
	appender.Flush()
	eventually(t, "the disk to be full", func() bool { s := log.Statistics()[0]; return s.Refused > 0 && s.Err != nil })
	eventually(t, "all to be answered for", func() bool { s := log.Statistics()[0]; return s.Refused+s.Written == 2000 })
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	adder(appender.Add).numbered(5000, 100)
	mustClose(t, log)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	names := wholeNames(data)
	if s := log.Statistics()[0]; uint64(len(names)) != s.Written || s.Err != nil {
		t.Errorf("the file has %d records, the statistics are %+v", len(names), s)
	}
	if len(names) < 100 || names[len(names)-100] != "5000" || names[len(names)-1] != "5099" {
		t.Errorf("the last records are not the hundred that were logged when there was room again")
	}
	if bytes.Contains(data, []byte("\n\n")) {
		t.Error("the file has an empty line, want none")
	}
	checkTotals(t, log, 2100)
}

// Where no new file can be begun, lines go on into the old one, and the
// operator is told.
func TestFileWhoseRotationFailsGoesOn(t *testing.T) {
	directory := smallDisk(t, "size=4m,nr_inodes=2") // the root and the current file
	path := filepath.Join(directory, "query.log")
	log := newFileLog(t, FileOptions{Path: path, MaxSize: 100_000})
	adder(log.Log).numbered(0, 2000)
	eventually(t, "the lines to be written", func() bool { return log.Statistics()[0].Written == 2000 })
	if err := log.Statistics()[0].Err; err == nil || !strings.Contains(err.Error(), "rotating") {
		t.Errorf("Statistics().Err = %v, want the rotation named", err)
	}
	_ = log.Close(t.Context())
	if files := filesOf(t, directory); !slices.Equal(files, []string{"query.log"}) {
		t.Errorf("the directory has %q, want the current file only", files)
	}
	expectNumbered(t, namesIn(t, path), 2000)
}

// A device has no size to rotate at, and one that refuses everything costs lines only.
func TestFileThatIsADevice(t *testing.T) {
	log := newFileLog(t, FileOptions{Path: "/dev/full"})
	adder(log.Log).numbered(0, 10)
	if err := log.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Close() = %v, want the device's reason", err)
	}
	if s := log.Statistics()[0]; s.Refused != 10 {
		t.Errorf("Statistics() = %+v, want 10 refused", s)
	}
}
