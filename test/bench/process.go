//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The load and the upstream run on one processor, the servers on another.
const (
	loadProcessor   = 0
	serverProcessor = 1
)

// process is a program that was started here. Its methods belong to one goroutine.
type process struct {
	command *exec.Cmd
	output  string // the file of all that it writes
	ended   chan struct{}
}

// start runs a command on a processor, with its output in a file. The process
// ends with this one.
func start(processor int, output string, line ...string) (*process, error) {
	file, err := os.OpenFile(output, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	p := &process{output: output, ended: make(chan struct{})}
	p.command = exec.Command("taskset", append([]string{"-c", strconv.Itoa(processor)}, line...)...)
	p.command.Env = append(os.Environ(), "GOMAXPROCS=1")
	p.command.Stdout, p.command.Stderr = file, file
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", line[0], err)
	}
	go func() {
		defer close(p.ended)
		_ = p.command.Wait() // the servers are killed, so there is no exit code to look at
	}()
	return p, nil
}

// kill ends the process, frozen or not. It may be called again.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.ended
}

// freeze stops the process in its tracks, so that it does not disturb others.
func (p *process) freeze() { _ = p.command.Process.Signal(syscall.SIGSTOP) }

// thaw lets a frozen process go on.
func (p *process) thaw() { _ = p.command.Process.Signal(syscall.SIGCONT) }

// hasEnded reports whether the process is no more.
func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// said is the last of what the process wrote.
func (p *process) said() string {
	text, err := os.ReadFile(p.output)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// processorTime is what all threads of the process have used so far, user and
// system, to the nanosecond: the process's clock, which clock_getcpuclockid
// returns the number of. /proc/PID/stat tells the same in hundredths of a second.
func (p *process) processorTime() (time.Duration, error) {
	const whole = 2 // CPUCLOCK_SCHED, of the process and not of a thread
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^p.command.Process.Pid)<<3|whole, &used); err != nil {
		return 0, fmt.Errorf("reading the processor time of process %d: %w", p.command.Process.Pid, err)
	}
	return time.Duration(used.Nano()), nil
}

// resident is the memory of the process that is in use, in bytes.
func (p *process) resident() (int64, error) {
	path := fmt.Sprintf("/proc/%d/statm", p.command.Process.Pid)
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0, fmt.Errorf("%s: found %q, expected numbers: %w", path, text, err)
	}
	return pages * int64(os.Getpagesize()), nil
}

// settle waits until the process does next to nothing, at most so long: what it
// has to do after its start is not measured.
func (p *process) settle(patience time.Duration) error {
	const look, quiet = 50 * time.Millisecond, time.Millisecond
	before, err := p.processorTime()
	for deadline := time.Now().Add(patience); err == nil && time.Now().Before(deadline); {
		pause(look)
		var after time.Duration
		after, err = p.processorTime()
		if after-before < quiet {
			return err
		}
		before = after
	}
	return err
}

// pause lets time pass: what is measured are processes with real clocks.
func pause(length time.Duration) { time.Sleep(length) }

// busyTime is what a processor has worked so far, for anybody.
func busyTime(processor int) (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	name := fmt.Sprintf("cpu%d", processor)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 9 || fields[0] != name {
			continue
		}
		busy := 0
		for i, field := range fields[1:9] {
			number, err := strconv.Atoi(field)
			if err != nil {
				return 0, fmt.Errorf("/proc/stat: found %q, expected numbers", line)
			}
			if idle := i == 3 || i == 4; !idle {
				busy += number
			}
		}
		return time.Duration(busy) * time.Second / 100, nil
	}
	return 0, fmt.Errorf("/proc/stat: found no line %s", name)
}

// pin keeps all threads of this process on one processor.
func pin(processor int) error {
	var set unix.CPUSet
	set.Set(processor)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		number, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(number, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("keeping this process on processor %d: %w", processor, err)
		}
	}
	return nil
}

// freePort is an address of loopback whose port is free for UDP and TCP. The
// port lies below those that Linux gives to clients by default.
func freePort() (netip.AddrPort, error) {
	for range 100 {
		address := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(16384+rand.IntN(16384)))
		stream, err := net.Listen("tcp", address.String())
		if err != nil {
			continue
		}
		packets, err := net.ListenPacket("udp", address.String())
		_ = stream.Close()
		if err != nil {
			continue
		}
		return address, packets.Close()
	}
	return netip.AddrPort{}, errors.New("found no free port between 16384 and 32767 in a hundred tries")
}
