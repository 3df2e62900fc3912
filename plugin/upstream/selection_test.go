package upstream

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestOrder(t *testing.T) {
	servers := unused(4)
	c := func(i int, edit func(*candidate)) candidate {
		made := candidate{server: servers[i]}
		if edit != nil {
			edit(&made)
		}
		return made
	}
	down := func(c *candidate) { c.down, c.suspected = true, true }
	suspected := func(c *candidate) { c.suspected = true }
	busy := func(c *candidate) { c.busy = true }
	slow := func(c *candidate) { c.rank = 9 }
	backup := func(c *candidate) { c.tier = 1 }
	tests := []struct {
		name string
		in   []candidate
		want string
	}{
		{"as written", []candidate{c(0, nil), c(1, nil), c(2, nil)}, "4 5 6"},
		{"fast first", []candidate{c(0, slow), c(1, nil), c(2, slow)}, "5 4 6"},
		{"busy behind slow", []candidate{c(0, busy), c(1, slow), c(2, nil)}, "6 5 4"},
		{"suspected behind busy", []candidate{c(0, suspected), c(1, busy)}, "5 4"},
		{"down left out", []candidate{c(0, down), c(1, suspected), c(2, backup)}, "5 6"},
		{"tiers in order", []candidate{c(0, slow), c(1, busy), c(2, backup), c(3, suspected)}, "4 5 7 6"},
		{"all down", []candidate{c(0, down), c(1, down), c(2, func(c *candidate) { down(c); backup(c) })}, "4 5 6"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, c := range order(tc.in) {
				got = append(got, strings.TrimPrefix(c.server.addr.Addr().String(), "10.0.0."))
			}
			if got := strings.Join(got, " "); got != tc.want {
				t.Errorf("order = %s, want %s", got, tc.want)
			}
		})
	}
}

func TestScheduleHedges(t *testing.T) {
	tests := []struct {
		name string
		p95  []time.Duration
		want string
	}{
		{"known", []time.Duration{45 * ms, 90 * ms, 0}, "10.0.0.4+0s 10.0.0.5+45ms 10.0.0.6+135ms 10.0.0.4+935ms 10.0.0.5+1.735s 10.0.0.6+2.535s"},
		{"too fast", []time.Duration{ms, ms}, "10.0.0.4+0s 10.0.0.5+20ms 10.0.0.4+820ms 10.0.0.5+1.62s"},
		{"too slow", []time.Duration{3 * time.Second, ms}, "10.0.0.4+0s 10.0.0.5+800ms 10.0.0.4+1.6s 10.0.0.5+2.4s"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			candidates := unknown(unused(len(tc.p95)))
			for i := range candidates {
				candidates[i].p95 = tc.p95[i]
			}
			plan := schedule(nil, candidates)
			if got := joined(plan); got != tc.want {
				t.Errorf("schedule = %s, want %s", got, tc.want)
			}
			for i, a := range plan[:len(candidates)] {
				if want := time.Duration(i) * patience; a.patience != want {
					t.Errorf("patience before %v = %v, want %v", a, a.patience, want)
				}
			}
		})
	}
}

// exchange asks a group within 4 s.
func (g *Group) within4s(t *testing.T) (*Answer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	return g.Exchange(ctx, testQuestion)
}

// A group learns which of its servers is fast, hedges when that one becomes slow, and
// learns that, too.
func TestGroupLearns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := always(t, nil)
		g, fakes := testGroup(t, after(50*ms, answer), after(5*ms, answer))
		defer closeAll(g)
		ask := func(times int) (servers string) {
			for range times {
				got, err := g.within4s(t)
				if err != nil {
					t.Fatal(err)
				}
				servers += strings.TrimPrefix(got.Server.Addr().String(), "10.0.0.")
				elapse(ms)
			}
			return servers
		}
		// Of the second nothing is known, so it is tried when the first has been measured.
		if got, want := ask(30), "4"+strings.Repeat("5", 29); got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
		fakes[1].become(after(400*ms, answer))
		start := time.Now()
		if got := ask(1); got != "4" {
			t.Errorf("answered by %s, want a hedge to 4", got)
		}
		if took := time.Since(start); took != 20*ms+50*ms+ms {
			t.Errorf("the hedged answer took %v, want 70ms", took-ms)
		}
		ask(20)
		if got := ask(5); got != "44444" || g.Servers[1].Health().RTT < 40*ms {
			t.Errorf("asked %s, want 44444: the other one is at %+v", got, g.Servers[1].Health())
		}
	})
}

// A hedge without a token comes with the end of patience, not before, and then waits.
func TestHedgeNeverWaits(t *testing.T) {
	tests := []struct {
		name  string
		busy  bool
		asked []string
	}{
		{"token", false, []string{"500µs,820.5ms", "| 20.5ms"}},
		{"no token", true, []string{"500µs,820.5ms", "| 952."}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answer := always(t, nil)
				g, fakes := testGroup(t, answer, after(950*ms, answer))
				defer closeAll(g)
				if _, err := g.within4s(t); err != nil {
					t.Fatal(err)
				}
				elapse(ms)
				if tc.busy {
					g.Servers[1].SetBudget(Budget{PerSecond: 1})
					_ = askFor(t, g.Servers[1], ms)
				}
				elapse(100 * ms)
				fakes[0].become(silent)
				fakes[1].become(after(950*ms, answer))
				start := time.Now()
				if _, err := g.within4s(t); err != nil {
					t.Error(err)
				}
				if got := asked(fakes, start.Add(-500*time.Microsecond)); !strings.HasPrefix(got, tc.asked[0]) || !strings.Contains(got, tc.asked[1]) {
					t.Errorf("asked half a millisecond after %s, want %s", got, tc.asked)
				}
			})
		})
	}
}

// Down servers are passed over, at once; when all are down they are asked all the
// same; a group is down when all its servers are.
func TestGroupDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, fakes := testGroup(t, silent, silent, always(t, nil))
		defer closeAll(g)
		backup := g.Servers[2]
		g.Servers, g.Backups = g.Servers[:2], [][]*Server{{backup}}
		for _, s := range g.Servers {
			_ = askFor(t, s, time.Second)
		}
		elapse(2 * time.Second)
		if g.Down() {
			t.Error("Down() = true with a backup that was never silent")
		}
		for _, m := range fakes[:2] {
			m.become(silent)
		}
		start := time.Now()
		if got, err := g.within4s(t); err != nil || got.Server != backup.Addr() {
			t.Fatalf("Exchange = %v, %v, want an answer from the backup", got, err)
		}
		synctest.Wait()
		if got, want := asked(fakes, start), " |  | 0s"; got != want {
			t.Errorf("asked at %s, want %s", got, want)
		}
		g.Backups = nil
		if !g.Down() {
			t.Error("Down() = false, want true")
		}
		fakes[1].become(always(t, nil))
		if got, err := g.within4s(t); err != nil || got.Server != g.Servers[1].Addr() {
			t.Fatalf("Exchange = %v, %v, want an answer from the second", got, err)
		}
		if g.Down() || (&Group{}).Down() {
			t.Error("Down() = true after a reply, or without servers")
		}
	})
}

// A spent budget moves a question to another server of the tier, is an attempt's error
// where there is none, and is never a reason to doubt the server.
func TestGroupOverBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := always(t, nil)
		g, _ := testGroup(t, answer, answer)
		defer closeAll(g)
		g.Servers[0].SetBudget(Budget{PerSecond: 1})
		g.Servers[1].SetBudget(Budget{PerSecond: 1})
		for _, want := range []string{"10.0.0.4:53", "10.0.0.5:53"} {
			if g.WouldWait() {
				t.Error("WouldWait() = true, want false")
			}
			if got, err := g.within4s(t); err != nil || got.Server.String() != want || got.Attempts != nil {
				t.Errorf("Exchange = %v, %v, want an answer from %s", got, err, want)
			}
		}
		if !g.WouldWait() || (&Group{}).WouldWait() {
			t.Error("WouldWait() = false, or true without servers")
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 500*ms)
		defer cancel()
		_, err := g.Exchange(ctx, testQuestion)
		if want := `group "corp": 10.0.0.4:53/udp over budget; 10.0.0.5:53/udp over budget`; err == nil || err.Error() != want || !errors.Is(err, ErrOverBudget) {
			t.Errorf("Exchange = %v, want %s", err, want)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("Exchange took %v, want no time", took)
		}
		if _, err := g.within4s(t); err != nil {
			t.Errorf("Exchange = %v, want an answer", err)
		}
		elapse(10 * time.Second)
		checkWell(t, g)
	})
}

func checkWell(t *testing.T, g *Group) {
	t.Helper()
	for _, s := range g.Servers {
		if got := s.Health(); got.Down || got.Suspected {
			t.Errorf("%v: Health() = %+v, want well", s.Addr(), got)
		}
	}
}

// What is sent to a server that is down is little, and the rest is told so at once.
func TestDownServerIsLentLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newInMemory(t, "192.0.2.1:53", silent)
		defer s.Close()
		s.SetBudget(Budget{Outstanding: 8})
		_ = askFor(t, s, time.Second)
		elapse(2 * time.Second)
		if !s.Health().Down {
			t.Fatal("not down")
		}
		go func() { _ = askFor(t, s, 4*time.Second) }()
		synctest.Wait()
		for range 3 {
			_ = askFor(t, s, 2*time.Second) // teaches the pacer how slow it is
		}
		if err := askFor(t, s, 20*ms); !errors.Is(err, ErrDown) || errors.Is(err, ErrOverBudget) {
			t.Errorf("Exchange = %v, want %v", err, ErrDown)
		}
	})
}
