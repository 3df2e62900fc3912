//go:build linux

package prove

import (
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// startingTime bounds the start of a program. It takes a fraction of a
	// second, but other tests may keep the machine busy.
	startingTime = 30 * time.Second
	// stoppingTime is how long a process may take to end after SIGTERM.
	stoppingTime = 15 * time.Second
	// servingLine is what our program writes when it listens everywhere.
	servingLine = "[INFO] serving on "
	// maxOutput bounds what is kept of the output of a process.
	maxOutput = 1 << 20
)

// process is a program that runs from a Corefile. It is stopped with its
// proof, and killed should the test die without cleaning up.
type process struct {
	command *exec.Cmd
	output  output
	ended   chan struct{} // closed when the process has ended
}

// serve starts our program and returns when it serves. What goes before it on
// the command line may be empty.
func (p *proof) serve(before []string, corefile string) *process {
	p.t.Helper()
	s, err := p.launch(before, corefile)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// serveAnywhere starts our program at a free address, with the Corefile that
// is written for it.
func (p *proof) serveAnywhere(before []string, write func(netip.AddrPort) string) (*process, netip.AddrPort) {
	p.t.Helper()
	for range 3 {
		address := freeAddress(p.t)
		s, err := p.launch(before, write(address))
		switch {
		case err == nil:
			return s, address
		// Somebody was faster.
		case !strings.Contains(err.Error(), "address already in use"):
			p.t.Fatal(err)
		}
	}
	p.t.Fatal("three free ports were taken before our program had them")
	return nil, netip.AddrPort{}
}

func (p *proof) launch(before []string, corefile string) (*process, error) {
	line := slices.Concat(before, []string{p.program, "serve", "-c", corefile})
	s := &process{command: exec.Command(line[0], line[1:]...), ended: make(chan struct{})}
	s.output.serving = make(chan struct{})
	s.command.Stdout, s.command.Stderr = &s.output, &s.output
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.command.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.program, err)
	}
	go func() {
		defer close(s.ended)
		_ = s.command.Wait() // the exit code is kept in ProcessState
	}()
	p.t.Cleanup(func() {
		s.stop()
		if p.t.Failed() {
			p.t.Logf("%s said:\n%s", corefile, s.output.tail())
		}
	})
	timer := time.NewTimer(startingTime)
	defer timer.Stop()
	select {
	case <-s.output.serving:
		return s, nil
	case <-s.ended:
		return nil, fmt.Errorf("the program ended before it served %s:\n%s", corefile, s.output.tail())
	case <-timer.C:
		return nil, fmt.Errorf("the program did not serve %s within %s:\n%s", corefile, startingTime, s.output.tail())
	}
}

// signal sends a signal to the process. It does nothing after its end.
func (s *process) signal(which syscall.Signal) { _ = s.command.Process.Signal(which) }

// freeze makes the process silent: its sockets go on to take packets.
func (s *process) freeze() { s.signal(syscall.SIGSTOP) }

// thaw lets a frozen process go on.
func (s *process) thaw() { s.signal(syscall.SIGCONT) }

// stop ends the process with SIGTERM, frozen or not, and returns its exit
// code; -1 if it had to be killed. It may be called again.
func (s *process) stop() int {
	s.signal(syscall.SIGTERM)
	s.thaw()
	timer := time.NewTimer(stoppingTime)
	defer timer.Stop()
	select {
	case <-s.ended:
	case <-timer.C:
		_ = s.command.Process.Kill()
		<-s.ended
	}
	return s.command.ProcessState.ExitCode()
}

// output keeps the beginning of what a process writes, and tells when it
// serves. It may be used by goroutines at once.
type output struct {
	mutex   sync.Mutex
	text    []byte
	serves  bool
	serving chan struct{} // closed when the process serves
}

// Write implements io.Writer.
func (o *output) Write(text []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if len(o.text) < maxOutput {
		o.text = append(o.text, text...)
	}
	if !o.serves && strings.Contains(string(o.text), servingLine) {
		o.serves = true
		close(o.serving)
	}
	return len(text), nil
}

// tail returns the last lines of what was kept.
func (o *output) tail() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	const enough = 4000
	if len(o.text) <= enough {
		return string(o.text)
	}
	return fmt.Sprintf("(%d bytes before)%s", len(o.text)-enough, o.text[len(o.text)-enough:])
}
