//go:build linux

package lab

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// servingLine is what our program writes when all its servers listen.
	servingLine = "[INFO] serving on "
	// reloadedLine is what it writes when a reload has succeeded, and
	// reloadFailedLine when the old configuration goes on.
	reloadedLine     = "[INFO] Reloading complete"
	reloadFailedLine = "the running configuration stays in force"
	// reloadTime bounds a reload.
	reloadTime = 15 * time.Second
)

// Server is our own program on a host, with the query log and the state
// directory in the host's directory. Its methods are safe for concurrent use,
// except for Restart.
type Server struct {
	*Process
	host *Host
	// Corefile is the path of its configuration.
	Corefile string
	// logPath is the query log's.
	logPath string
}

// Serve starts our program at the host's first address, port 53, with the
// lines of its privatelink stanza; querylog and state are added to them.
func (h *Host) Serve(stanza ...string) *Server {
	h.lab.t.Helper()
	if err := os.MkdirAll(h.stateDirectory(), 0o755); err != nil {
		h.lab.t.Fatal(err)
	}
	s := &Server{host: h, logPath: filepath.Join(h.directory, "query.log")}
	s.Corefile = s.Configure(stanza...)
	s.run()
	return s
}

// stateDirectory is where our program on this host keeps what outlives it.
func (h *Host) stateDirectory() string { return filepath.Join(h.directory, "state") }

// Configure writes the Corefile anew, which a reload then reads, and returns
// its path.
func (s *Server) Configure(stanza ...string) string {
	s.host.lab.t.Helper()
	stanza = append(stanza, "querylog "+s.logPath, "state "+s.host.stateDirectory())
	return s.host.write("Corefile", `.:53 {
    bind %s
    errors
    privatelink {
        %s
    }
}
`, s.host.Address(), strings.Join(stanza, "\n        "))
}

func (s *Server) run() {
	s.host.lab.t.Helper()
	s.Process = s.host.startProduct("privatelink-dns", s.Corefile)
}

func (h *Host) startProduct(name, corefile string) *Process {
	h.lab.t.Helper()
	path, err := product()
	if err != nil {
		h.lab.t.Fatal(err)
	}
	return h.Start(name, servingLine, path, "serve", "-c", corefile)
}

// Restart stops the program with SIGTERM and starts it again with the same
// Corefile, state and query log.
func (s *Server) Restart() {
	s.host.lab.t.Helper()
	if code := s.Stop(); code != 0 {
		s.host.lab.t.Fatalf("after SIGTERM the exit code is %d, want 0; it wrote:\n%s", code, s.Output(0))
	}
	s.run()
}

// Reload sends SIGHUP and returns what the program writes up to and including
// a text that means it is done.
func (s *Server) Reload(done string) (string, error) {
	offset := s.output.length()
	s.Signal(syscall.SIGHUP)
	err := s.Await(offset, done, reloadTime)
	return s.Output(offset), err
}

// Azure starts the simulator of Azure-provided DNS at all addresses of the
// host, with a world file and further lines of its stanza.
func (h *Host) Azure(world string, stanza ...string) *Process {
	h.lab.t.Helper()
	path, err := filepath.Abs(world)
	if err != nil {
		h.lab.t.Fatal(err)
	}
	corefile := h.write("Corefile", `.:53 {
    bind %s
    errors
    azuresim %s {
        %s
    }
}
`, strings.Join(h.addresses, " "), path, strings.Join(stanza, "\n        "))
	return h.startProduct("azuresim", corefile)
}
