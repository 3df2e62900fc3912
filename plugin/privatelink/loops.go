package privatelink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

// loops are the questions that were asked to see whether they come back, and the
// routes on which one did. They are the process's, because a question of the
// configuration before may come back to the one after. They are safe for concurrent
// use; the zero value is ready.
type loops struct {
	mutex  sync.Mutex
	nonces map[string]nonce
	held   map[heldWay]time.Time
	// holding is how many are held back, so that who asks needs no lock while none is.
	holding atomic.Int32
	// found is closed when another way is held back; nil while nobody wants to know.
	found atomic.Pointer[chan struct{}]
}

// heldWay is a group that sends what is below a suffix back to us, and until when
// that is believed. The suffix is that of the route, "." for the root.
type heldWay struct {
	suffix string
	group  string
}

// nonce is one such question.
type nonce struct {
	way      heldWay
	sent     time.Time
	returned bool
	// report is told of a loop that was not known, and who the question came back from.
	report func(from netip.Addr)
}

const (
	// nonceLabel marks the questions of this program. Their first label is 16
	// hexadecimal digits.
	nonceLabel  = "privatelink-dns-loop."
	nonceDigits = 16
	// nonceLife is how late a question may come back.
	nonceLife = 2 * time.Minute
	// heldLife is how long a loop is believed that nothing is heard of any more.
	heldLife = 10 * time.Minute
)

// isNonce reports whether a name is such a question's, of this process or another.
func isNonce(name string) bool {
	return len(name) > nonceDigits && name[nonceDigits] == '.' && strings.HasPrefix(name[nonceDigits+1:], nonceLabel)
}

// newNonce returns a name below a suffix that nobody can guess.
func newNonce(suffix string) string {
	return fmt.Sprintf("%0*x.%s", nonceDigits, rand.Uint64(), nonceLabel) + strings.TrimPrefix(suffix, ".")
}

// send notes that a question leaves, and forgets those that will not come back.
func (l *loops) send(name string, sent nonce) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.nonces == nil {
		l.nonces, l.held = map[string]nonce{}, map[heldWay]time.Time{}
	}
	for old, each := range l.nonces {
		if sent.sent.Sub(each.sent) > nonceLife {
			delete(l.nonces, old)
		}
	}
	l.nonces[name] = sent
}

// caught reports whether a question from a client is one of ours that came back. The
// way it was sent is held back from then on. For any other name it costs next to
// nothing.
func (l *loops) caught(name string, from netip.Addr, now time.Time) bool {
	if !isNonce(name) {
		return false
	}
	sent, ours, known := l.returned(name, now)
	if ours && !known {
		if waiting := l.found.Swap(nil); waiting != nil {
			close(*waiting)
		}
		sent.report(from)
	}
	return ours
}

func (l *loops) returned(name string, now time.Time) (sent nonce, ours, known bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if sent, ours = l.nonces[name]; !ours {
		return sent, false, false
	}
	sent.returned = true
	l.nonces[strings.Clone(name)] = sent
	_, known = l.held[sent.way]
	l.held[sent.way] = now.Add(heldLife)
	l.holding.Store(int32(len(l.held)))
	return sent, true, known
}

// next returns a channel that is closed when another way is held back.
func (l *loops) next() <-chan struct{} {
	for {
		if waiting := l.found.Load(); waiting != nil {
			return *waiting
		}
		fresh := make(chan struct{})
		l.found.CompareAndSwap(nil, &fresh)
	}
}

// count is how many ways are held back.
func (l *loops) count() int { return int(l.holding.Load()) }

// landed takes in that the upstream has replied to a question. It reports whether
// that lifts a way that was held back: the question did not come back before.
func (l *loops) landed(name string) (lifted bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	sent := l.nonces[name]
	if _, held := l.held[sent.way]; !held || sent.returned {
		return false
	}
	delete(l.held, sent.way)
	l.holding.Store(int32(len(l.held)))
	return true
}

// holds reports whether a way is held back.
func (l *loops) holds(way heldWay, now time.Time) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	until, held := l.held[way]
	if held && now.After(until) {
		delete(l.held, way)
		l.holding.Store(int32(len(l.held)))
		return false
	}
	return held
}

// loopError says that a group is not asked because it sends the question back.
type loopError struct {
	suffix string
	group  string
}

// Error names the route's suffix and the group.
func (e *loopError) Error() string {
	return fmt.Sprintf("group %q sends questions below %q back to this server: a forwarding loop", e.group, e.suffix)
}

// heldBack returns a *loopError where a group of the question's route sends it back
// to us. The questions that look for loops always pass: two servers that held them
// back for each other would find none.
func (s *service) heldBack(o *outcome, group *upstream.Group) error {
	if s.loops.holding.Load() == 0 || isNonce(o.query.name) {
		return nil
	}
	suffix := s.routes.suffixOf(o.query.name, o.match)
	if !s.loops.holds(heldWay{suffix, group.Name}, time.Now()) {
		return nil
	}
	return &loopError{suffix: suffix, group: group.Name}
}

// suspectAsker lets a route be probed at once when a server that it asks asks us what
// we are asking it: in a loop, they would wait for each other. On this machine, a
// client has the same address as an upstream without being it.
func (s *service) suspectAsker(o *outcome) {
	if asker := o.query.client.Addr(); !asker.IsLoopback() && asks(o.route.group, asker) {
		s.suspect(o)
	}
}

// asks reports whether an address is that of a server of a group.
func asks(group *upstream.Group, address netip.Addr) bool {
	for server := range group.All() {
		if server.Addr().Addr() == address {
			return true
		}
	}
	return false
}

// waitFor waits for a flight until ctx is done or patience is over, save where that
// leads in a circle: then the error is a *loopError as soon as it is known. A flight
// that has brought an answer already is not waited for.
func (s *service) waitFor(ctx context.Context, o *outcome, joined *flight[*outcome], patience time.Duration) (*outcome, error) {
	if joined.hasLanded() && joined.err == nil && joined.value.answered() {
		return joined.value, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		found := s.loops.next()
		if err := s.waitsForItself(o); err != nil {
			return nil, err
		}
		landed, err := joined.waitUnless(ctx, found)
		if !errors.Is(err, errInterrupted) {
			return landed, err
		}
	}
}

// waitsForItself returns a *loopError where the only group of a question's route is
// held back, or one of its sites, whose question this is.
func (s *service) waitsForItself(o *outcome) error {
	for _, group := range o.route.groups() {
		if o.route.sites != nil && !asks(group, o.query.client.Addr()) {
			continue
		}
		if err := s.heldBack(o, group); err != nil {
			return err
		}
	}
	return nil
}

// refuseLoop answers a question of ours that came back.
func (o *outcome) refuseLoop() bool {
	return o.stop(dns.RcodeRefused, dns.ExtendedErrorCodeOther, "this question was asked by this server: a forwarding loop")
}
