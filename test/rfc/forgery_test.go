//go:build linux

package rfc

import (
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// forgeryChecks are about what a forger can do to the questions that go
// upstream, and what may be believed of what comes back.
var forgeryChecks = append(forgeries(), []check{
	{name: "questions leave from many source ports", rfc: "5452 9.2, 10", level: must, run: entropy(8, portOf)},
	{name: "questions leave from a new source port nearly every time", rfc: "5452 9.2, 10", level: should, run: entropy(32, portOf)},
	{name: "questions have different ids", rfc: "5452 9.2, 10", level: must, run: entropy(60, func(a *asked) uint16 { return a.id })},
	{name: "the ids of questions do not count", rfc: "5452 9.2", level: must, run: notCounting(func(a *asked) uint16 { return a.id })},
	{name: "the source ports of questions do not count", rfc: "5452 9.2", level: must, run: notCounting(portOf)},
	{name: "the id sent upstream is not the client's", rfc: "5452 9.2", level: must, run: func(s *session) error {
		same := 0
		for index := range 8 {
			q := s.query(fmt.Sprintf("www%d", index), dns.TypeA)
			if _, err := s.send(q); err != nil {
				return err
			}
			if s.received(q.name)[0].id == q.id {
				same++
			}
		}
		return expect(same < 2, "%d of 8 ids sent upstream are the client's", same)
	}},
	{name: "the ids over TCP are not the client's", rfc: "5452 9.2", level: should, run: func(s *session) error {
		s.serve(truncating(ordinary))
		same := 0
		for index := range 4 {
			q := s.query(fmt.Sprintf("www%d", index), dns.TypeA)
			if _, err := s.send(q); err != nil {
				return err
			}
			for _, a := range s.received(q.name) {
				if a.tcp && a.id == q.id {
					same++
				}
			}
		}
		return expect(same < 2, "%d of 4 ids sent over TCP are the client's", same)
	}},
	{name: "a reply with another id is ignored, and the true one used", rfc: "5452 9.1", level: must, servers: 1, run: forged(func(_ *asked, packet []byte) []byte { packet[0] ^= 0x55; return packet }, addressed)},
	{name: "a hundred replies with other ids are ignored, and the true one used", rfc: "5452 9.1", level: should, servers: 1, run: served(func(a *asked) {
		forgery := a.packet(reply{answer: []rr{address(self, 300, "192.0.2.66")}})
		for index := range 100 {
			forgery[0], forgery[1] = byte(a.id>>8)^1, byte(index)
			a.server.send(a, forgery)
		}
		pause(50 * time.Millisecond)
		ordinary(a)
	}, asks(nil, addressed))},
	{name: "a reply from another port is ignored, and the true one used", rfc: "5452 9.1, 2181 4.1", level: must, servers: 1, run: fromElsewhere("127.0.0.1:0")},
	{name: "a reply from another address is ignored, and the true one used", rfc: "5452 9.1, 2181 4.1", level: must, servers: 1, run: fromElsewhere("127.0.0.3:0")},
	{name: "a reply that is sent twice does no harm", rfc: "5452 9.1", level: must, run: served(func(a *asked) {
		ordinary(a)
		ordinary(a)
	}, asks(nil, addressed))},
	{name: "a late reply is not the answer to another question", rfc: "5452 9.1", level: must, servers: 1, slow: true, run: func(s *session) error {
		s.serve(onFirst(later(1500*time.Millisecond, answering(address(self, 300, "192.0.2.1"))), answering(address(self, 300, "192.0.2.1"))))
		if err := asks(nil, addressed)(s); err != nil {
			return err
		}
		return s.alive()
	}},
	{name: "equal questions at the same time become one", rfc: "5452 5", level: should, run: merged(func(q *query, _ int) *query { return q })},
	{name: "equal questions at the same time in other spellings become one", rfc: "5452 5, 4343", level: should, run: merged(func(q *query, index int) *query {
		if index%2 == 0 {
			return q
		}
		return swapped(q)
	})},
	{name: "equal questions at the same time do not become many", rfc: "5452 5", level: must, run: func(s *session) error {
		s.serve(later(mergeTime, ordinary))
		if err := s.together(s.equal(10, func(q *query, _ int) *query { return q }), func(q *query, m *message) error { return judged(q, m, sameID, addressed, sameQuestion) }); err != nil {
			return err
		}
		got := len(s.received(s.name("www")))
		return expect(got <= 3, "10 questions became %d", got)
	}},
	{name: "forty equal questions at the same time become one", rfc: "5452 5", level: should, run: func(s *session) error {
		s.serve(later(mergeTime, ordinary))
		if err := s.together(s.equal(40, func(q *query, _ int) *query { return q }), func(q *query, m *message) error { return judged(q, m, sameID, addressed) }); err != nil {
			return err
		}
		got := len(s.received(s.name("www")))
		return expect(got == 1, "40 questions became %d", got)
	}},
	{name: "a client that leaves takes no answer from others who ask the same", rfc: "1035 7.3", level: must, run: func(s *session) error {
		s.serve(later(2*mergeTime, ordinary))
		stream, err := s.dial()
		if err != nil {
			return err
		}
		stream.write(framed(s.query("www", dns.TypeA).packet()))
		pause(mergeTime / 3)
		stream.close()
		return asks(nil, addressed)(s)
	}},
	{name: "each of many clients gets the answer to its own question", rfc: "1035 7.3", level: must, run: func(s *session) error {
		s.serve(func(a *asked) {
			pause(time.Duration(50+int(a.id)%200) * time.Millisecond)
			a.reply(reply{answer: []rr{{self, dns.TypeTXT, 300, append([]byte{byte(len(a.question().name.folded()))}, a.question().name.folded()...)}}})
		})
		var questions []*query
		for index := range 40 {
			questions = append(questions, s.query(fmt.Sprintf("host%d", index), dns.TypeTXT).with(func(q *query) { q.id = 7 }))
		}
		return s.together(questions, func(q *query, m *message) error {
			return judged(q, m, answers(rr{q.name, dns.TypeTXT, 300, append([]byte{byte(len(q.name))}, q.name...)}), sameQuestion)
		})
	}},
}...)

// mergeTime is how long an upstream takes while equal questions come. It is
// shorter than the wait after which servers ask again.
const mergeTime = 45 * time.Millisecond

func portOf(a *asked) uint16 { return a.from.Port() }

// forgeries are replies that are not to the question that was asked.
func forgeries() []check {
	var list []check
	for _, tc := range []struct {
		title, rfc string
		forge      func(a *asked, packet []byte) []byte
	}{
		{"a reply to another name", "5452 9.1", func(_ *asked, packet []byte) []byte { packet[headerSize+1] ^= 0x01; return packet }},
		{"a reply to another type", "5452 9.1", func(a *asked, packet []byte) []byte {
			packet[headerSize+len(a.question().name)+1] = byte(dns.TypeTXT)
			return packet
		}},
		{"a reply to another class", "5452 9.1", func(a *asked, packet []byte) []byte {
			packet[headerSize+len(a.question().name)+3] = dns.ClassCHAOS
			return packet
		}},
		{"a reply without QR", "1035 4.1.1, 5452 9.1", func(_ *asked, packet []byte) []byte { packet[2] &^= 0x80; return packet }},
		{"a reply of another opcode", "1035 4.1.1, 5452 9.1", func(_ *asked, packet []byte) []byte { packet[2] |= 4 << 3; return packet }},
		{"a reply without a question section", "5452 9.1", func(a *asked, _ []byte) []byte {
			packet := appendHeader(nil, a.id, flagQR|flagRA|flagRD, 0, 1)
			return appendRecord(packet, a.question().name, dns.TypeA, dns.ClassINET, 300, stranger)
		}},
		{"a reply with two questions", "9619 4, 5452 9.1", func(a *asked, _ []byte) []byte {
			packet := appendHeader(nil, a.id, flagQR|flagRA|flagRD, 2, 1)
			packet = append(append(packet, a.question().raw...), a.question().raw...)
			return appendRecord(packet, a.question().name, dns.TypeA, dns.ClassINET, 300, stranger)
		}},
		{"a datagram of five bytes", "5452 9.1", func(_ *asked, packet []byte) []byte { return packet[:5] }},
		{"an empty datagram", "5452 9.1", func(_ *asked, packet []byte) []byte { return packet[:0] }},
	} {
		list = append(list,
			check{name: tc.title + " is not handed on", rfc: tc.rfc, level: must, servers: 1, run: forged(tc.forge, withoutStranger)},
			check{name: tc.title + " is ignored, and the true one used", rfc: tc.rfc, level: should, servers: 1, run: forged(tc.forge, addressed)})
	}
	return list
}

// sample makes 64 questions go upstream and returns one number of each, in
// order.
func sample(s *session, number func(*asked) uint16) ([]uint16, error) {
	var list []uint16
	for index := range 64 {
		q := s.query(fmt.Sprintf("host%d", index), dns.TypeA)
		if _, err := s.send(q); err != nil {
			return nil, err
		}
		list = append(list, number(s.received(q.name)[0]))
	}
	return list, nil
}

func entropy(want int, number func(*asked) uint16) func(*session) error {
	return func(s *session) error {
		list, err := sample(s, number)
		if err != nil {
			return err
		}
		slices.Sort(list)
		distinct := len(slices.Compact(list))
		return expect(distinct >= want, "64 questions had %d different ones, want %d at least", distinct, want)
	}
}

// notCounting demands that few numbers are near the one before.
func notCounting(number func(*asked) uint16) func(*session) error {
	return func(s *session) error {
		list, err := sample(s, number)
		if err != nil {
			return err
		}
		near := 0
		for index := 1; index < len(list); index++ {
			if difference := list[index] - list[index-1]; difference > 0 && difference <= 4 {
				near++
			}
		}
		return expect(near < 16, "%d of 63 are the one before plus 1 to 4", near)
	}
}

// send sends as the upstream does, without a line in the trace.
func (u *upstream) send(a *asked, packet []byte) {
	_, _ = u.packets.WriteToUDPAddrPort(packet, a.from)
}

// forged sends a forgery with another address in it, and then the true reply.
func forged(forge func(a *asked, packet []byte) []byte, j judge) func(*session) error {
	return served(func(a *asked) {
		if a.tcp {
			ordinary(a) // asked again where no forger is
			return
		}
		a.send(forge(a, a.packet(reply{answer: []rr{{self, dns.TypeA, 300, stranger}}})))
		pause(60 * time.Millisecond)
		ordinary(a)
	}, asks(nil, j))
}

// fromElsewhere sends the forgery from a socket of another address.
func fromElsewhere(local string) func(*session) error {
	return served(func(a *asked) {
		if !a.tcp {
			if socket, err := net.ListenPacket("udp4", local); err == nil {
				_, _ = socket.WriteTo(a.packet(reply{answer: []rr{{self, dns.TypeA, 300, stranger}}}), net.UDPAddrFromAddrPort(a.from))
				_ = socket.Close()
			}
			pause(60 * time.Millisecond)
		}
		ordinary(a)
	}, asks(nil, addressed))
}

// equal are questions for the same, with ids of their own.
func (s *session) equal(count int, change func(*query, int) *query) []*query {
	var questions []*query
	for index := range count {
		questions = append(questions, change(s.query("www", dns.TypeA), index).with(func(q *query) { q.id = uint16(100 + index) }))
	}
	return questions
}

func merged(change func(*query, int) *query) func(*session) error {
	return func(s *session) error {
		s.serve(later(mergeTime, ordinary))
		err := s.together(s.equal(10, change), func(q *query, m *message) error { return judged(q, m, addressed, sameQuestion) })
		if err != nil {
			return err
		}
		got := len(s.received(s.name("www")))
		return expect(got == 1, "10 questions became %d", got)
	}
}
