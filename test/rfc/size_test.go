//go:build linux

package rfc

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// sizeChecks are about the length of replies.
var sizeChecks = []check{
	{name: "a reply without EDNS has 512 bytes at most, and TC when it is cut", rfc: "1035 4.2.1, 2181 9", level: must, both: true, run: large(1000, (*query).plain, cutTo(512))},
	{name: "a reply of 512 bytes without EDNS is whole", rfc: "1035 4.2.1", level: must, both: true, run: func(s *session) error { return exactly(512, (*query).plain)(s) }},
	{name: "a reply has the client's size at most, and TC when it is cut", rfc: "6891 6.2.3", level: must, both: true, run: large(1000, sized(700), cutTo(700))},
	{name: "a size of 0 counts as 512: a small reply is whole", rfc: "6891 6.2.3", level: must, both: true, run: large(380, sized(0), wholeText(380))},
	{name: "a size of 100 counts as 512: a small reply is whole", rfc: "6891 6.2.3", level: must, both: true, run: large(380, sized(100), wholeText(380))},
	{name: "a size of 100 counts as 512: a large reply is cut", rfc: "6891 6.2.3", level: must, both: true, run: large(1000, sized(100), cutTo(512))},
	{name: "a reply within the client's 1232 bytes is whole", rfc: "6891 6.2.3", level: must, both: true, run: large(1000, sized(1232), wholeText(1000))},
	{name: "a reply within a size of 65535 and 1232 bytes is whole", rfc: "6891 6.2.3", level: must, both: true, run: large(1000, sized(65535), wholeText(1000))},
	{name: "a reply of 3000 bytes to a size of 65535 is whole or says TC", rfc: "2181 9", level: must, both: true, run: large(3000, sized(65535), func(q *query, m *message) error {
		if m.has(flagTC) {
			return nil
		}
		return wholeText(3000)(q, m)
	})},
	{name: "a reply that is cut still has its question and OPT record", rfc: "6891 7, 1035 4.1.2", level: must, both: true, run: large(1000, sized(512), cutTo(512), sameQuestion, withOPT, exact)},
	{name: "a reply that is cut still has its rcode", rfc: "2181 9", level: must, both: true, run: large(1000, sized(512), rcode(dns.RcodeSuccess), flagSet(flagTC))},
	{name: "a reply that is cut has no part of a set of records without TC", rfc: "2181 9", level: must, both: true, run: manyAddresses(false)},
	{name: "the same question over TCP gets the whole reply", rfc: "7766 5, 2181 9", level: must, both: true, run: func(s *session) error {
		if err := large(1000, (*query).plain, cutTo(512))(s); err != nil {
			return err
		}
		q := s.query("www", dns.TypeTXT).overTCP()
		m, err := s.send(q)
		if err != nil {
			return err
		}
		return judged(q, m, wholeText(1000))
	}},
	{name: "what was cut for one client is whole for another, and asked once", rfc: "2181 9", level: should, run: func(s *session) error {
		s.serve(answering(text(self, 300, 1000)))
		small, big := s.query("www", dns.TypeTXT).plain(), s.query("www", dns.TypeTXT)
		for _, tc := range []struct {
			q *query
			j judge
		}{{small, cutTo(512)}, {big, wholeText(1000)}, {small, cutTo(512)}} {
			m, err := s.send(tc.q)
			if err == nil {
				err = tc.j(tc.q, m)
			}
			if err != nil {
				return err
			}
		}
		got := len(s.received(small.name))
		return expect(got == 1, "upstream was asked %d times, want once", got)
	}},
	{name: "a reply over TCP is not cut to the size of the OPT record", rfc: "6891 6.2.3, 7766 5", level: must, both: true, run: large(1000, func(q *query) *query { return q.sized(512).overTCP() }, wholeText(1000))},
	{name: "a reply over TCP without EDNS is not cut", rfc: "7766 5", level: must, both: true, run: large(1000, func(q *query) *query { return q.plain().overTCP() }, wholeText(1000))},
	{name: "all of many records arrive over TCP", rfc: "7766 5", level: must, both: true, run: manyAddresses(true)},
	{name: "a reply of 60000 bytes arrives over TCP", rfc: "1035 4.2.2", level: must, both: true, run: large(60000, (*query).overTCP, wholeText(60000))},
	{name: "a reply of nearly 65535 bytes arrives over TCP", rfc: "1035 4.2.2", level: should, both: true, run: large(65000, (*query).overTCP, wholeText(65000))},
	{name: "a reply of 60000 bytes over UDP is cut", rfc: "2181 9", level: must, both: true, run: large(60000, nil, cutTo(1232), sameQuestion)},
	{name: "an NXDOMAIN that does not fit is cut and is still NXDOMAIN", rfc: "2181 9", level: must, both: true, run: func(s *session) error {
		s.serve(dataFor(func(_ *asked, r *reply) { r.authority = append(r.authority, bulkyDenial(s)...) }))
		return asks(func(q *query) *query { return q.dnssec().sized(512) }, rcode(dns.RcodeNameError), sameQuestion, func(_ *query, m *message) error {
			return expect(len(m.raw) <= 512, "got %d bytes", len(m.raw))
		})(s)
	}},
}

// bulkyDenial are signatures that make a negative answer large.
func bulkyDenial(s *session) []rr {
	signature := slices.Concat([]byte("\x00\x06\x0d\x03\x00\x00\x01\x2c\x70\x00\x00\x00\x60\x00\x00\x00\x12\x34"), []byte(s.zone), bytes.Repeat([]byte{7}, 400))
	return []rr{{s.zone, dns.TypeRRSIG, 300, signature}, {s.zone, dns.TypeRRSIG, 300, append(slices.Clone(signature), 8)}}
}

func sized(size uint16) func(*query) *query {
	return func(q *query) *query { return q.sized(size) }
}

// large asks for a text of a number of bytes.
func large(size int, change func(*query) *query, judges ...judge) func(*session) error {
	return served(answering(text(self, 300, size)), asksFor(dns.TypeTXT, change, judges...))
}

func wholeText(size int) judge {
	return func(q *query, m *message) error {
		if m.has(flagTC) {
			return errors.New("got TC, want the whole reply")
		}
		return answers(text(q.name, 300, size))(q, m)
	}
}

// cutTo demands TC and a length.
func cutTo(size int) judge {
	return func(_ *query, m *message) error {
		if !m.has(flagTC) {
			return fmt.Errorf("got no TC in a reply of %d bytes", len(m.raw))
		}
		return expect(len(m.raw) <= size, "got %d bytes, want %d at most", len(m.raw), size)
	}
}

// exactly asks for a text that makes a reply without EDNS of a number of bytes:
// header, question, and a record whose owner is a pointer.
func exactly(size int, change func(*query) *query) func(*session) error {
	return func(s *session) error {
		rest := size - headerSize - len(s.name("www")) - 4 - 12
		content := rest - (rest+255)/256
		return large(content, change, wholeText(content), func(_ *query, m *message) error {
			return expect(len(m.raw) <= size, "got %d bytes, want %d at most", len(m.raw), size)
		})(s)
	}
}

func manyAddresses(overTCP bool) func(*session) error {
	return func(s *session) error {
		var list []rr
		for index := range 100 {
			list = append(list, address(self, 300, fmt.Sprintf("192.0.2.%d", index)))
		}
		s.serve(answering(list...))
		return asks(func(q *query) *query { return q.with(func(q *query) { q.tcp = overTCP }) }, func(_ *query, m *message) error {
			got := len(m.all(answer, dns.TypeA))
			return expect(got == 100 && !m.has(flagTC) || m.has(flagTC) && !overTCP, "got %d addresses, TC is %v", got, m.has(flagTC))
		})(s)
	}
}
