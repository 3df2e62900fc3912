//go:build linux

package rfc

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// nameChecks are about names: their bytes, their length and their spelling.
var nameChecks = []check{
	{name: "a label of 63 bytes", rfc: "1035 2.3.4", level: must, both: true, run: asksName(func(s *session) name { return s.name(strings.Repeat("x", 63)) })},
	{name: "a name of 255 bytes", rfc: "1035 2.3.4", level: must, both: true, run: asksName(func(s *session) name { return s.longName(maxName) })},
	{name: "a name of 254 bytes", rfc: "1035 2.3.4", level: must, both: true, run: asksName(func(s *session) name { return s.longName(maxName - 1) })},
	{name: "a name of more than a hundred labels", rfc: "1035 2.3.4", level: must, both: true, run: asksName(func(s *session) name {
		return s.name(slices.Repeat([]string{"x"}, (maxName-len(s.zone))/2)...)
	})},
	{name: "a label with zeros, dots, backslashes, blanks and bytes above 127", rfc: "2181 11", level: must, both: true, run: asksName(func(s *session) name { return s.name("\x00.\\ \"\x7f\xff\xc0\x0c@$") })},
	{name: "a label with a dot is not two labels", rfc: "2181 11, 1035 5.1", level: must, run: dotInLabel},
	{name: "an underscore, a star and digits in a name", rfc: "2181 11", level: must, both: true, run: asksName(func(s *session) name { return s.name("*", "_tcp", "1") })},
	{name: "bytes that look like letters with other bits are not folded", rfc: "4343 3", level: must, run: notFolded},
	{name: "the root's name servers", rfc: "1034 5.3", level: must, both: true, run: func(s *session) error {
		q := s.query("", dns.TypeNS).spelled(root)
		m, err := s.ask(q)
		if err != nil {
			return err
		}
		return judged(q, m, rcode(dns.RcodeSuccess), sameQuestion)
	}},
	{name: "the client's spelling comes back in the question section", rfc: "1034 3.1, 5452 9.1", level: must, both: true, run: asks(swapped, addressed, sameQuestion)},
	{name: "the client's spelling comes back over TCP", rfc: "1034 3.1, 5452 9.1", level: must, both: true, run: asks(func(q *query) *query { return swapped(q).overTCP() }, addressed, sameQuestion)},
	{name: "the client's spelling comes back in a negative answer", rfc: "1034 3.1", level: must, both: true, run: served(data(), asks(swapped, rcode(dns.RcodeNameError), sameQuestion))},
	{name: "the owner of an answer is spelled as the question is", rfc: "1034 3.1, 4343 4.1", level: should, both: true, run: asks(swapped, func(q *query, m *message) error {
		list := m.all(answer, dns.TypeA)
		return expect(len(list) == 1 && list[0].owner == q.name, "got %v, want the owner %s", list, q.name)
	})},
	{name: "a name in RDATA keeps the upstream's spelling", rfc: "1034 3.1, 4343 4.1", level: should, both: true, run: func(s *session) error {
		target := s.name("MaiL", "MiXeD")
		s.serve(answering(rr{self, dns.TypeMX, 300, append([]byte{0, 10}, target...)}))
		q := s.query("www", dns.TypeMX)
		m, err := s.ask(q)
		if err != nil {
			return err
		}
		list := m.all(answer, dns.TypeMX)
		return expect(len(list) == 1 && string(list[0].full[2:]) == string(target), "got %s, want the target %s", describe(m.raw), target)
	}},
	{name: "other spellings share what is kept", rfc: "4343 4", level: should, run: func(s *session) error {
		q := s.query("www", dns.TypeA)
		for _, spelling := range []name{q.name, q.name.swapped(), s.name("wWw")} {
			m, err := s.send(q.spelled(spelling))
			if err != nil {
				return err
			}
			if err := judged(q.spelled(spelling), m, addressed, sameQuestion); err != nil {
				return err
			}
		}
		return expect(len(s.received(q.name)) == 1, "upstream was asked %d times, want once", len(s.received(q.name)))
	}},
	{name: "clients who ask at the same time in other spellings get their own back", rfc: "1034 3.1, 5452 9.1", level: must, run: sameTimeSpellings},
	{name: "an upstream that answers in lower case is believed", rfc: "4343 4, 1035 2.3.3", level: must, run: served(respelled(name.folded), asks(swapped, addressed, sameQuestion))},
	{name: "an upstream that answers in upper case is believed", rfc: "4343 4, 1035 2.3.3", level: must, run: served(respelled(func(n name) name { return n.folded().swapped() }), asks(nil, addressed, sameQuestion))},
	{name: "an upstream's owner in another spelling belongs to the question", rfc: "4343 4", level: must, both: true, run: served(func(a *asked) {
		packet := a.packet(reply{withoutEDNS: true})
		packet[7] = 1 // ANCOUNT
		a.send(appendRecord(packet, a.question().name.swapped(), dns.TypeA, dns.ClassINET, 300, []byte{192, 0, 2, 1}))
	}, asks(nil, addressed, sameQuestion))},
}

func swapped(q *query) *query { return q.spelled(q.name.swapped()) }

// asksName asks for the address of a name, which must come back as it was.
func asksName(make func(s *session) name) func(*session) error {
	return func(s *session) error {
		q := s.query("", dns.TypeA).spelled(make(s))
		m, err := s.ask(q)
		if err != nil {
			return err
		}
		if err := judged(q, m, addressed, sameQuestion, exact); err != nil {
			return err
		}
		for _, sent := range s.received("") {
			if !sent.question().name.is(q.name) {
				return fmt.Errorf("upstream was asked for %s, the client asked for %s", sent.question().name, q.name)
			}
		}
		return nil
	}
}

// dotInLabel: a label "a.b" and the labels "a" and "b" are two names.
func dotInLabel(s *session) error {
	one, two := s.name("a.b"), s.name("a", "b")
	s.serve(data(address(one, 300, "192.0.2.11"), address(two, 300, "192.0.2.22")))
	for _, tc := range []rr{address(one, 300, "192.0.2.11"), address(two, 300, "192.0.2.22"), address(one, 300, "192.0.2.11")} {
		q := s.query("", dns.TypeA).spelled(tc.owner)
		m, err := s.send(q)
		if err != nil {
			return err
		}
		if err := judged(q, m, answers(tc), sameQuestion); err != nil {
			return err
		}
	}
	return nil
}

// notFolded: only ASCII letters have a case: 0x40 and 0x60, 0x5b and 0x7b have
// not, nor have bytes above 127.
func notFolded(s *session) error {
	one, two := s.name("@[\xc1"), s.name("`{\xe1")
	s.serve(data(address(one, 300, "192.0.2.11"), address(two, 300, "192.0.2.22")))
	for _, tc := range []rr{address(one, 300, "192.0.2.11"), address(two, 300, "192.0.2.22")} {
		q := s.query("", dns.TypeA).spelled(tc.owner)
		m, err := s.send(q)
		if err != nil {
			return err
		}
		if err := judged(q, m, answers(tc), sameQuestion); err != nil {
			return err
		}
	}
	return nil
}

// later lets an upstream take some time.
func later(delay time.Duration, do script) script {
	return func(a *asked) {
		pause(delay)
		do(a)
	}
}

func sameTimeSpellings(s *session) error {
	s.serve(later(mergeTime, ordinary))
	plain := s.query("www", dns.TypeA)
	var questions []*query
	for _, label := range []string{"www", "WWW", "wWw", "WwW"} {
		questions = append(questions, plain.spelled(s.name(label)))
	}
	return s.together(questions, func(q *query, m *message) error { return judged(q, m, sameQuestion, addressed) })
}

// together sends questions at once, each from a client of its own, and judges
// every reply.
func (s *session) together(questions []*query, j judge) error {
	failures := make(chan error, len(questions))
	for _, q := range questions {
		go func() {
			m, err := s.send(q)
			if err == nil {
				err = j(q, m)
			}
			failures <- err
		}()
	}
	var failure error
	for range questions {
		if err := <-failures; err != nil {
			failure = err
		}
	}
	return failure
}

// respelled is an address in a reply whose question section is spelled anew.
func respelled(spell func(name) name) script {
	return func(a *asked) {
		packet := a.packet(reply{answer: []rr{address(self, 300, "192.0.2.1")}})
		copy(packet[headerSize:], spell(a.question().name))
		a.send(packet)
	}
}
