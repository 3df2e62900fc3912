package privatelink

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A slot stands for a process here: the kernel's locks differ by who opened, not by process.

func TestStateDirectoryIsForOneProcess(t *testing.T) {
	state := t.TempDir()
	first, second := newRunning(t, "clients: []\n", "state "+state), newRunning(t, "clients: []\n", "state "+state)
	started(t, first)
	err := second.start()
	if want := fmt.Sprintf("state directory %s is in use by process %d: one directory for one process", state, os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("the second process starts with %v, want %q", err, want)
	}
	if !strings.Contains(err.Error(), "Corefile:") {
		t.Errorf("the second process starts with %v, want the place of its state", err)
	}
	if err := askSocket(t, state); err != nil {
		t.Errorf("after another process was refused the admin socket says: %v", err)
	}
	ended(t, first)
	started(t, second)
	if err := askSocket(t, state); err != nil {
		t.Errorf("after the first process has ended the admin socket says: %v", err)
	}
	ended(t, second)
}

// TestReloadKeepsTheStateDirectory: the two configurations overlap, and may name the
// directory differently.
func TestReloadKeepsTheStateDirectory(t *testing.T) {
	state, linked := t.TempDir(), filepath.Join(t.TempDir(), "linked")
	if err := os.Symlink(state, linked); err != nil {
		t.Fatal(err)
	}
	old, other := newRunning(t, "clients: []\n", "state "+state), newRunning(t, "clients: []\n", "state "+state)
	started(t, old)
	next := inProcessOf(t, old, "state "+linked)
	reload(t, old, next)
	if err := other.start(); err == nil {
		t.Error("after a reload another process starts in the directory, want it refused")
	}
	if err := askSocket(t, state); err != nil {
		t.Errorf("after a reload the admin socket says: %v", err)
	}
	ended(t, next)
	started(t, other)
	ended(t, other)
}

// TestStateDirectoryOfTheSocketIsKept: the admin socket and the overrides stay where they
// are when a reload names another directory, so nobody else may come there.
func TestStateDirectoryOfTheSocketIsKept(t *testing.T) {
	first, second, third := t.TempDir(), t.TempDir(), t.TempDir()
	run := newRunning(t, "clients: []\n", "state "+first)
	started(t, run)
	for _, directory := range []string{second, third} {
		next := inProcessOf(t, run, "state "+directory)
		reload(t, run, next)
		run = next
	}
	for _, tc := range []struct {
		name, directory string
		free            bool
	}{{"of the socket", first, false}, {"of the configuration before", second, true}, {"in use", third, false}} {
		if got := isFree(t, tc.directory); got != tc.free {
			t.Errorf("the directory %s is free: %v, want %v", tc.name, got, tc.free)
		}
	}
	ended(t, run)
	for _, directory := range []string{first, third} {
		if !isFree(t, directory) {
			t.Errorf("%s is in use after the end", directory)
		}
	}
}

func TestFailedReloadLeavesItsStateDirectory(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	run := newRunning(t, "clients: []\n", "state "+first)
	started(t, run)
	failing := inProcessOf(t, run, "state "+second)
	if err := run.beginReload(); err != nil {
		t.Fatal(err)
	}
	started(t, failing)
	if err := run.reloadFailed(); err != nil { // another stanza had a mistake
		t.Fatal(err)
	}
	if isFree(t, first) || !isFree(t, second) {
		t.Errorf("after a failed reload: free is the directory in use %v, that of the failed one %v; want false, true", isFree(t, first), isFree(t, second))
	}
	ended(t, run)
	if !isFree(t, first) {
		t.Error("the directory is in use after the end")
	}
}

// inProcessOf is another stanza in the process of one that runs.
func inProcessOf(t *testing.T, run *running, body string) *running {
	t.Helper()
	next := newRunning(t, "clients: []\n", body)
	built, err := build(next.config, run.shared)
	if err != nil {
		t.Fatal(err)
	}
	next.handler, next.shared = handlerOf(built), run.shared
	return next
}

// reload puts next in the place of old, in CoreDNS's order.
func reload(t *testing.T, old, next *running) {
	t.Helper()
	for _, step := range []func() error{old.beginReload, next.start, old.stop} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

func started(t *testing.T, run *running) {
	t.Helper()
	if err := run.start(); err != nil {
		t.Fatal(err)
	}
}

func ended(t *testing.T, run *running) {
	t.Helper()
	for _, step := range []func() error{run.stop, run.save} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

// isFree reports whether another process could take a directory.
func isFree(t *testing.T, directory string) bool {
	t.Helper()
	lock, err := lockDirectory(directory)
	if err == nil {
		_ = lock.Close()
	}
	return err == nil
}

func askSocket(t *testing.T, state string) error {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(state, AdminSocket))
	}}}
	reply, err := client.Get("http://admin/overrides")
	if err != nil {
		return err
	}
	return reply.Body.Close()
}
