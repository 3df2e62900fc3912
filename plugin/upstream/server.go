package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Server is one DNS server at one address: its sockets, its budget and its health.
// It is safe for concurrent use, must be made by NewServer or Open and must not be
// copied.
type Server struct {
	addr       netip.AddrPort
	transports []transport // the first is asked first
	udp        *udp        // nil where the server is asked over streams only
	random     func() uint64
	ignored    atomic.Uint64
	pacer      *pacer
	probing    atomic.Pointer[query] // the probe question; what it points to never changes

	closing    context.Context // done when Close has been called
	shut       context.CancelFunc
	background sync.WaitGroup // the prober and its probes
	heard      chan struct{}  // has room for one: a suspicion has ended

	edns edns
	// p95 is health's, to be read with the pacer's lock held, which may be taken with
	// mu held.
	p95 atomic.Int64

	mu       sync.Mutex
	health   health
	watching bool        // the prober runs
	alarm    *time.Timer // nil before the first
	alarmAt  time.Time   // zero where the alarm is not set
	closed   bool
}

// Stats is what a Server does at one moment, and has done since it was made.
type Stats struct {
	// Ignored counts the messages that were no reply to a pending question: late, for
	// another question, or forged.
	Ignored uint64
	// Sockets is the number of open UDP sockets, those included that take no more
	// questions and wait for their last reply.
	Sockets int
	// Pending is the number of questions that wait for a reply over UDP. Neither
	// probes nor questions that have been abandoned are among them.
	Pending int
	// PerSecond is the number of queries sent in the last whole second of the clock.
	PerSecond int
	// Outstanding is the number of queries that count as outstanding at the server.
	// It is always 0 where the budget does not limit them.
	Outstanding int
	// Waiting is the number of queries that wait for the budget.
	Waiting int
	// Waited counts the queries that had to wait for the budget, those included that
	// waited in vain.
	Waited uint64
	// Refused counts the queries that were not sent because of the budget.
	Refused uint64
}

// transport sends a query over one protocol.
type transport interface {
	// exchange returns the bytes of the first message that accepts takes for a reply
	// to q; they belong to the caller. Every other message is counted and passed
	// over. It returns ctx.Err() as soon as ctx is done, context.Canceled as soon as q is
	// lost, and ErrClosed as soon as the transport is closed. It never modifies q, and
	// does not read it after it has returned a reply.
	//
	// t is released once the server cannot be at work on q any more, as far as we can
	// know: with the reply, or with the error. A query that is abandoned because ctx
	// is done is still at work there: t is released by its late reply, or abandonedFor
	// after it was sent. t may be nil.
	exchange(ctx context.Context, q *query, t *ticket) ([]byte, error)
	// protocol is the name by which answers and failures call the transport.
	protocol() Transport
	// close ends every exchange with ErrClosed.
	close()
}

// dialer opens the sockets of both transports, as net.Dialer's DialContext does.
// It is called with a lock held for UDP, where nothing is waited for.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Addr returns the address the server was made with.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// SetBudget changes the server's budget, from now on. What has been sent and who
// waits is kept, so that a changed configuration does not grant a second's queries
// twice.
func (s *Server) SetBudget(b Budget) { s.pacer.set(b) }

// SetProbeName changes the name that the server is probed with, as Options.ProbeName
// says, from the next probe on. The error wraps ErrQuestion, and leaves the name as it
// was.
func (s *Server) SetProbeName(name string) error {
	if name == "" {
		name = defaultProbeName
	}
	probing, err := newProbe(name)
	if err != nil {
		return fmt.Errorf("upstream %s: probe name: %w", s.addr, err)
	}
	s.probing.Store(probing)
	return nil
}

// Stats returns the counts of this moment.
func (s *Server) Stats() Stats {
	stats := Stats{Ignored: s.ignored.Load()}
	if s.udp != nil {
		stats.Sockets, stats.Pending = s.udp.load()
	}
	s.pacer.report(&stats)
	return stats
}

// Health returns what is known of the server at this moment.
func (s *Server) Health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.health.report()
}

// WouldWait reports whether a question would now have to wait for the budget. It is
// true as well where it would be refused.
func (s *Server) WouldWait() bool { return s.pacer.wouldWait() }

// Exchange asks this server: over UDP with EDNS, then over TCP when the reply is
// truncated or not whole, and once more without EDNS when the server does not know
// EDNS (FORMERR or NOTIMP without an OPT record, or BADVERS; RFC 6891 sections 6.1.3
// and 7), which is remembered for some minutes. Over UDP the name is spelled at random
// where the server keeps the spelling; the answer has the question's own. Where the
// server knows cookies, they are used, and a BADCOOKIE is asked once more and then over
// TCP.
// Any reply is an answer, also one with rcode SERVFAIL or REFUSED. One datagram is
// sent; Exchange waits for its reply until ctx is done, so ctx needs a deadline.
//
// Where the budget is spent, a query waits for its turn first, as long as its reply
// can still be expected before ctx's deadline.
//
// Errors: ctx.Err() at once when ctx is done; ErrOverBudget and ErrDown where there
// will be no turn in time, at once where it is foreseen; ErrClosed, ErrBusy, ErrQuestion;
// ErrTruncated and ErrMalformed for what came over TCP; and those of package net,
// among them syscall.ECONNREFUSED as soon as the server's host says that nobody
// listens.
func (s *Server) Exchange(ctx context.Context, q Question) (*Answer, error) {
	query, err := newQuery(q)
	if err != nil {
		return nil, err
	}
	result := s.exchange(ctx, query, nil)
	if result.err != nil {
		return nil, result.err
	}
	return result.answer(s.addr), nil
}

// Close ends every pending question with ErrClosed at once, and so every later one.
// When it returns, all sockets are closed and the server's goroutines have ended. It
// may be called more than once.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	if s.alarm != nil {
		s.alarm.Stop()
	}
	s.mu.Unlock()
	s.shut()
	s.pacer.close()
	for _, t := range s.transports {
		t.close()
	}
	s.background.Wait()
}

// result is what one server, or one query to it, came to.
type result struct {
	msg       *dns.Msg // nil when err is set
	wire      []byte   // what msg was read from, with id 0 and our spelling
	opt       *dns.OPT // of the reply, nil if it had none
	replied   bool     // there was a reply, readable or not
	transport Transport
	rtt       time.Duration
	err       error
}

func (r result) answer(server netip.AddrPort) *Answer {
	return &Answer{Msg: r.msg, Wire: r.wire, Server: server, Transport: r.transport, RTT: r.rtt, EDE: extendedErrors(r.opt)}
}

// exchange is Exchange for a query in wire form. While it waits for the budget,
// waiting, which may be nil, is true.
func (s *Server) exchange(ctx context.Context, q *query, waiting *atomic.Bool) result {
	if s.edns.avoided() || q.again && s.edns.unheard() {
		return s.ask(ctx, q.plain(), waiting)
	}
	r := s.ask(ctx, q, waiting)
	if !r.refusesEDNS() {
		return r
	}
	again := s.ask(ctx, q.plain(), waiting)
	if again.err == nil && again.msg.Rcode != r.msg.Rcode {
		s.edns.avoid()
	}
	return again
}

// ask sends one query over the first transport, UDP nearly always, and over the
// second one where the first brought a reply that is of no use.
func (s *Server) ask(ctx context.Context, q *query, waiting *atomic.Bool) result {
	r := s.askOver(ctx, s.transports[0], q, waiting)
	if s.wantsCookie(r) {
		r = s.askOver(ctx, s.transports[0], q, waiting) // the reply has brought the server's
	}
	if len(s.transports) > 1 && (useless(r.err) || s.wantsCookie(r)) {
		return s.askOver(ctx, s.transports[1], q, waiting)
	}
	return r
}

// wantsCookie reports whether the server does not answer without its cookie. Over TCP
// it does (RFC 7873 section 5.2.3).
func (s *Server) wantsCookie(r result) bool {
	return s.udp != nil && s.udp.cookies.on && r.err == nil && r.msg.Rcode == dns.RcodeBadCookie
}

// useless reports whether a reply came that another transport may better.
func useless(err error) bool {
	return errors.Is(err, ErrTruncated) || errors.Is(err, ErrMalformed) || errors.Is(err, errSuspect)
}

// askOver sends one query, and again where the server has closed the connection before
// it came to it, as servers do with connections that they want to be rid of (RFC 7766
// section 6.2.4): as long as it replies at all on each, or once.
func (s *Server) askOver(ctx context.Context, t transport, q *query, waiting *atomic.Bool) result {
	turnedAway := false
	for tries := 1; ; tries++ {
		r := s.send(ctx, t, q, waiting)
		switch {
		case tries == maxTries:
			return r
		case errors.Is(r.err, errTurnedAway) && !turnedAway:
			turnedAway = true
		case !errors.Is(r.err, errHungUp):
			return r
		}
	}
}

// send sends one query on one transport, when the budget allows it, and reads its
// reply.
func (s *Server) send(ctx context.Context, t transport, q *query, waiting *atomic.Bool) result {
	r := result{transport: t.protocol()}
	class, urgent := priorityOf(ctx, q)
	permit, err := s.pacer.acquire(ctx, class, q, urgent, s.replyTime, waiting)
	if err != nil {
		r.err = s.refusal(err)
		return r
	}
	first := t == s.transports[0]
	permit.server, permit.edns = s, first && q.edns()
	wire, err := t.exchange(ctx, q, permit)
	now := time.Now()
	r.rtt = now.Sub(permit.got()) - permit.lateness()
	r.replied = err == nil
	s.learn(t, q, r.rtt, now, err)
	if err != nil {
		r.err = err
		return r
	}
	if first {
		s.learnEDNS(q.edns())
	}
	binary.BigEndian.PutUint16(wire, 0)
	r.msg, r.opt, r.err = unpack(wire, q)
	if r.err == nil {
		r.wire = wire
	}
	return r
}

// refusal tells a budget that is spent from a server that is down, of which the
// budget lends a few slots only.
func (s *Server) refusal(err error) error {
	if errors.Is(err, ErrOverBudget) && s.Health().Down {
		return ErrDown
	}
	return err
}
