package upstream

import "time"

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
)

// attempt is one start of a race: this server is asked, delay after the race's
// start if all before it are silent. A failure brings later starts forward; nothing
// delays one.
type attempt struct {
	server *Server
	delay  time.Duration
}

// schedule says when each server is asked: in their order, each when patience with
// the one before is over, and then all once more, because a datagram may have been
// lost. Where there are too many servers for that, the pauses get shorter. Servers
// that have failed meanwhile are passed over by the race, not here.
func schedule(servers []*Server) []attempt {
	n := len(servers)
	plan := make([]attempt, 0, 2*n)
	first := patience
	if n > 1 {
		first = min(patience, lastFirstStart/time.Duration(n-1)).Truncate(time.Millisecond)
	}
	var at time.Duration
	for i, s := range servers {
		if i > 0 {
			at += first
		}
		plan = append(plan, attempt{s, at})
	}
	if n == 0 {
		return plan
	}
	again := min(patience, (lastStart-at)/time.Duration(n)).Truncate(time.Millisecond)
	for _, s := range servers {
		at += again
		plan = append(plan, attempt{s, at})
	}
	return plan
}
