package querylog

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// Appender takes records for every destination of its log. It is meant for one
// goroutine, so that nothing of it is shared between cores; it is safe for more.
// It allocates nothing per record.
type Appender struct {
	log *Log
	// mutex is held by the owner for one record and by a sink's goroutine, ten
	// times a second, while it takes a block.
	mutex  sync.Mutex
	closed bool
	parts  []part
	// sweeping counts the sinks' goroutines that hold the mutex or want it.
	sweeping atomic.Int32
}

// encoder appends a record as a sink's goroutine will hand it over. It is used
// by one goroutine at a time.
type encoder func(buffer []byte, r *Record, v view) []byte

// part is an appender's way to one outlet.
type part struct {
	outlet *outlet
	encode encoder
	random *rand.Rand
	// current is the block that is being filled; nil where there is none.
	current *block
	clock   clock
	tally   tally
}

// tally counts the records that did not reach an outlet's queue.
type tally struct{ filtered, queueFull uint64 }

func (t *tally) add(other tally) {
	t.filtered += other.filtered
	t.queueFull += other.queueFull
}

// Add encodes a record for each destination that is to have it. It never waits
// for a sink: where a destination's queue is full, the record is dropped there
// and counted. It keeps neither the record nor what it refers to.
func (a *Appender) Add(r *Record) {
	a.mutex.Lock()
	a.add(r)
	a.mutex.Unlock()
}

// tryAdd is Add, unless somebody else is adding. It waits for a sweep, which is
// short: otherwise the records of one caller would change places whenever a
// sweep makes it take another appender.
func (a *Appender) tryAdd(r *Record) bool {
	if !a.mutex.TryLock() {
		if a.sweeping.Load() > 0 {
			a.mutex.Lock()
		} else if !a.mutex.TryLock() { // the sweep may just have ended
			return false
		}
	}
	a.add(r)
	a.mutex.Unlock()
	return true
}

// sweep hands over what there is for an outlet.
func (a *Appender) sweep(index int) {
	a.sweeping.Add(1)
	a.mutex.Lock()
	a.parts[index].flush()
	a.mutex.Unlock()
	a.sweeping.Add(-1)
}

func (a *Appender) add(r *Record) {
	for index := range a.parts {
		if a.closed {
			a.parts[index].outlet.late.Add(1)
			continue
		}
		a.parts[index].add(r)
	}
}

func (p *part) add(r *Record) {
	sample, passes := p.outlet.filter.passes(r, p.random)
	if !passes {
		p.tally.filtered++
		return
	}
	if p.current == nil {
		if p.current = p.outlet.queue.take(); p.current == nil {
			p.tally.queueFull++
			return
		}
	}
	b := p.current
	b.data = p.encode(b.data, r, view{privacy: p.outlet.privacy, instance: p.outlet.Instance, sample: sample, clock: &p.clock})
	b.records++
	if len(b.data) >= blockFull {
		p.flush()
	}
}

// flush hands the block over, if there is anything in it.
func (p *part) flush() {
	if p.current != nil && p.current.records > 0 {
		p.outlet.queue.give(p.current)
		p.current = nil
	}
}

// Flush hands over what was added so far. There is no need to call it: sinks
// collect by themselves ten times a second, and a full block at once. It is for
// a caller that will not add for long and wants its lines seen now.
func (a *Appender) Flush() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for index := range a.parts {
		a.parts[index].flush()
	}
}

// Close hands over what was added and takes the appender out of its log. What
// is added later is dropped.
func (a *Appender) Close() {
	a.seal()
	a.log.forget(a)
}

func (a *Appender) seal() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for index := range a.parts {
		a.parts[index].flush()
	}
	a.closed = true
}
