//go:build linux

package rfc

import (
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// judge tells what is wrong with a reply.
type judge func(q *query, m *message) error

// asks is a check that asks for an address, in a way that differs from an
// ordinary question's, and judges the reply.
func asks(change func(*query) *query, judges ...judge) func(*session) error {
	return asksFor(dns.TypeA, change, judges...)
}

// asksFor is asks for another type.
func asksFor(qtype uint16, change func(*query) *query, judges ...judge) func(*session) error {
	return func(s *session) error {
		q := s.query("www", qtype)
		if change != nil {
			q = change(q)
		}
		m, err := s.ask(q)
		if err != nil {
			return err
		}
		return judged(q, m, judges...)
	}
}

func judged(q *query, m *message, judges ...judge) error {
	for _, j := range judges {
		if err := j(q, m); err != nil {
			return err
		}
	}
	return nil
}

// served is a check with another script at its upstreams.
func served(do script, run func(*session) error) func(*session) error {
	return func(s *session) error {
		s.serve(do)
		return run(s)
	}
}

// answeredOnly is for checks with a subject that must do no more than reply.
func replied(*query, *message) error { return nil }

// rcode demands one of some response codes.
func rcode(wanted ...int) judge {
	return func(_ *query, m *message) error {
		if !slices.Contains(wanted, m.rcode()) {
			var names []string
			for _, code := range wanted {
				names = append(names, rcodeName(code))
			}
			return fmt.Errorf("got %s, want %v", rcodeName(m.rcode()), names)
		}
		return nil
	}
}

// notRcode demands any other response code.
func notRcode(code int) judge {
	return func(_ *query, m *message) error {
		if m.rcode() == code {
			return fmt.Errorf("got %s, want anything else", rcodeName(code))
		}
		return nil
	}
}

// flagSet and flagClear demand flags of the header.
func flagSet(flag uint16) judge {
	return func(_ *query, m *message) error {
		return expect(m.has(flag), "the flag%s is clear, want it set", flagNames(flag))
	}
}

func flagClear(flag uint16) judge {
	return func(_ *query, m *message) error {
		return expect(!m.has(flag), "the flag%s is set, want it clear", flagNames(flag))
	}
}

// expect is an error if a condition does not hold.
func expect(holds bool, format string, arguments ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, arguments...)
}

// answers demands NOERROR and exactly some records in the answer section, in
// any order, whatever their TTLs.
func answers(records ...rr) judge {
	return func(_ *query, m *message) error {
		if m.rcode() != dns.RcodeSuccess {
			return fmt.Errorf("got %s, want an answer", rcodeName(m.rcode()))
		}
		return sameRecords(m.sections[answer], records)
	}
}

func sameRecords(got []record, want []rr) error {
	rest := slices.Clone(want)
	for _, r := range got {
		index := slices.IndexFunc(rest, func(w rr) bool { return w.matches(r) })
		if index < 0 {
			return fmt.Errorf("got the record %q, which is not wanted, or not as often", r)
		}
		rest = slices.Delete(rest, index, index+1)
	}
	if len(rest) > 0 {
		return fmt.Errorf("the record %s %s %s is missing", rest[0].owner, dns.Type(rest[0].rtype), shortened(rest[0].data))
	}
	return nil
}

// matches compares all but TTLs.
func (r rr) matches(got record) bool {
	return got.owner.is(r.owner) && got.rtype == r.rtype && got.class == dns.ClassINET && string(got.full) == string(r.data)
}

// addressed demands the answer that the ordinary script gives to the address
// question.
func addressed(q *query, m *message) error {
	if m.has(flagTC) {
		return errors.New("got TC, want the whole answer")
	}
	return answers(address(q.name, 300, "192.0.2.1"))(q, m)
}

// sameQuestion demands the question section as it was sent.
func sameQuestion(q *query, m *message) error {
	want := string(appendQuestion(nil, q.name, q.qtype, q.qclass))
	if len(m.questions) != 1 || string(m.questions[0].raw) != want {
		return fmt.Errorf("the question section is %v, want %q", m.questions, want)
	}
	return nil
}

// exact demands that counts and length fit.
func exact(_ *query, m *message) error {
	return expect(m.trailing == 0, "%d bytes stand behind the reply's last record", m.trailing)
}

// withOPT demands exactly one OPT record, of version 0.
func withOPT(_ *query, m *message) error {
	list := m.all(additional, dns.TypeOPT)
	if len(list) != 1 || list[0].owner != root {
		return fmt.Errorf("got %d OPT records, want one, with the root as its owner", len(list))
	}
	if version := list[0].ttl >> 16 & 0xff; version != 0 {
		return fmt.Errorf("the OPT record has version %d, want 0", version)
	}
	return nil
}

// sizeSaid demands a size that is one.
func sizeSaid(_ *query, m *message) error {
	opt := m.opt()
	return expect(opt != nil && opt.class >= 512, "the OPT record is %v, want a size of 512 at least", opt)
}

// withoutOPT demands none.
func withoutOPT(_ *query, m *message) error {
	for section := range m.sections {
		if n := len(m.all(section, dns.TypeOPT)); n > 0 {
			return fmt.Errorf("got %d OPT records, want none", n)
		}
	}
	return nil
}

// withoutOption demands that an option is not there.
func withoutOption(code uint16) judge {
	return func(_ *query, m *message) error {
		data, found := m.option(code)
		return expect(!found, "got EDNS option %d %x, want none", code, data)
	}
}

// refused sends bytes that are no question and demands a reply with one of some
// codes. Behind its header the reply may be anything: some servers send the
// bytes back as they came.
func (s *session) refused(overTCP bool, packet []byte, wanted ...int) error {
	reply, err := s.exchange(overTCP, packet)
	if err != nil {
		return err
	}
	return errorReply(packet, reply, wanted...)
}

// errorReply judges the header of a reply to what is no question.
func errorReply(packet, reply []byte, wanted ...int) error {
	if len(reply) < headerSize || reply[2]&0x80 == 0 || reply[0] != packet[0] || reply[1] != packet[1] {
		return errors.New("the reply does not have a header with the query's id and QR")
	}
	return rcode(wanted...)(nil, &message{flags: uint16(reply[3])})
}

// dropped demands that bytes get no reply: that to an ordinary question behind
// them comes first, and nothing after it.
func (s *session) dropped(packet []byte) error {
	socket, err := s.socket()
	if err != nil {
		return err
	}
	defer socket.close()
	socket.write(packet)
	q := s.query("www", dns.TypeA)
	socket.write(q.packet())
	m, err := socket.message()
	if err != nil {
		return fmt.Errorf("to an ordinary question afterwards: %w", err)
	}
	if err := judged(q, m, sameQuestion, addressed); err != nil {
		return fmt.Errorf("the first reply is not that to the ordinary question: %w", err)
	}
	if reply, err := socket.next(quietTime); err == nil {
		return fmt.Errorf("got a reply to it: %s", describe(reply))
	}
	return nil
}

// alive demands an answer to an ordinary question.
func (s *session) alive() error {
	q := s.query("alive", dns.TypeA)
	m, err := s.send(q)
	if err != nil {
		return fmt.Errorf("to an ordinary question afterwards: %w", err)
	}
	return judged(q, m, addressed)
}
