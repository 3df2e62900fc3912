package upstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// However late queries leave after they were let go, and in whatever order, no window
// holds more than the limit.
func TestDeparturesKeepTheLimit(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, limit := range []int{1, 2, 7, 50, 1000} {
		d := departures{limit: limit}
		var really []time.Time
		pending := map[int]time.Duration{} // when the query in a place leaves
		for now := time.Duration(0); now < 5*time.Second; now += 500 * time.Microsecond {
			for place, at := range pending {
				if at <= now {
					d.left(place, now)
					really = append(really, time.Unix(0, 0).Add(now))
					delete(pending, place)
				}
			}
			for d.until(now, 0) == 0 {
				pending[d.enter()] = now + time.Duration(random.ExpFloat64()*float64(30*time.Millisecond))
			}
		}
		if most := mostIn(departureWindow-1, really); most > limit || len(really) < 3*limit {
			t.Errorf("limit %d: %d left, %d of them in one window", limit, len(really), most)
		}
	}
}

// A changed limit counts what has left before it.
func TestDeparturesSetLimit(t *testing.T) {
	d := departures{limit: 3}
	for i := range 5 {
		d.left(d.enter(), time.Duration(i)*ms)
	}
	d.enter() // leaving
	d.setLimit(2, 9*ms)
	if got := d.until(10*ms, 0); got != departureWindow-6*ms {
		t.Errorf("with a smaller limit the next waits %v, want %v", got, departureWindow-6*ms)
	}
	d.setLimit(3, 9*ms)
	d.left(d.enter(), 11*ms)
	if got := d.until(12*ms, 0); got != departureWindow-8*ms {
		t.Errorf("with a larger limit the next waits %v, want %v", got, departureWindow-8*ms)
	}
	d.left(7, 11*ms)
	d.setLimit(0, 12*ms)
	if got := d.until(12*ms, 0); got != 0 || d.enter() != nowhere {
		t.Errorf("without a limit the next waits %v", got)
	}
}

// Goroutines that are late between their ticket and their socket, all together once in
// a while as on a machine that is too busy, exceed no limit, and hardly waste any.
func TestLateGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(Azure())
		const stall, length = 80 * ms, 5 * time.Second
		start := time.Now()
		var mu sync.Mutex
		var left []time.Time
		var group sync.WaitGroup
		for range 8 { // each has several on the way, 190 together
			for range 20 {
				group.Go(func() {
					for time.Since(start) < length {
						ticket, err := p.acquire(t.Context(), client, new(query), nil, noReserve, nil)
						if err != nil {
							t.Error(err)
							return
						}
						// The processor comes back for all in the same moment.
						if into := time.Since(start) % (7 * stall / 2); into < stall {
							<-time.After(stall - into)
						}
						if err := ticket.depart(t.Context(), nil); err != nil {
							t.Error(err)
						}
						mu.Lock()
						left = append(left, time.Now())
						mu.Unlock()
						ticket.left()
						ticket.release()
					}
				})
			}
		}
		group.Wait()
		if most := mostIn(departureWindow-1, left); most > 1000 || len(left) < 4500 {
			t.Errorf("%d queries left in %v, at most %d in %v; want at least 4500 and at most 1000", len(left), length, most, departureWindow)
		}
	})
}

// Whoever has a ticket may leave at once while nobody is late: where many wait, they do
// it before their ticket, in their order, and who asks whether to wait is told so.
func TestTicketsThatMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(Azure())
		start := time.Now()
		const number = 3000
		var left [number]time.Time
		for i := range left {
			go func() {
				ticket, err := p.acquire(t.Context(), client, new(query), nil, noReserve, nil)
				if err != nil {
					t.Error(err)
					return
				}
				defer ticket.release()
				granted := time.Now()
				if err := ticket.depart(t.Context(), nil); err != nil || time.Now() != granted {
					t.Errorf("query %d left %v after its ticket, error %v", i, time.Since(granted), err)
				}
				left[i] = granted
				ticket.left()
			}()
			synctest.Wait() // each comes after the one before
		}
		if !p.wouldWait() {
			t.Errorf("nobody would wait behind %d others", number)
		}
		time.Sleep(longestWait)
		synctest.Wait()
		if !slices.IsSortedFunc(left[:], time.Time.Compare) || left[number-1].Sub(start) > longestWait {
			t.Errorf("%d queries left by %v, out of their order", number, left[number-1].Sub(start))
		}
	})
}

func noReserve() time.Duration { return 0 }

// slowConn is a socket on which a write takes its time, and is done at the end of it.
type slowConn struct {
	net.Conn
	delay func() time.Duration
	left  func()
}

func (c slowConn) Write(b []byte) (int, error) {
	<-time.After(c.delay())
	c.left()
	return c.Conn.Write(b)
}

// The same from the question to the socket: what counts is when a write is done.
func TestLateWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &inMemory{respond: always(t, nil), probed: always(t, nil)}
		var mu sync.Mutex
		var left []time.Time
		random := rand.New(rand.NewPCG(1, 2))
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := m.dial(ctx, network, address)
			return slowConn{
				conn,
				func() time.Duration {
					mu.Lock()
					defer mu.Unlock()
					return time.Duration(random.Int64N(int64(60 * ms)))
				},
				func() { mu.Lock(); left = append(left, time.Now()); mu.Unlock() },
			}, err
		}
		s := newServer(netip.MustParseAddrPort("192.0.2.1:53"), dial, rand.Uint64)
		defer s.Close()
		s.SetBudget(Azure())
		g := &Group{Name: "corp", Servers: []*Server{s}}
		var storm storm
		storm.blow(t, g, 1, 3*time.Second)
		if most := mostIn(departureWindow-1, left); most > 1000 || storm.answered < 2700 {
			t.Errorf("%d answers, at most %d queries left in %v, want at least 2700 and at most 1000", storm.answered, most, departureWindow)
		}
	})
}

// Who does not send returns the token with the slot; who has sent, the slot only.
func TestUnusedTicket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(Budget{PerSecond: 10, Outstanding: 10})
		take := func() *ticket {
			ticket, err := p.acquire(t.Context(), client, new(query), nil, noReserve, nil)
			if err != nil {
				t.Fatal(err)
			}
			return ticket
		}
		for range 3 {
			unused := take()
			unused.release()
			unused.release()
			if err := unused.depart(t.Context(), nil); !errors.Is(err, errReturned) {
				t.Errorf("depart after release = %v, want %v", err, errReturned)
			}
		}
		if p.wouldWait() || outstanding(p) != 0 {
			t.Errorf("unused tickets cost a token, or one of %d slots", outstanding(p))
		}
		used := take()
		if err := used.depart(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		used.left()
		used.release()
		if !p.wouldWait() || outstanding(p) != 0 {
			t.Errorf("a used ticket did not cost its token, or holds one of %d slots", outstanding(p))
		}
		elapse(time.Second)
		if got := p.meter.lastSecond(time.Now()); got != 1 {
			t.Errorf("%d queries were counted, want 1", got)
		}
	})
}

// Whoever is kept from leaving may give up, and is not the last one for that.
func TestKeptFromLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(Budget{PerSecond: 1})
		start := time.Now()
		depart := func(within time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			ticket := &ticket{pacer: p} // without a token: the last resort is tested
			defer ticket.release()
			if err := ticket.depart(ctx, nil); err != nil {
				return err
			}
			ticket.left()
			return nil
		}
		var got []error
		for _, within := range []time.Duration{time.Second, time.Second, time.Second} {
			got = append(got, depart(within))
		}
		if want := []error{nil, context.DeadlineExceeded, nil}; !slices.Equal(got, want) {
			t.Errorf("depart = %v, want %v", got, want)
		}
		if took := time.Since(start); took != departureWindow {
			t.Errorf("the second departure came after %v, want %v", took, departureWindow)
		}
		time.AfterFunc(ms, p.close)
		if err := depart(time.Second); !errors.Is(err, ErrClosed) {
			t.Errorf("depart from a pacer that is closed = %v, want %v", err, ErrClosed)
		}
	})
}

// A question that is abandoned while its connection is being opened was never sent.
func TestAbandonedWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &inMemory{respond: always(t, nil), probed: always(t, nil)}
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			<-time.After(500 * ms)
			return m.dial(ctx, network, address)
		}
		s, err := open(netip.MustParseAddrPort("192.0.2.1:53"), Options{Transport: TCP}, dial, rand.Uint64)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		s.SetBudget(Budget{PerSecond: 10, Outstanding: 10})
		if err := askFor(t, s, 100*ms); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Exchange = %v, want %v", err, context.DeadlineExceeded)
		}
		if got := s.Stats(); got.Outstanding != 0 || s.WouldWait() {
			t.Errorf("Stats() = %+v, want nothing outstanding and a token", got)
		}
		start := time.Now()
		if err := askFor(t, s, time.Second); err != nil || time.Since(start) != 400*ms {
			t.Errorf("Exchange = %v after %v, want an answer when the connection is there", err, time.Since(start))
		}
		if got := m.times(start); len(got) != 1 {
			t.Errorf("asked at %v, want once", got)
		}
	})
}
