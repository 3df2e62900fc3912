package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// askFor asks one question and waits for its answer as long as told.
func askFor(t *testing.T, s *Server, d time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	_, err := s.Exchange(ctx, testQuestion)
	return err
}

func (m *inMemory) probeTimes(start time.Time) []time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []time.Duration
	for _, at := range m.probes {
		list = append(list, at.Sub(start))
	}
	return list
}

// sooner replies over UDP before it does over TCP. A reply to a probe ends the one over
// the other transport.
func sooner(respond responder) responder {
	return byTransport(after(ms, respond), after(2*ms, respond))
}

// What makes a server down, and what does not.
func TestDown(t *testing.T) {
	servfail := always(t, rcode(dns.RcodeServerFailure))
	tests := []struct {
		name            string
		respond, probed responder
		down            bool
		probes          int // queries over both transports in the first 1.8 s, and one with EDNS
	}{
		{"answers", always(t, nil), nil, false, 0},
		{"fails every question", servfail, nil, false, 0},
		{"silent for this name only", silent, sooner(always(t, nil)), false, 3},
		{"silent, probe refused", silent, sooner(always(t, rcode(dns.RcodeRefused))), false, 3},
		{"silent over UDP", silent, byTransport(silent, servfail), false, 2},
		{"silent over TCP", silent, byTransport(after(ms, servfail), silent), false, 3},
		{"silent", silent, silent, true, 4},
		{"silent over UDP, hangs up", silent, byTransport(silent, hangUp), true, 4},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, m := newInMemory(t, "192.0.2.1:53", tc.respond)
				m.probed = tc.probed
				if tc.probed == nil {
					m.probed = silent
				}
				defer s.Close()
				start := time.Now()
				_ = askFor(t, s, time.Second)
				elapse(start.Add(1800 * time.Millisecond).Sub(time.Now()))
				got := s.Health()
				if got.Down != tc.down || got.Suspected != tc.down || got.Since.IsZero() == tc.down {
					t.Errorf("Health() = %+v, want down: %v", got, tc.down)
				}
				if got := m.probeTimes(start); len(got) != tc.probes {
					t.Errorf("probed at %v, want %d queries", got, tc.probes)
				}
			})
		})
	}
}

// A question of a client that is answered meanwhile ends the suspicion, too.
func TestReplyEndsSuspicion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newInMemory(t, "192.0.2.1:53", silent)
		defer s.Close()
		_ = askFor(t, s, time.Second)
		synctest.Wait()
		if !s.Health().Suspected {
			t.Fatal("not suspected after a second of silence")
		}
		m.become(always(t, nil))
		if err := askFor(t, s, time.Second); err != nil {
			t.Fatal(err)
		}
		elapse(10 * time.Second)
		if got := s.Health(); got.Down || got.Suspected || len(m.probes) != 2 {
			t.Errorf("Health() = %+v after %d probe queries, want well after 2", got, len(m.probes))
		}
	})
}

// A return is noticed within a second, whenever it happens, and the pauses vary.
func TestReturnIsNoticed(t *testing.T) {
	for outage := 3 * time.Second; outage < 5*time.Second; outage += 130 * time.Millisecond {
		t.Run(outage.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var back atomic.Bool
				s, m := newInMemory(t, "192.0.2.1:53", silent)
				m.probed = func(transport Transport, query []byte, send func([]byte)) {
					if back.Load() {
						after(5*time.Millisecond, always(t, nil))(transport, query, send)
					}
				}
				defer s.Close()
				start := time.Now()
				_ = askFor(t, s, time.Second)
				elapse(outage)
				if !s.Health().Down {
					t.Fatal("not down")
				}
				back.Store(true)
				for returned := time.Now(); s.Health().Down; elapse(time.Millisecond) {
					if time.Since(returned) > time.Second {
						t.Fatalf("not noticed within a second; probed at %v", m.probeTimes(start))
					}
				}
				if got := s.Health(); got.Suspected || got.Since.IsZero() {
					t.Errorf("Health() = %+v, want well since now", got)
				}
				probes := len(m.probeTimes(start))
				elapse(time.Minute)
				if got := m.probeTimes(start); len(got) != probes {
					t.Errorf("a server that has returned is probed at %v", got)
				}
			})
		})
	}
}

// The pauses between probes grow to 900 ms, shortened by a quarter at most, and a
// probe that cannot be sent says nothing.
func TestProbePauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newInMemory(t, "192.0.2.1:53", silent)
		defer s.Close()
		start := time.Now()
		_ = askFor(t, s, time.Second)
		elapse(30 * time.Second)
		times := m.probeTimes(start)
		for i := 12; i+2 < len(times); i += 2 {
			if pause := times[i+2] - times[i]; pause < mostPause*3/4 || pause > mostPause {
				t.Errorf("a pause of %v, want %v to %v; probed at %v", pause, mostPause*3/4, mostPause, times)
			}
		}
		if n := len(times); n < 60 || n > 100 {
			t.Errorf("%d probe queries in 30 s, want 60 to 100", n)
		}
		if got := s.Stats(); got.Pending != 0 {
			t.Errorf("Stats() = %+v, want no probe among the pending", got)
		}
	})
}

func TestProbeOverBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newInMemory(t, "192.0.2.1:53", silent)
		defer s.Close()
		_ = askFor(t, s, 700*time.Millisecond)
		s.SetBudget(Budget{PerSecond: 1})
		_ = askFor(t, s, time.Millisecond) // nothing left for a probe
		for range 20 {
			elapse(50 * time.Millisecond)
			_ = askFor(t, s, time.Millisecond)
		}
		if got := s.Health(); got.Down {
			t.Errorf("Health() = %+v after %d probe queries, want not down: no probe was sent over both transports", got, len(m.probes))
		}
	})
}

// A silent server is found to be down though it may be sent little, and though everybody
// asks it: probes come first.
func TestDownWithLittleBudget(t *testing.T) {
	for _, tc := range []struct {
		budget Budget
		asks   int // questions each 10 ms
	}{
		{Budget{PerSecond: 20, Outstanding: 50}, 1}, {Budget{PerSecond: 50, Outstanding: 10}, 1}, {Budget{PerSecond: 50, Outstanding: 10}, 3},
		{Budget{PerSecond: 200, Outstanding: 50}, 6}, {Azure(), 40}, {Budget{Outstanding: 10}, 6},
	} {
		t.Run(fmt.Sprintf("%+v, %d", tc.budget, tc.asks), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, m := newInMemory(t, "192.0.2.1:53", silent)
				defer s.Close()
				s.SetBudget(tc.budget)
				_ = askFor(t, s, 700*time.Millisecond)
				var asking sync.WaitGroup
				for range 300 {
					for range tc.asks {
						asking.Go(func() { _ = askFor(t, s, 4*time.Second) })
					}
					elapse(10 * time.Millisecond)
				}
				if got := s.Health(); !got.Down {
					t.Errorf("Health() = %+v after 3.7 s of silence and %d probe queries, want down", got, len(m.probes))
				}
				asking.Wait()
			})
		})
	}
}

func TestUnreachable(t *testing.T) {
	tests := []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("dialling: %w", syscall.ECONNREFUSED), true},
		{syscall.EHOSTUNREACH, true},
		{fmt.Errorf("reading: %w", io.ErrUnexpectedEOF), true},
		{context.DeadlineExceeded, true},
		{os.ErrDeadlineExceeded, true},
		{syscall.EMFILE, false},
		{ErrOverBudget, false},
		{ErrBusy, false},
		{ErrClosed, false},
		{context.Canceled, false},
		{errors.New("other"), false},
	}
	for _, tc := range tests {
		if got := unreachable(tc.err); got != tc.want {
			t.Errorf("unreachable(%v) = %v, want %v", tc.err, got, tc.want)
		}
	}
}

// Real sockets: a port where nobody listens makes a server down at once, and one that
// listens again is up within a second.
func TestDownPort(t *testing.T) {
	s, l := newLoopback(t, always(t, nil))
	l.udp.Close()
	l.tcp.Close()
	ctx := within(t)
	if _, err := s.Exchange(ctx, testQuestion); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("Exchange = %v, want %v", err, syscall.ECONNREFUSED)
	}
	for !s.Health().Down {
		if ctx.Err() != nil {
			t.Fatalf("Health() = %+v, want down", s.Health())
		}
		<-time.After(time.Millisecond)
	}
}
