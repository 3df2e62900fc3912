package upstream

import "time"

const (
	// proven is the number of replies in a row that kept to a habit after which one that
	// does not is suspect. Before, it only shows that the server has no such habit.
	proven = 8
	// disproven is the number of replies in a row that did not: the server has changed.
	disproven = 3
	// tryAgain is how long a server without a habit is not tested for it again.
	tryAgain = 10 * time.Minute
)

// habit is what is known of something that a server may do with every reply, and that
// a forger cannot: keep our spelling, give our cookie back. It is a value without a
// clock or lock.
type habit struct {
	kept, broken int       // replies in a row
	until        time.Time // not tested until then
}

// tested reports whether queries are to be such that the habit shows.
func (h *habit) tested(now time.Time) bool { return !now.Before(h.until) }

// judge takes in whether the reply to a query kept to the habit, and reports whether
// the reply may be believed.
func (h *habit) judge(kept bool, now time.Time) bool {
	if kept {
		*h = habit{kept: h.kept + 1}
		return true
	}
	h.broken++
	if h.kept < proven || h.broken >= disproven {
		*h = habit{until: now.Add(tryAgain)}
		return true
	}
	return false
}
