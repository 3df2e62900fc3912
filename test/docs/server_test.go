package docs

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary builds the program once.
var binary = sync.OnceValues(func() (string, error) {
	directory, err := os.MkdirTemp("", "privatelink-dns")
	if err != nil {
		return "", err
	}
	path := filepath.Join(directory, "privatelink-dns")
	command := exec.Command("go", "build", "-o", path, "./cmd/privatelink-dns")
	command.Dir = root
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building: %w\n%s", err, output)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// serving is how the program says that it serves.
var serving = regexp.MustCompile(`serving on `)

// start runs a command until the end of the test and returns when it serves.
func start(t *testing.T, command *exec.Cmd) {
	t.Helper()
	output, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	// make starts the server as its child: both are of one process group.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	said := &strings.Builder{}
	up := make(chan bool, 1)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		scanner := bufio.NewScanner(output)
		for scanner.Scan() {
			fmt.Fprintln(said, scanner.Text())
			if serving.MatchString(scanner.Text()) {
				select {
				case up <- true:
				default:
				}
			}
		}
		_, _ = io.Copy(io.Discard, output)
		close(up)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGTERM)
		<-finished
		_ = command.Wait()
		if t.Failed() {
			t.Logf("the server said:\n%s", said)
		}
	})
	select {
	case isUp := <-up:
		if !isUp {
			<-finished
			t.Fatalf("the server ended at once:\n%s", said)
		}
	case <-time.After(3 * time.Minute):
		t.Fatal("the server did not come up in three minutes")
	}
}

// block keys such as ". {" and "example.org:53 {", at the start of a line.
var serverKey = regexp.MustCompile(`(?m)^([^\s#:{}]+)(:\d+)?(\s*\{)`)

var (
	bindLine = regexp.MustCompile(`(?m)^(\s*bind) .*$`)
	httpLine = regexp.MustCompile(`(?m)^(\s*(?:ready|health|prometheus)) .*$`)
	// Directories that only a real machine has.
	machinePath = regexp.MustCompile(`/var/(?:lib|log)/privatelink-dns`)
)

// write writes a file that the document names, and nothing for one without a name.
func write(t *testing.T, directory, name, text string) string {
	t.Helper()
	path := filepath.Join(directory, name)
	if name == "" {
		return path
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// onLoopback binds every server block and every HTTP listener of a Corefile to
// loopback, on a free port of its own.
func onLoopback(t *testing.T, corefile string) string {
	t.Helper()
	corefile = bindLine.ReplaceAllString(corefile, "$1 127.0.0.1")
	corefile = machinePath.ReplaceAllString(corefile, t.TempDir())
	corefile = httpLine.ReplaceAllStringFunc(corefile, func(line string) string {
		return fmt.Sprintf("%s 127.0.0.1:%d", httpLine.FindStringSubmatch(line)[1], freePort(t))
	})
	return serverKey.ReplaceAllStringFunc(corefile, func(key string) string {
		parts := serverKey.FindStringSubmatch(key)
		return fmt.Sprintf("%s:%d%s", parts[1], freePort(t), parts[3])
	})
}

// freePort returns a port of loopback that is free for UDP and TCP. It lies below
// those that the kernel gives to clients, so that none of them takes it.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 8192 + rand.IntN(8192)
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
	t.Fatal("found no free port from 8192 to 16383")
	return 0
}

func TestEveryCorefileStarts(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, document := range documents(t) {
		for _, one := range ofLanguage(blocks(t, document), "corefile") {
			count++
			t.Run(fmt.Sprintf("%s:%d", document, one.line), func(t *testing.T) {
				directory := t.TempDir()
				for _, other := range blocks(t, document) {
					write(t, directory, other.file, other.text)
				}
				corefile := write(t, directory, "Corefile", onLoopback(t, one.text))
				start(t, exec.Command(path, "serve", "-c", corefile))
			})
		}
	}
	if count < 4 {
		t.Errorf("found %d Corefiles in the documents, expected more", count)
	}
}
