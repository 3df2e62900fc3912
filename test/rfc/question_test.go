//go:build linux

package rfc

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// questionChecks are about queries that are no plain question: other
// operations, other counts, cut off or malformed.
var questionChecks = slices.Concat(
	opcodeChecks(), malformedChecks,
	[]check{
		{name: "no question is FORMERR or an empty reply", rfc: "9619 4", level: must, run: crafted(0, []uint16{0, 0, 0, 0}, nil, dns.RcodeFormatError, dns.RcodeSuccess, dns.RcodeNotImplemented, dns.RcodeRefused)},
		{name: "no question is FORMERR", rfc: "9619 4", level: should, run: crafted(0, []uint16{0, 0, 0, 0}, nil, dns.RcodeFormatError)},
		{name: "two questions are FORMERR", rfc: "9619 4", level: must, run: twoQuestions(false)},
		{name: "two questions over TCP are FORMERR", rfc: "9619 4", level: must, run: twoQuestions(true)},
		{name: "no question over TCP is FORMERR or an empty reply", rfc: "9619 4", level: must, run: func(s *session) error {
			return s.refused(true, appendHeader(nil, randomID(), 0), dns.RcodeFormatError, dns.RcodeSuccess, dns.RcodeNotImplemented, dns.RcodeRefused)
		}},
		{name: "two questions are not asked upstream", rfc: "9619 4", level: must, run: func(s *session) error {
			if err := twoQuestions(false)(s); err != nil {
				return err
			}
			return expect(len(s.received("")) == 0, "%d questions went upstream", len(s.received("")))
		}},
		{name: "a message of less than a header is dropped", rfc: "1035 4.1.1", level: must, run: dropping([]byte{1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0})},
		{name: "an empty datagram is dropped", rfc: "1035 4.1.1", level: must, run: dropping([]byte{})},
		{name: "one byte is dropped", rfc: "1035 4.1.1", level: must, run: dropping([]byte{7})},
		{name: "a reply is dropped", rfc: "1035 4.1.1, 5452", level: must, run: func(s *session) error {
			return s.dropped(s.query("reply", dns.TypeA).flagged(flagQR).packet())
		}},
		{name: "a reply with another opcode is dropped", rfc: "1035 4.1.1", level: must, run: func(s *session) error {
			return s.dropped(s.query("reply", dns.TypeA).flagged(flagQR | 4<<11).packet())
		}},
		{name: "a reply that is malformed is dropped", rfc: "1035 4.1.1", level: must, run: func(s *session) error {
			return s.dropped(s.query("reply", dns.TypeA).flagged(flagQR).packet()[:20])
		}},
		{name: "a reply over TCP is dropped", rfc: "1035 4.1.1", level: must, run: replyOverTCP},
		{name: "records in the answer section of a query do no harm", rfc: "1035 4.1", level: must, run: func(s *session) error {
			m, err := s.send(s.query("www", dns.TypeA).plain().with(func(q *query) {
				q.counts = []uint16{1, 1, 0, 0}
				q.rest = appendRecord(nil, s.name("www"), dns.TypeA, dns.ClassINET, 300, []byte{192, 0, 2, 66})
			}))
			if err != nil {
				return err
			}
			if m.rcode() != dns.RcodeFormatError && bytes.Contains(m.raw, []byte{192, 0, 2, 66}) {
				return fmt.Errorf("the record came back: %s", describe(m.raw))
			}
			return s.alive()
		}},
		{name: "an unknown record in the additional section of a query does no harm", rfc: "8906 3.2", level: must, both: true,
			run: asks(func(q *query) *query {
				return q.with(func(q *query) {
					q.counts = []uint16{1, 0, 0, 2}
					q.rest = appendRecord(nil, root, 65281, dns.ClassINET, 0, []byte{1, 2, 3})
				})
			}, rcode(dns.RcodeSuccess, dns.RcodeFormatError), sameQuestion)},
		{name: "a query with a signature of an unknown key gets a reply", rfc: "8945 5.2.1, 5625 4.5", level: must, run: signedByStranger},
		{name: "two questions with the same id from one port are both answered", rfc: "1035 4.1.1", level: must, run: func(s *session) error {
			socket, err := s.socket()
			if err != nil {
				return err
			}
			defer socket.close()
			return sameIDs(s, socket)
		}},
		{name: "class CHAOS gets a reply", rfc: "8906 3.1", level: must, run: inClass(dns.ClassCHAOS, "version")},
		{name: "class CHAOS is not asked upstream", rfc: "1035 3.2.4", level: should, run: func(s *session) error {
			if err := inClass(dns.ClassCHAOS, "version")(s); err != nil {
				return err
			}
			return expect(len(s.received(s.name("version"))) == 0, "%d questions went upstream", len(s.received(s.name("version"))))
		}},
		{name: "class HESIOD gets a reply", rfc: "8906 3.1", level: must, run: inClass(dns.ClassHESIOD, "www")},
		{name: "class NONE gets a reply", rfc: "8906 3.1", level: must, run: inClass(dns.ClassNONE, "www")},
		{name: "class ANY gets a reply", rfc: "8906 3.1", level: must, run: inClass(dns.ClassANY, "www")},
		{name: "class 0 gets a reply", rfc: "8906 3.1", level: must, run: inClass(0, "www")},
		{name: "an unknown class gets a reply", rfc: "8906 3.1", level: must, run: inClass(65280, "www")},
		{name: "an unknown class is not answered from class IN", rfc: "3597 3, 1035 3.2.4", level: must, both: true, run: func(s *session) error {
			if s.hit {
				if _, err := s.send(s.query("www", dns.TypeA)); err != nil {
					return err
				}
			}
			m, err := s.send(s.query("www", dns.TypeA).with(func(q *query) { q.qclass = 65280 }))
			if err != nil {
				return err
			}
			return expect(!bytes.Contains(m.raw, []byte{192, 0, 2, 1}), "got an address of class IN")
		}},
	},
)

// opcodeChecks: every other operation gets NOTIMP, or what that operation has.
func opcodeChecks() []check {
	known := map[uint16][]int{
		4: {dns.RcodeNotImplemented, dns.RcodeRefused, dns.RcodeNotAuth},
		5: {dns.RcodeNotImplemented, dns.RcodeRefused, dns.RcodeNotAuth, dns.RcodeFormatError},
	}
	titles := map[uint16]string{1: "IQUERY", 2: "STATUS", 3: "an unassigned opcode", 4: "NOTIFY", 5: "UPDATE", 6: "DSO", 15: "the last opcode"}
	var list []check
	for opcode, title := range titles {
		codes := known[opcode]
		if codes == nil {
			codes = []int{dns.RcodeNotImplemented}
		}
		list = append(list,
			check{name: title + " is not implemented, and said so", rfc: "8906 3.1.3", level: must, run: withOpcode(opcode, rcode(codes...))},
			check{name: title + " has its opcode repeated", rfc: "1035 4.1.1", level: must, run: withOpcode(opcode, func(_ *query, m *message) error {
				return expect(m.opcode() == int(opcode), "got opcode %d, want %d", m.opcode(), opcode)
			})})
	}
	slices.SortFunc(list, func(a, b check) int { return strings.Compare(a.name, b.name) })
	return append(list,
		check{name: "an unknown opcode over TCP is not implemented, and said so", rfc: "8906 3.1.3", level: must, run: func(s *session) error {
			q := s.query("www", dns.TypeA).flagged(9 << 11).overTCP()
			m, err := s.send(q)
			if err != nil {
				return err
			}
			return rcode(dns.RcodeNotImplemented)(q, m)
		}},
		check{name: "an unknown opcode with nothing but a header is not implemented, and said so", rfc: "8906 8.1.4", level: must, run: func(s *session) error {
			return s.refused(false, appendHeader(nil, randomID(), 15<<11), dns.RcodeNotImplemented, dns.RcodeFormatError)
		}},
		check{name: "an unknown opcode is not asked upstream", rfc: "8906 3.1.3", level: must, run: func(s *session) error {
			if err := withOpcode(7, replied)(s); err != nil {
				return err
			}
			return expect(len(s.received("")) == 0, "%d questions went upstream", len(s.received("")))
		}},
		check{name: "UPDATE is not asked upstream", rfc: "2136 6", level: must, run: func(s *session) error {
			if err := withOpcode(5, replied)(s); err != nil {
				return err
			}
			return expect(len(s.received("")) == 0, "%d questions went upstream", len(s.received("")))
		}})
}

func withOpcode(opcode uint16, judges ...judge) func(*session) error {
	return func(s *session) error {
		q := s.query("www", dns.TypeSOA).plain().with(func(q *query) { q.flags = opcode << 11 })
		m, err := s.send(q)
		if err != nil {
			return err
		}
		return judged(q, m, judges...)
	}
}

// crafted sends a header with counts and bytes behind it.
func crafted(flags uint16, counts []uint16, rest []byte, wanted ...int) func(*session) error {
	return func(s *session) error {
		if err := s.refused(false, append(appendHeader(nil, randomID(), flags, counts...), rest...), wanted...); err != nil {
			return err
		}
		return s.alive()
	}
}

// signedByStranger sends a TSIG record of a key that nobody knows.
func signedByStranger(s *session) error {
	data := string(nameOf("hmac-sha256")) + "\x00\x00\x60\x00\x00\x00\x01\x2c\x00\x04abcd\x12\x34\x00\x00\x00\x00"
	_, err := s.send(s.query("www", dns.TypeA).plain().with(func(q *query) {
		q.counts = []uint16{1, 0, 0, 1}
		q.rest = appendRecord(nil, nameOf("key"), dns.TypeTSIG, dns.ClassANY, 0, []byte(data))
	}))
	return err
}

func dropping(packet []byte) func(*session) error {
	return func(s *session) error { return s.dropped(packet) }
}

func twoQuestions(overTCP bool) func(*session) error {
	return func(s *session) error {
		packet := appendHeader(nil, randomID(), flagRD, 2)
		for _, label := range []string{"www", "other"} {
			packet = appendQuestion(packet, s.name(label), dns.TypeA, dns.ClassINET)
		}
		return s.refused(overTCP, packet, dns.RcodeFormatError)
	}
}

// replyOverTCP: what is no query gets no reply; the connection may end.
func replyOverTCP(s *session) error {
	stream, err := s.dial()
	if err != nil {
		return err
	}
	defer stream.close()
	stream.write(framed(s.query("reply", dns.TypeA).flagged(flagQR).packet()))
	q := s.query("www", dns.TypeA)
	stream.write(framed(q.packet()))
	if m, err := stream.message(); err == nil && m.id != q.id {
		return fmt.Errorf("got a reply to it: %s", describe(m.raw))
	}
	return s.alive()
}

func inClass(class uint16, label string) func(*session) error {
	return func(s *session) error {
		_, err := s.send(s.query(label, dns.TypeTXT).with(func(q *query) { q.qclass = class }))
		if err != nil {
			return err
		}
		return s.alive()
	}
}

// longName is a name of a number of bytes in the check's zone.
func (s *session) longName(size int) name {
	n := s.zone
	for size > len(n) {
		length := min(size-len(n)-1, 63)
		if rest := size - len(n) - 1 - length; rest == 1 {
			length-- // a label takes two bytes at least
		}
		n = n.under(strings.Repeat("x", length))
	}
	return n
}
