//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// startingTime bounds the start of a server. It takes a fraction of a
	// second, but tests of other packages may keep the machine busy.
	startingTime = 30 * time.Second
	// stoppingTime is how long a process may take to end after SIGTERM.
	stoppingTime = 15 * time.Second
)

// Process is a program that runs on a host. It is safe for concurrent use.
type Process struct {
	name    string
	command *exec.Cmd
	output  *output
	ended   chan struct{} // closed when the process has ended and all its output is there
}

// start runs a program on a host. It is killed should the test die without
// cleaning up.
func (h *Host) start(name, program string, arguments ...string) (*Process, error) {
	path, err := findTool(program)
	if err != nil {
		return nil, err
	}
	p := &Process{name: name, command: exec.Command(path, arguments...), output: newOutput(), ended: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = p.output, p.output
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	h.namespace.do(func() { err = p.command.Start() })
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.command.Wait() // the exit code is kept in ProcessState
	}()
	return p, nil
}

// Start runs a server on the host and returns when its output contains the
// words that mean it serves. The process is stopped with the test, and what it
// wrote is logged if the test has failed. A server that does not start fails
// the test at once.
func (h *Host) Start(name, serving, program string, arguments ...string) *Process {
	h.lab.t.Helper()
	p, err := h.start(name, program, arguments...)
	if err != nil {
		h.lab.t.Fatal(err)
	}
	h.lab.t.Cleanup(func() {
		p.Stop()
		if h.lab.t.Failed() {
			h.lab.t.Logf("output of %s on %s:\n%s", p.name, h, p.Output(0))
		}
	})
	if err := p.Await(0, serving, startingTime); err != nil {
		h.lab.t.Fatal(err)
	}
	return p
}

// Output returns what the process has written to stdout and stderr after the
// first offset bytes.
func (p *Process) Output(offset int) string {
	text, _ := p.output.from(offset)
	return text
}

// Await returns when the output after the first offset bytes contains the
// text, or with an error when the process ends or the time is up before.
func (p *Process) Await(offset int, text string, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		written, more := p.output.from(offset)
		if strings.Contains(written, text) {
			return nil
		}
		select {
		case <-more:
		case <-p.ended:
			if written = p.Output(offset); strings.Contains(written, text) {
				return nil
			}
			return fmt.Errorf("%s ended with code %d before it wrote %q; it wrote:\n%s", p.name, p.command.ProcessState.ExitCode(), text, written)
		case <-timer.C:
			return fmt.Errorf("%s did not write %q within %s; it wrote:\n%s", p.name, text, limit, written)
		}
	}
}

// Signal sends a signal to the process. It does nothing after its end.
func (p *Process) Signal(signal os.Signal) { _ = p.command.Process.Signal(signal) }

// Wait returns the exit code of a process that ends by itself or was told to;
// -1 if a signal ended it, or if it did not end in time and was killed.
func (p *Process) Wait() int {
	timer := time.NewTimer(stoppingTime)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		_ = p.command.Process.Kill()
		<-p.ended
	}
	return p.command.ProcessState.ExitCode()
}

// Stop ends the process with SIGTERM and returns as Wait does. It may be
// called again.
func (p *Process) Stop() int {
	p.Signal(syscall.SIGTERM)
	return p.Wait()
}
