package upstream

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// longestWait bounds the wait for a token where the context does not: our reply
// leaves within 4 s.
const longestWait = 4 * time.Second

// pacer keeps a server's budget: a query is sent with a ticket, which costs a token
// and holds a slot until the ticket is released. Clients are served before low priority,
// and each network of clients alike, whatever others ask. Tokens come in time, but who has
// one may be late; what really leaves is counted by departures, and no ticket is given out
// that would have to wait for its departure: nobody would keep the order there.
type pacer struct {
	closing chan struct{} // closed by close
	made    time.Time     // what departures are counted from
	key     maphash.Seed  // of flows

	mu       sync.Mutex
	closed   bool
	bucket   bucket
	gone     departures
	unsent   int // tickets whose query has not left
	slots    int // that may be held; 0 for no limit
	held     int
	failing  bool   // the server is down
	era      uint64 // how often the server has become down
	old      int    // the tickets of the era before that still hold a slot
	hold     time.Duration
	queues   [priorities]fairQueue
	timer    *time.Timer
	timerSet bool
	meter    meter
	waited   uint64
	refused  uint64
}

func newPacer(b Budget) *pacer {
	p := &pacer{closing: make(chan struct{}), made: time.Now(), key: maphash.MakeSeed()}
	p.set(b)
	return p
}

// set changes the budget. What has been sent under the one before still counts.
func (p *pacer) set(b Budget) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.bucket.fill(now)
	fresh := p.bucket.at.IsZero() || p.bucket.rate == 0
	p.bucket.rate, p.bucket.burst, p.bucket.at = b.rate(), b.burst(), now
	p.bucket.tokens = min(p.bucket.tokens, p.bucket.burst)
	if fresh {
		p.bucket.tokens = p.bucket.burst
	}
	p.slots = b.slots()
	if p.gone.limit != b.PerSecond {
		p.gone.setLimit(b.PerSecond, now.Sub(p.made))
	}
	p.serve(now)
}

// acquire returns a ticket, waiting for it if it must: the query is then marked as
// waiting meanwhile. reserve is the time before the context's deadline in which a
// query is not worth sending any more, because its reply would come too late. The
// error is ErrOverBudget, at once where it is foreseen, and later where somebody else
// needs the room more; ErrClosed, the context's, or context.Canceled once the query is
// lost. Once urgent is closed, which may be nil, it is a client's query.
func (p *pacer) acquire(ctx context.Context, class priority, q *query, urgent <-chan struct{}, reserve func() time.Duration, waiting *atomic.Bool) (*ticket, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, ErrClosed
	}
	now := time.Now()
	p.bucket.fill(now)
	if p.free(class, now) && !p.queued(class) {
		t := p.issue(now)
		p.mu.Unlock()
		return t, nil
	}
	patience := longestWait
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, deadline.Sub(now)-reserve())
	}
	flow := flowOf(&q.asked, p.key)
	if !p.admit(class, flow, patience) {
		p.refused++
		p.mu.Unlock()
		return nil, ErrOverBudget
	}
	a := &applicant{granted: make(chan *ticket, 1), class: class, flow: flow}
	p.queues[class].put(a)
	p.waited++
	p.arm(now)
	p.mu.Unlock()

	if waiting != nil {
		waiting.Store(true)
		defer waiting.Store(false)
	}
	return p.await(ctx, q.lost, urgent, a, patience)
}

// admit reports whether a newcomer may wait: it will be served in time, and no more wait
// than can be served in the longest wait, or somebody makes room who has more than his
// share of it.
func (p *pacer) admit(class priority, newcomer flow, patience time.Duration) bool {
	queue := &p.queues[class]
	if p.expected(class, queue.turn(newcomer)) > patience {
		return false
	}
	if p.expected(class, queue.length+1) <= longestWait {
		return true
	}
	last := queue.last(newcomer)
	if last == nil {
		return false
	}
	queue.remove(last)
	p.refused++
	last.granted <- nil
	return true
}

// await waits until a ticket is granted or patience is over.
func (p *pacer) await(ctx context.Context, lost, urgent <-chan struct{}, a *applicant, patience time.Duration) (*ticket, error) {
	over := time.NewTimer(patience)
	defer over.Stop()
	for {
		select {
		case t := <-a.granted:
			if t == nil {
				return nil, ErrOverBudget
			}
			t.ready = time.Now()
			return t, nil
		case <-urgent:
			urgent = nil
			p.promote(a)
		case <-over.C:
			return nil, p.leave(a, ErrOverBudget)
		case <-ctx.Done():
			return nil, p.leave(a, ctx.Err())
		case <-lost:
			return nil, p.leave(a, context.Canceled)
		case <-p.closing:
			return nil, p.leave(a, ErrClosed)
		}
	}
}

// promote lets an applicant of low priority stand with the clients'.
func (p *pacer) promote(a *applicant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.class == client || len(a.granted) > 0 {
		return
	}
	p.queues[a.class].remove(a)
	a.class = client
	p.queues[client].put(a)
	p.serve(time.Now())
}

// leave ends an applicant's waiting, and returns why.
func (p *pacer) leave(a *applicant, why error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case t := <-a.granted: // meanwhile
		if t == nil {
			return why // and counted
		}
		p.giveBack(t)
	default:
		p.queues[a.class].remove(a)
	}
	if why == ErrOverBudget {
		p.refused++
	}
	return why
}

// wouldWait reports whether a client's query would have to wait for its ticket now.
func (p *pacer) wouldWait() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.bucket.fill(now)
	return !p.free(client, now) || p.queued(client)
}

// free reports whether there are a token and a slot for a query, and it may leave.
func (p *pacer) free(class priority, now time.Time) bool {
	if p.slots > 0 && p.held >= p.share(class) {
		return false
	}
	return p.bucket.has(p.behind(class)) && p.mayLeave(now) == 0
}

// mayLeave returns how long it takes until a query may leave that gets its ticket now.
func (p *pacer) mayLeave(now time.Time) time.Duration {
	return p.gone.until(now.Sub(p.made), p.unsent)
}

// queued reports whether somebody waits who comes before a new query.
func (p *pacer) queued(class priority) bool {
	return p.before(class) > 0 || p.queues[class].length > 0
}

// before returns how many wait in the classes before one.
func (p *pacer) before(class priority) (waiting int) {
	for i := range p.queues[:class] {
		waiting += p.queues[i].length
	}
	return waiting
}

// share returns how many slots may be held for a query of a class to be sent. A few
// are kept for probes. Of a server that is down, three quarters are kept free: whoever
// asks it does so only in case it returns right now, and hardly anything sent before
// the return gets a reply that would free its slot.
func (p *pacer) share(class priority) int {
	if class == probe {
		return p.slots
	}
	most := p.slots - max(2, p.slots/32) // a probe goes over UDP and TCP at once
	if p.failing {
		most = p.slots / 4
	}
	if class == low {
		most = most * 3 / 4
	}
	return max(1, most)
}

// behind returns how many tokens a query of a class must leave.
func (p *pacer) behind(class priority) float64 {
	if class == low {
		return p.bucket.burst/4 - 0.25 // none where the burst is a single token
	}
	return 0
}

// issue makes a ticket.
func (p *pacer) issue(now time.Time) *ticket {
	p.bucket.take()
	p.unsent++
	t := &ticket{pacer: p, at: now, ready: now, era: p.era, slot: p.slots > 0}
	if t.slot {
		p.held++
	}
	return t
}

// expected estimates how long the query waits that is served as that manieth of those
// that wait in its class. Slots are handed on as fast as queries end, tokens come at
// their rate; the slower one counts.
func (p *pacer) expected(class priority, ahead int) time.Duration {
	ahead += p.before(class)
	wait := p.bucket.until(float64(ahead) + p.behind(class))
	if p.slots == 0 {
		return wait
	}
	return max(wait, time.Duration(ahead)*p.hold/time.Duration(p.share(class)))
}

// serve hands tickets to those who wait, and arranges for the next time.
func (p *pacer) serve(now time.Time) {
	p.bucket.fill(now)
	for class := range p.queues {
		queue := &p.queues[class]
		for queue.length > 0 && p.free(priority(class), now) {
			queue.take().granted <- p.issue(now)
		}
		if queue.length > 0 {
			break
		}
	}
	p.arm(now)
}

// arm sets the timer to when the next token comes that somebody waits for, and may be
// used. Who waits for a slot is served by the release of one.
func (p *pacer) arm(now time.Time) {
	if p.timerSet || p.closed {
		return
	}
	for class := range p.queues {
		if p.queues[class].length == 0 {
			continue
		}
		wait := max(p.bucket.until(1+p.behind(priority(class))), p.mayLeave(now))
		if wait == 0 {
			return
		}
		p.timerSet = true
		if p.timer == nil {
			p.timer = time.AfterFunc(wait, p.tick)
		} else {
			p.timer.Reset(wait)
		}
		return
	}
}

func (p *pacer) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timerSet = false
	p.serve(time.Now())
}

// setFailing says whether the server is down. What was sent before it became so
// counts as outstanding for a while only, even if somebody waits for the reply: a
// dead server works on nothing, and its slots must be free when it returns.
func (p *pacer) setFailing(failing bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if failing && !p.failing {
		p.era++
		p.old = p.held
		era := p.era
		time.AfterFunc(abandonedFor, func() { p.forget(era) })
	}
	p.failing = failing
	p.serve(time.Now())
}

// forget gives back the slots of the tickets issued before an era, unless another one
// has begun.
func (p *pacer) forget(era uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.era != era {
		return
	}
	p.held -= p.old
	p.old, p.hold = 0, 0
	p.serve(time.Now())
}

// close ends every wait with ErrClosed, and so every later one.
func (p *pacer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	close(p.closing)
	if p.timer != nil {
		p.timer.Stop()
	}
}

// report adds the pacer's part of the statistics.
func (p *pacer) report(s *Stats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.PerSecond = p.meter.lastSecond(time.Now())
	s.Outstanding = p.held
	s.Waiting = p.before(priorities)
	s.Waited, s.Refused = p.waited, p.refused
}
