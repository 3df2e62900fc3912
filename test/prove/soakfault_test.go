//go:build linux

package prove

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// mishap is a fault of a soak: it lasts until end is called.
type mishap struct {
	name  string
	begin func(s *soak) (end func())
}

// mishaps are all there are. The short form has the first ones only.
var mishaps = []mishap{
	{"all weathers", badWeather(weather{lost: 15, doubled: 20, late: 40, latest: 300 * time.Millisecond, truncated: 10, cut: 10, garbled: 10, misdirected: 10, hungUp: 20})},
	{"killed", func(s *soak) func() { return s.replace(syscall.SIGKILL, -1) }},
	{"reloads", (*soak).reloadOften},
	{"disk full", (*soak).fillDisk},
	{"address of the server gone", gone((*network).serverAddress)},
	{"address of the upstream gone", gone((*network).upstreamAddress)},
	{"wall clock a day ahead", wallClockSet(24 * time.Hour)},
	{"wall clock 50 s ahead", wallClockSet(50 * time.Second)},
	{"upstream killed", (*soak).killUpstream},

	{"wall clock 50 s behind", wallClockSet(-50 * time.Second)},
	{"wall clock three hours behind", wallClockSet(-3 * time.Hour)},
	{"wall clock of 1970", func(s *soak) func() { return wallClockSet(time.Until(time.Unix(60, 0)))(s) }},
	{"wall clock jumps", (*soak).clockJumps},
	{"stopped, wall clock a day ahead", (*soak).stopAhead},
	{"address asked from gone", gone((*network).askingAddress)},
	{"packets lost", badWeather(weather{lost: 40})},
	{"all packets lost", badWeather(weather{lost: 100, hungUp: 100})},
	{"packets late", badWeather(weather{late: 100, latest: 1500 * time.Millisecond})},
	{"packets in disorder", badWeather(weather{late: 100, latest: 50 * time.Millisecond})},
	{"packets doubled", badWeather(weather{doubled: 100})},
	{"replies truncated", badWeather(weather{truncated: 100})},
	{"replies truncated, TCP hung up", badWeather(weather{truncated: 100, hungUp: 100})},
	{"replies cut", badWeather(weather{cut: 60})},
	{"replies garbled", badWeather(weather{garbled: 60})},
	{"replies misdirected", badWeather(weather{misdirected: 60})},
	{"upstream frozen", func(s *soak) func() { s.cloud.freeze(); return s.cloud.thaw }},
	{"stopped", func(s *soak) func() { return s.replace(syscall.SIGTERM, 0) }},
	{"reloads in all weathers", func(s *soak) func() {
		end := badWeather(weather{lost: 10, doubled: 10, late: 30, latest: 200 * time.Millisecond, cut: 10, garbled: 10, misdirected: 10})(s)
		s.reloadOften()
		return end
	}},
}

// shortMishaps are those of the short form.
const shortMishaps = 9

func badWeather(w weather) func(*soak) func() {
	return func(s *soak) func() {
		s.road.weather.Store(&w)
		return func() { s.road.weather.Store(&weather{}) }
	}
}

func (s *soak) killUpstream() func() {
	_ = s.cloud.command.Process.Kill()
	<-s.cloud.ended
	return func() { s.cloud.process = s.proof.serve(first, s.cloud.configure(s.cloud.address, nil)) }
}

// replace ends our program by a signal, at a moment that nobody chose, and starts another.
func (s *soak) replace(by syscall.Signal, want int) func() {
	s.signal(by)
	s.awaitEnd()
	if code := s.command.ProcessState.ExitCode(); code != want {
		s.proof.t.Errorf("after %s the exit code is %d, want %d; it said:\n%s", by, code, want, s.output.tail())
	}
	s.replaced++
	return func() { s.process = s.proof.serve(s.before, s.corefile) }
}

func (s *soak) awaitEnd() {
	timer := time.NewTimer(stoppingTime)
	defer timer.Stop()
	select {
	case <-s.ended:
	case <-timer.C:
		s.proof.t.Errorf("our program did not end within %s", stoppingTime)
		_ = s.command.Process.Kill()
		<-s.ended
	}
}

// reloadOften puts other rules in force, a few times, one of them with a mistake. The last
// has none, or our program could not be started from it.
func (s *soak) reloadOften() func() {
	for range s.turns {
		s.reload(s.reloads)
	}
	return func() {}
}

// fillDisk leaves no room for the query log, which is on a disk of its own.
func (s *soak) fillDisk() func() {
	if !s.ownDisk {
		return func() {} // without root's rights there is no such disk
	}
	path := filepath.Join(fmt.Sprintf("/proc/%d/root", s.command.Process.Pid), s.logs, "filler")
	file, err := os.Create(path)
	if err != nil {
		s.proof.t.Fatal(err)
	}
	noise := make([]byte, 64<<10)
	for size := len(noise); size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = file.Write(noise[:size])
		}
	}
	_ = file.Close()
	return func() {
		if err := os.Remove(path); err != nil {
			s.proof.t.Error(err)
		}
	}
}
