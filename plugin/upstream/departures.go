package upstream

import (
	"math"
	"slices"
	"time"
)

// departureWindow is the time in which no more queries leave than the server takes in
// a second. It is longer than the second by what the network may move arrivals
// together, and shorter than what the steady rate of 95% needs for as many, so that a
// query that leaves late does not make those a second later wait.
const departureWindow = 1040 * time.Millisecond

// leaving stands for the time of a query that has been let go and not yet left.
const leaving = time.Duration(math.MaxInt64)

// departures is when the latest queries really left. The bucket hands out tickets in
// time, but a goroutine may be late between its ticket and its socket, and on a busy
// machine many are late together; this keeps the limit whatever happens in between. A
// query takes the place of the one that was as many queries before it as the limit is,
// and only when that one has been gone for the window: so no window holds more. It is
// a value without a clock; times are counted from any fixed moment.
type departures struct {
	limit int             // 0 for no limit
	times []time.Duration // a ring, which grows to the limit
	next  int             // the place of the oldest once the ring is full
}

// until returns how long it takes until another query may leave after so many that are
// still to leave. While the query whose place it would take has not left itself, that is
// not known, and it is some time after which to ask again.
func (d *departures) until(now time.Duration, ahead int) time.Duration {
	before := len(d.times) + ahead - d.limit
	switch {
	case d.limit == 0 || before < 0:
		return 0
	case before >= len(d.times):
		return time.Millisecond
	}
	oldest := d.times[(d.next+before)%len(d.times)]
	if oldest == leaving {
		return time.Millisecond
	}
	return max(0, oldest+departureWindow-now)
}

// nowhere is the place of a query that is not counted, because there is no limit.
const nowhere = -1

// enter gives a query a place, for which until must have returned 0.
func (d *departures) enter() (place int) {
	switch {
	case d.limit == 0:
		return nowhere
	case len(d.times) < d.limit:
		d.times = append(d.times, leaving)
		return len(d.times) - 1
	}
	place = d.next
	d.times[place] = leaving
	d.next = (d.next + 1) % d.limit
	return place
}

// left takes in that the query in a place has left. A place that was given before the
// limit changed may be another's by now, which then counts as having left later.
func (d *departures) left(place int, now time.Duration) {
	if place < len(d.times) {
		d.times[place] = now
	}
}

// setLimit changes the limit and keeps the latest departures. What is leaving in this
// moment is taken to have left.
func (d *departures) setLimit(limit int, now time.Duration) {
	latest := slices.Concat(d.times[d.next:], d.times[:d.next])
	for i, at := range latest {
		if at == leaving {
			latest[i] = now
		}
	}
	d.limit, d.times, d.next = limit, latest[max(0, len(latest)-limit):], 0
}
