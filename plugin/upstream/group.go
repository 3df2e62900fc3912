package upstream

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Group is a named list of servers that give the same answers. No field may change
// while a method runs; the servers may be members of other groups, too, and are not
// the group's to close. Otherwise it is safe for concurrent use.
type Group struct {
	// Name is used in errors.
	Name string
	// Servers are asked first, the fastest of them before the others. Where no
	// difference is known, they are asked in this order.
	Servers []*Server
	// Backups are further tiers, in order. The servers of a tier are asked when all of
	// those before are down, have failed, or are silent for too long.
	Backups [][]*Server

	races sync.Pool // of *race, to be used again
}

// All yields the servers of all tiers, in order.
func (g *Group) All() iter.Seq[*Server] {
	return func(yield func(*Server) bool) {
		for _, s := range g.Servers {
			if !yield(s) {
				return
			}
		}
		for _, tier := range g.Backups {
			for _, s := range tier {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// Down reports whether all servers are down. It is false for a group without servers.
func (g *Group) Down() bool {
	exists := false
	for s := range g.All() {
		if !s.isDown() {
			return false
		}
		exists = true
	}
	return exists
}

// WouldWait reports whether a question would now have to wait for a budget: no server
// of the first tier that is not wholly down could be asked at once. Whoever has a
// stale answer at hand gives that one instead. It is false for a group without
// servers.
func (g *Group) WouldWait() bool {
	candidates := order(g.candidates(nil, time.Now()))
	return len(candidates) > 0 && !slices.ContainsFunc(candidates, func(c candidate) bool {
		return c.tier == candidates[0].tier && !c.busy
	})
}

// candidates appends all servers with their state to an empty list.
func (g *Group) candidates(list []candidate, now time.Time) []candidate {
	for _, s := range g.Servers {
		list = append(list, s.candidate(0, now))
	}
	for i, tier := range g.Backups {
		for _, s := range tier {
			list = append(list, s.candidate(1+i, now))
		}
	}
	return list
}

// plan appends when each server is asked to an empty plan.
func (g *Group) plan(plan []attempt, now time.Time) []attempt {
	var room [4]candidate
	if len(g.Servers) == 1 && len(g.Backups) == 0 {
		// Whatever its state, there is nobody else to ask.
		room[0].server = g.Servers[0]
		return schedule(plan, room[:1])
	}
	return schedule(plan, order(g.candidates(room[:0], now)))
}

// Exchange asks the servers in turn until one gives a good answer: rcode NOERROR,
// NXDOMAIN or YXDOMAIN (RFC 6672 section 2.2), with or without records. The next
// server is asked as soon as the one before has failed, by an error or by any other
// rcode, or has been silent for longer than 95 of 100 of its replies took, 20 ms at
// least and 800 ms at most (less in a group of more than four). The first of another
// tier is asked when all before it have failed, or when the latest of them has been
// silent for the most. A silent one stays
// pending and may still win. Servers that are silent when all have been asked are
// asked a second time, the last within 3.2 s; without EDNS where a server has never
// replied to it (RFC 6891 section 6.2.2). When an answer is there, all other
// queries end at once. Exchange waits until ctx is done, so ctx needs a deadline, 4 s
// from the start.
//
// Servers that are down are passed over, unless all are. A server whose budget is
// spent is asked after the others of its tier; a hedge never waits for a budget.
//
// Errors: ErrNoServers and ErrQuestion; ctx.Err() at once when ctx is cancelled; and
// *FailedError as soon as every server has failed, or when ctx's deadline is over.
func (g *Group) Exchange(ctx context.Context, q Question) (*Answer, error) {
	r, _ := g.races.Get().(*race)
	if r == nil {
		r = newRace()
	}
	if err := r.query.compose(q); err != nil {
		return nil, err
	}
	now := time.Now()
	if r.plan = g.plan(r.planned[:0], now); len(r.plan) == 0 {
		return nil, ErrNoServers
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if answer := r.first(ctx, now); answer != nil {
		if r.reset() {
			g.races.Put(r)
		}
		return answer, nil
	}
	if err := ctx.Err(); errors.Is(err, context.Canceled) {
		return nil, err
	}
	return nil, &FailedError{Group: g.Name, Attempts: r.attempts(nobody)}
}

// good reports whether a reply is an answer that no other server would better.
func (r result) good() bool {
	if r.err != nil {
		return false
	}
	switch r.msg.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeYXDomain:
		return true
	default:
		return false
	}
}
