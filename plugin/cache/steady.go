package cache

import "time"

// began is where the steady clock begins. It never changes.
var began = time.Now()

// steady returns a time on the clock that entries live by, in nanoseconds since 1970: what
// the wall clock would show had nobody set it since the process began. A time without a
// monotonic reading is taken at its word.
func steady(t time.Time) int64 { return began.UnixNano() + int64(t.Sub(began)) }

// moment is the time that steady reads so, with a monotonic reading: differences to other
// times of this process are right whatever the wall clock shows.
func moment(nanoseconds int64) time.Time {
	return began.Add(time.Duration(nanoseconds - began.UnixNano()))
}

// wallShift is by how many nanoseconds the wall clock was set ahead since the process
// began. Snapshots have times of the wall clock, which another process can read.
func wallShift(now time.Time) int64 { return now.UnixNano() - steady(now) }
