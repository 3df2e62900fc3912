package upstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Server is one DNS server at one address, asked over UDP and TCP. It is safe for
// concurrent use, must be made by NewServer and must not be copied.
type Server struct {
	addr    netip.AddrPort
	udp     *udp
	tcp     *tcp
	ignored atomic.Uint64
}

// Stats is what a Server does at one moment.
type Stats struct {
	// Ignored counts, since the server was made, the messages that were no reply to
	// a pending question: late, for another question, or forged.
	Ignored uint64
	// Sockets is the number of open UDP sockets, those included that take no more
	// questions and wait for their last reply.
	Sockets int
	// Pending is the number of questions that wait for a reply over UDP.
	Pending int
}

// transport sends a query over one protocol.
type transport interface {
	// exchange returns the bytes of the first message that accepts takes for a reply
	// to q; they belong to the caller. Every other message is counted and passed
	// over. It returns ctx.Err() as soon as ctx is done, ErrClosed as soon as the
	// transport is closed, and never modifies q.
	exchange(ctx context.Context, q query) ([]byte, error)
	// protocol is the name by which answers and failures call the transport.
	protocol() Transport
	// close ends every exchange with ErrClosed.
	close()
}

// dialer opens the sockets of both transports, as net.Dialer's DialContext does.
// It is called with a lock held for UDP, where nothing is waited for.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// NewServer returns the server at addr. It opens nothing: sockets come with the
// first question, and go when they have not been used for a while. Close releases
// what is left.
func NewServer(addr netip.AddrPort) *Server {
	var d net.Dialer
	// The generator behind rand.Uint64 is ChaCha8, seeded by the operating system
	// and not seedable from outside: ids and ports cannot be foretold from others.
	return newServer(addr, d.DialContext, rand.Uint64)
}

func newServer(addr netip.AddrPort, dial dialer, random func() uint64) *Server {
	s := &Server{addr: addr}
	s.udp = newUDP(addr.String(), dial, random, &s.ignored)
	s.tcp = newTCP(addr.String(), dial, random, &s.ignored)
	return s
}

// Addr returns the address the server was made with.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Stats returns the counts of this moment.
func (s *Server) Stats() Stats {
	sockets, pending := s.udp.load()
	return Stats{Ignored: s.ignored.Load(), Sockets: sockets, Pending: pending}
}

// Exchange asks this server: over UDP with EDNS, then over TCP when the reply is
// truncated or not whole, and once more without EDNS when the server does not know
// EDNS (FORMERR without an OPT record, or BADVERS; RFC 6891 sections 6.1.3 and 7).
// Any reply is an answer, also one with rcode SERVFAIL or REFUSED. One datagram is
// sent; Exchange waits for its reply until ctx is done, so ctx needs a deadline.
//
// Errors: ctx.Err() at once when ctx is done; ErrClosed, ErrBusy, ErrQuestion;
// ErrTruncated and ErrMalformed for what came over TCP; and those of package net,
// among them syscall.ECONNREFUSED as soon as the server's host says that nobody
// listens.
func (s *Server) Exchange(ctx context.Context, q Question) (*Answer, error) {
	query, err := newQuery(q)
	if err != nil {
		return nil, err
	}
	result := s.exchange(ctx, query)
	if result.err != nil {
		return nil, result.err
	}
	return result.answer(s.addr), nil
}

// Close ends every pending question with ErrClosed at once, and so every later one.
// When it returns, all UDP sockets are closed and their goroutines have ended; a TCP
// connection is closed by the Exchange that uses it. It may be called more than once.
func (s *Server) Close() {
	s.udp.close()
	s.tcp.close()
}

// result is what one server, or one query to it, came to.
type result struct {
	msg       *dns.Msg // nil when err is set
	opt       bool     // the reply had an OPT record
	transport Transport
	rtt       time.Duration
	err       error
}

func (r result) answer(server netip.AddrPort) *Answer {
	return &Answer{Msg: r.msg, Server: server, Transport: r.transport, RTT: r.rtt}
}

// exchange is Exchange for a query in wire form.
func (s *Server) exchange(ctx context.Context, q query) result {
	r := s.ask(ctx, q)
	if r.refusesEDNS() {
		return s.ask(ctx, q.plain())
	}
	return r
}

// refusesEDNS reports whether the server has to be asked again without EDNS. A
// FORMERR with an OPT record is about the question, not about EDNS.
func (r result) refusesEDNS() bool {
	if r.err != nil {
		return false
	}
	return r.msg.Rcode == dns.RcodeBadVers || r.msg.Rcode == dns.RcodeFormatError && !r.opt
}

// ask sends one query over UDP, and over TCP where UDP brought a reply that is of
// no use.
func (s *Server) ask(ctx context.Context, q query) result {
	r := s.send(ctx, s.udp, q)
	if errors.Is(r.err, ErrTruncated) || errors.Is(r.err, ErrMalformed) {
		return s.send(ctx, s.tcp, q)
	}
	return r
}

// send sends one query on one transport and reads its reply.
func (s *Server) send(ctx context.Context, t transport, q query) result {
	r := result{transport: t.protocol()}
	start := time.Now()
	wire, err := t.exchange(ctx, q)
	r.rtt = time.Since(start)
	if err != nil {
		r.err = err
		return r
	}
	r.msg, r.opt, r.err = unpack(wire)
	if r.err == nil {
		r.msg.Id = 0
		r.msg.Question = []dns.Question{{Name: q.asked.Name, Qtype: q.asked.Type, Qclass: q.asked.Class}}
	}
	return r
}
