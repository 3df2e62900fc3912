package querylog

import (
	"math/rand/v2"
	"sync"
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
