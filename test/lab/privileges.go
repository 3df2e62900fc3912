//go:build linux

package lab

import (
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
)

// insideVariable is set for a test binary that was started again as root of
// its own user namespace.
const insideVariable = "PRIVATELINK_DNS_LAB_INSIDE"

// Run runs the tests of a package and returns the exit code for the program.
// Without root's rights it starts the test binary again as root of a user
// namespace; where that is not allowed it runs the tests here, and New skips
// them.
func Run(m *testing.M) int {
	if os.Geteuid() == 0 || os.Getenv(insideVariable) != "" {
		defer os.RemoveAll(productDirectory())
		return m.Run()
	}
	again := exec.Command("/proc/self/exe", os.Args[1:]...)
	again.Env = append(os.Environ(), insideVariable+"=1")
	again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
	again.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := again.Start(); err != nil {
		return m.Run()
	}
	err := again.Wait()
	if ended := (*exec.ExitError)(nil); errors.As(err, &ended) && ended.ExitCode() >= 0 {
		return ended.ExitCode()
	}
	if err != nil {
		return 1
	}
	return 0
}

// tools are the programs that a lab runs, besides our own.
var tools = []string{"ip", "dig", "named", "unbound", "dnsmasq"}

// missing tells what keeps a lab from working on this machine: nil if nothing
// does. It is found out once.
var missing = sync.OnceValue(func() error {
	for _, tool := range tools {
		if _, err := findTool(tool); err != nil {
			return err
		}
	}
	tried, err := newNamespace()
	if err != nil {
		return err
	}
	tried.close()
	return nil
})

// findTool also looks where a user's PATH does not lead, but servers are.
func findTool(name string) (string, error) {
	path, err := exec.LookPath(name)
	for _, directory := range []string{"/usr/sbin/", "/sbin/"} {
		if err == nil {
			break
		}
		if other, otherErr := exec.LookPath(directory + name); otherErr == nil {
			path, err = other, nil
		}
	}
	return path, err
}

// needTool fails where a program is missing: what was not tried in the real server is
// not shown. It returns the program's path.
func needTool(t *testing.T, name string) string {
	t.Helper()
	path, err := findTool(name)
	if err != nil {
		t.Fatalf("%s is not installed: make tools installs it", name)
	}
	return path
}

// require skips the test where a lab cannot work. On a build server, which
// promises to run everything (CI=true), that is a failure.
func require(t *testing.T) {
	t.Helper()
	reason := missing()
	switch {
	case reason == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("the lab cannot run, and CI=true allows no skipping: %v", reason)
	default:
		t.Skipf("the lab needs root or user namespaces, and the programs %v: %v", tools, reason)
	}
}
