package upstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// overTCP returns a server that is asked over TCP only.
func overTCP(tb testing.TB, respond responder) (*Server, *inMemory) {
	tb.Helper()
	m := &inMemory{respond: respond, probed: always(tb, nil)}
	s, err := open(netip.MustParseAddrPort("192.0.2.1:53"), Options{Transport: TCP}, m.dial, rand.New(rand.NewChaCha8([32]byte{1})).Uint64)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s, m
}

func (m *inMemory) connected() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.streams
}

// Replies come in another order than questions, over one connection.
func TestPipelining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const questions = crowded
		var asked atomic.Int64
		s, m := overTCP(t, func(transport Transport, query []byte, send func([]byte)) {
			delay := time.Duration(questions-asked.Add(1)) * ms
			after(delay, always(t, nil))(transport, query, send)
		})
		start := time.Now()
		var group sync.WaitGroup
		for n := range questions {
			group.Go(func() {
				q, _ := numbered(n)
				answer, err := s.Exchange(t.Context(), q)
				if err != nil || answer.Msg.Question[0].Name != q.Name || answer.Transport != TCP {
					t.Errorf("Exchange(%s) = %v, %v", q.Name, answer, err)
				}
			})
		}
		group.Wait()
		if took := time.Since(start); took != (questions-1)*ms || m.connected() != 1 {
			t.Errorf("%d questions took %v over %d connections, want %v over 1", questions, took, m.connected(), (questions-1)*ms)
		}
		s.Close()
	})
}

// More questions than a connection should have open others, up to a bound.
func TestConnectionsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := overTCP(t, silent)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for range maxStreams * full {
			group.Go(func() {
				if _, err := s.Exchange(ctx, testQuestion); !errors.Is(err, context.Canceled) {
					t.Errorf("Exchange = %v, want %v", err, context.Canceled)
				}
			})
		}
		synctest.Wait()
		if got := m.connected(); got != maxStreams {
			t.Errorf("%d connections, want %d", got, maxStreams)
		}
		if _, err := s.Exchange(ctx, testQuestion); !errors.Is(err, ErrBusy) {
			t.Errorf("Exchange = %v, want %v", err, ErrBusy)
		}
		cancel()
		group.Wait()
		s.Close()
	})
}

// A connection that the server closes costs nothing but another connection. Where that
// brings no reply either, it is a failure.
func TestHangUp(t *testing.T) {
	tests := []struct {
		name    string
		replies int // before the server hangs up, each time
		want    bool
	}{
		{"after a reply", 1, true},
		{"after three", 3, true},
		{"at once", 0, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, m := overTCP(t, always(t, nil))
				m.closeAfter(tc.replies, false)
				if tc.replies == 0 {
					m.become(hangUp)
				}
				for n := range 12 {
					if _, err := s.Exchange(t.Context(), testQuestion); (err == nil) != tc.want {
						t.Fatalf("question %d: Exchange = %v, want success: %v", n, err, tc.want)
					}
				}
				if tc.want && s.Health().Suspected {
					t.Errorf("Health() = %+v, want no suspicion", s.Health())
				}
				if got, want := m.connected(), 12/max(1, tc.replies); tc.want && got != want {
					t.Errorf("%d connections, want %d", got, want)
				}
				s.Close()
			})
		})
	}
}

// A server that closes a new connection instead of replying is asked again once, over
// another one; one that is silent on it is not.
func TestTurnedAway(t *testing.T) {
	tests := []struct {
		name    string
		turns   int64 // how many questions end with the connection
		respond responder
		want    error
		asked   int64
	}{
		{"once", 1, hangUp, nil, 2},
		{"twice", 2, hangUp, errTurnedAway, 2},
		{"silent", 1, silent, os.ErrDeadlineExceeded, 1},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int64
				s, m := overTCP(t, func(transport Transport, query []byte, send func([]byte)) {
					if asked.Add(1) <= tc.turns {
						tc.respond(transport, query, send)
						return
					}
					always(t, nil)(transport, query, send)
				})
				m.probed = silent
				defer s.Close()
				if err := askFor(t, s, 2*streamDead); !errors.Is(err, tc.want) {
					t.Errorf("Exchange = %v, want %v", err, tc.want)
				}
				if got := asked.Load(); got != tc.asked || int64(m.connected()) < got {
					t.Errorf("asked %d times over %d connections, want %d, each over its own", got, m.connected(), tc.asked)
				}
				if got := s.Health().Suspected; got != (tc.want != nil) {
					t.Errorf("suspected: %v after %v", got, tc.want)
				}
			})
		})
	}
}

// An unused connection is closed after a while, and a new one opened when needed.
func TestIdleConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := overTCP(t, always(t, nil))
		for i, pause := range []time.Duration{streamIdle - 1, streamIdle + 1, 0} {
			if err := askFor(t, s, time.Second); err != nil {
				t.Fatal(err)
			}
			if want := []int{1, 1, 2}[i]; m.connected() != want {
				t.Errorf("question %d: %d connections so far, want %d", i, m.connected(), want)
			}
			elapse(pause)
		}
		s.Close()
	})
}

// A connection whose path was cut is given up for a new one, however steadily it is
// used, and is closed.
func TestDeadConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cut atomic.Bool
		s, m := overTCP(t, func(transport Transport, query []byte, send func([]byte)) {
			if !cut.Load() {
				always(t, nil)(transport, query, send)
			}
		})
		m.probed = silent
		if err := askFor(t, s, time.Second); err != nil {
			t.Fatal(err)
		}
		cut.Store(true)
		for range 4 {
			if err := askFor(t, s, time.Second); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Exchange = %v, want %v", err, context.DeadlineExceeded)
			}
		}
		before := m.connected()
		cut.Store(false)
		if err := askFor(t, s, time.Second); err != nil || m.connected() > before+1 || before < 2 {
			t.Errorf("Exchange = %v over connection %d after %d, want an answer over a new one", err, m.connected(), before)
		}
		s.Close()
	})
}

// A question that is abandoned on a connection holds its slot until its late reply.
func TestAbandonedOverTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := overTCP(t, after(time.Second, always(t, nil)))
		s.SetBudget(Azure())
		check := func(when string, want int) {
			t.Helper()
			if got := s.Stats(); got.Outstanding != want {
				t.Errorf("%s: Stats() = %+v, want %d outstanding", when, got, want)
			}
		}
		_ = askFor(t, s, 100*ms)
		check("abandoned", 1)
		elapse(900 * ms)
		check("after the late reply", 0)
		m.become(silent)
		_ = askFor(t, s, 100*ms)
		check("silent", 1)
		elapse(abandonedFor)
		check("silent for long", 0)
		if m.connected() != 1 {
			t.Errorf("%d connections, want 1: an impatient client says nothing about it", m.connected())
		}
		s.Close()
	})
}

func TestConnectingFails(t *testing.T) {
	s, l := newLoopback(t, silent)
	l.tcp.Close()
	over, err := Open(s.Addr(), Options{Transport: TCP})
	if err != nil {
		t.Fatal(err)
	}
	defer over.Close()
	if _, err := over.Exchange(within(t), testQuestion); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Exchange = %v, want %v", err, syscall.ECONNREFUSED)
	}
}
