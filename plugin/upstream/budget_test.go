package upstream

import (
	"testing"
	"time"
)

func TestBudgetPresets(t *testing.T) {
	tests := []struct {
		name        string
		budget      Budget
		rate, burst float64
		slots       int
	}{
		{"none", Budget{}, 0, 1, 0},
		{"azure", Azure(), 950, 20, 190},
		{"resolver", Resolver(), 9500, 200, 0},
		{"small", Budget{PerSecond: 10, Outstanding: 3}, 9.5, 1, 2},
		{"one", Budget{PerSecond: 1, Outstanding: 1}, 0.95, 1, 1},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if b := tc.budget; b.rate() != tc.rate || b.burst() != tc.burst || b.slots() != tc.slots {
				t.Errorf("%+v: rate %v, burst %v, slots %d; want %v, %v, %d", b, b.rate(), b.burst(), b.slots(), tc.rate, tc.burst, tc.slots)
			}
		})
	}
}

// Whoever takes every token as soon as it is there, after any pause, stays within the
// limit in every second.
func TestBucketNeverExceedsTheLimit(t *testing.T) {
	for _, limit := range []int{1, 2, 3, 7, 10, 49, 50, 51, 100, 1000, 10000} {
		b := Budget{PerSecond: limit}
		bucket := bucket{rate: b.rate(), burst: b.burst(), tokens: b.burst(), at: time.Unix(0, 0)}
		var taken []time.Time
		for now := time.Unix(0, 0); now.Before(time.Unix(4, 0)); now = now.Add(100 * time.Microsecond) {
			for bucket.fill(now); bucket.has(0); bucket.take() {
				taken = append(taken, now)
			}
			if now.Equal(time.Unix(2, 0)) {
				now = now.Add(300 * time.Millisecond)
			}
		}
		if most := mostIn(time.Second, taken); most > limit || most < limit*9/10 {
			t.Errorf("limit %d: %d tokens in one second, want at most the limit and 90%% of it at least", limit, most)
		}
	}
}

// mostIn returns the largest number of times within any window of a length, both ends
// included.
func mostIn(window time.Duration, times []time.Time) int {
	most, first := 0, 0
	for i, t := range times {
		for t.Sub(times[first]) > window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func TestBucketUntil(t *testing.T) {
	b := bucket{rate: 100, burst: 2, tokens: 0.5}
	tests := []struct {
		tokens float64
		want   time.Duration
	}{{0.5, 0}, {1, 5 * time.Millisecond}, {2.5, 20 * time.Millisecond}}
	for _, tc := range tests {
		if got := b.until(tc.tokens); got != tc.want {
			t.Errorf("until(%v) = %v, want %v", tc.tokens, got, tc.want)
		}
	}
	b.fill(b.at.Add(time.Hour))
	if b.tokens != 2 {
		t.Errorf("after an hour there are %v tokens, want the burst, 2", b.tokens)
	}
	b.fill(b.at.Add(-time.Hour))
	if b.tokens != 2 {
		t.Errorf("a clock that goes back makes %v tokens, want 2", b.tokens)
	}
}
