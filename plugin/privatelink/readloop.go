package privatelink

import (
	"context"
	"errors"
	"net/netip"
	"time"
	"unsafe"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/batch"
	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/querylog"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// readLoop answers the datagrams of one socket: in place where nothing is to be
// waited for, and else through whoever waits. It is a batch.Worker.
type readLoop struct {
	front *front
	// What follows is used again for every datagram.
	outcome outcome
	asked   wire.Query
	name    []byte
	record  querylog.Record
	// appender is this loop's way into log, that of the handler served last.
	appender *querylog.Appender
	log      *querylog.Log
}

// Answer implements batch.Worker.
func (l *readLoop) Answer(datagram []byte, peer batch.Peer, buffer []byte) []byte {
	serving := l.front.serving.Load()
	err := wire.ReadQuery(datagram, false, &l.asked)
	if rcode, broken := brokenQueries[err]; broken {
		return serving.appendBroken(buffer, &l.asked, rcode, datagram, peer.Remote.Addr())
	}
	switch {
	case errors.Is(err, wire.ErrShort), errors.Is(err, wire.ErrReply):
		return buffer
	case errors.Is(err, wire.ErrOpcode) && !passedOpcodes[l.asked.Opcode]:
		return wire.AppendRcode(buffer, &l.asked, dns.RcodeNotImplemented, wire.Presentation{})
	case errors.Is(err, wire.ErrOpcode), errors.Is(err, wire.ErrUnusual), l.asked.Question.Class != dns.ClassINET:
		l.front.pass(serving, datagram, peer)
		return buffer
	}
	return l.answer(serving, l.read(datagram, peer, errors.Is(err, wire.ErrOptions)), peer, buffer)
}

// brokenQueries are answered with an rcode and nothing else.
var brokenQueries = map[error]int{
	wire.ErrMalformed: dns.RcodeFormatError,
	wire.ErrQuestions: dns.RcodeFormatError,
	wire.ErrVersion:   dns.RcodeBadVers,
}

// appendBroken answers a broken query. One without a question is not broken where it
// asks for a cookie (RFC 7873 section 5.4).
func (s *serving) appendBroken(buffer []byte, asked *wire.Query, rcode int, datagram []byte, client netip.Addr) []byte {
	var room [optionsRoom]byte
	cookies := s.handler.current.Load().service.cookies
	presentation := wire.Presentation{Options: cookies.AppendOption(room[:0], asked, client, time.Now())}
	if datagram[4] == 0 && datagram[5] == 0 && len(presentation.Options) > 0 {
		rcode = dns.RcodeSuccess
	}
	return wire.AppendRcode(buffer, asked, rcode, presentation)
}

// passedOpcodes are the operations besides QUERY that CoreDNS hands to plugins.
var passedOpcodes = [16]bool{dns.OpcodeNotify: true, dns.OpcodeUpdate: true}

// read makes a query of what has just been read. It lasts until the next datagram.
func (l *readLoop) read(datagram []byte, peer batch.Peer, malformed bool) query {
	l.name = l.asked.Question.AppendPresentation(l.name[:0])
	return query{
		asked: &l.asked, key: cache.KeyOf(&l.asked, ""),
		name:  unsafe.String(unsafe.SliceData(l.name), len(l.name)),
		qtype: l.asked.Question.Type, qclass: l.asked.Question.Class, malformed: malformed,
		client: peer.Remote, server: l.front.localOf(peer), transport: "udp", arrived: time.Now(),
		packet: datagram, size: len(datagram), wantsAD: l.asked.AD,
	}
}

// answer puts a query through the line.
func (l *readLoop) answer(serving *serving, q query, peer batch.Peer, buffer []byte) []byte {
	l.outcome.restart(q)
	o, c := &l.outcome, serving.handler.current.Load()
	if !c.service.settle(o) {
		if l.front.wait(serving, c, o.detached(), peer) {
			return buffer
		}
		if current := l.front.serving.Load(); current != serving {
			return l.answer(current, q, peer, buffer) // a reload came between
		}
		o.stop(dns.RcodeServerFailure, dns.ExtendedErrorCodeOther, "too many questions are waiting for an upstream")
	}
	c.service.judge(o)
	reply, counted := serving.finish(c, o, buffer)
	if counted {
		l.logTo(serving.handler.log, reply[len(buffer):])
	}
	return reply
}

// logTo logs the query at hand. The loop has a way of its own into the log of the
// handler it serves for.
func (l *readLoop) logTo(log *querylog.Log, reply []byte) {
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
		l.outcome.fill(&l.record, reply, time.Now())
		l.appender.Add(&l.record)
	}
}

// Flush implements batch.Worker.
func (l *readLoop) Flush() {}

// finish makes the reply to a query whose outcome is known, and counts it, unless it is
// a load balancer's probe.
func (s *serving) finish(c *configuration, o *outcome, buffer []byte) (reply []byte, counted bool) {
	now := time.Now()
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

// wait lets a query wait for its answer, and replies then. It reports false where
// as many wait as may.
func (f *front) wait(serving *serving, c *configuration, o *outcome, peer batch.Peer) bool {
	if !serving.handler.waiting.enter() {
		return false
	}
	go func() {
		defer serving.handler.waiting.leave()
		defer serving.recoverPanic(o.query.asked, peer, f)
		c.service.await(context.Background(), o)
		c.service.judge(o)
		reply, counted := serving.finish(c, o, make([]byte, 0, wire.AdvertisedSize))
		f.reply(peer, reply)
		if counted {
			serving.handler.record(o, reply, time.Now())
		}
	}()
	return true
}
