//go:build linux

package rfc

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// upstreamStreamChecks are about replies with TC, and upstreams over TCP.
var upstreamStreamChecks = []check{
	{name: "a reply with TC is asked for again over TCP", rfc: "7766 5, 2181 9, 5625 4.4.2", level: must, both: true, run: served(truncating(ordinary), asks(nil, addressed, flagClear(flagTC)))},
	{name: "a reply with TC and some records is asked for again over TCP", rfc: "2181 9", level: must, both: true, run: served(overUDP(always(reply{flags: flagTC, answer: []rr{address(self, 300, "192.0.2.66")}}), ordinary), asks(nil, addressed, flagClear(flagTC)))},
	{name: "an NXDOMAIN with TC is asked for again over TCP", rfc: "7766 5", level: must, both: true, run: served(overUDP(always(reply{rcode: dns.RcodeNameError, flags: flagTC}), data()), asks(nil, rcode(dns.RcodeNameError), flagClear(flagTC), func(q *query, m *message) error {
		return expect(len(m.all(authority, dns.TypeSOA)) == 1, "got no SOA")
	}))},
	{name: "a large answer arrives at a client over TCP", rfc: "7766 5", level: must, both: true, run: large(20000, (*query).overTCP, wholeText(20000))},
	{name: "a large answer is TC for a client over UDP", rfc: "2181 9, 5625 4.4.2", level: must, both: true, run: large(20000, nil, cutTo(1232))},
	{name: "TC without TCP is an error or TC, not an empty answer", rfc: "2181 9", level: must, slow: true, servers: 1, run: func(s *session) error {
		_ = s.servers[0].streams.Close()
		s.serve(truncating(silent))
		m, err := s.patiently(s.query("www", dns.TypeA), 12*time.Second)
		if err != nil {
			return err
		}
		return expect(m.rcode() == dns.RcodeServerFailure || m.has(flagTC), "got %s", describe(m.raw))
	}},
	{name: "TC and silence over TCP is SERVFAIL before clients give up", rfc: "9520 2.2", level: should, slow: true, servers: 1, run: failing(truncating(silent), nil, replyTime)},
	{name: "a reply over TCP that comes byte by byte", rfc: "7766 8", level: must, servers: 1, run: served(truncating(func(a *asked) {
		packet := a.packet(reply{answer: []rr{address(self, 300, "192.0.2.1")}})
		for _, c := range append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...) {
			a.write([]byte{c})
		}
	}), asks(nil, addressed))},
	{name: "questions over TCP share a connection", rfc: "7766 6.2.1", level: should, servers: 1, run: func(s *session) error {
		s.serve(truncating(ordinary))
		if err := s.series(6); err != nil {
			return err
		}
		connections, questions := s.overTCP()
		return expect(questions >= 6 && connections <= 2, "%d questions took %d connections", questions, connections)
	}},
	{name: "an upstream that closes the connection after each reply", rfc: "7766 6.2.4", level: must, servers: 1, run: func(s *session) error {
		s.serve(truncating(func(a *asked) {
			ordinary(a)
			a.hangUp()
		}))
		return s.series(5)
	}},
	{name: "an upstream that closes the connection instead of the first reply", rfc: "7766 6.2.4", level: should, servers: 1, run: served(truncating(onHangUp), asks(nil, addressed))},
	{name: "an upstream that closes an idle connection", rfc: "7766 6.2.4", level: must, servers: 1, run: func(s *session) error {
		s.serve(truncating(func(a *asked) {
			ordinary(a)
			pause(30 * time.Millisecond)
			a.hangUp()
		}))
		for index := range 4 {
			q := s.query(fmt.Sprintf("www%d", index), dns.TypeA)
			m, err := s.send(q)
			if err != nil {
				return err
			}
			if err := addressed(q, m); err != nil {
				return err
			}
			pause(60 * time.Millisecond)
		}
		return nil
	}},
	{name: "replies over TCP in another order", rfc: "7766 6.2.1.1, 7", level: must, servers: 1, run: func(s *session) error {
		s.serve(truncating(func(a *asked) {
			if a.question().name.is(s.name("www0")) {
				pause(200 * time.Millisecond)
			}
			a.reply(reply{answer: []rr{{self, dns.TypeTXT, 300, append([]byte{byte(len(a.question().name))}, a.question().name.folded()...)}}})
		}))
		var questions []*query
		for index := range 4 {
			questions = append(questions, s.query(fmt.Sprintf("www%d", index), dns.TypeTXT))
		}
		return s.together(questions, func(q *query, m *message) error {
			return answers(rr{q.name, dns.TypeTXT, 300, append([]byte{byte(len(q.name))}, q.name...)})(q, m)
		})
	}},
	{name: "a reply over TCP with another id is not believed", rfc: "5452 9.1", level: must, servers: 1, slow: true, run: overTCPForged(func(packet []byte) { packet[0] ^= 0x55 })},
	{name: "a reply over TCP to another name is not believed", rfc: "5452 9.1", level: must, servers: 1, slow: true, run: overTCPForged(func(packet []byte) { packet[headerSize+1] ^= 1 })},
	{name: "half a reply over TCP is no answer", rfc: "7766 8", level: must, servers: 1, slow: true, run: func(s *session) error {
		s.serve(truncating(func(a *asked) {
			packet := a.packet(reply{answer: []rr{address(self, 300, "192.0.2.66")}})
			a.write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet[:len(packet)/2]...))
			a.hangUp()
		}))
		m, err := s.patiently(s.query("www", dns.TypeA), 12*time.Second)
		if err != nil {
			return err
		}
		return expect(m.rcode() == dns.RcodeServerFailure, "got %s", describe(m.raw))
	}},
}

// series asks for the addresses of several names in turn.
func (s *session) series(count int) error {
	for index := range count {
		q := s.query(fmt.Sprintf("www%d", index), dns.TypeA)
		m, err := s.send(q)
		if err == nil {
			err = addressed(q, m)
		}
		if err != nil {
			return fmt.Errorf("question %d: %w", index+1, err)
		}
	}
	return nil
}

// overTCP counts what upstreams got over TCP.
func (s *session) overTCP() (connections, questions int) {
	numbers := map[int]bool{}
	for _, a := range s.received("") {
		if a.tcp {
			numbers[a.connection] = true
			questions++
		}
	}
	return len(numbers), questions
}

// onHangUp closes the first connection, and answers on all later ones.
func onHangUp(a *asked) {
	if a.connection == 1 {
		a.hangUp()
		return
	}
	ordinary(a)
}

// overTCPForged: no reply over TCP but a forgery, and then the end.
func overTCPForged(forge func(packet []byte)) func(*session) error {
	return func(s *session) error {
		s.serve(truncating(func(a *asked) {
			packet := a.packet(reply{answer: []rr{{self, dns.TypeA, 300, stranger}}})
			forge(packet)
			a.send(packet)
			pause(100 * time.Millisecond)
			a.hangUp()
		}))
		q := s.query("www", dns.TypeA)
		m, err := s.patiently(q, 12*time.Second)
		if err != nil {
			return err
		}
		return judged(q, m, withoutStranger, rcode(dns.RcodeServerFailure))
	}
}
