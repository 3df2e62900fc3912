//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"time"
)

// measurement is what one load showed.
type measurement struct {
	// processor is the server's processor time for a question, in µs.
	processor float64
	perSecond float64 // questions answered
	// busy and others are shares of the server's processor: what the server used,
	// and what other programs used meanwhile.
	busy, others float64
	resident     float64 // MiB, after the load
	p50, p99     float64 // ms; not numbers at full speed
}

// atFullSpeed measures a cell once with as much load as it takes.
func (b *bench) atFullSpeed(c *cell) {
	if measured, ok := b.patiently(c, load{length: b.length}); ok {
		c.full = append(c.full, measured)
	}
}

// atFixedRate measures a cell once with the load that is the same for all.
func (b *bench) atFixedRate(c *cell) {
	if measured, ok := b.patiently(c, load{length: max(b.length/2, 200*time.Millisecond), rate: max(c.rate, 1), latencies: true}); ok {
		c.fixed = append(c.fixed, measured)
	}
}

// patiently tries a measurement again that failed: on a shared machine, a moment
// without the processor loses questions. What fails for good is in the report.
// Where calm is waited for, what others disturbed is tried again as well, and the
// least disturbed is taken, whatever it shows.
func (b *bench) patiently(c *cell, l load) (calmest measurement, ok bool) {
	const undisturbed = 0.1 // of the server's processor
	var failure error
	for range tries {
		measured, err := b.turn(c, l)
		if err != nil {
			failure = err
			b.say("%s, to be tried again: %v", c.title(), err)
			continue
		}
		if !ok || measured.others < calmest.others {
			calmest, ok = measured, true
		}
		if b.calm == 0 || measured.others <= undisturbed {
			return calmest, true
		}
	}
	if !ok {
		b.fail(c, failure)
	}
	return calmest, ok
}

// turn thaws a cell's server, warms it up, and measures it under a load.
func (b *bench) turn(c *cell, l load) (measurement, error) {
	l.server, l.client, l.once = c.place.address, c.client, c.isNew()
	l.questions = filepath.Join(b.directory, "questions")
	c.thaw()
	defer c.freeze()
	if err := b.warmUp(c, l); err != nil {
		return measurement{}, err
	}
	if err := b.prepare(c, l); err != nil {
		return measurement{}, err
	}
	if err := c.settle(2 * time.Second); err != nil {
		return measurement{}, err
	}
	if err := b.waitForCalm(); err != nil {
		return measurement{}, err
	}
	measured, result, err := b.watch(c, l)
	if err != nil {
		return measured, fmt.Errorf("%w\nthe server said:\n%s", err, c.said())
	}
	return measured, result.right(c.rcode)
}

// waitForCalm waits until other programs leave both processors alone, or for as
// long as it was told to.
func (b *bench) waitForCalm() error {
	const look, calm = 100 * time.Millisecond, 0.1
	for deadline := time.Now().Add(b.calm); time.Now().Before(deadline); {
		var busy [2]time.Duration
		for i := range busy {
			for _, processor := range []int{loadProcessor, serverProcessor} {
				used, err := busyTime(processor)
				if err != nil {
					return err
				}
				busy[i] += used
			}
			if i == 0 {
				pause(look)
			}
		}
		if (busy[1] - busy[0]).Seconds() <= calm*2*look.Seconds() {
			break
		}
	}
	return nil
}

// prepare writes the questions of a load. New ones are more than can be asked.
func (b *bench) prepare(c *cell, l load) error {
	const most = 150_000 // a second
	number := c.number
	if c.isNew() {
		number = int(l.length.Seconds()*most) + 1
		if l.rate > 0 {
			number = int(l.length.Seconds()*float64(l.rate)*1.2) + 1000
		}
	}
	b.series++
	return writeQuestions(l.questions, c.names(b.series), number)
}

// warmUp asks every name that is asked again, or some new ones. A few may get lost:
// what is measured comes after.
func (b *bench) warmUp(c *cell, l load) error {
	number := c.number
	if c.isNew() {
		number = 1000
	}
	b.series++
	if err := writeQuestions(l.questions, c.names(b.series), number); err != nil {
		return err
	}
	if _, err := (load{server: l.server, client: l.client, questions: l.questions, rate: 10_000}).run(); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	return nil
}

// reading is what was used up to a moment.
type reading struct {
	at           time.Time
	server, busy time.Duration
	asked        int // of the upstream
}

func (b *bench) read(c *cell) (r reading, err error) {
	if r.asked, err = b.asked(); err != nil {
		return r, err
	}
	if r.server, err = c.processorTime(); err != nil {
		return r, err
	}
	r.busy, err = busyTime(serverProcessor)
	r.at = time.Now()
	return r, err
}

// watch runs a load and reads what the server used for it.
func (b *bench) watch(c *cell, l load) (measurement, loaded, error) {
	var m measurement
	before, err := b.read(c)
	if err != nil {
		return m, loaded{}, err
	}
	if l.begun != nil {
		l.begun()
	}
	result, err := l.run()
	if err != nil {
		return m, result, err
	}
	after, err := b.read(c)
	if err != nil {
		return m, result, err
	}
	used, passed := after.server-before.server, after.at.Sub(before.at)
	m.processor = float64(used.Nanoseconds()) / 1000 / float64(max(1, result.completed))
	m.perSecond = result.perSecond()
	m.busy = used.Seconds() / passed.Seconds()
	m.others = max(0, (after.busy-before.busy-used).Seconds()/passed.Seconds())
	m.p50, m.p99 = result.percentile(50), result.percentile(99)
	resident, err := c.resident()
	m.resident = float64(resident) / (1 << 20)
	if err == nil {
		err = c.checkUpstream(float64(after.asked-before.asked) / float64(max(1, result.completed)))
	}
	return m, result, err
}

// checkUpstream fails where the load was not what it is meant to be: cached
// answers that are not, or new names that are not new.
func (c *cell) checkUpstream(share float64) error {
	if share < c.workload.upstream[0] || share > c.workload.upstream[1] {
		return fmt.Errorf("the upstream was asked %.3f times a question, expected %g to %g", share, c.workload.upstream[0], c.workload.upstream[1])
	}
	return nil
}
