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

func (s *Server) isDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.health.down
}

// Suspect has the server probed as if it were silent, for whoever knows that it was
// before this Server was made: Health says that it is suspected until it replies, and
// soon that it is down if it does not. It does nothing where it is suspected already.
func (s *Server) Suspect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.health.suspect() {
		s.startWatch()
	}
}

// departs takes in that a query is sent.
func (s *Server) departs(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.weigh(s.health.sent(now), now)
}

// weigh starts the prober if it is time, and otherwise makes sure that it will be
// started in time where there is evidence: the next query may be long in coming, and
// those who wait for these shall not.
func (s *Server) weigh(probe bool, now time.Time) {
	if probe {
		s.startWatch()
		return
	}
	if s.health.silent < evidence || s.health.suspected || s.closed {
		return
	}
	at := s.health.suspectAt()
	switch {
	case s.alarm == nil:
		s.alarm = time.AfterFunc(at.Sub(now), s.alarmRings)
	case s.alarmAt.IsZero() || at.Before(s.alarmAt):
		s.alarm.Reset(at.Sub(now))
	default:
		return
	}
	s.alarmAt = at
}

// alarmRings looks whether the silence still lasts.
func (s *Server) alarmRings() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.alarmAt = time.Time{}
	s.weigh(s.health.suspectSilence(now), now)
}

// learn takes in what became of a query. Only the first transport's round trips and
// failures count: over TCP it takes longer, and where TCP is blocked the server is
// well. Every reply counts, over whatever transport.
func (s *Server) learn(t transport, q *query, elapsed time.Duration, now time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := t == s.transports[0] && !q.probe
	if err == nil {
		if counts {
			s.health.trips.add(elapsed, now)
			s.p95.Store(int64(s.health.trips.p95()))
		}
		if q.probe && s.health.suspected {
			s.health.cleared = now
		}
		s.relieve(now)
		return
	}
	if counts && s.health.failed(err, elapsed, now) {
		s.startWatch()
	}
}

// hears takes in a reply that nobody waits for any more.
func (s *Server) hears(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.relieve(now)
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
