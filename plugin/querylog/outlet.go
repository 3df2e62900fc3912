package querylog

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// sweepInterval is how long a line waits at most before its sink has it.
const sweepInterval = 100 * time.Millisecond

// Sink is where encoded records go: made by NewStream, NewFile, NewDnstap and
// NewAzureMonitor. It serves one Destination of one Log, which closes it.
type Sink interface {
	// newEncoder returns what encodes for this sink.
	newEncoder() encoder
	// takesMessages reports whether the encoder uses whole messages.
	takesMessages() bool
	// write hands a block over and returns how many of its records, or of those
	// before, were lost, and why the sink fails; nil where it works. It may take
	// its time. It may change the block's data and does not keep the block.
	write(b *block) (lost int, err error)
	// tick is called about ten times a second, also where there is nothing to
	// write. It returns how many records, taken before, turned out to be lost,
	// and why the sink fails, nil where it works again, or errNoNews.
	tick(now time.Time) (lost int, err error)
	// close writes what was taken, until ctx ends, and returns how many of the
	// records were not written after all.
	close(ctx context.Context) (lost int, err error)
}

// Statistics are a destination's figures since the log was made. Every record
// that was logged is in exactly one of the counts, or still on its way.
type Statistics struct {
	// Name is the destination's.
	Name string
	// Written records were taken by the sink; Filtered were not meant for it.
	Written, Filtered uint64
	// QueueFull records were dropped because the sink was too slow, Refused
	// because it failed, Late because the log was closing or closed.
	QueueFull, Refused, Late uint64
	// Queued is how many bytes wait for the sink, to about a block of 64 KiB.
	Queued int
	// Err is why the sink fails at the moment; nil where it does not.
	Err error
}

// Dropped is how many records were lost to the destination.
func (s Statistics) Dropped() uint64 { return s.QueueFull + s.Refused + s.Late }

// What Close says of a sink that did not take all.
var (
	errAbandoned = errors.New("the sink did not finish in time; what it had not taken is counted as dropped")
	errRefused   = errors.New("the sink did not take all; the rest is counted as dropped")
)

// errNoNews is what a tick says that learned nothing about its sink's state.
var errNoNews = errors.New("no news")

// outlet is a destination at work.
type outlet struct {
	Destination
	filter  *filter
	privacy *privacy
	queue   *queue

	written, refused, late atomic.Uint64
	// before is what refused was when the end began.
	before uint64
	// writing is how many records the sink was handed and has not answered for.
	writing atomic.Int64

	mutex sync.Mutex
	// err is why the sink fails at the moment, ended why it did not end well.
	err, ended error
	// settled: whoever comes first, the goroutine at its end or Close when it
	// gives up, says what became of the rest. The other then says nothing.
	settled bool

	end  chan context.Context
	done chan struct{}
}

func newOutlet(d Destination) (*outlet, error) {
	if d.Sink == nil {
		return nil, errors.New("found no sink, expected one")
	}
	f, err := newFilter(d.Filter)
	if err != nil {
		return nil, err
	}
	p, err := newPrivacy(d.Client, d.PrivacyKey)
	if err != nil {
		return nil, err
	}
	if d.QueueBytes == 0 {
		d.QueueBytes = defaultQueueBytes
	}
	return &outlet{
		Destination: d, filter: f, privacy: p,
		queue: newQueue(max(d.QueueBytes, minQueueBytes) / blockLength),
		end:   make(chan context.Context, 1), done: make(chan struct{}),
	}, nil
}

// run hands blocks to the sink until the log ends.
func (o *outlet) run(sweep func()) {
	defer close(o.done)
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case b := <-o.queue.full:
			o.write(b)
		case now := <-ticker.C:
			sweep()
			lost, err := o.Sink.tick(now)
			o.lose(lost)
			if !errors.Is(err, errNoNews) {
				o.changed(err)
			}
		case ctx := <-o.end:
			o.finish(ctx)
			return
		}
	}
}

func (o *outlet) write(b *block) {
	o.writing.Store(int64(b.records))
	lost, err := o.Sink.write(b)
	if o.writing.Swap(0) == 0 {
		return // Close gave up on this block and has counted it
	}
	o.written.Add(uint64(b.records))
	o.lose(lost)
	o.queue.recycle(b)
	o.changed(err)
}

// lose takes back records that were counted as written.
func (o *outlet) lose(records int) {
	if records > 0 {
		o.written.Add(^uint64(records - 1))
		o.refused.Add(uint64(records))
	}
}

// changed keeps the sink's state and tells of a change.
func (o *outlet) changed(err error) {
	o.mutex.Lock()
	before := o.err
	o.err = err
	o.mutex.Unlock()
	if (before == nil) != (err == nil) && o.Changed != nil {
		o.Changed(err)
	}
}

func (o *outlet) failure() error {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.err
}

// ending returns why the destination did not end well; nil where it did.
func (o *outlet) ending() error {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.ended
}

// finish writes the rest. Appenders are sealed: nothing is added any more.
func (o *outlet) finish(ctx context.Context) {
	for {
		select {
		case b := <-o.queue.full:
			o.write(b)
			continue
		default:
		}
		break
	}
	lost, err := o.Sink.close(ctx)
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.settled {
		return
	}
	o.settled = true
	o.lose(lost)
	switch {
	case err != nil:
		o.ended = err
	case o.refused.Load() > o.before && o.err != nil:
		o.ended = o.err
	case o.refused.Load() > o.before:
		o.ended = errRefused
	}
}

// abandon counts what a sink has not taken that does not come to an end.
func (o *outlet) abandon() {
	o.mutex.Lock()
	if o.settled {
		o.mutex.Unlock()
		return
	}
	o.settled, o.err, o.ended = true, errAbandoned, errAbandoned
	o.mutex.Unlock()
	o.late.Add(uint64(o.writing.Swap(0)))
	for {
		select {
		case b := <-o.queue.full:
			o.late.Add(uint64(b.records))
		default:
			return
		}
	}
}

func (o *outlet) statistics(t tally) Statistics {
	return Statistics{
		Name: o.Name, Written: o.written.Load(), Filtered: t.filtered,
		QueueFull: t.queueFull, Refused: o.refused.Load(), Late: o.late.Load(),
		Queued: len(o.queue.full) * blockFull, Err: o.failure(),
	}
}
