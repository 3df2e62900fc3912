//go:build linux

package rfc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startingTime bounds the start of a subject, on a machine that is busy.
const startingTime = 30 * time.Second

// subject is a name server that can be tried.
type subject struct {
	title string
	// program returns its path.
	program func(directory string) (string, error)
	// configure returns the text of its configuration.
	configure func(c configuration) string
	// arguments are those of its command line.
	arguments func(configFile string) []string
	// pace is the time between checks, for a server that bounds its errors.
	pace time.Duration
}

// configuration is what a subject has to do: to forward everything to one
// server, and the zones of some checks to servers of their own.
type configuration struct {
	directory string
	port      uint16
	everybody *upstream
	zones     []*session
}

// subjects are those that there are.
var subjects = map[string]subject{
	"privatelink": {"privatelink-dns", build, corefile, func(file string) []string { return []string{"serve", "-c", file} }, 0},
	"bind":        {"BIND", installed("named"), namedConf, func(file string) []string { return []string{"-g", "-4", "-n", "1", "-c", file} }, 0},
	"unbound":     {"Unbound", installed("unbound"), unboundConf, func(file string) []string { return []string{"-d", "-c", file} }, 20 * time.Millisecond},
}

// build makes our own program, without the race detector: it is looked at from
// outside.
func build(directory string) (string, error) {
	path := filepath.Join(directory, "privatelink-dns")
	command := exec.Command("go", "build", "-buildvcs=false", "-o", path, "github.com/privatelink-dns/privatelink-dns/cmd/privatelink-dns")
	if said, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, said)
	}
	return path, nil
}

// installed finds a server where a user's PATH does not lead.
func installed(program string) func(string) (string, error) {
	return func(string) (string, error) {
		path, err := exec.LookPath(program)
		if elsewhere, other := exec.LookPath("/usr/sbin/" + program); other == nil {
			path, err = elsewhere, nil
		}
		return path, err
	}
}

func corefile(c configuration) string {
	var text strings.Builder
	fmt.Fprintf(&text, ".:%d {\n    bind 127.0.0.1\n    errors\n    privatelink {\n", c.port)
	fmt.Fprintf(&text, "        upstream everybody %s\n        route . everybody\n", c.everybody.address)
	for _, s := range c.zones {
		group := s.zone.labels()[0]
		fmt.Fprintf(&text, "        upstream %s", group)
		for _, server := range s.servers {
			fmt.Fprintf(&text, " %s", server.address)
		}
		fmt.Fprintf(&text, "\n        route %s %s\n", s.zone, group)
	}
	text.WriteString("    }\n}\n")
	return text.String()
}

func namedConf(c configuration) string {
	var text strings.Builder
	fmt.Fprintf(&text, `controls { };
options {
    directory "%s";
    pid-file none;
    session-keyfile none;
    listen-on port %d { 127.0.0.1; };
    listen-on-v6 { none; };
    recursion yes;
    allow-query { any; };
    allow-recursion { any; };
    dnssec-validation no;
    empty-zones-enable no;
    max-cache-size 64M;
    stale-cache-enable yes;
    stale-answer-enable yes;
    stale-answer-client-timeout 1800;
    forward only;
    forwarders { 127.0.0.1 port %d; };
};
`, c.directory, c.port, c.everybody.address.Port())
	for _, s := range c.zones {
		fmt.Fprintf(&text, "zone %q { type forward; forward only; forwarders {", s.zone)
		for _, server := range s.servers {
			fmt.Fprintf(&text, " 127.0.0.1 port %d;", server.address.Port())
		}
		text.WriteString(" }; };\n")
	}
	return text.String()
}

func unboundConf(c configuration) string {
	var text strings.Builder
	fmt.Fprintf(&text, `server:
    interface: 127.0.0.1
    port: %d
    access-control: 127.0.0.0/8 allow
    do-ip6: no
    do-not-query-localhost: no
    do-daemonize: no
    use-syslog: no
    logfile: ""
    chroot: ""
    username: ""
    directory: "%s"
    pidfile: ""
    module-config: "iterator"
    ede: yes
    serve-expired: yes
    serve-expired-client-timeout: 1800
    serve-expired-reply-ttl: 30
    ede-serve-expired: yes
    edns-tcp-keepalive: yes
    incoming-num-tcp: 200
remote-control:
    control-enable: no
`, c.port, c.directory)
	zone := func(n name, servers ...*upstream) {
		fmt.Fprintf(&text, "forward-zone:\n    name: %q\n", n)
		for _, server := range servers {
			fmt.Fprintf(&text, "    forward-addr: 127.0.0.1@%d\n", server.address.Port())
		}
	}
	zone(root, c.everybody)
	for _, s := range c.zones {
		zone(s.zone, s.servers...)
	}
	return text.String()
}

// start runs the subject at a free port and returns where it serves. It is
// stopped with the test.
func (s subject) start(t *testing.T, c configuration) netip.AddrPort {
	t.Helper()
	c.directory = t.TempDir()
	program, err := s.program(c.directory)
	if errors.Is(err, exec.ErrNotFound) {
		t.Skipf("%s is not installed: %v", s.title, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		// Below the ports that the kernel gives to clients.
		c.port = uint16(16384 + rand.IntN(16000))
		file := filepath.Join(c.directory, "config")
		if err = os.WriteFile(file, []byte(s.configure(c)), 0o644); err != nil {
			t.Fatal(err)
		}
		if err = launch(t, program, s.arguments(file), c.port); err == nil {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), c.port)
		}
	}
	t.Fatalf("%s does not start: %v", s.title, err)
	return netip.AddrPort{}
}

// launch runs a program and returns when it listens.
func launch(t *testing.T, program string, arguments []string, port uint16) error {
	t.Helper()
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, program, arguments...)
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		cancel()
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = command.Wait() // killed, or its output says why
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		_ = output.Close()
	})
	for limit := time.Now().Add(startingTime); time.Now().Before(limit); {
		connection, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return connection.Close()
		}
		select {
		case <-ended:
			said, _ := os.ReadFile(output.Name())
			return fmt.Errorf("it ended:\n%s", said)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return errors.New("it does not listen")
}
