package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain lets a test start this very program as its own server.
func TestMain(m *testing.M) {
	if os.Getenv("PRIVATELINK_DNS_TEST_SERVE") != "" {
		main()
		return
	}
	_ = os.Unsetenv("COLUMNS") // golden files are as wide as output is that goes to no terminal
	os.Exit(m.Run())
}

// console collects what a server writes, and can be waited for.
type console struct {
	mutex   sync.Mutex
	text    strings.Builder
	written chan struct{}
}

func (s *console) Write(data []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.text.Write(data)
	select {
	case s.written <- struct{}{}:
	default:
	}
	return len(data), nil
}

func (s *console) has(part string) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return strings.Contains(s.text.String(), part)
}

// waitFor returns when the server has console something.
func (s *console) waitFor(t *testing.T, part string) {
	t.Helper()
	late := time.After(30 * time.Second)
	for !s.has(part) {
		select {
		case <-s.written:
		case <-late:
			t.Fatalf("the server did not say %q but\n%s", part, s.text.String())
		}
	}
}

// serveFor starts a server with a state directory and returns what it says, and how
// to stop it.
func serveFor(t *testing.T, state string) (log *console, stop func()) {
	t.Helper()
	corefile := filepath.Join(t.TempDir(), "Corefile")
	text := fmt.Sprintf(".:%d {\n bind 127.0.0.1\n privatelink {\n upstream azure 127.0.0.1:9\n upstream public 127.0.0.1:9\n route . azure\n state %s\n }\n}\n", freePort(t), state)
	if err := os.WriteFile(corefile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log = &console{written: make(chan struct{}, 1)}
	server := exec.Command(program, "serve", "-c", corefile)
	server.Env = append(os.Environ(), "PRIVATELINK_DNS_TEST_SERVE=1")
	server.Stderr = log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	})
	t.Cleanup(stop)
	log.waitFor(t, "serving on")
	return log, stop
}

// freePort returns a port of loopback that is free for UDP and TCP. It lies below
// those that the kernel gives to clients, so that none of them takes it.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 16384 + rand.IntN(8192)
		address := fmt.Sprintf("127.0.0.1:%d", port)
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		socket, err := net.ListenPacket("udp", address)
		_ = listener.Close()
		if err == nil {
			_ = socket.Close()
			return port
		}
	}
	t.Fatal("found no free port from 16384 to 24575")
	return 0
}

// runCommand runs a command line and returns what it printed.
func runCommand(arguments ...string) (printed string, err error) {
	var out bytes.Buffer
	root := newRootCommand()
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SetArgs(arguments)
	err = root.Execute()
	return out.String(), err
}

func TestOverridesOfARunningServer(t *testing.T) {
	t.Setenv("SUDO_USER", "kim")
	state := t.TempDir()
	log, stop := serveFor(t, state)
	steps := []struct {
		name, line string
		want       []string
	}{
		{"none", "list", []string{"no overrides\n"}},
		{"an address", "add DB1.database.windows.net A 10.0.2.4 --for 2h --reason INC42", []string{"db1.database.windows.net is answered with A 10.0.2.4 until ", "(2h)"}},
		{"IPv6 beside it", "add db1.database.windows.net AAAA fd00::4 --reason INC42", []string{"A 10.0.2.4, AAAA fd00::4 until ", "in place of A 10.0.2.4, by kim (", "INC42\n"}},
		{"a group", "add db2.database.windows.net resolve public --reason INC43 --as robin", []string{"resolve public until "}},
		{"all", "list", []string{"NAME ", "db1.database.windows.net  A 10.0.2.4, AAAA fd00::4  3h59m", "kim (", "robin ("}},
		{"all as JSON", "list --json", []string{`"name":"db1.database.windows.net.","a":["10.0.2.4"],"aaaa":["fd00::4"]`}},
		{"for days", "add db3.database.windows.net resolve public --reason INC43 --for 4d", []string{"resolve public until ", "(4d)"}},
		{"a name", "add db3.database.windows.net. CNAME DB2.example. --reason INC44", []string{"db3.database.windows.net is answered with CNAME db2.example until "}},
		{"a name in the list", "list", []string{"db3.database.windows.net  CNAME db2.example  "}},
		{"remove by its short name", "rm db3.database.windows.net", []string{"is answered as usual again"}},
		{"remove", "remove DB1.database.windows.net.", []string{"db1.database.windows.net is answered as usual again"}},
	}
	for _, step := range steps {
		printed, err := runCommand(append([]string{"override", "--state", state}, strings.Fields(step.line)...)...)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		for _, want := range step.want {
			if !strings.Contains(printed, want) {
				t.Errorf("%s printed\n%s\nwant %q in it", step.name, printed, want)
			}
		}
	}
	for line, want := range map[string]string{
		"override add db1.example resolve --state " + state: "azure\npublic\n:4\n",
		"override rm --state " + state:                      "db2.database.windows.net\tresolve public\n:4\n",
	} {
		if got := run(t, append([]string{"__complete"}, append(strings.Fields(line), "")...)...); got.out != want {
			t.Errorf("completing %q proposes %q, want %q", line, got.out, want)
		}
	}
	log.waitFor(t, "override of db1.database.windows.net. added by kim (")
	log.waitFor(t, "): A 10.0.2.4 until ")
	log.waitFor(t, "override of db1.database.windows.net. removed by kim (")

	stop()
	log, _ = serveFor(t, state)
	log.waitFor(t, "overrides in force again: 1")
	if printed, err := runCommand("override", "list", "--state", state); err != nil || !strings.Contains(printed, "db2.database.windows.net  resolve public") {
		t.Errorf("after a restart %v:\n%s\nwant the override that is left", err, printed)
	}
}

func TestOverrideMistakes(t *testing.T) {
	running := t.TempDir()
	serveFor(t, running)
	gone := t.TempDir()
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(gone, "admin.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	_ = left.Close()
	tests := []struct{ name, state, line, want string }{
		{"no server", t.TempDir(), "list", "is it running, with \"state "},
		{"a server that died", gone, "list", "does not run any more"},
		{"no reason", running, "add db1.example A 10.0.2.4", "found no --reason, expected why"},
		{"no such group", running, "add db1.example resolve nobody --reason r", "expected one of azure, public"},
		{"no value", running, "add db1.example A --reason r", `found "db1.example A", expected "privatelink-dns override add NAME A|AAAA|CNAME VALUE...`},
		{"a wrong type", running, "add db1.example MX 10.0.2.4 --reason r", `found type "MX"`},
		{"a duration without a unit", running, "add db1.example A 10.0.2.4 --reason r --for 4", `found "4", expected a duration such as 90m, 4h, 3d or 2w`},
		{"a long duration", running, "add db1.example A 10.0.2.4 --reason r --for 5w", "(30 days)"},
		{"nothing to remove", running, "remove db1.example", "no override of db1.example"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			printed, err := runCommand(append([]string{"override", "--state", tc.state}, strings.Fields(tc.line)...)...)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s = %v, printed %q; want %q", tc.line, err, printed, tc.want)
			}
		})
	}
}

func TestAdviceForAForbiddenSocket(t *testing.T) {
	client := &adminClient{state: "/var/lib/privatelink-dns"}
	err := client.unreachable("admin.sock", &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)})
	if !strings.Contains(err.Error(), "sudo") {
		t.Errorf("unreachable = %v, want it to tell of sudo", err)
	}
}
