//go:build linux

package deploy

import (
	"bufio"
	"debug/elf"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// corefile serves the simulator and, in front of it, what a deployment has: state, a query
// log that rotates, metrics.
const corefile = `.:53 {
    bind 127.0.0.1
    errors
    prometheus 127.0.0.1:9153
    privatelink {
        upstream azure 127.0.0.1:1054
        route    .     azure
        clients  resolver 127.0.0.0/8
        state    %[1]s/state
        querylog %[1]s/query.log size=1MiB compress=gzip files=2
    }
}
.:1054 {
    bind 127.0.0.1
    azuresim
}
`

// TestServesWithTheRightsOfTheUnit runs the program as the unit does: another user than
// root, one capability, nothing to write to but its own directories.
func TestServesWithTheRightsOfTheUnit(t *testing.T) {
	path := built(t)
	s := &sandbox{capabilities: []uintptr{unix.CAP_NET_BIND_SERVICE}}
	configuration := filepath.Join(t.TempDir(), "Corefile")
	enter(t, s, func() error { return s.configure(configuration, s.data) })
	r := s.start(path, "serve", "-c", configuration)
	r.checkRights(1 << unix.CAP_NET_BIND_SERVICE)
	r.exercise()
	if code := r.stop(r.command.Process.Pid); code != 0 {
		t.Errorf("after SIGTERM the exit code is %d, want 0", code)
	}
}

// TestSystemCallsOfTheUnit holds that whatever the program asks of the kernel passes the
// filter of the unit.
func TestSystemCallsOfTheUnit(t *testing.T) {
	allowed, path := permitted(t), built(t)
	tracer, err := exec.LookPath("strace")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("CI=true allows no skipping: %v", err)
	} else if err != nil {
		t.Skip(err)
	}
	s := &sandbox{capabilities: []uintptr{unix.CAP_NET_BIND_SERVICE}}
	configuration := filepath.Join(t.TempDir(), "Corefile")
	enter(t, s, func() error { return s.configure(configuration, s.data) })
	var calls string
	r := s.start(tracer, "-f", "-qq", "-c", "-U", "name", "-o", filepath.Join(s.data, "calls"), path, "serve", "-c", configuration)
	r.exercise()
	r.stop(child(t, r.command.Process.Pid))
	err = s.do(func() error {
		text, err := os.ReadFile(filepath.Join(s.data, "calls"))
		calls = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for line := range strings.Lines(calls) {
		// A line of several words tells of a thread that ended while strace looked at it.
		if words := strings.Fields(line); len(words) == 1 {
			seen = append(seen, words[0])
		}
	}
	if !slices.Contains(seen, "recvmmsg") || !slices.Contains(seen, "renameat") {
		t.Fatalf("expected the calls of a server that rotates its log, found %q", seen)
	}
	for _, call := range seen {
		if name := strings.Trim(call, "-"); name != "" && name != "syscall" && name != "total" && !allowed[name] {
			t.Errorf("the program calls %s, which the unit's SystemCallFilter does not let through", name)
		}
	}
}

// TestServesFromAnEmptyImage runs the program as an OCI runtime runs the image: a root
// directory that holds what the container file copies and cannot be written to, another
// user than root, no capability, and ports that need none.
func TestServesFromAnEmptyImage(t *testing.T) {
	path, image := built(t), t.TempDir()
	s := &sandbox{}
	enter(t, s, func() error {
		s.root = image
		if err := os.CopyFS(image, os.DirFS(filepath.Dir(path))); err != nil {
			return err
		}
		s.data = filepath.Join(image, "var/lib/privatelink-dns")
		if err := os.MkdirAll(s.data, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("53"), 0); err != nil {
			return err
		}
		return s.configure(filepath.Join(image, "etc/privatelink-dns/Corefile"), "/var/lib/privatelink-dns")
	})
	r := s.start("/privatelink-dns", "serve", "-c", "/etc/privatelink-dns/Corefile")
	r.checkRights(0)
	r.exercise()
	if code := r.stop(r.command.Process.Pid); code != 0 {
		t.Errorf("after SIGTERM the exit code is %d, want 0", code)
	}
}

func TestProgramIsStatic(t *testing.T) {
	file, err := elf.Open(built(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
			t.Errorf("the program has a segment %v, so it needs files that the image has not", part.Type)
		}
	}
}

// built returns the path of the program, which other users may read.
func built(t *testing.T) string {
	t.Helper()
	path, err := program()
	if err == nil {
		err = os.Chmod(filepath.Dir(path), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// configure writes the Corefile for a program that sees its data at a path.
func (s *sandbox) configure(file, data string) error {
	for directory := filepath.Dir(file); strings.HasPrefix(directory, os.TempDir()+"/"); directory = filepath.Dir(directory) {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(directory, 0o755); err != nil {
			return err
		}
	}
	return os.WriteFile(file, fmt.Appendf(nil, corefile, data), 0o644)
}

// checkRights holds that the program has these capabilities and no others, and may not
// write where it must not.
func (r *running) checkRights(capabilities uint64) {
	r.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.command.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		got[key] = strings.TrimSpace(value)
	}
	mask := fmt.Sprintf("%016x", capabilities)
	for key, want := range map[string]string{"CapEff": mask, "CapPrm": mask, "CapAmb": mask, "NoNewPrivs": "1", "Uid": strings.TrimSpace(strings.Repeat(strconv.Itoa(nobody)+"\t", 4))} {
		if got[key] != want {
			r.t.Errorf("%s of the program is %q, want %q", key, got[key], want)
		}
	}
	var mounted unix.Statfs_t
	if err := unix.Statfs(fmt.Sprintf("/proc/%d/root", r.command.Process.Pid), &mounted); err != nil || mounted.Flags&unix.ST_RDONLY == 0 {
		r.t.Errorf("the program's root can be written to (%v)", err)
	}
}

// exercise has the program do all that a deployment does.
func (r *running) exercise() {
	r.t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		r.ask(network, "db1.database.windows.net.", "10.0.2.4")
	}
	r.awaitSteered()
	_ = syscall.Kill(r.server(), syscall.SIGHUP)
	r.await("[INFO] Reloading complete")
	for number := range 4000 { // 1 MiB of query log, and more
		r.ask("udp", "db1.database.windows.net.", "10.0.2.4")
		if number%1000 == 0 {
			r.ask("tcp", "db1.database.windows.net.", "10.0.2.4")
		}
	}
	r.checkFiles()
}

// checkFiles holds that the log has rotated and that the socket is its owner's alone.
func (r *running) checkFiles() {
	r.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		var logs []string
		err := r.do(func() (err error) {
			logs, err = filepath.Glob(filepath.Join(r.data, "query*"))
			return err
		})
		if err != nil {
			r.t.Fatal(err)
		}
		if slices.ContainsFunc(logs, func(name string) bool { return strings.HasSuffix(name, ".gz") }) {
			break
		}
		if time.Now().After(deadline) {
			r.t.Errorf("found the logs %q, expected a rotated one", logs)
			break
		}
		r.ask("udp", "db1.database.windows.net.", "10.0.2.4")
	}
	var socket os.FileInfo
	err := r.do(func() (err error) {
		socket, err = os.Stat(filepath.Join(r.data, "state", "admin.sock"))
		return err
	})
	if err != nil || socket.Mode().Perm() != 0o600 {
		r.t.Errorf("the admin socket is %v (%v), want mode 0600", socket, err)
	}
}

// awaitSteered waits for both of our own sockets to be told of, which is a moment after
// they serve.
func (r *running) awaitSteered() {
	r.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		got := r.series("coredns_privatelink_front_steered")
		if slices.Equal(got, []string{"1", "1"}) {
			return
		}
		if time.Now().After(deadline) {
			r.t.Errorf("coredns_privatelink_front_steered is %q, want 1 for UDP and TCP: our own sockets need no right", got)
			return
		}
	}
}

// ask asks the program for an address in its network.
func (r *running) ask(network, name, want string) {
	r.t.Helper()
	var reply *dns.Msg
	err := r.do(func() (err error) {
		client := dns.Client{Net: network, Timeout: 5 * time.Second}
		reply, _, err = client.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), "127.0.0.1:53")
		return err
	})
	if err != nil {
		r.t.Fatalf("%s over %s: %v", name, network, err)
	}
	if !strings.Contains(fmt.Sprint(reply.Answer), want) {
		r.t.Fatalf("%s over %s is %v, want %s", name, network, reply.Answer, want)
	}
}

// series returns the values of a metric, whatever its labels.
func (r *running) series(name string) (values []string) {
	r.t.Helper()
	err := r.do(func() error {
		connection, err := net.Dial("tcp", "127.0.0.1:9153")
		if err != nil {
			return err
		}
		defer func() { _ = connection.Close() }()
		if _, err := io.WriteString(connection, "GET /metrics HTTP/1.0\r\n\r\n"); err != nil {
			return err
		}
		for lines := bufio.NewScanner(connection); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), name+"{") {
				values = append(values, lines.Text()[strings.LastIndex(lines.Text(), " ")+1:])
			}
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return values
}

// server is the process of our program: what was started, or what that has started.
func (r *running) server() int {
	if strings.HasSuffix(r.command.Path, "strace") {
		return child(r.t, r.command.Process.Pid)
	}
	return r.command.Process.Pid
}

// child returns the only child of a process.
func child(t *testing.T, process int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", process, process))
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatalf("found children %q, expected one", text)
	}
	return number
}
