package privatelink

import (
	"fmt"
	"strings"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

const (
	// spendingCount is how long the first line about a budget that is spent counts,
	// spendingInterval the time between that and the next ones. As long as that must be
	// without a refusal for the end to be told.
	spendingCount, spendingInterval = 10 * time.Second, time.Minute
)

// spending is what the log was told of a server's budget. The zero value is that of a
// new server.
type spending struct {
	// refused is the server's count at the last look.
	refused uint64
	// untold are the refusals since from, which is zero while the budget suffices.
	untold uint64
	from   time.Time
	// last is when the count was last seen to rise, next when a line may be written.
	last, next time.Time
}

// spent is what a line says of a budget: so many questions that were not sent in a time,
// or none, once it suffices again.
type spent struct {
	unsent uint64
	within time.Duration
}

// see takes in how many questions a server's budget has refused so far, and reports
// whether there is something to tell. What is not sent to a server that is down is not
// its budget's fault, which the same count has.
func (s *spending) see(refused uint64, down bool, now time.Time) (told spent, ok bool) {
	more := refused - s.refused
	s.refused = refused
	if down {
		s.last = now // nobody knows whether it suffices
		return spent{}, false
	}
	if more > 0 {
		s.last = now
		s.untold += more
		if s.from.IsZero() {
			s.from, s.next = now, now.Add(spendingCount)
		}
	}
	switch {
	case s.from.IsZero():
		return spent{}, false
	case s.untold > 0 && !now.Before(s.next):
		told = spent{s.untold, now.Sub(s.from)}
		s.untold, s.from, s.next = 0, now, now.Add(spendingInterval)
		return told, true
	case now.Sub(s.last) >= spendingInterval:
		s.from = time.Time{}
		return spent{}, true
	default:
		return spent{}, false
	}
}

func (s spent) tell(name string, budget upstream.Budget) notice {
	if s.unsent == 0 {
		return notice{text: "the budget of " + name + " suffices again: no question was left unsent for " + rounded(spendingInterval)}
	}
	return notice{true, fmt.Sprintf("the budget of %s%s is spent: %s left unsent in the last %s; privatelink-dns upstreams and report tell who asks",
		name, limitsOf(budget), amount(s.unsent, "question"), rounded(s.within))}
}

// limitsOf tells what a budget allows, in brackets; empty for one that was lifted.
func limitsOf(budget upstream.Budget) string {
	var limits []string
	if budget.PerSecond > 0 {
		limits = append(limits, fmt.Sprintf("%d a second", budget.PerSecond))
	}
	if budget.Outstanding > 0 {
		limits = append(limits, fmt.Sprintf("%d outstanding", budget.Outstanding))
	}
	if len(limits) == 0 {
		return ""
	}
	return " (" + strings.Join(limits, ", ") + ")"
}
