package upstream

import (
	"math/bits"
	"time"
)

const (
	// steps is the number of histogram steps: each is a doubling's half, and 28 of
	// them reach from 1 ms to 16 s.
	steps = 28
	// decayAt is the number of round trips at which all counts are halved, so that the
	// last few hundred decide.
	decayAt = 512
	// freshness is how long a measurement is believed in full. A server that is not
	// asked because it was slow comes back into play by seeming twice as fast after
	// each such time, until it is asked and measured again.
	freshness = 30 * time.Second
)

// roundTrips is what is known of a server's round trips: a value without a clock.
type roundTrips struct {
	// smoothed and variance are the estimates of RFC 6298 section 2, without its
	// bounds; zero before the first measurement.
	smoothed, variance time.Duration
	at                 time.Time // the last measurement
	counts             [steps]uint16
	total              uint16
}

// add takes in a round trip that was measured at a time.
func (r *roundTrips) add(rtt time.Duration, now time.Time) {
	rtt = max(rtt, 1)
	if r.smoothed == 0 {
		r.smoothed, r.variance = rtt, rtt/2
	} else {
		r.variance += ((r.smoothed - rtt).Abs() - r.variance) / 4
		r.smoothed += (rtt - r.smoothed) / 8
	}
	r.at = now
	r.counts[step(rtt)]++
	if r.total++; r.total >= decayAt {
		r.decay()
	}
}

// addAtLeast takes in that a reply had not come after a time, when nobody waited any
// longer. It tells something only where that is longer than usual; without it, a
// server that is always beaten by a hedge would seem as fast as it once was.
func (r *roundTrips) addAtLeast(elapsed time.Duration, now time.Time) {
	if elapsed > r.smoothed && r.smoothed > 0 {
		r.add(elapsed, now)
	}
}

func (r *roundTrips) decay() {
	r.total = 0
	for i := range r.counts {
		r.counts[i] /= 2
		r.total += r.counts[i]
	}
}

// p95 returns a time within which 95 of 100 replies came: the upper bound of its
// step of the histogram, so up to 41% more. It is 0 before the first measurement.
//
// A histogram and not smoothed + 2 × variance, because a resolver's times have two
// humps, cached and not: of 90 replies in 1 ms and 10 in 100 ms the formula makes
// 47 ms, at which one question in ten would be hedged.
func (r *roundTrips) p95() time.Duration {
	if r.total == 0 {
		return 0
	}
	above := int(r.total) / 20 // so many may take longer
	for i := steps - 1; i > 0; i-- {
		if above -= int(r.counts[i]); above < 0 {
			return upper(i)
		}
	}
	return upper(0)
}

// rank orders servers by their latency as far as a difference matters: times within
// a step are equal, and so are all up to 1 ms and no time at all.
func (r *roundTrips) rank(now time.Time) int {
	age := int(now.Sub(r.at) / freshness)
	return max(0, step(r.smoothed)-2*age)
}

// step returns the step of a round trip: 0 up to 1 ms, then two for each doubling.
func step(rtt time.Duration) int {
	ms := uint64(max(rtt, 0)+time.Millisecond-1) / uint64(time.Millisecond)
	if ms <= 1 {
		return 0
	}
	doublings := bits.Len64(ms-1) - 1 // 2^doublings < ms ≤ 2^(doublings+1)
	low := 2*doublings + 1
	if rtt > upper(low) {
		low++
	}
	return min(low, steps-1)
}

// upper returns the longest round trip of a step.
func upper(i int) time.Duration {
	d := time.Millisecond << (i / 2)
	if i%2 == 1 {
		d = d * 1414 / 1000
	}
	return d
}
