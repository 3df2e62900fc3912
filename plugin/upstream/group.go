package upstream

import (
	"context"
	"errors"

	"github.com/miekg/dns"
)

// Group is a named list of servers that give the same answers. Neither field may
// change while Exchange runs; the servers may be members of other groups, too, and
// are not the group's to close. Otherwise it is safe for concurrent use.
type Group struct {
	// Name is used in errors.
	Name string
	// Servers are asked in this order.
	Servers []*Server
}

// Exchange asks the servers in order until one gives a good answer: rcode NOERROR,
// NXDOMAIN or YXDOMAIN (RFC 6672 section 2.2), with or without records. The next
// server is asked as soon as the one before has failed, by an error or by any other
// rcode, or has been silent for 800 ms (less in a group of more than four); a silent
// one stays pending and may still win. Servers that are silent when all have been
// asked are asked a second time, the last within 3.2 s. When an answer is there, all
// other queries end at once. Exchange waits until ctx is done, so ctx needs a
// deadline, 4 s from the start.
//
// Errors: ErrNoServers and ErrQuestion; ctx.Err() at once when ctx is cancelled; and
// *FailedError as soon as every server has failed, or when ctx's deadline is over.
func (g *Group) Exchange(ctx context.Context, q Question) (*Answer, error) {
	query, err := newQuery(q)
	if err != nil {
		return nil, err
	}
	if len(g.Servers) == 0 {
		return nil, ErrNoServers
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := newRace(query, schedule(g.Servers))
	if answer := r.first(ctx); answer != nil {
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
