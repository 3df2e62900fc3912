package upstream

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// strict is a server that counts what it is sent, in every second and at once.
type strict struct {
	latency time.Duration // until it replies; 0 is never, and it works for 2 s
	respond responder

	mu       sync.Mutex
	arrivals []time.Time
	working  int
	most     int
}

func (s *strict) serve(transport Transport, query []byte, send func([]byte)) {
	s.mu.Lock()
	s.arrivals = append(s.arrivals, time.Now())
	s.working++
	s.most = max(s.most, s.working)
	replies := s.latency > 0
	latency := s.latency
	if !replies {
		latency = 2 * time.Second
	}
	s.mu.Unlock()
	time.AfterFunc(latency, func() {
		s.mu.Lock()
		s.working--
		s.mu.Unlock()
		if replies {
			s.respond(transport, query, send)
		}
	})
}

// check holds the server to Azure's limits.
func (s *strict) check(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	most := mostIn(time.Second, s.arrivals)
	t.Logf("%d queries, at most %d in one second and %d at once", len(s.arrivals), most, s.most)
	if most > 1000 || s.most > 200 {
		t.Errorf("the server had %d queries in one second and %d at once, want at most 1000 and 200", most, s.most)
	}
}

// storm asks a group that many questions each millisecond, each for 4 s, and counts
// the answers by what they came to.
type storm struct {
	mu       sync.Mutex
	answered int
	early    int // refused at once
	failed   int
	group    sync.WaitGroup
}

func (s *storm) blow(t *testing.T, g *Group, perMillisecond int, length time.Duration) {
	t.Helper()
	var group sync.WaitGroup
	for end := time.Now().Add(length); time.Now().Before(end); <-time.After(time.Millisecond) {
		for range perMillisecond {
			group.Go(func() { s.ask(t, g) })
		}
	}
	group.Wait()
}

func (s *storm) ask(t *testing.T, g *Group) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	_, err := g.Exchange(ctx, testQuestion)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.answered++
	case errors.Is(err, ErrOverBudget) && time.Since(start) == 0:
		s.early++
	default:
		s.failed++
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("an answer took %v, want 4s at most", took)
	}
}

// Whatever is asked and however the server behaves, it is never sent more than it
// takes, and hardly less than it could take.
func TestStormStaysWithinTheBudget(t *testing.T) {
	tests := []struct {
		name    string
		latency time.Duration
		least   int // answers a second, in the time of the storm
	}{
		{name: "5 ms", latency: 5 * time.Millisecond, least: 940},
		{name: "400 ms", latency: 400 * time.Millisecond, least: 400},
		{name: "silence"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &strict{latency: tc.latency, respond: always(t, address("10.0.2.4"))}
				g, fakes := testGroup(t, server.serve)
				fakes[0].probed = server.serve
				defer closeAll(g)
				g.Servers[0].SetBudget(Azure())
				var storm storm
				storm.blow(t, g, 20, stormLength)
				t.Logf("answered %d, refused at once %d, failed later %d", storm.answered, storm.early, storm.failed)
				server.check(t)
				if least := tc.least * int(stormLength/time.Second); storm.answered < least {
					t.Errorf("%d questions were answered, want %d at least", storm.answered, least)
				}
			})
		})
	}
}

// A server that was away for a minute, under load all the time, is used to the full
// within a second of its return.
func TestStormReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &strict{respond: always(t, address("10.0.2.4"))}
		g, fakes := testGroup(t, server.serve)
		fakes[0].probed = server.serve
		defer closeAll(g)
		g.Servers[0].SetBudget(Azure())
		var storm storm
		storm.group.Go(func() { storm.blow(t, g, 1, 12*time.Second) })
		elapse(10 * time.Second)
		if !g.Down() {
			t.Error("Down() = false after 10 s of silence")
		}
		server.mu.Lock()
		server.latency = 5 * time.Millisecond
		server.mu.Unlock()
		elapse(time.Second)
		if g.Down() {
			t.Error("Down() = true a second after the return")
		}
		before := storm.answers()
		elapse(900 * time.Millisecond)
		if got := storm.answers() - before; got < 800 {
			t.Errorf("%d answers in 0.9 s after that, want 800 at least", got)
		}
		storm.group.Wait()
		server.check(t)
	})
}

func (s *storm) answers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answered
}
