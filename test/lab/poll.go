//go:build linux

package lab

import "time"

// pollInterval is for what no event tells of: a line in the file of a query
// log, a record leaving another program's cache. It is short beside the whole
// seconds in which such things happen, and long beside the cost of a look.
const pollInterval = 25 * time.Millisecond

// Eventually looks until a condition holds, and reports whether it did within
// the limit. It looks at least twice: at the beginning and at the end.
func Eventually(limit time.Duration, condition func() bool) bool {
	end := time.NewTimer(limit)
	defer end.Stop()
	next := time.NewTicker(pollInterval)
	defer next.Stop()
	for {
		if condition() {
			return true
		}
		select {
		case <-next.C:
		case <-end.C:
			return condition()
		}
	}
}
