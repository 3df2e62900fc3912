package upstream

import (
	"context"
	"time"

	"github.com/miekg/dns"
)

const (
	// The pause between probes of a server that is down doubles from the least to the
	// most, and each is shortened by up to a quarter at random so that many forwarders
	// do not probe together. The most lets a return be noticed within a second.
	leastPause, mostPause = 100 * time.Millisecond, 900 * time.Millisecond
	// A probe's reply is waited for three times as long as 95 of 100 replies take,
	// within these bounds.
	leastProbe, mostProbe = 600 * time.Millisecond, 2 * time.Second
)

// defaultProbeName is what every caching server can answer by itself (RFC 6761
// section 6.3). The root's name, which others use, has been seen to time out at
// Azure's servers for servers that were well (coredns issue 5028).
const defaultProbeName = "localhost."

// newProbe composes the query of probes. The error wraps ErrQuestion.
func newProbe(name string) (*query, error) {
	q, err := newQuery(Question{Name: name, Type: dns.TypeA, Class: dns.ClassINET})
	if err != nil {
		return nil, err
	}
	q.probe = true
	return q, nil
}

// watch probes a suspected server until it replies, to a probe or to anybody, or is
// closed. There is one such goroutine for a server at most, and none without a
// suspicion.
func (s *Server) watch() {
	pause := leastPause
	for s.troubled() {
		// The first probe decides whether the server is down. From then on the pauses
		// run from start to start, so that waiting for one probe does not delay the next.
		decided := s.probe()
		if s.Health().Down {
			decided = nil
		}
		shortened := pause - time.Duration(s.random()%uint64(pause/4))
		if !s.rest(decided, shortened) {
			return
		}
		pause = min(2*pause, mostPause)
	}
}

// rest waits until a probe is decided, if it is given, and then for the pause, or
// only until the server is heard. It reports false when the server is closed.
func (s *Server) rest(decided <-chan struct{}, pause time.Duration) bool {
	if decided != nil {
		select {
		case <-decided:
		case <-s.heard:
			return true
		case <-s.closing.Done():
			return false
		}
	}
	next := time.NewTimer(pause)
	defer next.Stop()
	select {
	case <-next.C:
	case <-s.heard:
	case <-s.closing.Done():
		return false
	}
	return true
}

// probe asks the probe question over all transports at once. The channel is closed
// when there is a reply, or none to wait for.
func (s *Server) probe() <-chan struct{} {
	decided := make(chan struct{})
	s.background.Go(func() {
		defer close(decided)
		if s.silent() {
			s.confirm()
		}
	})
	return decided
}

// silent asks the probe question and reports whether the server is silent or
// unreachable over every transport. A probe that could not be sent says nothing.
func (s *Server) silent() bool {
	ctx, cancel := context.WithTimeout(s.closing, s.probeTime())
	defer cancel()
	q := s.probeQuery()
	results := make(chan result, len(s.transports))
	for _, t := range s.transports {
		s.background.Go(func() { results <- s.send(ctx, t, q, nil) })
	}
	silent := true
	for range s.transports {
		r := <-results
		if r.replied {
			return false
		}
		silent = silent && unreachable(r.err)
	}
	return silent
}

// probeTime returns how long a probe's reply is waited for.
func (s *Server) probeTime() time.Duration {
	return min(max(3*time.Duration(s.p95.Load()), leastProbe), mostProbe)
}
