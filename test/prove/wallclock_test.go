//go:build linux

package prove

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wallClockVariable tells a program that was built with wallClockOverlay where the file is
// that says how wrong its wall clock is.
const wallClockVariable = "PRIVATELINK_DNS_WALL_CLOCK"

// readsTheClock is the beginning of time.Now. What it reads from the wall clock is changed there;
// the monotonic clock, in the third value, is not.
const readsTheClock = "\nfunc Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"

// wallClockOverlay writes an overlay for go build: the toolchain's own package time, save
// that the wall clock of a program can be set while it runs. It returns the flags.
func wallClockOverlay(t *testing.T) []string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), readsTheClock) != 1 {
		t.Fatalf("%s has %d functions that begin with %q, expected one: how does this toolchain read the wall clock?", original, strings.Count(string(text), readsTheClock), readsTheClock)
	}
	changed := filepath.Join(directory, "time.go")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), readsTheClock, readsTheClock+"\tsec += setAhead()\n", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	added, err := filepath.Abs(filepath.Join("testdata", "wallclock.go.txt"))
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		original: changed,
		filepath.Join(filepath.Dir(original), "wallclock.go"): added,
	}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(directory, "overlay.json")
	if err := os.WriteFile(path, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"-overlay", path}
}

// wallClock is the wall clock of processes, which they read from a file in their memory.
type wallClock struct {
	path   string
	memory []byte
}

func (p *proof) newWallClock() *wallClock {
	p.t.Helper()
	c := &wallClock{path: filepath.Join(p.directory, "wall.clock")}
	file, err := os.Create(c.path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if err := file.Truncate(8); err != nil {
		p.t.Fatal(err)
	}
	c.memory, err = unix.Mmap(int(file.Fd()), 0, 8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = unix.Munmap(c.memory) })
	return c
}

// command is what goes before a program on the command line.
func (c *wallClock) command() []string { return []string{"env", wallClockVariable + "=" + c.path} }

// set sets the clock ahead of the right time by whole seconds, or behind it. It is so from
// this moment on.
func (c *wallClock) set(ahead time.Duration) {
	atomic.StoreInt64((*int64)(unsafe.Pointer(&c.memory[0])), int64(ahead/time.Second))
}
