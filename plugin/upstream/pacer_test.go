package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// line records who gets a ticket when.
type line struct {
	pacer  *pacer
	start  time.Time
	urgent chan struct{}
	group  sync.WaitGroup
	mu     sync.Mutex
	got    []string
}

func newLine(b Budget) *line { return &line{pacer: newPacer(b), start: time.Now()} }

// join lets somebody apply for a ticket, behind all who have before.
func (l *line) join(ctx context.Context, name string, class priority) {
	l.joinFor(ctx, name, class, new(query))
}

// joinFor is join for a query of somebody else's.
func (l *line) joinFor(ctx context.Context, name string, class priority, q *query) {
	l.group.Go(func() {
		ticket, err := l.pacer.acquire(ctx, class, q, l.urgent, noReserve, nil)
		if err == nil {
			_ = ticket.depart(ctx, nil)
			ticket.left()
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		said := name
		if err != nil {
			said += " " + err.Error()
		}
		l.got = append(l.got, fmt.Sprintf("%s@%v", said, time.Since(l.start).Round(time.Millisecond)))
	})
	synctest.Wait()
}

func (l *line) want(t *testing.T, want ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.got, want) {
		t.Errorf("got %q, want %q", l.got, want)
	}
}

// Ten a second, one at once: a token each 105 ms.
func TestPacerOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(Budget{PerSecond: 10})
		l.join(t.Context(), "first", client)
		l.join(t.Context(), "prefetch", low)
		l.join(t.Context(), "second", client)
		l.join(t.Context(), "probe", probe)
		l.join(t.Context(), "third", client)
		l.group.Wait()
		l.want(t, "first@0s", "probe@105ms", "second@211ms", "third@316ms", "prefetch@421ms")
	})
}

// What becomes urgent goes behind the clients' queries of that moment, and before later ones.
func TestPacerUrgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(Budget{PerSecond: 10})
		l.join(t.Context(), "first", client)
		l.join(t.Context(), "patient", low)
		l.urgent = make(chan struct{})
		l.join(t.Context(), "prefetch", low)
		l.join(t.Context(), "second", client)
		close(l.urgent)
		synctest.Wait()
		l.join(t.Context(), "third", client)
		l.group.Wait()
		l.want(t, "first@0s", "second@105ms", "prefetch@211ms", "third@316ms", "patient@421ms")
	})
}

// What is urgent when it applies is a client's query, and so is all that is not low.
func TestPriorityOf(t *testing.T) {
	urgent, patient := make(chan struct{}), make(chan struct{})
	close(urgent)
	for _, tc := range []struct {
		name string
		ctx  context.Context
		want priority
	}{
		{"usual", t.Context(), client},
		{"low", LowPriority(t.Context()), low},
		{"low until later", LowPriorityUntil(t.Context(), patient), low},
		{"low until before", LowPriorityUntil(t.Context(), urgent), client},
	} {
		if got, _ := priorityOf(tc.ctx, new(query)); got != tc.want {
			t.Errorf("priorityOf(%s) = %v, want %v", tc.name, got, tc.want)
		}
	}
}

// Who cannot be served in time is told at once, who may be waits until it cannot.
func TestPacerForesees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(Budget{PerSecond: 10, Outstanding: 2})
		within := func(d time.Duration) context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			t.Cleanup(cancel)
			return ctx
		}
		l.join(within(time.Second), "slot", client) // the only one, never given back
		l.join(within(100*time.Millisecond), "too soon", client)
		l.join(within(200*time.Millisecond), "in time", client)
		l.join(within(200*time.Millisecond), "too many", client)
		l.group.Wait()
		l.want(t, "slot@0s", "too soon over budget@0s", "too many over budget@0s", "in time over budget@200ms")
		if l.pacer.waited != 1 || l.pacer.refused != 3 {
			t.Errorf("waited %d, refused %d, want 1, 3", l.pacer.waited, l.pacer.refused)
		}
	})
}

// The time a reply takes is not spent on waiting.
func TestPacerReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(Budget{PerSecond: 1})
		reserve := func() time.Duration { return 300 * time.Millisecond }
		ticket, err := p.acquire(t.Context(), client, new(query), nil, reserve, nil)
		if err != nil || ticket.depart(t.Context(), nil) != nil {
			t.Fatal(err)
		}
		ticket.left()
		for _, tc := range []struct {
			within time.Duration
			want   error
		}{{1300 * time.Millisecond, ErrOverBudget}, {1400 * time.Millisecond, nil}} {
			ctx, cancel := context.WithTimeout(t.Context(), tc.within)
			if _, err := p.acquire(ctx, client, new(query), nil, reserve, nil); !errors.Is(err, tc.want) {
				t.Errorf("acquire within %v = %v, want %v", tc.within, err, tc.want)
			}
			cancel()
		}
	})
}

// Slots are handed on as they are released, each once, and some are kept.
func TestPacerSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(Budget{Outstanding: 200})
		prefetches, clients, probes := drain(p, low), drain(p, client), drain(p, probe)
		if len(prefetches) != 138 || len(clients) != 47 || len(probes) != 5 {
			t.Errorf("%d, %d, %d slots for prefetch, clients, probes; want 138, 47, 5", len(prefetches), len(clients), len(probes))
		}
		for _, ticket := range slices.Concat(probes, probes, clients[:1], clients[:1]) {
			ticket.release()
		}
		if got := outstanding(p); got != 184 {
			t.Errorf("%d slots are held, want 184", got)
		}
		if p.wouldWait() {
			t.Error("wouldWait() = true, want false: a slot is free")
		}
		drain(p, client)
		if !p.wouldWait() {
			t.Error("wouldWait() = false, want true: all slots are taken")
		}
	})
}

// drain takes all tickets that a class may have now.
func drain(p *pacer, class priority) (tickets []*ticket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.free(class, time.Now()) {
		tickets = append(tickets, p.issue(time.Now()))
	}
	return tickets
}

func outstanding(p *pacer) int {
	var stats Stats
	p.report(&stats)
	return stats.Outstanding
}

// What a dead server was sent is forgotten, but not before it may have been done.
func TestPacerFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(Budget{Outstanding: 100})
		tickets := drain(p, client)
		p.setFailing(true)
		tickets[0].release()
		if got := outstanding(p); got != len(tickets)-1 || !p.wouldWait() {
			t.Errorf("%d slots are held, want %d and none free", got, len(tickets)-1)
		}
		elapse(abandonedFor)
		if got := outstanding(p); got != 0 {
			t.Errorf("after %v %d slots are held, want 0", abandonedFor, got)
		}
		tickets[1].release()
		lent := len(drain(p, client))
		if got := outstanding(p); lent != 95/4 || got != lent {
			t.Errorf("a server that is down is lent %d slots, %d held, want %d", lent, got, 95/4)
		}
		p.setFailing(false)
		if p.wouldWait() {
			t.Error("no slot is free on return")
		}
	})
}

// Ends of contexts and of the pacer leave nobody behind.
func TestPacerLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(Budget{PerSecond: 1})
		ctx, cancel := context.WithCancel(t.Context())
		l.join(t.Context(), "first", client)
		l.join(ctx, "cancelled", client)
		l.join(t.Context(), "second", client)
		elapse(10 * time.Millisecond)
		cancel()
		elapse(1090 * time.Millisecond)
		l.join(t.Context(), "closed", client)
		l.pacer.close()
		l.pacer.close()
		l.group.Wait()
		l.join(t.Context(), "late", client)
		l.want(t, "first@0s", "cancelled context canceled@10ms", "second@1.053s", "closed server closed@1.1s", "late server closed@1.1s")
	})
}

// A budget that is changed while in use grants nothing twice.
func TestPacerSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(Azure())
		spent := len(drain(p, client))
		p.set(Azure())
		if !p.wouldWait() || spent != 20 {
			t.Errorf("set grants a new burst, or the first was %d, want 20", spent)
		}
		p.set(Budget{})
		if p.wouldWait() {
			t.Error("no token without a limit")
		}
	})
}

func TestMeter(t *testing.T) {
	var m meter
	at := func(s float64) time.Time { return time.Unix(1000, int64(s*1e9)) }
	for _, s := range []float64{0.1, 0.9, 1, 1.2, 1.9} {
		m.count(at(s))
	}
	for _, tc := range []struct {
		at   float64
		want int
	}{{1.95, 2}, {2, 3}, {2.9, 3}, {3, 0}, {9, 0}} {
		if got := m.lastSecond(at(tc.at)); got != tc.want {
			t.Errorf("lastSecond at %v = %d, want %d", tc.at, got, tc.want)
		}
	}
}

// A clock that was set back does not stop the count until it is there again.
func TestMeterGoesOnAfterTheClockWasSetBack(t *testing.T) {
	var m meter
	for _, second := range []int64{5000, 5000, 1000, 1000, 1000} {
		m.count(time.Unix(second, 0))
	}
	if got := m.lastSecond(time.Unix(1001, 0)); got != 3 {
		t.Errorf("lastSecond after the clock was set back = %d, want 3", got)
	}
}

// An abandoned question holds its slot until its late reply, or for a while.
func TestAbandonedQuestionsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newInMemory(t, "192.0.2.1:53", after(time.Second, always(t, nil)))
		s.SetBudget(Azure())
		abandon := func() {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if _, err := s.Exchange(ctx, testQuestion); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Exchange = %v, want %v", err, context.DeadlineExceeded)
			}
		}
		check := func(when string, outstanding, pending int) {
			t.Helper()
			if got := s.Stats(); got.Outstanding != outstanding || got.Pending != pending {
				t.Errorf("%s: Stats() = %+v, want %d outstanding, %d pending", when, got, outstanding, pending)
			}
		}
		abandon()
		check("abandoned", 1, 0)
		elapse(900 * time.Millisecond)
		check("after the late reply", 0, 0)
		m.become(silent)
		m.probed = always(t, nil)
		abandon()
		elapse(abandonedFor - 101*time.Millisecond)
		check("silent", 1, 0)
		elapse(time.Millisecond)
		check("silent for long", 0, 0)
		s.Close()
	})
}

// Every query pays: over TCP, and without EDNS.
func TestEveryQueryPays(t *testing.T) {
	truncate := func(m *dns.Msg) { m.Truncated = true }
	synctest.Test(t, func(t *testing.T) {
		s, _ := newInMemory(t, "192.0.2.1:53", byTransport(always(t, truncate), withoutEDNS(t, rcode(dns.RcodeBadVers))))
		s.SetBudget(Budget{PerSecond: 1000})
		if _, err := s.Exchange(t.Context(), testQuestion); err != nil {
			t.Fatal(err)
		}
		elapse(time.Second)
		if got := s.Stats(); got.PerSecond != 4 {
			t.Errorf("Stats() = %+v, want 4 queries in the last second", got)
		}
		s.Close()
	})
}

// Low priority passes through the whole exchange.
func TestLowPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newInMemory(t, "192.0.2.1:53", always(t, nil))
		s.SetBudget(Budget{PerSecond: 10})
		start := time.Now()
		var group sync.WaitGroup
		for i, ctx := range []context.Context{t.Context(), LowPriority(t.Context()), t.Context()} {
			group.Go(func() {
				q := testQuestion
				q.Type = uint16(1 + i)
				if _, err := s.Exchange(ctx, q); err != nil {
					t.Error(err)
				}
				if want := []time.Duration{0, 211, 105}[i]; time.Since(start).Round(time.Millisecond) != want*time.Millisecond {
					t.Errorf("question %d was answered after %v, want %vms", i, time.Since(start), int(want))
				}
			})
			synctest.Wait()
		}
		if !s.WouldWait() {
			t.Error("WouldWait() = false, want true")
		}
		group.Wait()
		if got := len(m.times(start)); got != 3 {
			t.Errorf("asked %d times, want 3", got)
		}
		if got := s.Stats(); got.Waited != 2 || got.Refused != 0 || got.Waiting != 0 {
			t.Errorf("Stats() = %+v, want 2 waited, none refused", got)
		}
		s.Close()
	})
}
