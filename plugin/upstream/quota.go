package upstream

import (
	"errors"
	"time"
)

const (
	// maxTries bounds how often a question is sent to a server that closes connections
	// with it pending. One is enough for what quota learns; but the question may be the
	// reason.
	maxTries = 8
	// manyStreams is maxStreams for a server with a quota.
	manyStreams = 16
	// quotaLasts is how long a quota is kept to: whoever has closed a connection may just
	// have been restarted.
	quotaLasts = 10 * time.Second
	// lastWords is how long a connection that cannot be written to is still read.
	lastWords = 100 * time.Millisecond
)

// quota is how many questions a connection is given in all. There are servers that close
// each connection after so many replies, one in the worst case, and what else is pending
// would have to be sent again, again and again. The zero value is no limit.
type quota struct {
	questions int
	until     time.Time
}

// at returns the quota in force, 0 for none.
func (q quota) at(now time.Time) int {
	if !now.Before(q.until) {
		return 0
	}
	return q.questions
}

// learn takes in that a connection has ended with an error: where the server has closed
// it with questions pending, it takes no more than it has replied to. One that has replied
// to none may have done so all the same, for a connection that is closed while we send
// loses what was on its way. tcp's lock must be held.
func (t *tcp) learn(s *stream, err error) {
	closed := errors.Is(err, errHungUp) || errors.Is(err, errTurnedAway)
	if !closed || len(s.pending) == 0 || s.asked < 2 {
		return
	}
	now := time.Now()
	questions := max(1, s.replies)
	if known := t.quota.at(now); known > 0 {
		questions = min(questions, known)
	}
	t.quota = quota{questions, now.Add(quotaLasts)}
	for _, other := range append([]*stream(nil), t.streams...) {
		t.keepTo(other, questions)
	}
}

// count takes in that a connection was given a question. tcp's lock must be held.
func (t *tcp) count(s *stream) {
	s.asked++
	t.keepTo(s, t.quota.at(time.Now()))
}

// keepTo takes a connection out of use that has had all it may.
func (t *tcp) keepTo(s *stream, questions int) {
	if questions > 0 && s.asked >= questions {
		t.retire(s)
	}
}

// mayOpen reports whether there is room for another connection: a server with a quota
// needs many at a time, but not one for each question that waits. tcp's lock must be held.
func (t *tcp) mayOpen() bool {
	return t.quota.at(time.Now()) == 0 || t.alive < manyStreams
}

// wake lets those look again who wait for a connection. tcp's lock must be held.
func (t *tcp) wake() {
	close(t.freed)
	t.freed = make(chan struct{})
}
