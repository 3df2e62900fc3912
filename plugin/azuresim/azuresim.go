// Package azuresim is a CoreDNS plugin that behaves like Azure-provided DNS,
// the service at 168.63.129.16: VNets with linked private zones, public DNS
// with its privatelink names, the published limits, and faults on demand. It
// serves demonstrations on a machine without Azure, integration tests and
// load tests.
//
// It knows what Azure answers and nothing of the customer's own DNS server in
// front of it: no catalog of namespaces, no policy, no cache. It must stay
// so, or tests of that server would prove only that two places agree.
package azuresim

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"
)

const name = "azuresim"

// payload is the UDP size that answers of Azure-provided DNS announce:
// https://learn.microsoft.com/azure/dns/dns-traffic-log-how-to shows it.
const payload = 1224

// Simulator is the plugin's handler. It answers everything itself and calls
// no next plugin. It may serve several listeners at once; they share limits
// and counters.
type Simulator struct {
	world   *World
	faults  faults
	dice    *dice
	limiter *limiter
	ledger  ledger

	stopOnce sync.Once
	stopped  chan struct{}
}

func newSimulator(w *World, f faults, l limits, seed uint64) *Simulator {
	return &Simulator{
		world: w, faults: f, dice: newDice(seed),
		limiter: newLimiter(l, time.Now()),
		stopped: make(chan struct{}),
	}
}

// Name implements plugin.Handler.
func (s *Simulator) Name() string { return name }

// ServeDNS implements plugin.Handler. A question that Azure would not answer
// gets silence: nothing is written, and the code returned says that nothing
// remains to be written. The error is that of writing the answer. r must hold
// a question, as CoreDNS makes sure.
func (s *Simulator) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	reply := s.introspect(r.Question[0])
	if reply == nil {
		reply = s.serve(ctx, w, r)
	}
	if reply == nil {
		return dns.RcodeSuccess, nil
	}
	return write(w, r, reply)
}

// serve returns the answer to r when it is due, or nil for silence. All
// accounts are settled when it returns, before the answer leaves: a client
// that has its answer has its share of the limits back, and a test finds it
// counted.
func (s *Simulator) serve(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) *dns.Msg {
	s.ledger.receive()
	e := entry{client: address(w.RemoteAddr()), question: r.Question[0]}
	defer func() { s.ledger.settle(e) }()

	from, heard := s.world.asker(address(w.LocalAddr()), e.client)
	if heard {
		e.vnet = from.vnet.name
	}
	if s.faults.dead || !heard {
		e.outcome = ignored
		return nil
	}
	if isUDP(w, r) && s.dice.hits(s.faults.loss) {
		e.outcome = lost
		return nil
	}
	used, verdict := s.limiter.admit(from.account, time.Now())
	if e.outcome = verdict; used == nil {
		return nil
	}
	defer s.limiter.done(used)
	if !pause(ctx, s.dice.delay(s.faults), s.stopped) {
		e.outcome = ignored
		return nil
	}
	reply := s.world.Resolve(from.vnet, e.question)
	if s.dice.hits(s.faults.servfail) {
		e.outcome = servfail
		reply.Rcode, reply.Answer, reply.Ns = dns.RcodeServerFailure, nil, nil
	}
	e.rcode = reply.Rcode
	return reply
}

// stop lets go of the answers that still wait.
func (s *Simulator) stop() {
	s.stopOnce.Do(func() { close(s.stopped) })
}

// write makes reply an answer to r, fits it to the client and sends it.
func write(w dns.ResponseWriter, r, reply *dns.Msg) (int, error) {
	state := request.Request{W: w, Req: r}
	reply.Id, reply.Opcode = r.Id, r.Opcode
	reply.RecursionDesired, reply.CheckingDisabled = r.RecursionDesired, r.CheckingDisabled
	opt := r.IsEdns0()
	if opt != nil {
		reply.Extra = append(reply.Extra, answerOPT(opt))
	}
	reply.Truncate(state.Size())
	if opt != nil && (!isUDP(w, r) || reply.Len() <= payload) {
		// The server's own writer copies the size that the client announced
		// into the answer, so the client must seem to announce Azure's.
		announced := opt.UDPSize()
		opt.SetUDPSize(payload)
		defer opt.SetUDPSize(announced)
	}
	if err := w.WriteMsg(reply); err != nil {
		return dns.RcodeServerFailure, fmt.Errorf("answering %s: %w", w.RemoteAddr(), err)
	}
	return dns.RcodeSuccess, nil
}

// answerOPT returns the OPT record of the answer to a client that sent opt.
// Azure-provided DNS sends a cookie back as it came, without one of its own.
func answerOPT(opt *dns.OPT) *dns.OPT {
	answer := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	answer.SetUDPSize(payload)
	answer.SetDo(opt.Do())
	for _, option := range opt.Option {
		if option.Option() == dns.EDNS0COOKIE {
			answer.Option = append(answer.Option, option)
		}
	}
	return answer
}

func isUDP(w dns.ResponseWriter, r *dns.Msg) bool {
	state := request.Request{W: w, Req: r}
	return state.Proto() == "udp"
}

// address returns the IP address of a, or the invalid one if it has none.
func address(a net.Addr) netip.Addr {
	at, err := netip.ParseAddrPort(a.String())
	if with, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		at, err = with.AddrPort(), nil
	}
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}
