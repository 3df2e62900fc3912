package azuresim

import (
	"net/netip"
	"testing"
	"time"
)

func machine(address string) account {
	return account{address: netip.MustParseAddr(address)}
}

func TestLimiterRate(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	l := newLimiter(limits{machine: quota{perSecond: 3}}, start)
	a, b := machine("10.1.0.4"), machine("10.1.0.5")
	for _, step := range []struct {
		who  account
		ms   int
		want outcome
	}{
		{a, 0, answered}, {a, 400, answered}, {a, 400, answered},
		{a, 500, droppedRate},
		{b, 500, answered}, // another machine has its own quota
		{a, 999, droppedRate},
		{a, 1000, answered}, // the question of 0 ms has left the window
		{a, 1000, droppedRate},
		{a, 1399, droppedRate},
		{a, 1400, answered}, {a, 1400, answered}, {a, 1400, droppedRate},
		{a, 90000, answered},
		{a, 89000, answered}, // out of order: taken for 90000
		{a, 90000, answered}, {a, 90000, droppedRate},
	} {
		used, got := l.admit(step.who, at(step.ms))
		if got != step.want || (used != nil) != (got == answered) {
			t.Errorf("admit(%v, %d ms) = %v, %v, want %v", step.who.address, step.ms, used != nil, got, step.want)
		}
		if used != nil {
			l.done(used)
		}
	}
	// Within 401 ms to 1400 ms "a" asked eight times, dropped or not.
	if got, want := l.peak(), (peaks{perSecond: 8, outstanding: 1}); got != want {
		t.Errorf("peak() = %+v, want %+v", got, want)
	}
}

func TestLimiterOutstanding(t *testing.T) {
	now := time.Now()
	l := newLimiter(limits{machine: quota{outstanding: 2}}, now)
	first, _ := l.admit(machine("10.1.0.4"), now)
	second, _ := l.admit(machine("10.1.0.4"), now)
	if first == nil || second == nil {
		t.Fatalf("admit() of the first two = %v, %v, want both", first, second)
	}
	if _, got := l.admit(machine("10.1.0.4"), now); got != droppedOutstanding {
		t.Errorf("admit() of the third = %v, want %v", got, droppedOutstanding)
	}
	l.done(first)
	if _, got := l.admit(machine("10.1.0.4"), now); got != answered {
		t.Errorf("admit() after one is done = %v, want %v", got, answered)
	}
	if got := l.peak().outstanding; got != 2 {
		t.Errorf("peak().outstanding = %d, want 2", got)
	}
}

func TestLimiterAzure(t *testing.T) {
	now := time.Now()
	for _, tc := range []struct {
		name string
		who  account
		done bool // whether questions are answered at once
		room int
		want outcome
	}{
		{"machine, answered at once", machine("10.1.0.4"), true, 1000, droppedRate},
		{"machine, not answered", machine("10.1.0.4"), false, 200, droppedOutstanding},
		{"inbound endpoint", account{netip.MustParseAddr("10.1.0.68"), true}, false, 10000, droppedRate},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLimiter(azureLimits(), now)
			for i := range tc.room {
				used, got := l.admit(tc.who, now)
				if got != answered {
					t.Fatalf("admit() number %d = %v, want %v", i+1, got, answered)
				}
				if tc.done {
					l.done(used)
				}
			}
			if _, got := l.admit(tc.who, now); got != tc.want {
				t.Errorf("admit() number %d = %v, want %v", tc.room+1, got, tc.want)
			}
		})
	}
}

func TestLimiterOff(t *testing.T) {
	now := time.Now()
	l := newLimiter(limits{}, now)
	for i := range maxOutstanding {
		if _, got := l.admit(machine("10.1.0.4"), now); got != answered {
			t.Fatalf("admit() number %d = %v, want %v", i+1, got, answered)
		}
	}
	if _, got := l.admit(machine("10.1.0.5"), now); got != droppedOutstanding {
		t.Errorf("admit() beyond the simulator's own bound = %v, want %v", got, droppedOutstanding)
	}
}

func TestLimiterForgets(t *testing.T) {
	start := time.Now()
	l := newLimiter(limits{machine: quota{perSecond: 1}}, start)
	address := netip.MustParseAddr("10.0.0.0")
	for range maxAccounts {
		address = address.Next()
		if used, got := l.admit(account{address: address}, start); got != answered {
			t.Fatalf("admit(%v) = %v, want %v", address, got, answered)
		} else if address != netip.MustParseAddr("10.0.0.1") {
			l.done(used)
		}
	}
	// Everybody asked just now: two more machines must share an account.
	late := start.Add(500 * time.Millisecond)
	used, got := l.admit(machine("10.9.0.1"), late)
	if got != answered {
		t.Errorf("admit(first beyond the bound) = %v, want %v", got, answered)
	}
	l.done(used)
	if _, got := l.admit(machine("10.9.0.2"), late); got != droppedRate {
		t.Errorf("admit(second beyond the bound) = %v, want %v", got, droppedRate)
	}
	// A second later all are forgotten but the one that still waits.
	if _, got := l.admit(machine("10.9.0.3"), start.Add(time.Minute)); got != answered {
		t.Errorf("admit(a minute later) = %v, want %v", got, answered)
	}
	if got := len(l.accounts); got != 2 {
		t.Errorf("accounts a minute later = %d, want 2", got)
	}
	if u := l.accounts[machine("10.0.0.1")]; u == nil || u.outstanding != 1 {
		t.Errorf("account that waits = %v, want it kept", u)
	}
}

// A window must agree with counting the events one by one.
func TestWindow(t *testing.T) {
	var w window
	var events []int64
	at := int64(0)
	dice := newDice(1)
	for range 5000 {
		if dice.hits(70) {
			at += dice.random.Int64N(4)
		}
		if dice.hits(1) {
			at += dice.random.Int64N(1500)
		}
		w.add(at)
		events = append(events, at)
		want := 0
		for _, e := range events {
			if e > at-windowLength {
				want++
			}
		}
		if w.sum != want {
			t.Fatalf("sum at %d ms = %d, want %d", at, w.sum, want)
		}
	}
}
