package privatelink

import (
	"sync"
	"time"
)

// successors tells the servers that leave in a reload when the new ones at their
// addresses have begun. CoreDNS starts those in goroutines of their own and does not
// wait: without this the old servers would now and then end a front that the new ones
// are about to serve with, and hand its datagrams to a socket that nobody reads yet. It
// is safe for concurrent use; the zero value is ready.
type successors struct {
	mutex sync.Mutex
	// leaving is how many stanzas are yet to leave in this reload.
	leaving int
	// begun are by CoreDNS's name of the address; each is closed when a server has begun.
	begun map[string]chan struct{}
}

// expect notes that a stanza will leave, because a reload begins.
func (s *successors) expect() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.leaving == 0 {
		s.begun = map[string]chan struct{}{}
	}
	s.leaving++
}

// stay notes that the reload has failed: nobody leaves.
func (s *successors) stay() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.leaving = 0
}

// begin notes that a new server has begun, with a front or without.
func (s *successors) begin(name string) {
	begun := s.at(name)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	select {
	case <-begun:
	default:
		close(begun)
	}
}

// at is what tells that a server has begun at an address.
func (s *successors) at(name string) chan struct{} {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.begun == nil {
		s.begun = map[string]chan struct{}{}
	}
	if s.begun[name] == nil {
		s.begun[name] = make(chan struct{})
	}
	return s.begun[name]
}

// successorTime is how long a new server may take to begin, on a machine that is busy.
// It is all waited for where an address is given up, whose front serves meanwhile.
const successorTime = 2 * time.Second

// leave notes that a stanza leaves, and returns once new servers have begun at its
// addresses: at once where no reload is under way.
func (s *successors) leave(names []string) {
	s.mutex.Lock()
	reloading := s.leaving > 0
	s.leaving = max(0, s.leaving-1)
	s.mutex.Unlock()
	if !reloading {
		return
	}
	timer := time.NewTimer(successorTime)
	defer timer.Stop()
	for _, name := range names {
		select {
		case <-s.at(name):
		case <-timer.C:
			return
		}
	}
}
