package upstream

import (
	"time"
)

// replyTime returns how long a reply takes, for who wants to know whether a query is
// still worth sending: P95, and a little where nothing is known.
func (s *Server) replyTime() time.Duration {
	const least, most = 20 * time.Millisecond, patience
	return min(max(time.Duration(s.p95.Load()), least), most)
}

// candidate returns the server as one of a tier, as it is now.
func (s *Server) candidate(tier int, now time.Time) candidate {
	busy := s.pacer.wouldWait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return candidate{
		server: s, tier: tier, busy: busy,
		suspected: s.health.suspected, down: s.health.down,
		rank: s.health.trips.rank(now), p95: time.Duration(s.p95.Load()),
	}
}

// departs takes in that a query is sent.
func (s *Server) departs(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.health.sent(now) {
		s.startWatch()
	}
}

// learn takes in what became of a query. Only the first transport's round trips and
// failures count: over TCP it takes longer, and where TCP is blocked the server is
// well. Every reply counts, over whatever transport.
func (s *Server) learn(t transport, q query, elapsed time.Duration, now time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := t == s.transports[0] && !q.probe
	if err == nil {
		if counts {
			s.health.trips.add(elapsed, now)
			s.p95.Store(int64(s.health.trips.p95()))
		}
		s.relieve(now)
		return
	}
	if counts && s.health.failed(err, elapsed, now) {
		s.startWatch()
	}
}

// relieve takes in a reply.
func (s *Server) relieve(now time.Time) {
	suspected := s.health.suspected
	if s.health.replied(now) {
		s.pacer.setFailing(false)
	}
	if suspected {
		select {
		case s.heard <- struct{}{}:
		default: // told already
		}
	}
}

// startWatch starts the prober unless it runs.
func (s *Server) startWatch() {
	if s.watching || s.closed {
		return
	}
	s.watching = true
	select {
	case <-s.heard: // of an earlier suspicion
	default:
	}
	s.background.Go(s.watch)
}

// troubled reports whether the server is still suspected. If not, the prober ends.
func (s *Server) troubled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watching = s.health.suspected
	return s.watching
}

// confirm makes a suspected server down.
func (s *Server) confirm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.health.confirm(time.Now()) {
		s.pacer.setFailing(true)
	}
}
