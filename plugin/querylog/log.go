package querylog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"
)

const (
	// closeTimeout is how long Close waits for sinks at most: the platforms that
	// run servers kill what has not stopped after ten seconds.
	closeTimeout = 5 * time.Second
	// defaultQueueBytes is what a sink may leave unread: at 30,000 queries/s
	// about two thirds of a second.
	defaultQueueBytes = 16 << 20
	minQueueBytes     = 4 * blockLength
)

// Destination is a sink and what it is given.
type Destination struct {
	// Name tells it from the others in Statistics: not empty, not used twice.
	Name string
	// Sink is not nil and in no other Destination. The Log closes it.
	Sink Sink
	// Filter says which records the sink is given; the zero value all.
	Filter Filter
	// Client is how clients are shown; PrivacyKey, of 16 bytes at least, is the
	// key of ClientHashed and ignored otherwise.
	Client     ClientPrivacy
	PrivacyKey []byte
	// Instance, if not empty, is written to every line: which server this is.
	Instance string
	// QueueBytes is how much may wait for the sink before records are dropped,
	// in bytes of encoded records; 0 is 16 MiB. Memory is only taken when needed.
	QueueBytes int
	// Changed, if not nil, is told when the sink begins to fail (err is not nil)
	// and when it works again (nil). It is called from the sink's goroutine,
	// one call at a time.
	Changed func(err error)
}

// Log writes records to its destinations. None of them delays the caller or
// another destination: each has a bounded queue and a goroutine of its own, and
// drops and counts what it cannot take. It is safe for concurrent use.
type Log struct {
	outlets  []*outlet
	messages bool

	mutex     sync.Mutex
	appenders []*Appender
	// retired is what closed appenders had counted, by outlet.
	retired []tally
	closed  bool

	// shared serve Log: one more than there are processors, so that one is free.
	shared []*Appender
	once   sync.Once
	err    error
}

// New starts a log. Every destination is checked before any of them is started.
// A sink that is in no log holds no goroutine, file or connection.
func New(destinations ...Destination) (*Log, error) {
	l := &Log{retired: make([]tally, len(destinations))}
	names := map[string]bool{}
	for _, d := range destinations {
		if d.Name == "" || names[d.Name] {
			return nil, fmt.Errorf("found sink name %q, expected a name that no other sink has", d.Name)
		}
		names[d.Name] = true
		o, err := newOutlet(d)
		if err != nil {
			return nil, fmt.Errorf("sink %s: %w", d.Name, err)
		}
		l.outlets = append(l.outlets, o)
		l.messages = l.messages || d.Sink.takesMessages()
	}
	for range runtime.GOMAXPROCS(0) + 1 {
		l.shared = append(l.shared, l.Appender())
	}
	for index, o := range l.outlets {
		go o.run(func() { l.sweep(index) })
	}
	return l, nil
}

// TakesMessages reports whether a sink takes whole messages, so that it is
// worth filling Record's Query, Reply and Exchanges.
func (l *Log) TakesMessages() bool { return l.messages }

// Appender returns a new way into the log, meant for one goroutine that logs
// much: it shares no lock and no memory with other appenders. It must be closed
// when it is no longer used; closing the Log closes all.
func (l *Log) Appender() *Appender {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	a := &Appender{log: l, closed: l.closed, parts: make([]part, len(l.outlets))}
	for index, o := range l.outlets {
		a.parts[index] = part{outlet: o, encode: o.Sink.newEncoder(), random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
	}
	l.appenders = append(l.appenders, a)
	return a
}

// Log logs a record from any goroutine. It does not keep the record nor what it
// refers to. A caller that logs one record after the other finds them in the
// sinks in that order; those of different goroutines can change places.
func (l *Log) Log(r *Record) {
	for _, a := range l.shared {
		if a.tryAdd(r) {
			return
		}
	}
	l.shared[0].Add(r)
}

// sweep collects what appenders have for an outlet, so that a line of a server
// that has little to do is not kept waiting for a block to be full.
func (l *Log) sweep(index int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, a := range l.appenders {
		a.sweep(index)
	}
}

// Close writes what was accepted, closes the sinks and returns an error that
// names those that lost some of it by then. It gives up when ctx ends, or after
// five seconds; what a sink has not taken by then is counted as dropped. What
// is logged later is dropped and counted. Later calls wait for the first.
func (l *Log) Close(ctx context.Context) error {
	l.once.Do(func() { l.err = l.close(ctx) })
	return l.err
}

func (l *Log) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	l.mutex.Lock()
	l.closed = true
	for _, o := range l.outlets {
		o.before = o.refused.Load()
	}
	for _, a := range l.appenders {
		a.seal()
	}
	l.mutex.Unlock()
	// A sink that gives up has yet to put away what it holds.
	sinks, cancelSinks := context.WithTimeout(ctx, timeLeft(ctx)*9/10)
	defer cancelSinks()
	for _, o := range l.outlets {
		o.end <- sinks
	}
	var failures []error
	for _, o := range l.outlets {
		select {
		case <-o.done:
		case <-ctx.Done():
			// Both may be: what is done is never called late.
			select {
			case <-o.done:
			default:
				o.abandon()
			}
		}
		if err := o.ending(); err != nil {
			failures = append(failures, fmt.Errorf("sink %s: %w", o.Name, err))
		}
	}
	return errors.Join(failures...)
}

func timeLeft(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline() // close has set one
	return time.Until(deadline)
}

// Statistics returns the figures of each destination, in their order.
func (l *Log) Statistics() []Statistics {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	all := make([]Statistics, len(l.outlets))
	for index, o := range l.outlets {
		total := l.retired[index]
		for _, a := range l.appenders {
			a.mutex.Lock()
			total.add(a.parts[index].tally)
			a.mutex.Unlock()
		}
		all[index] = o.statistics(total)
	}
	return all
}

// forget takes a closed appender out of the log and keeps its figures.
func (l *Log) forget(closed *Appender) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for index, a := range l.appenders {
		if a != closed {
			continue
		}
		l.appenders = append(l.appenders[:index], l.appenders[index+1:]...)
		a.mutex.Lock()
		for part := range a.parts {
			l.retired[part].add(a.parts[part].tally)
			a.parts[part].tally = tally{}
		}
		a.mutex.Unlock()
		return
	}
}
