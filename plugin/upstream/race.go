package upstream

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// race is one question on its way through a schedule. One goroutine at a time touches
// it; the queries report through finishes. It is one piece of memory with room for what
// nearly every race needs, and is used again after a race that only its first run was in.
type race struct {
	query  query
	plan   []attempt
	next   int    // the place in plan of the next start
	runs   []*run // what was started, in that order
	failed []*Server
	late   <-chan time.Time // fires when patience with the latest run is over

	// takeOver goes on with the race in another goroutine when patience with the first
	// run is over; context is its one.
	takeOver *time.Timer
	context  context.Context
	// The channels are made by open.
	once     sync.Once
	finishes chan finish  // has room for all, so that no query waits to report
	outcome  chan *Answer // of a race that was taken over

	planned [4]attempt
	entered [2]*run
	leader  run // the first
}

// run is one query to one server. While it is pending, result and elapsed are zero.
type run struct {
	server  *Server
	started time.Time
	waiting atomic.Bool // for the server's budget: nothing has been sent yet
	ended   bool
	result  result
	elapsed time.Duration
}

// finish is the report of the query that was started as runs[index].
type finish struct {
	index  int
	result result
}

// nobody is no index of a run.
const nobody = -1

func newRace() *race {
	r := new(race)
	r.query.lost = make(chan struct{})
	return r
}

// open makes the channels. It may be called by several goroutines at once.
func (r *race) open() {
	r.once.Do(func() {
		r.finishes = make(chan finish, len(r.plan))
		r.outcome = make(chan *Answer, 1)
	})
}

// reset makes the race ready for another question, and reports whether that can be
// done: nobody but the caller may know it.
func (r *race) reset() bool {
	if r.finishes != nil {
		return false
	}
	r.next, r.runs, r.context = 0, nil, nil
	r.leader.result = result{}
	return true
}

// first returns the first good answer, or nil when every server has failed or ctx is
// done. The first server, whose reply nearly always decides, is asked by the caller's
// own goroutine: a new one, growing its stack as the reply is read, would cost a third
// of the whole exchange. Only if the server is silent for too long does another
// goroutine take over the race, and the caller's reports to it like any other.
func (r *race) first(ctx context.Context, now time.Time) *Answer {
	r.runs, r.context = r.entered[:0], ctx
	first, index := r.enter(now)
	if delay := r.plan[r.next].delay; r.takeOver == nil {
		r.takeOver = time.AfterFunc(delay, r.goOn)
	} else {
		r.takeOver.Reset(delay)
	}
	f := finish{index, first.server.exchange(ctx, &r.query, &first.waiting)}
	if !r.takeOver.Stop() {
		r.open()
		r.finishes <- f
		return <-r.outcome
	}
	answer := r.finish(ctx, f)
	if answer == nil {
		answer = r.wait(ctx)
	}
	r.end()
	return answer
}

// goOn runs the rest of a race whose first run takes too long.
func (r *race) goOn() {
	r.open()
	r.startLate(r.context)
	answer := r.wait(r.context)
	r.end()
	r.outcome <- answer
}

// end gives up all runs but the winner.
func (r *race) end() {
	if len(r.runs) > 1 {
		close(r.query.lost)
	}
}

// wait returns the first good answer to come, or nil when every server has failed or
// ctx is done.
func (r *race) wait(ctx context.Context) *Answer {
	for !r.lost() {
		select {
		case f := <-r.finishes:
			if answer := r.finish(ctx, f); answer != nil {
				return answer
			}
		case <-r.late:
			r.startLate(ctx)
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// startLate asks the next server because the ones before are silent. One that would
// make us wait for its budget is asked when patience is over, no sooner: a hedge is
// there to save time, and the token may be somebody's only one.
func (r *race) startLate(ctx context.Context) {
	if !r.advance() {
		return
	}
	next := &r.plan[r.next]
	if postponed := next.patience - next.delay; postponed > 0 && next.server.WouldWait() {
		next.delay = next.patience
		r.late = time.After(postponed)
		return
	}
	r.start(ctx)
}

// start asks the next server of the plan, if there is one, and arranges for the one
// after it.
func (r *race) start(ctx context.Context) {
	if !r.advance() {
		return
	}
	r.late = nil
	r.open()
	q := &r.query
	if r.pending(r.plan[r.next].server) {
		q = q.repeated()
	}
	started, index := r.enter(time.Now())
	go func() { r.finishes <- finish{index, started.server.exchange(ctx, q, &started.waiting)} }()
	if r.advance() {
		r.late = time.After(max(0, r.plan[r.next].delay-r.plan[r.next-1].delay))
	}
}

// enter makes a run of the next place in the plan.
func (r *race) enter(now time.Time) (started *run, index int) {
	started = &r.leader
	if len(r.runs) > 0 {
		started = new(run)
	}
	started.server, started.started = r.plan[r.next].server, now
	r.runs = append(r.runs, started)
	r.next++
	return started, len(r.runs) - 1
}

// advance passes over servers that have failed, and over those that have not even
// been sent the question yet, and reports whether the plan has another one.
func (r *race) advance() bool {
	for r.next < len(r.plan) && (slices.Contains(r.failed, r.plan[r.next].server) || r.queued(r.plan[r.next].server)) {
		r.next++
	}
	return r.next < len(r.plan)
}

// queued reports whether the question waits for a server's budget.
func (r *race) queued(server *Server) bool {
	return slices.ContainsFunc(r.runs, func(run *run) bool {
		return run.server == server && run.waiting.Load()
	})
}

// pending reports whether the question is on its way to a server or back.
func (r *race) pending(server *Server) bool {
	return slices.ContainsFunc(r.runs, func(run *run) bool { return run.server == server && !run.ended })
}

// idle reports whether no query is on its way.
func (r *race) idle() bool {
	return !slices.ContainsFunc(r.runs, func(run *run) bool { return !run.ended })
}

// reserveNext reports whether the next server is the first of a further tier.
func (r *race) reserveNext() bool { return r.advance() && r.plan[r.next].reserve }

// finish takes in the end of a run. It returns the answer if it is a good one.
// Otherwise the next server is started, unless patience with a younger run lasts, or
// with any run where the next is of a further tier.
func (r *race) finish(ctx context.Context, f finish) *Answer {
	ended := r.runs[f.index]
	if f.result.good() {
		answer := f.result.answer(ended.server.addr)
		answer.Attempts = r.attempts(f.index)
		return answer
	}
	ended.ended, ended.result, ended.elapsed = true, f.result, time.Since(ended.started)
	if ctx.Err() != nil {
		return nil // it was ended, it has not failed
	}
	if r.pending(ended.server) && overBudget(f.result.err) {
		return nil // the server has been asked before, and that may still be answered
	}
	r.failed = append(r.failed, ended.server)
	latest := r.runs[len(r.runs)-1].server == ended.server
	if r.idle() || latest && !r.reserveNext() {
		r.start(ctx)
	}
	return nil
}

// overBudget reports whether an error says that nothing was sent.
func overBudget(err error) bool { return errors.Is(err, ErrOverBudget) || errors.Is(err, ErrDown) }

// lost reports whether every server of the plan has failed.
func (r *race) lost() bool {
	for _, a := range r.plan {
		if !slices.Contains(r.failed, a.server) {
			return false
		}
	}
	return true
}

// attempts lists all runs but the winner's as failures.
func (r *race) attempts(winner int) []Attempt {
	var list []Attempt
	for i, run := range r.runs {
		if i != winner {
			list = append(list, run.attempt())
		}
	}
	return list
}

// attempt tells a run as a failure.
func (r *run) attempt() Attempt {
	first := r.server.transports[0].protocol()
	a := Attempt{Server: r.server.addr, Elapsed: r.elapsed, Transport: r.result.transport, Err: r.result.err}
	switch {
	case !r.ended && r.waiting.Load():
		a.Elapsed, a.Transport, a.Err = time.Since(r.started), first, ErrOverBudget
	case !r.ended:
		a.Elapsed, a.Transport, a.Err = time.Since(r.started), first, ErrSilent
	case errors.Is(r.result.err, context.DeadlineExceeded):
		a.Err = ErrSilent
	case r.result.err == nil:
		a.Rcode, a.EDE = r.result.msg.Rcode, extendedErrors(r.result.opt)
	}
	return a
}
