//go:build linux

package rfc

import (
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// chainChecks are about answers that lead over other names, and about records
// that nobody asked for.
var chainChecks = []check{
	{name: "a CNAME and its address arrive", rfc: "1034 3.6.2", level: must, both: true, run: chainOf(1, nil)},
	{name: "a chain of nine CNAMEs arrives whole and in order", rfc: "1034 3.6.2, 2181 10.1", level: must, both: true, run: chainOf(9, nil)},
	{name: "a chain arrives whole and in order over TCP", rfc: "1034 3.6.2", level: must, both: true, run: chainOf(3, (*query).overTCP)},
	{name: "a chain whose records come in the wrong order arrives in order", rfc: "1034 3.6.2", level: should, both: true, run: func(s *session) error {
		first, second := s.name("www"), s.name("n1")
		s.serve(func(a *asked) {
			r := lookUp(s.chain(2), a.question().name, dns.TypeA)
			if len(r.answer) == 3 {
				r.answer = []rr{r.answer[2], r.answer[1], r.answer[0]}
			}
			a.reply(r)
		})
		return asks(nil, func(q *query, m *message) error {
			list := m.sections[answer]
			return expect(len(list) == 3 && list[0].owner.is(first) && list[1].owner.is(second), "got %v", list)
		})(s)
	}},
	{name: "a CNAME to nothing is NXDOMAIN with the CNAME", rfc: "2308 2.1, 6604 2.1", level: must, both: true, run: func(s *session) error {
		link := cname(s.name("www"), 300, s.name("gone"))
		s.serve(data(link))
		return asks(nil, rcode(dns.RcodeNameError), withSOA(s, 1, 300), func(_ *query, m *message) error { return sameRecords(m.sections[answer], []rr{link}) })(s)
	}},
	{name: "a CNAME to nothing is kept", rfc: "2308 5", level: should, run: func(s *session) error {
		s.serve(data(cname(s.name("www"), 300, s.name("gone"))))
		return s.countUpstream(1, s.query("www", dns.TypeA), s.query("www", dns.TypeA))
	}},
	{name: "a CNAME and NODATA have the CNAME and the SOA", rfc: "2308 2.2", level: must, both: true, run: func(s *session) error {
		link := cname(s.name("www"), 300, s.name("target"))
		s.serve(data(link, address(s.name("target"), 300, "192.0.2.1")))
		return asksFor(dns.TypeAAAA, nil, rcode(dns.RcodeSuccess), withSOA(s, 1, 300), func(_ *query, m *message) error { return sameRecords(m.sections[answer], []rr{link}) })(s)
	}},
	{name: "a CNAME and NODATA are kept", rfc: "2308 5", level: should, run: func(s *session) error {
		s.serve(data(cname(s.name("www"), 300, s.name("target")), address(s.name("target"), 300, "192.0.2.1")))
		return s.countUpstream(1, s.query("www", dns.TypeAAAA), s.query("www", dns.TypeAAAA))
	}},
	{name: "a CNAME whose end is missing in the reply is followed", rfc: "1034 5.3.3, 3.6.2", level: should, both: true, run: func(s *session) error {
		s.serve(func(a *asked) {
			if a.question().name.is(s.name("target")) {
				ordinary(a)
				return
			}
			a.reply(reply{answer: []rr{cname(self, 300, s.name("target"))}})
		})
		return asks(nil, answers(cname(s.name("www"), 300, s.name("target")), address(s.name("target"), 300, "192.0.2.1")))(s)
	}},
	{name: "a chain whose names are spelled in different ways is one", rfc: "4343 3, 1034 3.6.2", level: must, both: true, run: func(s *session) error {
		link, end := cname(s.name("www"), 300, s.name("TarGet")), address(s.name("tARgET"), 300, "192.0.2.1")
		s.serve(data(link, end))
		return asks(nil, func(_ *query, m *message) error {
			list := m.sections[answer]
			return expect(len(list) == 2 && name(list[0].full).is(end.owner) && list[1].owner.is(end.owner), "got %v", list)
		})(s)
	}},
	{name: "a chain over a name with dots, zeros and high bytes in its labels", rfc: "2181 11", level: must, both: true, run: func(s *session) error {
		records := []rr{cname(s.name("www"), 300, s.name("a.b\x00\xff")), address(s.name("a.b\x00\xff"), 300, "192.0.2.1")}
		s.serve(data(records...))
		return asks(nil, answers(records...))(s)
	}},
	{name: "a CNAME beside other data does no harm", rfc: "2181 10.1", level: must, both: true, run: func(s *session) error {
		s.serve(func(a *asked) {
			if a.question().name.is(s.name("www")) {
				a.reply(reply{answer: []rr{address(self, 300, "192.0.2.1"), cname(self, 300, s.name("target"))}})
				return
			}
			ordinary(a)
		})
		if err := asks(nil, replied)(s); err != nil {
			return err
		}
		return s.alive()
	}},
	{name: "a loop of CNAMEs gets a reply", rfc: "1034 5.2.2", level: must, both: true, run: loop(cnameLoop)},
	{name: "a CNAME to itself gets a reply", rfc: "1034 5.2.2", level: must, both: true, run: loop(func(s *session) []rr { return []rr{cname(s.name("www"), 300, s.name("www"))} })},
	{name: "DNAME, the CNAME made from it, and the address arrive", rfc: "6672 3.1", level: must, both: true, run: func(s *session) error {
		from, to := s.name("from"), s.name("to")
		dname := rr{from, dns.TypeDNAME, 300, []byte(to)}
		link, end := cname(from.under("www"), 300, to.under("www")), address(to.under("www"), 300, "192.0.2.1")
		s.serve(func(a *asked) {
			if a.question().name.is(link.owner) {
				a.reply(reply{answer: []rr{dname, link, end}})
				return
			}
			a.reply(lookUp([]rr{link, end, dname}, a.question().name, a.question().qtype))
		})
		q := s.query("", dns.TypeA).spelled(from.under("www"))
		m, err := s.ask(q)
		if err != nil {
			return err
		}
		return answers(dname, link, end)(q, m)
	}},
	{name: "YXDOMAIN is not NOERROR", rfc: "6672 2.2", level: must, servers: 1, run: served(refusing(dns.RcodeYXDomain), asks(nil, notRcode(dns.RcodeSuccess), notRcode(dns.RcodeNameError)))},
	{name: "an address of another name in the answer section is not handed on", rfc: "5452 6, 2181 5.4.1", level: should, both: true, run: func(s *session) error {
		s.serve(strangers(s, answer))
		return asks(nil, withoutStranger)(s)
	}},
	{name: "an address of another name in the additional section is not handed on", rfc: "5452 6, 2181 5.4.1", level: should, both: true, run: func(s *session) error {
		s.serve(strangers(s, additional))
		return asks(nil, withoutStranger)(s)
	}},
	{name: "an address of another name in the answer section is not kept for it", rfc: "5452 6, 2181 5.4.1", level: must, run: notPoisoned(answer)},
	{name: "an address of another name in the additional section is not kept for it", rfc: "5452 6, 2181 5.4.1", level: must, run: notPoisoned(additional)},
	{name: "NS records and their addresses in other sections are not answers", rfc: "2181 5.4.1", level: must, run: func(s *session) error {
		ns := s.name("ns")
		s.serve(func(a *asked) {
			if a.question().name.is(s.name("www")) {
				a.reply(reply{answer: []rr{address(self, 300, "192.0.2.1")}, authority: []rr{{s.zone, dns.TypeNS, 300, []byte(ns)}}, additional: []rr{address(ns, 300, "192.0.2.66")}})
				return
			}
			ordinary(a)
		})
		if err := asks(nil, addressed)(s); err != nil {
			return err
		}
		q := s.query("ns", dns.TypeA)
		m, err := s.send(q)
		if err != nil {
			return err
		}
		return addressed(q, m)
	}},
	{name: "a record of another type for the name itself is not handed on", rfc: "5452 6", level: should, both: true, run: func(s *session) error {
		s.serve(answering(address(self, 300, "192.0.2.1"), text(self, 300, 10)))
		return asks(nil, addressed)(s)
	}},
	{name: "a chain is asked for again through its first name when kept", rfc: "2181 5.4.1", level: must, run: func(s *session) error {
		records := s.chain(1)
		s.serve(data(records...))
		if err := asks(nil, answers(records...))(s); err != nil {
			return err
		}
		q := s.query("n1", dns.TypeA)
		m, err := s.send(q)
		if err != nil {
			return err
		}
		return answers(records[1])(q, m)
	}},
	{name: "an answer for an upstream's referral is no answer", rfc: "1034 4.3.1", level: must, slow: true, servers: 1, run: func(s *session) error {
		s.serve(always(reply{clear: flagRA, authority: []rr{{s.zone, dns.TypeNS, 300, []byte(s.name("ns"))}}, additional: []rr{address(s.name("ns"), 300, "127.0.0.1")}}))
		return asks(nil, notRcode(dns.RcodeNameError), noAnswer)(s)
	}},
}

// chain is www, n CNAMEs and an address at their end.
func (s *session) chain(links int) []rr {
	var records []rr
	owner := s.name("www")
	for index := range links {
		target := s.name(fmt.Sprintf("n%d", index+1))
		records = append(records, cname(owner, 300, target))
		owner = target
	}
	return append(records, address(owner, 300, "192.0.2.1"))
}

func chainOf(links int, change func(*query) *query) func(*session) error {
	return func(s *session) error {
		records := s.chain(links)
		s.serve(data(records...))
		return asks(change, answers(records...), func(_ *query, m *message) error {
			for index, r := range m.sections[answer] {
				if !records[index].matches(r) {
					return fmt.Errorf("record %d is %s: not in order", index+1, r)
				}
			}
			return nil
		})(s)
	}
}

func cnameLoop(s *session) []rr {
	return []rr{cname(s.name("www"), 300, s.name("other")), cname(s.name("other"), 300, s.name("www"))}
}

// loop demands a reply, whatever it says, and life afterwards.
func loop(records func(*session) []rr) func(*session) error {
	return func(s *session) error {
		list := records(s)
		s.serve(func(a *asked) {
			for _, r := range list {
				if r.owner.is(a.question().name) {
					a.reply(reply{answer: list})
					return
				}
			}
			ordinary(a)
		})
		if err := asks(nil, replied)(s); err != nil {
			return err
		}
		return s.alive()
	}
}

var stranger = []byte{192, 0, 2, 66}

// strangers adds an address of another name to a section.
func strangers(s *session, section int) script {
	return func(a *asked) {
		if !a.question().name.is(s.name("www")) {
			ordinary(a)
			return
		}
		r := reply{answer: []rr{address(self, 300, "192.0.2.1")}}
		extra := rr{s.name("victim"), dns.TypeA, 300, stranger}
		if section == answer {
			r.answer = append(r.answer, extra)
		} else {
			r.additional = append(r.additional, extra)
		}
		a.reply(r)
	}
}

func withoutStranger(_ *query, m *message) error {
	for section := range m.sections {
		for _, r := range m.all(section, dns.TypeA) {
			if string(r.data) == string(stranger) {
				return fmt.Errorf("got %s", r)
			}
		}
	}
	return nil
}

func notPoisoned(section int) func(*session) error {
	return func(s *session) error {
		s.serve(strangers(s, section))
		if err := asks(nil, rcode(dns.RcodeSuccess))(s); err != nil {
			return err
		}
		pause(20 * time.Millisecond)
		q := s.query("victim", dns.TypeA)
		m, err := s.send(q)
		if err != nil {
			return err
		}
		return addressed(q, m)
	}
}
