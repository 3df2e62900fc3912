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
	return l.answer(serving, l.read(peer, errors.Is(err, wire.ErrOptions)), len(datagram), peer, buffer)
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
func (l *readLoop) read(peer batch.Peer, malformed bool) query {
	l.name = l.asked.Question.AppendPresentation(l.name[:0])
	return query{
		asked: &l.asked, key: cache.KeyOf(&l.asked, ""),
		name:  unsafe.String(unsafe.SliceData(l.name), len(l.name)),
		qtype: l.asked.Question.Type, qclass: l.asked.Question.Class, malformed: malformed,
		client: peer.Remote, transport: "udp", arrived: time.Now(),
	}
}

// answer puts a query through the line.
func (l *readLoop) answer(serving *serving, q query, size int, peer batch.Peer, buffer []byte) []byte {
	l.outcome.restart(q)
	o, s := &l.outcome, serving.handler.current.Load()
	if !s.service.settle(o) {
		if l.front.wait(serving, s, o.detached(), size, peer) {
			return buffer
		}
		if current := l.front.serving.Load(); current != serving {
			return l.answer(current, q, size, peer, buffer) // a reload came between
		}
		o.stop(dns.RcodeServerFailure, dns.ExtendedErrorCodeOther, "too many questions are waiting for an upstream")
	}
	s.service.judge(o)
	return serving.finish(s, o, size, buffer)
}

// Flush implements batch.Worker.
func (l *readLoop) Flush() {}

// finish makes the reply to a query whose outcome is known, and counts and logs it.
func (s *serving) finish(c *configuration, o *outcome, size int, buffer []byte) []byte {
	now := time.Now()
	c.service.remember(o, now)
	reply := c.service.appendReply(buffer, o, now)
	if o.query.client.Addr() != azureDNS {
		c.metrics.count(o)
		s.handler.record(o, now)
	}
	if s.requests != nil {
		s.requests.report(o, size, len(reply), now)
	}
	return reply
}

// wait lets a query wait for its answer, and replies then. It reports false where
// as many wait as may.
func (f *front) wait(serving *serving, c *configuration, o *outcome, size int, peer batch.Peer) bool {
	if !serving.handler.waiting.enter() {
		return false
	}
	go func() {
		defer serving.handler.waiting.leave()
		defer serving.recoverPanic(o.query.asked, peer, f)
		c.service.await(context.Background(), o)
		c.service.judge(o)
		f.reply(peer, serving.finish(c, o, size, make([]byte, 0, wire.AdvertisedSize)))
	}()
	return true
}
