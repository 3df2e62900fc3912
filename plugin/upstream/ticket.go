package upstream

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// errReturned says that a ticket was released before its query left.
var errReturned = errors.New("ticket returned")

// ticket is the right to send one query. A nil ticket holds nothing and is always
// valid. The pacer's lock guards departed and returned.
type ticket struct {
	pacer *pacer
	at    time.Time // when it was issued
	ready time.Time // when its holder got it, which may be later on a busy machine
	era   uint64
	slot  bool // it holds a slot
	// server is told when the query leaves, and of a late reply; nil in some tests.
	server *Server
	edns   bool // the query has EDNS, and is over the server's first transport

	departed bool // the query has left, or is leaving
	returned bool
	place    int          // among the departures; only who sends the query uses it
	late     atomic.Int64 // how long it was kept from leaving, in nanoseconds
}

// depart waits until the query may leave, which it does not have to unless many with
// a ticket were late, and tells the server's health. The query must be written at once,
// and left be called when that is done. The error is the context's, context.Canceled once
// the query is lost, ErrClosed, or errReturned; nothing may be written then.
func (t *ticket) depart(ctx context.Context, lost <-chan struct{}) error {
	if t == nil {
		return nil
	}
	first := time.Now()
	for now := first; ; now = time.Now() {
		wait, err := t.pacer.letGo(t, first, now)
		if wait == 0 {
			if err == nil && t.server != nil {
				t.server.departs(now)
			}
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-lost:
			timer.Stop()
			return context.Canceled
		case <-t.pacer.closing:
			timer.Stop()
			return ErrClosed
		}
	}
}

// letGo lets a query leave, or returns how long to wait before it is tried again. first
// is when it wanted to leave.
func (p *pacer) letGo(t *ticket, first, now time.Time) (wait time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.returned {
		return 0, errReturned
	}
	if wait := p.gone.until(now.Sub(p.made), 0); wait > 0 {
		return wait, nil
	}
	t.departed, t.place = true, p.gone.enter()
	p.unsent--
	t.late.Store(int64(now.Sub(first)))
	p.meter.count(now)
	return 0, nil
}

// left takes in that the query has been written.
func (t *ticket) left() {
	if t == nil || t.place == nowhere {
		return
	}
	t.pacer.mu.Lock()
	defer t.pacer.mu.Unlock()
	t.pacer.gone.left(t.place, time.Since(t.pacer.made))
}

// lateness returns for how long the query was kept from leaving.
func (t *ticket) lateness() time.Duration { return time.Duration(t.late.Load()) }

// got returns when its holder got the ticket, a moment ago.
func (t *ticket) got() time.Time {
	if t == nil {
		return time.Now()
	}
	return t.ready
}

// unsent reports whether the query has not left.
func (t *ticket) unsent() bool {
	if t == nil {
		return false
	}
	t.pacer.mu.Lock()
	defer t.pacer.mu.Unlock()
	return !t.departed
}

// repliedLate takes in a reply to a query that nobody waits for any more: the server
// is slow, and not silent. No lock may be held.
func (t *ticket) repliedLate() {
	if t != nil && t.server != nil {
		t.server.hears(time.Now())
		if t.edns {
			t.server.learnEDNS(true)
		}
	}
}

// release gives a ticket's slot back, and the token where no query has left for it.
// Only the first call counts. It takes the pacer's lock only and may be called with any
// other held.
func (t *ticket) release() {
	if t == nil {
		return
	}
	t.pacer.mu.Lock()
	defer t.pacer.mu.Unlock()
	t.pacer.giveBack(t)
}

// giveBack is release with the lock held.
func (p *pacer) giveBack(t *ticket) {
	if t == nil || t.returned {
		return
	}
	t.returned = true
	now := time.Now()
	if !t.departed {
		p.unsent--
		p.bucket.fill(now)
		p.bucket.refund()
	}
	if t.slot {
		p.freeSlot(t, now)
	}
	p.serve(now)
}

// freeSlot counts a slot as free, unless it has been forgotten already.
func (p *pacer) freeSlot(t *ticket, now time.Time) {
	if t.era != p.era {
		if t.era != p.era-1 || p.old == 0 {
			return
		}
		p.old--
	}
	p.held--
	if t.departed {
		p.hold += (now.Sub(t.at) - p.hold) / 16
	}
}
