//go:build linux

package rfc

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// malformedChecks send what cannot be read. Silence and FORMERR are both in use;
// an answer would be wrong.
var malformedChecks = slices.Concat(
	malformed("a header that promises a question", func(*session) []byte { return nil }),
	malformed("a name that is cut off", func(s *session) []byte { return []byte(s.name("www"))[:9] }),
	malformed("a question without type and class", func(s *session) []byte { return []byte(s.name("www")) }),
	malformed("a question without its class", func(s *session) []byte { return append([]byte(s.name("www")), 0, 1) }),
	malformed("a name that points to itself", func(*session) []byte { return []byte("\xc0\x0c\x00\x01\x00\x01") }),
	malformed("a name that points forward", func(*session) []byte { return []byte("\xc0\x12\x00\x01\x00\x01\x03www\x00") }),
	malformed("two pointers that make a loop", func(*session) []byte { return []byte("\x01a\xc0\x0c\x00\x01\x00\x01") }),
	malformed("a pointer behind the end", func(*session) []byte { return []byte("\xff\xff\x00\x01\x00\x01") }),
	malformed("a label of the kind 0x40", func(s *session) []byte { return question40(s, 0x40) }),
	malformed("a label of the kind 0x80", func(s *session) []byte { return question40(s, 0x80) }),
	malformed("a name of 256 bytes", func(s *session) []byte {
		return appendQuestion(nil, s.longName(256), dns.TypeA, dns.ClassINET)
	}),
	malformed("a name of 400 bytes", func(s *session) []byte {
		return appendQuestion(nil, s.longName(400), dns.TypeA, dns.ClassINET)
	}),
	[]check{
		{name: "a name that points into the header is FORMERR", rfc: "1035 4.1.4", level: should, run: func(s *session) error {
			packet := append(appendHeader(nil, randomID(), flagRD, 1), "\x03www\xc0\x02\x00\x01\x00\x01"...)
			return s.refused(false, packet, dns.RcodeFormatError)
		}},
		{name: "an OPT record that is cut off is not answered", rfc: "6891 6.1.2", level: must, run: func(s *session) error {
			packet := s.query("www", dns.TypeA).packet()
			return s.notAnswered(packet[:len(packet)-4])
		}},
		{name: "an additional record that is promised and missing is no answer", rfc: "1035 4.1", level: should, run: func(s *session) error {
			return s.notAnswered(s.query("www", dns.TypeA).plain().with(func(q *query) { q.counts = []uint16{1, 0, 0, 1} }).packet())
		}},
		{name: "an answer record that is promised and missing is no answer", rfc: "1035 4.1", level: should, run: func(s *session) error {
			return s.notAnswered(s.query("www", dns.TypeA).plain().with(func(q *query) { q.counts = []uint16{1, 1, 0, 0} }).packet())
		}},
		{name: "bytes behind a query are FORMERR", rfc: "1035 4.1", level: should, both: true, run: func(s *session) error {
			if s.hit {
				if err := s.prime(s.query("www", dns.TypeA)); err != nil {
					return err
				}
			}
			return s.refused(false, append(s.query("www", dns.TypeA).packet(), 1, 2, 3, 4), dns.RcodeFormatError)
		}},
		{name: "bytes behind a query do no harm", rfc: "1035 4.1", level: must, run: func(s *session) error {
			if err := s.refused(false, append(s.query("www", dns.TypeA).packet(), 1, 2, 3, 4), dns.RcodeFormatError, dns.RcodeSuccess); err != nil {
				return err
			}
			return s.alive()
		}},
		{name: "65535 questions are FORMERR", rfc: "1035 4.1.1, 9619 4", level: must, run: func(s *session) error {
			return s.notAnswered(s.query("www", dns.TypeA).plain().with(func(q *query) { q.counts = []uint16{65535, 0, 0, 0} }).packet())
		}},
		{name: "a message of 11 bytes over TCP does no harm", rfc: "7766 8", level: must, run: func(s *session) error {
			return s.harmlessOverTCP(framed(make([]byte, 11)))
		}},
		{name: "an empty message over TCP does no harm", rfc: "7766 8", level: must, run: func(s *session) error {
			return s.harmlessOverTCP([]byte{0, 0})
		}},
		{name: "a malformed message over TCP does no harm", rfc: "7766 8", level: must, run: func(s *session) error {
			return s.harmlessOverTCP(framed([]byte(strings.Repeat("\xc0\x0c", 100))))
		}},
		{name: "half a message over TCP does no harm", rfc: "7766 8", level: must, run: func(s *session) error {
			return s.harmlessOverTCP([]byte{0, 40, 1, 2, 3})
		}},
		{name: "random datagrams do no harm", rfc: "1035 4", level: must, run: func(s *session) error {
			socket, err := s.socket()
			if err != nil {
				return err
			}
			defer socket.close()
			for index := range 80 {
				packet := s.query("www", dns.TypeA).packet()
				for range 4 {
					packet[2+int(randomID())%(len(packet)-2)] = byte(randomID())
				}
				_, _ = socket.Write(packet)
				if index%20 == 0 {
					if err := s.alive(); err != nil {
						return err
					}
				}
			}
			return nil
		}},
	},
)

// malformed makes checks of bytes behind the header of a query with one
// question.
func malformed(title string, rest func(*session) []byte) []check {
	run := func(try func(s *session, packet []byte) error) func(*session) error {
		return func(s *session) error {
			return try(s, append(appendHeader(nil, randomID(), flagRD, 1), rest(s)...))
		}
	}
	formErr := func(overTCP bool) func(*session, []byte) error {
		return func(s *session, packet []byte) error { return s.refused(overTCP, packet, dns.RcodeFormatError) }
	}
	return []check{
		{name: title + " is not answered", rfc: "1035 4.1", level: must, run: run((*session).notAnswered)},
		{name: title + " is not answered over TCP", rfc: "1035 4.1", level: must, run: run((*session).notAnsweredOverTCP)},
		{name: title + " is FORMERR", rfc: "1035 4.1.1", level: should, run: run(formErr(false))},
		{name: title + " is FORMERR over TCP", rfc: "1035 4.1.1", level: should, run: run(formErr(true))},
	}
}

// question40 is a question whose first label is of another kind.
func question40(s *session, kind byte) []byte {
	packet := appendQuestion(nil, s.name("www"), dns.TypeA, dns.ClassINET)
	packet[0] |= kind
	return packet
}

// notAnswered permits silence and errors, and no answer.
func (s *session) notAnswered(packet []byte) error {
	socket, err := s.socket()
	if err != nil {
		return err
	}
	defer socket.close()
	socket.write(packet)
	if reply, err := socket.next(quietTime); err == nil {
		if err := errorReply(packet, reply, dns.RcodeFormatError, dns.RcodeServerFailure, dns.RcodeNotImplemented, dns.RcodeRefused); err != nil {
			return err
		}
	}
	return s.alive()
}

// notAnsweredOverTCP is notAnswered over TCP, where a server may also end the
// connection.
func (s *session) notAnsweredOverTCP(packet []byte) error {
	stream, err := s.dial()
	if err != nil {
		return err
	}
	defer stream.close()
	stream.write(framed(packet))
	if reply, err := stream.next(quietTime); err == nil {
		if err := errorReply(packet, reply, dns.RcodeFormatError, dns.RcodeServerFailure, dns.RcodeNotImplemented, dns.RcodeRefused); err != nil {
			return err
		}
	}
	return s.alive()
}

// harmlessOverTCP sends bytes on one connection, and demands answers on another.
func (s *session) harmlessOverTCP(bytes []byte) error {
	stream, err := s.dial()
	if err != nil {
		return err
	}
	defer stream.close()
	stream.write(bytes)
	q := s.query("www", dns.TypeA).overTCP()
	m, err := s.send(q)
	if err != nil {
		return err
	}
	if err := judged(q, m, addressed); err != nil {
		return err
	}
	return s.alive()
}
