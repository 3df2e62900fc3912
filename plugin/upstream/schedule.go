package upstream

import (
	"cmp"
	"slices"
	"time"
)

const (
	// patience is how long a server may be silent before the next one is asked too. A
	// recursive server replies to nearly all questions sooner, those included that it
	// has to ask others about; and two servers can be asked twice by lastStart.
	patience = 800 * time.Millisecond
	// lastFirstStart and lastStart bound when a server is asked for the first and for
	// the second time. Clients wait 5 s and our reply leaves within 4 s, so whoever is
	// asked after 3.2 s has no patience left to reply in.
	lastFirstStart = 2400 * time.Millisecond
	lastStart      = 3200 * time.Millisecond
	// leastHedge keeps small jitter from asking everything twice.
	leastHedge = 20 * time.Millisecond
)

// candidate is a server with what decides about its place, at one moment.
type candidate struct {
	server *Server
	// tier is 0 for the servers that are asked first.
	tier int
	// suspected and down are those of Health.
	suspected, down bool
	// busy says that the question would have to wait for the budget.
	busy bool
	// rank orders by latency: equal ones are kept in the order in which they are
	// written.
	rank int
	// p95 is 0 where no reply has been seen.
	p95 time.Duration
}

// order puts candidates into the order in which they are asked. Those that are down
// are left out, unless all are: then one may return in this moment, and asking them
// costs nothing that could be spent better. Tiers come in order. Inside a tier,
// whoever seems to be silent comes last, before it those that would make us wait, and
// among the others the fastest comes first. The list is reordered in place.
func order(candidates []candidate) []candidate {
	if !slices.ContainsFunc(candidates, func(c candidate) bool { return !c.down }) {
		return candidates
	}
	up := slices.DeleteFunc(candidates, func(c candidate) bool { return c.down })
	slices.SortStableFunc(up, before)
	return up
}

// before compares the places of two candidates.
func before(a, b candidate) int {
	return cmp.Or(
		cmp.Compare(a.tier, b.tier),
		falseFirst(a.suspected, b.suspected),
		falseFirst(a.busy, b.busy),
		cmp.Compare(a.rank, b.rank),
	)
}

func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// attempt is one start of a race: this server is asked, delay after the race's
// start if all before it are silent. A failure brings later starts forward. Only a
// spent budget delays one, until patience after the race's start; where patience is
// not above delay, nothing does.
type attempt struct {
	server          *Server
	delay, patience time.Duration
	// reserve says that the server is the first of a further tier.
	reserve bool
}

// schedule says when each server is asked: in their order, each when the one before
// has taken longer than 95 of 100 of its replies - or patience with it is over, where
// that is sooner or another tier begins - and then all once more, because a datagram may have been lost.
// Where there are too many servers for that, the pauses get shorter. Servers that
// have failed meanwhile are passed over by the race, not here. The plan is appended to
// an empty one.
func schedule(plan []attempt, candidates []candidate) []attempt {
	n := len(candidates)
	first := patience
	if n > 1 {
		first = min(patience, lastFirstStart/time.Duration(n-1)).Truncate(time.Millisecond)
	}
	var at time.Duration
	for i, c := range candidates {
		if i > 0 && c.tier == candidates[i-1].tier {
			at += hedge(candidates[i-1], first)
		} else if i > 0 {
			at += first // a tier is a reserve: one slow reply is no reason to ask it
		}
		reserve := i > 0 && c.tier != candidates[i-1].tier
		plan = append(plan, attempt{c.server, at, time.Duration(i) * first, reserve})
	}
	if n == 0 {
		return plan
	}
	again := min(patience, (lastStart-at)/time.Duration(n)).Truncate(time.Millisecond)
	for _, c := range candidates {
		at += again
		plan = append(plan, attempt{c.server, at, at, false})
	}
	return plan
}

// hedge returns how long a server may be silent before the next one is asked.
func hedge(c candidate, patience time.Duration) time.Duration {
	if c.p95 == 0 {
		return patience
	}
	return min(max(c.p95, leastHedge), patience)
}
