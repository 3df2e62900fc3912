//go:build linux

package differential

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startingTime = 30 * time.Second
	// servingLine is what our program writes when it listens everywhere, asideLine
	// what it writes where the fast path stands aside.
	servingLine = "[INFO] serving on "
	asideLine   = "pass through CoreDNS's own server"
)

// TestMain removes what was built.
func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(directory())
	os.Exit(code)
}

// product returns the path of our program, built once for all tests of a run, without
// the race detector: it is looked at from outside.
var product = sync.OnceValues(func() (string, error) {
	path := filepath.Join(directory(), "privatelink-dns")
	command := exec.Command("go", "build", "-buildvcs=false", "-o", path, "github.com/privatelink-dns/privatelink-dns/cmd/privatelink-dns")
	if said, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, said)
	}
	return path, nil
})

// directory is this process's own.
func directory() string {
	return filepath.Join(os.TempDir(), "privatelink-dns-differential-"+strconv.Itoa(os.Getpid()))
}

// server is our program at work.
type server struct {
	directory string
	address   netip.AddrPort // where DNS is served
	metrics   netip.AddrPort
	command   *exec.Cmd
	output    output
	ended     chan struct{}
}

// serve starts our program at free ports of 127.0.0.1, from the Corefile that is
// written for it. It is stopped with the test.
func serve(t *testing.T, corefile func(s *server) string) *server {
	t.Helper()
	program, err := product()
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		s := &server{directory: t.TempDir(), address: freeAddress(t), metrics: freeAddress(t), ended: make(chan struct{})}
		path := filepath.Join(s.directory, "Corefile")
		if err := os.WriteFile(path, []byte(corefile(s)), 0o600); err != nil {
			t.Fatal(err)
		}
		err := s.launch(program, path)
		t.Cleanup(func() {
			s.stop()
			if t.Failed() {
				t.Logf("%s said:\n%s", path, s.output.String())
			}
		})
		switch {
		case err == nil:
			return s
		case !strings.Contains(err.Error(), "in use"):
			t.Fatal(err)
		}
	}
	t.Fatal("free ports were taken before our program had them")
	return nil
}

func (s *server) launch(program, path string) error {
	s.command = exec.Command(program, "serve", "-c", path)
	s.command.Stdout, s.command.Stderr = &s.output, &s.output
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.command.Start(); err != nil {
		return err
	}
	go func() {
		defer close(s.ended)
		_ = s.command.Wait() // the exit code is kept in ProcessState
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(startingTime); time.Now().Before(limit); {
		select {
		case <-s.ended:
			return fmt.Errorf("the program ended before it served:\n%s", s.output.String())
		case <-tick.C:
			if strings.Contains(s.output.String(), servingLine) {
				return nil
			}
		}
	}
	return fmt.Errorf("the program did not serve within %s:\n%s", startingTime, s.output.String())
}

// awaitFastPath returns once it is served as it shall be: by sockets of our own, beside
// CoreDNS's, or by CoreDNS's alone.
func (s *server) awaitFastPath(t *testing.T, wanted bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(startingTime); time.Now().Before(limit); <-tick.C {
		if wanted && sockets(t, "udp", s.address.Port()) > 1 && sockets(t, "tcp", s.address.Port()) > 1 || !wanted && strings.Contains(s.output.String(), asideLine) {
			return
		}
	}
	t.Fatalf("fast path: want %v, but there are %d sockets at port %d", wanted, sockets(t, "udp", s.address.Port()), s.address.Port())
}

// sockets returns how many sockets serve a local port; over TCP those that listen.
func sockets(t *testing.T, protocol string, port uint16) (number int) {
	t.Helper()
	states := map[string]string{"udp": "07", "tcp": "0A"}
	for _, path := range []string{protocol, protocol + "6"} {
		text, err := os.ReadFile("/proc/net/" + path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); len(fields) > 3 && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) && fields[3] == states[protocol] {
				number++
			}
		}
	}
	return number
}

// stop ends the program as an operator does, after which its log is whole.
func (s *server) stop() {
	_ = s.command.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(startingTime)
	defer timer.Stop()
	select {
	case <-s.ended:
	case <-timer.C:
		_ = s.command.Process.Kill()
		<-s.ended
	}
}

// freeAddress returns an address of 127.0.0.1 whose port is free for UDP and TCP,
// below the ports that the kernel gives to clients.
func freeAddress(t *testing.T) netip.AddrPort {
	t.Helper()
	for range 100 {
		address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(12000+rand.IntN(20000)))
		stream, err := net.Listen("tcp", address.String())
		if err != nil {
			continue
		}
		packets, err := net.ListenPacket("udp", address.String())
		_ = stream.Close()
		if err == nil {
			_ = packets.Close()
			return address
		}
	}
	t.Fatal("found no free port")
	return netip.AddrPort{}
}

// output is what a process has written. It may be used by goroutines at once.
type output struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(text []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.Write(text)
}

// String implements fmt.Stringer.
func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}
