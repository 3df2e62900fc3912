package upstream

import (
	"testing"
	"time"
)

const ms = time.Millisecond

func TestSteps(t *testing.T) {
	for i := range steps {
		if got := step(upper(i)); got != i {
			t.Errorf("step(upper(%d) = %v) = %d", i, upper(i), got)
		}
		if got := step(upper(i) + 1); got != min(i+1, steps-1) {
			t.Errorf("step(upper(%d) + 1ns) = %d, want %d", i, got, i+1)
		}
	}
	for _, tc := range []struct {
		rtt  time.Duration
		want int
	}{{0, 0}, {-1, 0}, {100 * time.Microsecond, 0}, {time.Hour, steps - 1}} {
		if got := step(tc.rtt); got != tc.want {
			t.Errorf("step(%v) = %d, want %d", tc.rtt, got, tc.want)
		}
	}
}

func TestRoundTrips(t *testing.T) {
	repeat := func(n int, rtt ...time.Duration) (list []time.Duration) {
		for range n {
			list = append(list, rtt...)
		}
		return list
	}
	tests := []struct {
		name          string
		rtts          []time.Duration
		smoothed, p95 time.Duration
	}{
		{"none", nil, 0, 0},
		{"one", repeat(1, 5*ms), 5 * ms, 5656 * time.Microsecond},
		{"two humps", repeat(50, append(repeat(9, ms), 100*ms)...), 17 * ms, 128 * ms},
		{"an outlier in a hundred", append(repeat(100, 5*ms), 2*time.Second), 254 * ms, 5656 * time.Microsecond},
		{"slower for long", append(repeat(600, 5*ms), repeat(600, 400*ms)...), 399 * ms, 512 * ms},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var r roundTrips
			for _, rtt := range tc.rtts {
				r.add(rtt, time.Time{})
			}
			if got := r.smoothed.Truncate(ms); got != tc.smoothed || r.p95() != tc.p95 {
				t.Errorf("smoothed %v, p95 %v; want %v, %v", got, r.p95(), tc.smoothed, tc.p95)
			}
		})
	}
}

// A loser's time counts where it is more than usual, and an old measurement less.
func TestRoundTripsUnfinished(t *testing.T) {
	now := time.Unix(1000, 0)
	var r roundTrips
	r.addAtLeast(time.Second, now)
	if r.smoothed != 0 {
		t.Errorf("smoothed = %v without a reply, want 0", r.smoothed)
	}
	r.add(100*ms, now)
	r.addAtLeast(20*ms, now)
	if r.smoothed != 100*ms {
		t.Errorf("smoothed = %v, want 100ms", r.smoothed)
	}
	r.addAtLeast(180*ms, now)
	if r.smoothed != 110*ms {
		t.Errorf("smoothed = %v, want 110ms", r.smoothed)
	}
	if fresh, old := r.rank(now), r.rank(now.Add(time.Minute)); fresh != 14 || old != 10 {
		t.Errorf("rank = %d, after a minute %d; want 14, 10", fresh, old)
	}
	if got := r.rank(now.Add(time.Hour)); got != 0 {
		t.Errorf("rank after an hour = %d, want 0", got)
	}
}
