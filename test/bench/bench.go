//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// bench is a run in progress.
type bench struct {
	options
	directory string
	started   time.Time

	program  string // our binary
	upstream *process
	address  netip.AddrPort // of the upstream
	cells    []*cell
	series   int      // of new names, so far
	left     []string // subjects that are not installed
	failures []string // measurements that failed for good
}

// cell is one subject under one workload. It has a server of its own, so that
// what it keeps and its memory are those of that workload.
type cell struct {
	*workload
	subject subject
	*process
	place place

	full  []measurement // at full speed, one a round
	fixed []measurement // at a fixed rate, one a round
	rate  int           // that rate, in questions a second
}

// title names a cell as -only sees it.
func (c *cell) title() string { return c.workload.name + "/" + c.subject.name }

// measure runs everything. The servers stay from the first round to the last,
// frozen while it is another's turn.
func (b *bench) measure() error {
	if err := b.build(); err != nil {
		return err
	}
	if err := b.startUpstream(); err != nil {
		return err
	}
	if err := b.startCells(); err != nil {
		return err
	}
	for round := range b.rounds {
		for i := range b.cells {
			// Each round begins with another one.
			c := b.cells[(i+round*len(b.cells)/b.rounds)%len(b.cells)]
			b.atFullSpeed(c)
		}
		b.say("round %d of %d at full speed done", round+1, b.rounds)
	}
	return b.measureFixed()
}

// measureFixed measures latency, at three fifths of what the slowest subject of a
// workload can do.
func (b *bench) measureFixed() error {
	rates := map[*workload]int{}
	for _, c := range b.cells {
		speed := c.summary().perSecond
		rate := int(0.6 * speed.median)
		if known, ok := rates[c.workload]; speed.measured() && (!ok || rate < known) {
			rates[c.workload] = rate
		}
	}
	for round := range b.rounds {
		for i := range b.cells {
			c := b.cells[(i+round*len(b.cells)/b.rounds)%len(b.cells)]
			if c.rate = rates[c.workload]; c.latency {
				b.atFixedRate(c)
			}
		}
		b.say("round %d of %d at a fixed load done", round+1, b.rounds)
	}
	if b.profile {
		return b.profiles()
	}
	return nil
}

// build makes our binary as `make build` does: its speed is judged.
func (b *bench) build() error {
	b.program = filepath.Join(b.directory, "privatelink-dns")
	command := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.program, "github.com/privatelink-dns/privatelink-dns/cmd/privatelink-dns")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("building our program: %w\n%s", err, said)
	}
	return nil
}

// startUpstream starts this program as the upstream of all.
func (b *bench) startUpstream() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if b.upstream, err = start(loadProcessor, filepath.Join(b.directory, "upstream"), program, upstreamRole); err != nil {
		return err
	}
	b.address, err = b.upstream.printed()
	return err
}

// startCells starts a server for each cell and sees that its answers are right.
func (b *bench) startCells() error {
	for _, w := range workloads() {
		for _, s := range w.subjects {
			c := &cell{workload: w, subject: s}
			if !b.only.MatchString(c.title()) {
				continue
			}
			if _, err := exec.LookPath(s.needs); s.needs != "" && err != nil {
				b.left = append(b.left, s.name)
				b.say("%s is left out: %v", c.title(), err)
				continue
			}
			b.startPatiently(c)
		}
	}
	if len(b.cells) == 0 {
		return errors.New("nothing is left to measure")
	}
	b.say("%d servers answer as they should, after %s", len(b.cells), time.Since(b.started).Round(time.Second))
	return nil
}

// startPatiently starts a server and adds its cell. It tries again, for somebody else may
// take a port; what fails for good is in the report.
func (b *bench) startPatiently(c *cell) {
	var err error
	for range tries {
		b.cells = append(b.cells, c)
		if err = b.startCell(c); err == nil {
			return
		}
		if b.cells = b.cells[:len(b.cells)-1]; c.process != nil {
			c.kill()
		}
		b.say("%s, to be tried again: %v", c.title(), err)
	}
	b.fail(c, err)
}

// tries is how often something is tried that may fail because of others.
const tries = 3

// fail notes what cannot be measured.
func (b *bench) fail(c *cell, err error) {
	reason, _, _ := strings.Cut(err.Error(), "\n")
	b.failures = append(b.failures, c.title()+": "+reason)
}

func (b *bench) startCell(c *cell) error {
	if err := b.choosePlace(c); err != nil {
		return err
	}
	line, err := c.subject.configure(&c.place)
	if err != nil {
		return err
	}
	if c.process, err = start(serverProcessor, filepath.Join(c.place.directory, "output"), line...); err != nil {
		return err
	}
	if c.subject.name == floorName {
		if c.place.address, err = c.process.printed(); err != nil {
			return err
		}
	}
	b.series++
	if err := c.check(c.names(b.series)); err != nil {
		return fmt.Errorf("%w\nthe server said:\n%s", err, c.said())
	}
	if err := c.settle(startingTime); err != nil {
		return err
	}
	c.freeze()
	return nil
}

// choosePlace makes a directory for a cell and finds free ports.
func (b *bench) choosePlace(c *cell) error {
	directory, err := os.MkdirTemp(b.directory, "cell")
	if err != nil {
		return err
	}
	c.place = place{program: b.program, upstream: b.address, directory: directory, protected: b.protected}
	ports := []*netip.AddrPort{&c.place.address, &c.place.metrics}
	if b.profile {
		ports = append(ports, &c.place.profiles)
	}
	for _, port := range ports {
		if *port, err = freePort(); err != nil {
			return err
		}
	}
	return nil
}

// startingTime bounds the start of a server.
const startingTime = 60 * time.Second

// printed is the address that a role of this program prints.
func (p *process) printed() (netip.AddrPort, error) {
	for deadline := time.Now().Add(startingTime); time.Now().Before(deadline) && !p.hasEnded(); pause(10 * time.Millisecond) {
		if address, err := netip.ParseAddrPort(strings.TrimSpace(p.said())); err == nil {
			return address, nil
		}
	}
	return netip.AddrPort{}, fmt.Errorf("expected an address, the program said: %s", p.said())
}

// stop ends everything that was started.
func (b *bench) stop() {
	for _, c := range b.cells {
		if c.process != nil {
			c.kill()
		}
	}
	if b.upstream != nil {
		b.upstream.kill()
	}
}

// say tells how far the run is.
func (b *bench) say(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "%6.1fs "+format+"\n", append([]any{time.Since(b.started).Seconds()}, arguments...)...)
}
