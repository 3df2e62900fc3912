//go:build linux

package rfc

import (
	"fmt"

	"github.com/miekg/dns"
)

// headerChecks are about the header of a reply, and what is made of that of a
// query.
var headerChecks = []check{
	{name: "an ordinary question is answered, its question section repeated byte for byte", rfc: "1035 4.1.2", level: must, both: true,
		run: asks(nil, addressed, sameQuestion)},
	{name: "an ordinary question over TCP", rfc: "7766 5", level: must, both: true,
		run: asks((*query).overTCP, addressed, sameQuestion, exact)},
	{name: "an ordinary question without EDNS", rfc: "1035 4.1", level: must, both: true,
		run: asks((*query).plain, addressed, sameQuestion, exact)},
	{name: "the opcode is QUERY", rfc: "1035 4.1.1", level: must, both: true,
		run: asks(nil, func(_ *query, m *message) error { return expect(m.opcode() == 0, "got opcode %d", m.opcode()) })},
	{name: "nothing stands behind the reply's last record", rfc: "1035 4.1", level: must, both: true, run: asks(nil, exact)},
	{name: "RA is set", rfc: "1035 4.1.1", level: must, both: true, run: asks(nil, flagSet(flagRA))},
	{name: "RA is set where the upstream's is not", rfc: "1035 4.1.1", level: must, both: true,
		run: served(always(reply{clear: flagRA, answer: []rr{address(self, 300, "192.0.2.1")}}), asks(nil, addressed, flagSet(flagRA)))},
	{name: "RA is set in an NXDOMAIN", rfc: "1035 4.1.1", level: must, both: true, run: served(data(), asks(nil, rcode(dns.RcodeNameError), flagSet(flagRA)))},
	{name: "AA is not the upstream's", rfc: "1035 4.1.1", level: must, both: true, run: served(flagged(flagAA), asks(nil, addressed, flagClear(flagAA)))},
	{name: "AA of an NXDOMAIN is not the upstream's", rfc: "1035 4.1.1", level: must, both: true,
		run: served(dataFor(func(_ *asked, r *reply) { r.flags = flagAA }), asks(nil, rcode(dns.RcodeNameError), flagClear(flagAA)))},
	{name: "AA of a query is not repeated", rfc: "1035 4.1.1", level: must, both: true, run: asks(withFlags(flagRD|flagAA), addressed, flagClear(flagAA))},
	{name: "RD is repeated when set", rfc: "1035 4.1.1", level: must, both: true, run: asks(nil, flagSet(flagRD))},
	{name: "RD is repeated when clear", rfc: "1035 4.1.1", level: must, both: true, run: asks(withFlags(0), flagClear(flagRD))},
	{name: "RD is the client's, whatever the upstream's reply has", rfc: "1035 4.1.1", level: must, both: true,
		run: served(always(reply{clear: flagRD, answer: []rr{address(self, 300, "192.0.2.1")}}), asks(nil, addressed, flagSet(flagRD)))},
	{name: "without RD nothing is asked upstream", rfc: "1034 4.3.1", level: should, run: withoutRecursion},
	{name: "without RD what is kept is told", rfc: "1034 4.3.1, 5.3.3", level: should, run: func(s *session) error {
		s.hit = true
		return asks(withFlags(0), addressed)(s)
	}},
	{name: "Z of a query is ignored and not repeated", rfc: "1035 4.1.1", level: must, both: true, run: asks(withFlags(flagRD|flagZ), addressed, flagClear(flagZ))},
	{name: "Z of the upstream's reply is not handed on", rfc: "1035 4.1.1", level: must, both: true, run: served(flagged(flagZ), asks(nil, addressed, flagClear(flagZ)))},
	{name: "Z of a query is not sent upstream", rfc: "1035 4.1.1", level: should, run: upstreamFlags(withFlags(flagRD|flagZ), 0, flagZ)},
	{name: "TC of a query is ignored and not repeated", rfc: "2181 9", level: should, both: true, run: asks(withFlags(flagRD|flagTC), addressed, flagClear(flagTC))},
	{name: "RA of a query is ignored", rfc: "1035 4.1.1", level: must, both: true, run: asks(withFlags(flagRD|flagRA), addressed)},
	{name: "the rcode of a query is ignored", rfc: "8906 3.1", level: should, both: true, run: asks(withFlags(flagRD|5), addressed)},
	{name: "CD is repeated", rfc: "4035 3.2.2", level: must, both: true, run: asks(withFlags(flagRD|flagCD), addressed, flagSet(flagCD))},
	{name: "CD is not set where the query has none", rfc: "4035 3.2.2", level: must, both: true, run: served(flagged(flagCD), asks(nil, addressed, flagClear(flagCD)))},
	{name: "CD is sent upstream", rfc: "4035 4.7, 6840 5.9", level: should, run: upstreamFlags(withFlags(flagRD|flagCD), flagCD, 0)},
	{name: "AD of a query is harmless", rfc: "6840 5.7", level: must, both: true, run: asks(withFlags(flagRD|flagAD), addressed)},
	{name: "AD is not set where upstream has not set it", rfc: "4035 3.2.3", level: must, both: true, run: asks(withFlags(flagRD|flagAD), addressed, flagClear(flagAD))},
	{name: "AD is not set for a client that has neither AD nor DO", rfc: "6840 5.8", level: must, both: true,
		run: served(flagged(flagAD), asks(nil, addressed, flagClear(flagAD)))},
	{name: "AD is not set for a client without EDNS and AD", rfc: "6840 5.8", level: must, both: true,
		run: served(flagged(flagAD), asks((*query).plain, addressed, flagClear(flagAD)))},
	{name: "AD or DO is sent upstream for a client with AD", rfc: "6840 5.7", level: should, run: func(s *session) error {
		if err := asks(withFlags(flagRD|flagAD), addressed)(s); err != nil {
			return err
		}
		sent := s.received(s.name("www"))[0]
		opt := sent.opt()
		return expect(sent.has(flagAD) || opt != nil && opt.ttl&flagDO != 0, "sent upstream: %s", describe(sent.raw))
	}},
	{name: "RD is set in what is asked upstream", rfc: "1034 5.3.1", level: must, run: upstreamFlags(nil, flagRD, flagQR|flagAA|flagTC|flagRA|flagZ)},
	{name: "what is asked upstream has the opcode, class and counts of a question", rfc: "1035 4.1", level: must, run: upstreamQuestion},
	{name: "the answers of a reply are all of the question's class", rfc: "1035 3.2", level: must, both: true, run: asks(nil, func(_ *query, m *message) error {
		for _, r := range m.sections[answer] {
			if r.class != dns.ClassINET {
				return fmt.Errorf("got a record of class %d", r.class)
			}
		}
		return nil
	})},
	{name: "an upstream's NXDOMAIN is NXDOMAIN", rfc: "1035 4.1.1", level: must, both: true, run: served(data(), asks(nil, rcode(dns.RcodeNameError), sameQuestion))},
	{name: "an upstream's SERVFAIL is SERVFAIL", rfc: "1035 4.1.1", level: must, both: true, servers: 1,
		run: served(refusing(dns.RcodeServerFailure), asks(nil, rcode(dns.RcodeServerFailure), sameQuestion, flagSet(flagRA), flagClear(flagAA)))},
	{name: "an upstream's REFUSED is an error", rfc: "9520 2.1", level: must, both: true, servers: 1,
		run: served(refusing(dns.RcodeRefused), asks(nil, rcode(dns.RcodeServerFailure, dns.RcodeRefused), sameQuestion))},
	{name: "an upstream's NOTIMP is an error", rfc: "9520 2.1", level: must, both: true, servers: 1,
		run: served(refusing(dns.RcodeNotImplemented), asks(nil, rcode(dns.RcodeServerFailure, dns.RcodeNotImplemented), sameQuestion))},
	{name: "an upstream's unknown rcode is an error", rfc: "8906 3.1", level: must, both: true, servers: 1,
		run: served(refusing(12), asks(nil, notRcode(dns.RcodeSuccess), notRcode(dns.RcodeNameError), sameQuestion))},
}

func withFlags(flags uint16) func(*query) *query {
	return func(q *query) *query { return q.with(func(q *query) { q.flags = flags }) }
}

// upstreamFlags demands flags of the query that goes upstream.
func upstreamFlags(change func(*query) *query, set, clear uint16) func(*session) error {
	return func(s *session) error {
		if err := asks(change, replied)(s); err != nil {
			return err
		}
		sent := s.received(s.name("www"))
		if len(sent) == 0 {
			return fmt.Errorf("nothing was asked upstream")
		}
		got := sent[0].flags
		return expect(got&set == set && got&clear == 0, "the query sent upstream has the flags%s, want%s set and%s clear", flagNames(got), flagNames(set), flagNames(clear))
	}
}

func upstreamQuestion(s *session) error {
	if err := asks(nil, addressed)(s); err != nil {
		return err
	}
	sent := s.received(s.name("www"))[0]
	return expect(sent.opcode() == 0 && sent.rcode() == 0 && sent.counts[0] == 1 && sent.counts[1] == 0 && sent.counts[2] == 0 && sent.counts[3] <= 1 &&
		sent.question().qclass == dns.ClassINET && sent.question().qtype == dns.TypeA && sent.trailing == 0,
		"sent upstream: %s", describe(sent.raw))
}

// withoutRecursion: a client that does not desire recursion gets none.
func withoutRecursion(s *session) error {
	m, err := s.send(s.query("www", dns.TypeA).with(func(q *query) { q.flags = 0 }))
	if err != nil {
		return err
	}
	sent := len(s.received(s.name("www")))
	return expect(sent == 0, "%d questions went upstream, the client got %s", sent, describe(m.raw))
}
