package upstream

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// How long a silence lasts until the server is suspected, and what is no silence.
func TestSilence(t *testing.T) {
	const rtt = 4 * ms // 95 of 100 replies
	tests := []struct {
		name    string
		known   time.Duration   // the round trip of replies so far; 0 is none
		sent    []time.Duration // when queries leave
		replied time.Duration   // when a reply comes; 0 is never
		cleared bool            // a probe was answered at the start
		want    time.Duration
	}{
		{"one query", rtt, at(0), 0, false, suspicion},
		{"four queries", rtt, at(0, 1, 2, 3), 0, false, suspicion},
		{"five", rtt, at(0, 10, 20, 30, 40), 0, false, 40*ms + leastSilence},
		{"more", rtt, at(0, 10, 20, 30, 40, 50, 90), 0, false, 40*ms + leastSilence},
		{"one, then more", rtt, at(0, 300, 300, 300, 310), 0, false, 310*ms + leastSilence},
		{"a slow server", 45 * ms, at(0, 0, 0, 0, 0), 0, false, 3 * 45248 * time.Microsecond},
		{"a very slow server", 500 * ms, at(0, 0, 0, 0, 0), 0, false, suspicion},
		{"never heard", 0, at(0, 0, 0, 0, 0), 0, false, unknownSilence},
		{"one of many answered", rtt, at(0, 10, 20, 30, 40, 60), 50 * ms, false, 60*ms + suspicion},
		{"five after an answer", rtt, at(0, 10, 60, 60, 60, 60, 70), 50 * ms, false, 70*ms + leastSilence},
		{"a probe was answered lately", rtt, at(0, 0, 0, 0, 0), 0, true, suspicion},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var h health
			start := time.Unix(1000, 0)
			for range 100 * min(1, tc.known) {
				h.trips.add(tc.known, start)
			}
			if tc.cleared {
				h.cleared = start
			}
			for _, at := range tc.sent {
				if tc.replied > 0 && at > tc.replied {
					h.replied(start.Add(tc.replied))
					tc.replied = 0
				}
				if h.sent(start.Add(at)) {
					t.Errorf("suspected at %v", at)
				}
			}
			if got := h.suspectAt().Sub(start); got != tc.want {
				t.Errorf("suspected after %v, want %v", got, tc.want)
			}
			if h.suspectSilence(start.Add(tc.want-1)) || !h.suspectSilence(start.Add(tc.want)) {
				t.Errorf("suspectSilence is not true from %v on", tc.want)
			}
		})
	}
}

func at(milliseconds ...int) (list []time.Duration) {
	for _, n := range milliseconds {
		list = append(list, time.Duration(n)*ms)
	}
	return list
}

// askAll asks a server questions at the same time, each for 2 s.
func askAll(t *testing.T, ctx context.Context, s *Server, questions int) (group *sync.WaitGroup) {
	t.Helper()
	group = new(sync.WaitGroup)
	for n := range questions {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			q, _ := numbered(n)
			_, _ = s.Exchange(ctx, q)
		})
	}
	synctest.Wait()
	return group
}

// A server that falls silent under load is suspected soon, without another question,
// and down as soon as a probe has confirmed it. Questions of low priority count.
func TestSilenceUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newInMemory(t, "192.0.2.1:53", after(4*ms, always(t, nil)))
		defer s.Close()
		askAll(t, t.Context(), s, 20).Wait()
		m.become(silent)
		start := time.Now()
		pending := askAll(t, LowPriority(t.Context()), s, evidence)
		elapse(leastSilence - 1)
		if got := s.Health(); got.Suspected {
			t.Errorf("Health() = %+v after %v, want no suspicion", got, time.Since(start))
		}
		elapse(1)
		if got := s.Health(); !got.Suspected || got.Down {
			t.Errorf("Health() = %+v after %v, want suspected, not down", got, time.Since(start))
		}
		elapse(leastProbe)
		if got := s.Health(); !got.Down {
			t.Errorf("Health() = %+v after %v, want down", got, time.Since(start))
		}
		pending.Wait()
	})
}

// A broken name among others is no reason for a suspicion, nor are a few at a time
// worth a probe each.
func TestBrokenNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newInMemory(t, "192.0.2.1:53", after(4*ms, always(t, nil)))
		defer s.Close()
		m.probed = after(4*ms, always(t, nil))
		askAll(t, t.Context(), s, 20).Wait()
		m.become(silent)
		start := time.Now()
		pending := askAll(t, t.Context(), s, 3)
		m.become(after(4*ms, always(t, nil)))
		for range 10 {
			askAll(t, t.Context(), s, 3).Wait()
		}
		pending.Wait()
		if got := m.probeTimes(start); len(got) > 0 {
			t.Errorf("probed at %v, want no probe: others were answered", got)
		}
		m.become(silent)
		start = time.Now()
		for range 20 {
			pending = askAll(t, t.Context(), s, evidence)
			elapse(50 * ms)
		}
		if got := m.probeTimes(start); len(got) == 0 || len(got) > 4 || s.Health().Suspected {
			t.Errorf("probed at %v in a second in which only the probes were answered, want one or two probes", got)
		}
		pending.Wait()
	})
}

// A server that is slower than all who ask it are patient is not silent.
func TestLateRepliesAreHeard(t *testing.T) {
	for _, s := range []struct {
		name string
		open func(testing.TB, responder) (*Server, *inMemory)
	}{
		{"udp", func(tb testing.TB, r responder) (*Server, *inMemory) { return newInMemory(tb, "192.0.2.1:53", r) }},
		{"tcp", overTCP},
	} {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, m := s.open(t, after(60*ms, always(t, nil)))
				defer s.Close()
				start := time.Now()
				for range 100 {
					_ = askFor(t, s, 20*ms)
				}
				if got := m.probeTimes(start); len(got) > 0 || s.Health().Suspected {
					t.Errorf("probed at %v, Health() = %+v; want no suspicion", got, s.Health())
				}
				elapse(time.Second)
			})
		})
	}
}

// What was silent before a restart is suspected at once, and found well or down.
func TestSuspect(t *testing.T) {
	tests := []struct {
		name   string
		probed responder
		down   bool
	}{
		{"still silent", silent, true},
		{"has returned", after(4*ms, always(t, nil)), false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, m := newInMemory(t, "192.0.2.1:53", silent)
				m.probed = tc.probed
				s.Suspect()
				s.Suspect()
				if got := s.Health(); !got.Suspected || got.Down {
					t.Errorf("Health() = %+v, want suspected, not down", got)
				}
				elapse(leastProbe)
				if got := s.Health(); got.Suspected != tc.down || got.Down != tc.down {
					t.Errorf("Health() = %+v after %v, want suspected and down: %v", got, leastProbe, tc.down)
				}
				s.Close()
				s.Suspect()
			})
		})
	}
}

// A reply that ends a suspicion is told, whether or not the server was found down.
func TestReturned(t *testing.T) {
	tests := []struct {
		name         string
		silent, rest time.Duration // a question without a reply, and the time after it
		suspected    bool
		down         bool
	}{
		{"not suspected", suspicion / 2, 0, false, false},
		{"suspected only", suspicion, leastProbe / 2, true, false},
		{"down", suspicion, 2 * leastProbe, true, true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, m := newInMemory(t, "192.0.2.1:53", silent)
				m.probed = silent
				defer s.Close()
				_ = askFor(t, s, tc.silent)
				elapse(tc.rest)
				if got := s.Health(); got.Suspected != tc.suspected || got.Down != tc.down || !got.Returned.IsZero() {
					t.Errorf("Health() = %+v, want suspected: %v, down: %v, not returned", got, tc.suspected, tc.down)
				}
				m.become(always(t, nil))
				var want time.Time
				if tc.suspected {
					want = time.Now()
				}
				for range 3 { // later replies end no suspicion
					if err := askFor(t, s, time.Second); err != nil {
						t.Fatal(err)
					}
					elapse(time.Second)
				}
				if got := s.Health(); !got.Returned.Equal(want) {
					t.Errorf("Health() = %+v, want returned at %v", got, want)
				}
			})
		})
	}
}
