package explain

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is the path of our program; TestMain builds it.
var program string

func TestMain(m *testing.M) {
	directory, err := os.MkdirTemp("", "privatelink-dns-explain")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(directory, "privatelink-dns")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "github.com/privatelink-dns/privatelink-dns/cmd/privatelink-dns")
	code := 1
	if said, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the program: %v\n%s", err, said)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(directory)
	os.Exit(code)
}

// run runs the program and returns its output and exit code.
func run(t *testing.T, arguments ...string) (output string, code int) {
	t.Helper()
	var out, messages bytes.Buffer
	command := exec.Command(program, arguments...)
	command.Stdout, command.Stderr = &out, &messages
	err := command.Run()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		t.Fatal(err)
	}
	return out.String() + messages.String(), command.ProcessState.ExitCode()
}

// lastLine is what the output ends with.
func lastLine(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return lines[len(lines)-1]
}

// site is a server with its files.
type site struct{ corefile, state, address string }

// write writes a Corefile with the lines of a stanza; UP, OTHER and SELF in them are
// addresses.
func write(t *testing.T, body string, addresses map[string]string) site {
	t.Helper()
	directory := t.TempDir()
	socket, listener := listenBoth(t)
	s := site{corefile: filepath.Join(directory, "Corefile"), state: filepath.Join(directory, "state"), address: socket.LocalAddr().String()}
	_, _ = socket.Close(), listener.Close()
	for word, address := range addresses {
		body = strings.ReplaceAll(body, word, address)
	}
	_, port, _ := strings.Cut(s.address, ":")
	text := fmt.Sprintf(".:%s {\nbind 127.0.0.1\nprivatelink {\n%s\nstate %s\n}\n}\n", port, body, s.state)
	if err := os.WriteFile(s.corefile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// start runs the server until the end of the test.
func (s site) start(t *testing.T) {
	t.Helper()
	command := exec.Command(program, "serve", "-c", s.corefile)
	var log bytes.Buffer
	command.Stderr = &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		if t.Failed() {
			t.Logf("the server said\n%s", log.String())
		}
	})
	eventually(t, "the server runs", func() bool {
		_, code := run(t, "cache", "stats", "--state", s.state)
		return code == 0
	})
}

// eventually looks every 50 ms until a condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	end := time.NewTimer(40 * time.Second)
	defer end.Stop()
	next := time.NewTicker(50 * time.Millisecond)
	defer next.Stop()
	for !condition() {
		select {
		case <-next.C:
		case <-end.C:
			t.Fatalf("%s: not within 40 s", what)
		}
	}
}
