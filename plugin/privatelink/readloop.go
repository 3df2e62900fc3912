package privatelink

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"
	"unsafe"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/metrics/vars"
	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/querylog"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// readLoop answers the messages of one socket or connection: in place where nothing is
// to be waited for, and else through whoever waits.
type readLoop struct {
	front *front
	// findings are remembered, and what follows is used again for every message.
	findings findings
	outcome  outcome
	asked    wire.Query
	name     []byte
	record   querylog.Record
	// received is when the messages at hand came; zero before it was looked up.
	received time.Time
	// appender is this loop's way into log, that of the handler served last.
	appender *querylog.Appender
	log      *querylog.Log
}

// asker is who a message came from, and the way back to him.
type asker interface {
	// client is his address, and server the one that he asked.
	client() netip.AddrPort
	server() netip.AddrPort
	// transport is "udp" or "tcp", and netAddr an address in it.
	transport() string
	netAddr(address netip.AddrPort) net.Addr

	// kept is the same asker for who replies later, until release.
	kept() asker
	reply(message []byte) error
	release()
}

// answerMessage appends the reply to a message, nothing where it is dropped or somebody
// replies later.
func (l *readLoop) answerMessage(message []byte, from asker, buffer []byte) []byte {
	serving := l.front.serving.Load()
	err := wire.ReadQuery(message, from.transport() == "tcp", &l.asked)
	if errors.Is(err, wire.ErrShort) || errors.Is(err, wire.ErrReply) {
		return buffer
	}
	if reply, limited := serving.limit(&l.asked, from, buffer); limited {
		return reply
	}
	if inet := l.asked.Question.Class == dns.ClassINET; err != nil || !inet {
		return l.answerUnusual(serving, err, inet, message, from, buffer)
	}
	return l.answer(serving, message, false, from, buffer)
}

// answerUnusual is answerMessage for what is no query of the Internet class or has an error.
func (l *readLoop) answerUnusual(serving *serving, err error, inet bool, message []byte, from asker, buffer []byte) []byte {
	rcode, broken := brokenQueries[err]
	switch {
	// A malformed query whose question can be read is refused in the line, which
	// counts and logs it.
	case broken && (!inet || !errors.Is(err, wire.ErrMalformed)):
		return serving.appendBroken(buffer, &l.asked, rcode, message, from.client().Addr())
	case errors.Is(err, wire.ErrOpcode) && !passedOpcodes[l.asked.Opcode]:
		return wire.AppendRcode(buffer, &l.asked, dns.RcodeNotImplemented, wire.Presentation{})
	case errors.Is(err, wire.ErrOpcode), errors.Is(err, wire.ErrUnusual), !inet:
		return l.pass(serving, message, from, buffer)
	}
	return l.answer(serving, message, err != nil, from, buffer)
}

// brokenQueries are answered with an rcode and nothing else.
var brokenQueries = map[error]int{
	wire.ErrMalformed: dns.RcodeFormatError,
	wire.ErrQuestions: dns.RcodeFormatError,
	wire.ErrVersion:   dns.RcodeBadVers,
}

// appendBroken answers a broken query. One without a question is not broken where it
// asks for a cookie (RFC 7873 section 5.4).
func (s *serving) appendBroken(buffer []byte, asked *wire.Query, rcode int, message []byte, client netip.Addr) []byte {
	var room [optionsRoom]byte
	cookies := s.handler.current.Load().service.cookies
	presentation := wire.Presentation{Options: cookies.AppendOption(room[:0], asked, client, time.Now())}
	if message[4] == 0 && message[5] == 0 && len(presentation.Options) > 0 {
		rcode = dns.RcodeSuccess
	}
	return wire.AppendRcode(buffer, asked, rcode, presentation)
}

// passedOpcodes are the operations besides QUERY that CoreDNS hands to plugins.
var passedOpcodes = [16]bool{dns.OpcodeNotify: true, dns.OpcodeUpdate: true}

// next is to be called when messages are received: they have come by now, and the clock
// is looked at once for all of them.
func (l *readLoop) next() { l.received = time.Time{} }

// begin makes an outcome for what has just been read, in place: it is large, and copies
// would be a tenth of an answer. It lasts until the next message.
func (l *readLoop) begin(message []byte, malformed bool, from asker) *outcome {
	if l.received.IsZero() {
		l.received = time.Now()
	}
	l.name = l.asked.Question.AppendPresentation(l.name[:0])
	o := &l.outcome
	*o = outcome{findings: &l.findings}
	q := &o.query
	q.asked, q.packet, q.size, q.malformed = &l.asked, message, len(message), malformed
	q.key.Question, q.key.DO, q.key.CD = l.asked.Question, l.asked.DO, l.asked.CD
	q.name = unsafe.String(unsafe.SliceData(l.name), len(l.name))
	q.qtype, q.qclass = l.asked.Question.Type, l.asked.Question.Class
	q.client, q.server, q.transport, q.arrived = from.client(), from.server(), from.transport(), l.received
	return o
}

// answer puts a query through the line.
func (l *readLoop) answer(serving *serving, message []byte, malformed bool, from asker, buffer []byte) []byte {
	o, c := l.begin(message, malformed, from), serving.handler.current.Load()
	if !c.service.settle(o) {
		if serving.wait(c, o, from) {
			return buffer
		}
		if current := l.front.serving.Load(); current != serving {
			return l.answer(current, message, malformed, from, buffer) // a reload came between
		}
		o.stop(dns.RcodeServerFailure, dns.ExtendedErrorCodeOther, "too many questions are waiting for an upstream")
	}
	c.service.judge(o)
	now := time.Now()
	reply, counted := serving.finish(c, o, buffer, now)
	if counted {
		l.logTo(serving.handler.log, reply[len(buffer):], now)
	}
	return reply
}

// logTo logs the query at hand. The loop has a way of its own into the log of the
// handler it serves for.
func (l *readLoop) logTo(log *querylog.Log, reply []byte, now time.Time) {
	if l.log != log {
		if l.appender != nil {
			l.appender.Close()
			l.appender = nil
		}
		if l.log = log; log != nil {
			l.appender = log.Appender()
		}
	}
	if l.appender != nil {
		l.outcome.fill(&l.record, reply, now)
		l.appender.Add(&l.record)
	}
}

// finish makes the reply to a query whose outcome is known by now, and counts it, unless
// it is a load balancer's probe.
func (s *serving) finish(c *configuration, o *outcome, buffer []byte, now time.Time) (reply []byte, counted bool) {
	c.service.remember(o, now)
	reply = c.service.appendReply(buffer, o, now)
	counted = o.query.client.Addr() != azureDNS
	if counted {
		c.metrics.count(o)
	}
	if s.requests != nil {
		s.requests.report(o, o.query.size, len(reply), now)
	}
	return reply, counted
}

// wait lets the query of a read loop wait for its answer, and replies then. It reports
// false where as many wait as may.
func (s *serving) wait(c *configuration, asked *outcome, from asker) bool {
	to := from.kept()
	late, _ := s.handler.late.Get().(*lateAnswer)
	if late == nil {
		late = new(lateAnswer)
	}
	o := late.detach(asked)
	waits := s.handler.waiting.do(o.query.client.Addr(), func() {
		defer s.handler.late.Put(late)
		defer to.release()
		defer recoverPanic(o.query.asked, to)
		c.service.await(context.Background(), o)
		c.service.judge(o)
		reply, counted := s.finish(c, o, late.room[:0], time.Now())
		_ = to.reply(reply)
		if counted {
			s.handler.record(o, reply, time.Now())
		}
	})
	if !waits {
		to.release()
	}
	return waits
}

// pass hands a message that only CoreDNS can judge to the whole server.
func (l *readLoop) pass(serving *serving, message []byte, from asker, buffer []byte) []byte {
	request := new(dns.Msg)
	if !accepted(message) || request.Unpack(message) != nil {
		return wire.AppendRcode(buffer, &l.asked, dns.RcodeFormatError, wire.Presentation{})
	}
	for !serving.pass(request, from) {
		current := l.front.serving.Load()
		if current == serving {
			return wire.AppendRcode(buffer, &l.asked, dns.RcodeServerFailure, wire.Presentation{})
		}
		serving = current // a reload came between
	}
	return buffer
}

// accepted reports whether CoreDNS's own server would have a look at a message, by
// its header, which must be there.
func accepted(message []byte) bool {
	word := func(index int) uint16 { return binary.BigEndian.Uint16(message[2*index:]) }
	header := dns.Header{Id: word(0), Bits: word(1), Qdcount: word(2), Ancount: word(3), Nscount: word(4), Arcount: word(5)}
	if int(header.Bits>>11&0xf) == dns.OpcodeUpdate {
		return header.Qdcount == 1
	}
	return dns.DefaultMsgAcceptFunc(header) == dns.MsgAccept
}

// pass reports false where as many wait as may.
func (s *serving) pass(request *dns.Msg, from asker) bool {
	to := from.kept()
	waits := s.handler.waiting.do(to.client().Addr(), func() {
		defer to.release()
		ctx := context.WithValue(context.Background(), dnsserver.Key{}, s.server)
		ctx = context.WithValue(ctx, dnsserver.LoopKey{}, 0)
		ctx = context.WithValue(ctx, countedKey{}, true)
		s.server.ServeDNS(ctx, replyWriter{to: to}, request)
	})
	if !waits {
		to.release()
	}
	return waits
}

// recoverPanic answers SERVFAIL where answering panicked, as CoreDNS does.
func recoverPanic(asked *wire.Query, to asker) {
	if cause := recover(); cause != nil {
		vars.Panic.Inc()
		_ = to.reply(wire.AppendRcode(nil, asked, dns.RcodeServerFailure, wire.Presentation{}))
	}
}

// replyWriter is the dns.ResponseWriter of a query that came by a front.
type replyWriter struct{ to asker }

func (w replyWriter) LocalAddr() net.Addr  { return w.to.netAddr(w.to.server()) }
func (w replyWriter) RemoteAddr() net.Addr { return w.to.netAddr(w.to.client()) }

func (w replyWriter) WriteMsg(reply *dns.Msg) error {
	// CoreDNS's writer leaves a reply uncompressed that fits as it is.
	reply.Compress = true
	packed, err := reply.Pack()
	if err != nil {
		return err
	}
	return w.to.reply(packed)
}

func (w replyWriter) Write(packed []byte) (int, error) { return len(packed), w.to.reply(packed) }
func (w replyWriter) Close() error                     { return nil }
func (w replyWriter) TsigStatus() error                { return nil }
func (w replyWriter) TsigTimersOnly(bool)              {}
func (w replyWriter) Hijack()                          {}
