//go:build linux

package rfc

import (
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// negativeChecks are about names and types that do not exist.
var negativeChecks = []check{
	{name: "an NXDOMAIN is kept", rfc: "2308 5", level: must, run: func(s *session) error {
		s.serve(data())
		return s.countUpstream(1, s.query("www", dns.TypeA), s.query("www", dns.TypeA))
	}},
	{name: "a NODATA is kept", rfc: "2308 5", level: must, run: func(s *session) error {
		return s.countUpstream(1, s.query("www", dns.TypeMX), s.query("www", dns.TypeMX))
	}},
	{name: "an NXDOMAIN has its SOA in the authority section", rfc: "2308 3, 6", level: must, both: true, run: func(s *session) error {
		s.serve(data())
		return asks(nil, rcode(dns.RcodeNameError), noAnswer, withSOA(s, 1, 300))(s)
	}},
	{name: "a NODATA has its SOA in the authority section", rfc: "2308 3, 6", level: must, both: true, run: func(s *session) error {
		return asksFor(dns.TypeMX, nil, rcode(dns.RcodeSuccess), noAnswer, withSOA(s, 1, 300))(s)
	}},
	{name: "the SOA arrives whole", rfc: "2308 6", level: must, both: true, run: func(s *session) error {
		want := soa(s.zone, 300, 300)
		return asksFor(dns.TypeMX, nil, func(_ *query, m *message) error { return sameRecords(m.sections[authority], []rr{want}) })(s)
	}},
	{name: "a negative answer's TTL is MINIMUM where that is less", rfc: "2308 5", level: should, slow: true, run: negativeExpiry(300, 1)},
	{name: "a negative answer's TTL is the SOA's where that is less", rfc: "2308 5", level: must, slow: true, run: negativeExpiry(1, 300)},
	{name: "a NODATA's TTL is MINIMUM where that is less", rfc: "2308 5", level: should, slow: true, run: noDataExpiry(300, 1)},
	{name: "a negative answer is told with MINIMUM where that is less", rfc: "2308 5", level: should, both: true, run: func(s *session) error {
		s.serve(always(reply{rcode: dns.RcodeNameError, authority: []rr{soa(s.zone, 300, 100)}}))
		return asks(nil, withSOA(s, 1, 100))(s)
	}},
	{name: "a negative answer is never told with more than the SOA's TTL", rfc: "2308 5", level: must, both: true, run: func(s *session) error {
		s.serve(always(reply{rcode: dns.RcodeNameError, authority: []rr{soa(s.zone, 100, 300)}}))
		return asks(nil, withSOA(s, 1, 100))(s)
	}},
	{name: "the SOA's TTL counts down", rfc: "2308 5, 6", level: must, slow: true, run: func(s *session) error {
		s.serve(data())
		return s.inTurn(step{0, withSOA(s, 290, 300)}, step{1300 * time.Millisecond, withSOA(s, 280, 299)})
	}},
	{name: "a negative answer is kept for a day at most", rfc: "2308 5", level: should, both: true, run: func(s *session) error {
		s.serve(always(reply{rcode: dns.RcodeNameError, authority: []rr{soa(s.zone, 1<<30, 1<<30)}}))
		return asks(nil, withSOA(s, 1, 86400))(s)
	}},
	{name: "an NXDOMAIN without SOA is not kept", rfc: "2308 5", level: should, run: func(s *session) error {
		s.serve(refusing(dns.RcodeNameError))
		return s.countAtLeast(2, s.query("www", dns.TypeA), s.query("www", dns.TypeA))
	}},
	{name: "a NODATA without SOA is not kept", rfc: "2308 5", level: should, servers: 1, run: func(s *session) error {
		s.serve(refusing(dns.RcodeSuccess))
		if err := asks(nil, replied)(s); err != nil {
			return err
		}
		s.serve(ordinary)
		pause(1100 * time.Millisecond) // it may count as a failure, which is kept for a moment
		before := len(s.received(s.name("www")))
		if err := asks(nil, replied)(s); err != nil {
			return err
		}
		return expect(len(s.received(s.name("www"))) > before, "upstream was not asked again")
	}, slow: true},
	{name: "a negative answer with a TTL of 0 is not kept", rfc: "2308 5", level: should, run: func(s *session) error {
		s.serve(always(reply{rcode: dns.RcodeNameError, authority: []rr{soa(s.zone, 0, 300)}}))
		return s.countAtLeast(2, s.query("www", dns.TypeA), s.query("www", dns.TypeA))
	}},
	{name: "a negative answer with a MINIMUM of 0 is not kept", rfc: "2308 5", level: should, run: func(s *session) error {
		s.serve(always(reply{rcode: dns.RcodeNameError, authority: []rr{soa(s.zone, 300, 0)}}))
		return s.countAtLeast(2, s.query("www", dns.TypeA), s.query("www", dns.TypeA))
	}},
	{name: "an NXDOMAIN holds for all types of the name", rfc: "2308 5, 8020 2", level: should, run: func(s *session) error {
		s.serve(data())
		return s.countUpstream(1, s.query("www", dns.TypeA), s.query("www", dns.TypeAAAA), s.query("www", dns.TypeMX))
	}},
	{name: "an NXDOMAIN for another type is NXDOMAIN with the SOA", rfc: "2308 5", level: must, run: func(s *session) error {
		s.serve(data())
		if err := asks(nil, replied)(s); err != nil {
			return err
		}
		return asksFor(dns.TypeAAAA, nil, rcode(dns.RcodeNameError), withSOA(s, 1, 300), sameQuestion)(s)
	}},
	{name: "below an NXDOMAIN nothing is asked", rfc: "8020 2", level: should, run: func(s *session) error {
		s.serve(data())
		if err := asks(nil, rcode(dns.RcodeNameError))(s); err != nil {
			return err
		}
		q := s.query("", dns.TypeA).spelled(s.name("below", "www"))
		m, err := s.send(q)
		if err != nil {
			return err
		}
		if err := judged(q, m, rcode(dns.RcodeNameError), sameQuestion); err != nil {
			return err
		}
		return expect(len(s.received(q.name)) == 0, "upstream was asked for %s", q.name)
	}},
	{name: "a NODATA says nothing about names below", rfc: "8020 2", level: must, run: func(s *session) error {
		if err := asksFor(dns.TypeMX, nil, rcode(dns.RcodeSuccess))(s); err != nil {
			return err
		}
		q := s.query("", dns.TypeA).spelled(s.name("below", "www"))
		m, err := s.send(q)
		if err != nil {
			return err
		}
		return addressed(q, m)
	}},
	{name: "an NXDOMAIN says nothing about its neighbours and parents", rfc: "8020 2", level: must, run: func(s *session) error {
		s.serve(data(address(s.name("www"), 300, "192.0.2.1"), address(s.zone, 300, "192.0.2.1")))
		if m, err := s.send(s.query("no", dns.TypeA)); err != nil || m.rcode() != dns.RcodeNameError {
			return fmt.Errorf("got %v, want NXDOMAIN", err)
		}
		if err := asks(nil, addressed)(s); err != nil {
			return err
		}
		q := s.query("", dns.TypeA).spelled(s.zone)
		m, err := s.send(q)
		if err != nil {
			return err
		}
		return addressed(q, m)
	}},
	{name: "an NXDOMAIN behind a CNAME says nothing about names below the question's", rfc: "8020 2, 6604 3", level: must, run: func(s *session) error {
		below := s.name("below", "www")
		s.serve(data(cname(s.name("www"), 300, s.name("gone")), address(below, 300, "192.0.2.1")))
		if err := asks(nil, rcode(dns.RcodeNameError))(s); err != nil {
			return err
		}
		q := s.query("", dns.TypeA).spelled(below)
		m, err := s.send(q)
		if err != nil {
			return err
		}
		return addressed(q, m)
	}},
	{name: "a NODATA for one type hides no other", rfc: "2308 5", level: must, run: func(s *session) error {
		if err := asksFor(dns.TypeMX, nil, rcode(dns.RcodeSuccess), noAnswer)(s); err != nil {
			return err
		}
		return asks(nil, addressed)(s)
	}},
	{name: "a negative answer with NS records is one", rfc: "2308 2.1, 2.2", level: should, both: true, run: func(s *session) error {
		s.serve(always(reply{rcode: dns.RcodeNameError, authority: []rr{soa(s.zone, 300, 300), {s.zone, dns.TypeNS, 300, []byte(s.name("ns"))}}}))
		return asks(nil, rcode(dns.RcodeNameError), withSOA(s, 1, 300))(s)
	}},
	{name: "an NXDOMAIN without SOA is handed on", rfc: "2308 2.1", level: must, run: served(refusing(dns.RcodeNameError), asks(nil, rcode(dns.RcodeNameError)))},
	{name: "a new name is found when the NXDOMAIN is over", rfc: "2308 5", level: must, slow: true, run: func(s *session) error {
		s.serve(onFirst(always(reply{rcode: dns.RcodeNameError, authority: []rr{soa(s.zone, 1, 1)}}), ordinary))
		return s.inTurn(step{0, rcode(dns.RcodeNameError)}, step{2100 * time.Millisecond, addressed})
	}},
}

// withSOA demands one SOA, that of the zone, with bounds for its TTL.
func withSOA(s *session, least, most uint32) judge {
	return func(_ *query, m *message) error {
		list := m.all(authority, dns.TypeSOA)
		if len(list) != 1 || !list[0].owner.is(s.zone) {
			return fmt.Errorf("got the SOAs %v, want the zone's", list)
		}
		return expect(list[0].ttl >= least && list[0].ttl <= most, "got the SOA's TTL %d, want %d to %d", list[0].ttl, least, most)
	}
}

func negativeExpiry(ttl, minimum uint32) func(*session) error {
	return func(s *session) error {
		s.serve(always(reply{rcode: dns.RcodeNameError, authority: []rr{soa(s.zone, ttl, minimum)}}))
		if err := s.inTurn(step{0, rcode(dns.RcodeNameError)}, step{2100 * time.Millisecond, rcode(dns.RcodeNameError)}); err != nil {
			return err
		}
		pause(100 * time.Millisecond)
		got := len(s.received(s.name("www")))
		return expect(got >= 2, "upstream was asked %d times, want twice", got)
	}
}

func noDataExpiry(ttl, minimum uint32) func(*session) error {
	return func(s *session) error {
		s.serve(always(reply{authority: []rr{soa(s.zone, ttl, minimum)}}))
		return s.expires(2)
	}
}
