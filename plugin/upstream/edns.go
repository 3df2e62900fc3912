package upstream

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// withoutEDNSFor is how long a server that does not know EDNS is asked without it. It
// is a server of long ago, or one behind a firewall that will be repaired.
const withoutEDNSFor = 5 * time.Minute

// edns is what is known of how a server takes queries with EDNS: it replies, it says
// that it does not know EDNS, or, in the way of a few servers and of firewalls, it is
// silent (RFC 6891 section 6.2.2). Silence counts only until the first reply to such a
// query: from then on there are likelier reasons for it.
type edns struct {
	heard   atomic.Bool // a query with EDNS has had a reply, whatever it said
	testing atomic.Bool // testEDNS runs
	// avoidAll is until when no query has EDNS. It keeps its monotonic reading.
	avoidAll atomic.Pointer[time.Time]
}

// avoided reports whether queries go without EDNS now.
func (e *edns) avoided() bool {
	until := e.avoidAll.Load()
	return until != nil && time.Now().Before(*until)
}

// avoid has queries go without EDNS for a while.
func (e *edns) avoid() {
	until := time.Now().Add(withoutEDNSFor)
	e.avoidAll.Store(&until)
}

// unheard reports whether the server has never replied to a query with EDNS.
func (e *edns) unheard() bool { return !e.heard.Load() }

// learnEDNS takes in a reply over the first transport to a query with or without EDNS.
// Where only queries without have replies, it is tested whether that is because of EDNS:
// it may as well be that the first question took long, or that its datagram was lost.
func (s *Server) learnEDNS(with bool) {
	switch {
	case with && s.edns.unheard():
		s.edns.heard.Store(true)
		s.edns.avoidAll.Store(nil)
	case !with && s.edns.unheard() && !s.edns.avoided() && s.edns.testing.CompareAndSwap(false, true):
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			s.background.Go(s.testEDNS)
		}
	}
}

// testEDNS asks the probe question with EDNS. Where that remains without a reply,
// queries go without EDNS for a while.
func (s *Server) testEDNS() {
	defer s.edns.testing.Store(false)
	ctx, cancel := context.WithTimeout(s.closing, s.probeTime())
	defer cancel()
	r := s.send(ctx, s.transports[0], s.probing.Load(), nil)
	if s.edns.unheard() && unreachable(r.err) {
		s.edns.avoid()
	}
}

// probeQuery returns the query of a probe. A server that has never replied to EDNS is
// probed without, so that it is not taken for down because of that.
func (s *Server) probeQuery() *query {
	if s.edns.unheard() || s.edns.avoided() {
		return s.probing.Load().plain()
	}
	return s.probing.Load()
}

// refusesEDNS reports whether the server has to be asked again without EDNS. A
// FORMERR or NOTIMP with an OPT record is about the question, not about EDNS.
func (r result) refusesEDNS() bool {
	if r.err != nil {
		return false
	}
	switch r.msg.Rcode {
	case dns.RcodeBadVers:
		return true
	case dns.RcodeFormatError, dns.RcodeNotImplemented:
		return r.opt == nil
	default:
		return false
	}
}
