//go:build linux

package deploy

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// nobody is the user that the program runs as.
const nobody = 65532

// sandbox is a thread with a network, mounts and a bounding set of its own, in which the
// program runs as a user without rights. Nothing of it is left when the thread ends.
type sandbox struct {
	t     *testing.T
	tasks chan func() error
	// root is the program's root directory, data where it may write: both as this
	// test sees them within the sandbox.
	root, data string
	// capabilities are those that the program has.
	capabilities []uintptr
}

// enter makes a sandbox whose file system is read-only except for a directory. prepare
// runs in it with all rights.
func enter(t *testing.T, s *sandbox, prepare func() error) {
	t.Helper()
	s.t, s.tasks = t, make(chan func() error)
	s.data = filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(s.data, 0o755); err != nil {
		t.Fatal(err)
	}
	entered := make(chan error)
	go s.live(entered, prepare)
	if err := <-entered; errors.Is(err, unix.EPERM) && os.Getenv("CI") != "true" {
		t.Skipf("a sandbox needs root: %v", err)
	} else if err != nil {
		t.Fatalf("making a sandbox: %v", err)
	}
	t.Cleanup(func() { close(s.tasks) })
}

// live never unlocks its thread, which so ends with the goroutine.
func (s *sandbox) live(entered chan<- error, prepare func() error) {
	runtime.LockOSThread()
	err := s.seclude(prepare)
	entered <- err
	if err != nil {
		return
	}
	for task := range s.tasks {
		_ = task() // its caller has the error
	}
}

func (s *sandbox) seclude(prepare func() error) error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keeping mounts to ourselves: %w", err)
	}
	if said, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("ip link set lo up: %w: %s", err, said)
	}
	if err := prepare(); err != nil {
		return err
	}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return fmt.Errorf("making everything read-only: %w", err)
	}
	options := fmt.Sprintf("mode=0700,uid=%d,gid=%d", nobody, nobody)
	if err := unix.Mount("tmpfs", s.data, "tmpfs", 0, options); err != nil {
		return fmt.Errorf("mounting %s: %w", s.data, err)
	}
	return s.drop()
}

// drop leaves the programs that this thread starts no way to more capabilities.
func (s *sandbox) drop() error {
	for capability := range uintptr(unix.CAP_LAST_CAP + 1) {
		if capability == unix.CAP_NET_BIND_SERVICE {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("dropping capability %d: %w", capability, err)
		}
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// do runs a task in the sandbox and returns its error.
func (s *sandbox) do(task func() error) error {
	done := make(chan error)
	s.tasks <- func() error {
		err := task()
		done <- err
		return err
	}
	return <-done
}

// running is the program in a sandbox.
type running struct {
	*sandbox
	command *exec.Cmd
	output  string // a file
	ended   chan struct{}
}

// start runs a command line in the sandbox and returns when our program serves.
func (s *sandbox) start(line ...string) *running {
	s.t.Helper()
	r := &running{sandbox: s, command: exec.Command(line[0], line[1:]...), output: filepath.Join(s.t.TempDir(), "output"), ended: make(chan struct{})}
	output, err := os.Create(r.output)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = output.Close() }()
	r.command.Stdout, r.command.Stderr, r.command.Dir = output, output, "/"
	r.command.SysProcAttr = &syscall.SysProcAttr{
		Chroot:      s.root,
		Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
		AmbientCaps: s.capabilities,
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := s.do(r.command.Start); err != nil {
		s.t.Fatalf("starting %v: %v", line, err)
	}
	go func() {
		defer close(r.ended)
		_ = r.command.Wait() // the exit code is kept in ProcessState
	}()
	s.t.Cleanup(func() {
		_ = r.command.Process.Kill()
		<-r.ended
		if s.t.Failed() {
			s.t.Logf("the program said:\n%s", r.said())
		}
	})
	r.await("[INFO] serving on ")
	return r
}

func (r *running) said() string {
	text, err := os.ReadFile(r.output)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// await returns when the program has written a text.
func (r *running) await(text string) {
	r.t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(r.said(), text) {
		select {
		case <-tick.C:
		case <-r.ended:
			if !strings.Contains(r.said(), text) {
				r.t.Fatalf("the program ended before it wrote %q", text)
			}
		case <-deadline.C:
			r.t.Fatalf("the program did not write %q", text)
		}
	}
}

// stop sends SIGTERM to a process and returns the exit code of what was started.
func (r *running) stop(process int) int {
	r.t.Helper()
	if err := syscall.Kill(process, syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	select {
	case <-r.ended:
	case <-time.After(20 * time.Second):
		r.t.Fatal("the program did not stop after SIGTERM")
	}
	return r.command.ProcessState.ExitCode()
}
