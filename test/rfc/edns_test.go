//go:build linux

package rfc

import (
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// codeUnknown is an EDNS option that nobody knows.
const codeUnknown = 65001

// ednsChecks are about EDNS between the client and the server.
var ednsChecks = slices.Concat(replyOPT(), []check{
	{name: "no OPT record for a query without one", rfc: "6891 7", level: must, both: true, run: asks((*query).plain, addressed, withoutOPT)},
	{name: "no OPT record for a query over TCP without one", rfc: "6891 7", level: must, both: true, run: asks(func(q *query) *query { return q.plain().overTCP() }, addressed, withoutOPT)},
	{name: "no OPT record in NXDOMAIN for a query without one", rfc: "6891 7", level: must, both: true, run: served(data(), asks((*query).plain, rcode(dns.RcodeNameError), withoutOPT))},
	{name: "no OPT record in SERVFAIL for a query without one", rfc: "6891 7", level: must, both: true, servers: 1, run: served(refusing(dns.RcodeServerFailure), asks((*query).plain, rcode(dns.RcodeServerFailure), withoutOPT))},
	{name: "an OPT record for a query with one where upstream has none", rfc: "6891 6.1.1", level: must, both: true, servers: 1,
		run: served(always(reply{withoutEDNS: true, answer: []rr{address(self, 300, "192.0.2.1")}}), asks(nil, addressed, withOPT))},
	{name: "EDNS version 1 is BADVERS", rfc: "6891 6.1.3", level: must, both: true, run: asks(version(1), rcode(dns.RcodeBadVers), sameQuestion)},
	{name: "EDNS version 255 is BADVERS", rfc: "6891 6.1.3", level: must, both: true, run: asks(version(255), rcode(dns.RcodeBadVers))},
	{name: "EDNS version 1 over TCP is BADVERS", rfc: "6891 6.1.3", level: must, both: true, run: asks(func(q *query) *query { return version(1)(q).overTCP() }, rcode(dns.RcodeBadVers), withOPT)},
	{name: "BADVERS says version 0, and no answer", rfc: "6891 6.1.3", level: must, both: true, run: asks(version(1), rcode(dns.RcodeBadVers), withOPT, noAnswer)},
	{name: "EDNS version 1 with an unknown option is BADVERS, without the option", rfc: "8906 8.2.6", level: must, both: true,
		run: asks(func(q *query) *query { return version(1)(q).option(codeUnknown, 1, 2) }, rcode(dns.RcodeBadVers), withOPT, withoutOption(codeUnknown))},
	{name: "EDNS version 1 with unknown flags is BADVERS, without the flags", rfc: "8906 8.2.5", level: must, both: true,
		run: asks(func(q *query) *query { return unknownFlags(version(1)(q)) }, rcode(dns.RcodeBadVers), withOPT, optFlags(0, 0x7fff))},
	{name: "an answer says what the server takes over UDP", rfc: "6891 6.2.3", level: should, both: true, run: asks(nil, addressed, sizeSaid)},
	{name: "BADVERS says what the server takes over UDP", rfc: "6891 6.2.3", level: should, run: asks(version(1), rcode(dns.RcodeBadVers), sizeSaid)},
	{name: "EDNS version 1 is not asked upstream", rfc: "6891 6.1.3", level: should, run: func(s *session) error {
		if err := asks(version(1), rcode(dns.RcodeBadVers))(s); err != nil {
			return err
		}
		return expect(len(s.received("")) == 0, "%d questions went upstream", len(s.received("")))
	}},
	{name: "an unknown opcode with EDNS is NOTIMP with EDNS", rfc: "8906 8.2.7, 6891 7", level: must, run: func(s *session) error {
		q := s.query("www", dns.TypeSOA).with(func(q *query) { q.flags = 15 << 11 })
		m, err := s.send(q)
		if err != nil {
			return err
		}
		return judged(q, m, rcode(dns.RcodeNotImplemented), withOPT)
	}},
	{name: "an unknown opcode with EDNS over TCP is NOTIMP with EDNS", rfc: "8906 8.2.7, 6891 7", level: must, run: func(s *session) error {
		q := s.query("www", dns.TypeSOA).overTCP().with(func(q *query) { q.flags = 15 << 11 })
		m, err := s.send(q)
		if err != nil {
			return err
		}
		return judged(q, m, rcode(dns.RcodeNotImplemented), withOPT)
	}},
	{name: "two OPT records are FORMERR", rfc: "6891 6.1.1", level: must, both: true, run: twoOPT(false)},
	{name: "two OPT records over TCP are FORMERR", rfc: "6891 6.1.1", level: must, both: true, run: twoOPT(true)},
	{name: "two OPT records are FORMERR with an OPT record", rfc: "6891 7", level: should, run: asks(func(q *query) *query { return doubled(q) }, rcode(dns.RcodeFormatError), withOPT)},
	{name: "an OPT record whose owner is not the root is FORMERR", rfc: "6891 6.1.2", level: should, both: true,
		run: asks(func(q *query) *query { return q.with(func(q *query) { q.edns.owner = q.name }) }, rcode(dns.RcodeFormatError))},
	{name: "an OPT record whose owner is not the root does no harm", rfc: "6891 6.1.2", level: must, both: true,
		run: asks(func(q *query) *query { return q.with(func(q *query) { q.edns.owner = q.name }) }, rcode(dns.RcodeFormatError, dns.RcodeSuccess))},
	{name: "an OPT record in the answer section is FORMERR", rfc: "6891 6.1.1", level: should, run: asks(func(q *query) *query { return q.with(func(q *query) { q.counts = []uint16{1, 1, 0, 0} }) }, rcode(dns.RcodeFormatError))},
	{name: "an OPT record in the authority section is FORMERR", rfc: "6891 6.1.1", level: should, run: asks(func(q *query) *query { return q.with(func(q *query) { q.counts = []uint16{1, 0, 1, 0} }) }, rcode(dns.RcodeFormatError))},
	{name: "an option that is longer than the OPT record is FORMERR", rfc: "6891 6.1.2", level: should, both: true, run: asks(rawOptions(0xfd, 0xe9, 0, 9, 1, 2), rcode(dns.RcodeFormatError))},
	{name: "an option that is longer than the OPT record is FORMERR over TCP", rfc: "6891 6.1.2", level: should, both: true, run: asks(func(q *query) *query { return rawOptions(0xfd, 0xe9, 0, 9, 1, 2)(q).overTCP() }, rcode(dns.RcodeFormatError))},
	{name: "an option of three bytes is FORMERR", rfc: "6891 6.1.2", level: should, both: true, run: asks(rawOptions(0xfd, 0xe9, 0), rcode(dns.RcodeFormatError))},
	{name: "an OPT record before another record is found", rfc: "6891 6.1.1", level: should, both: true, run: asks(func(q *query) *query {
		return q.with(func(q *query) {
			q.counts = []uint16{1, 0, 0, 2}
			q.rest = appendRecord(nil, q.name, dns.TypeA, dns.ClassINET, 300, []byte{192, 0, 2, 77})
		})
	}, addressed, withOPT)},
	{name: "an unknown option is ignored, and not sent back", rfc: "6891 6.1.2", level: must, both: true,
		run: asks(func(q *query) *query { return q.option(codeUnknown, 1, 2, 3) }, addressed, withOPT, withoutOption(codeUnknown))},
	{name: "an unknown option without data is ignored", rfc: "6891 6.1.2", level: must, both: true, run: asks(func(q *query) *query { return q.option(codeUnknown) }, addressed, withOPT, withoutOption(codeUnknown))},
	{name: "thirty unknown options are ignored", rfc: "6891 6.1.2", level: must, both: true, run: asks(func(q *query) *query {
		for index := range 30 {
			q = q.option(codeUnknown+uint16(index), 1)
		}
		return q
	}, addressed, withOPT)},
	{name: "an unknown option is not sent upstream", rfc: "6891 6.1.1", level: must, run: notUpstream(func(q *query) *query { return q.option(codeUnknown, 1, 2, 3) }, codeUnknown)},
	{name: "NSID is not sent upstream", rfc: "5001 2.1, 6891 6.1.1", level: must, run: notUpstream(func(q *query) *query { return q.option(dns.EDNS0NSID) }, dns.EDNS0NSID)},
	{name: "the upstream's NSID is not handed on", rfc: "5001 2.2", level: must, both: true, run: served(withUpstreamOption(dns.EDNS0NSID, 'u', 'p'), asks(nil, addressed, withoutOption(dns.EDNS0NSID)))},
	{name: "an unknown option of the upstream's is not handed on", rfc: "6891 6.1.1", level: must, both: true, run: served(withUpstreamOption(codeUnknown, 'u', 'p'), asks(nil, addressed, withoutOption(codeUnknown)))},
	{name: "padding is not sent upstream over UDP", rfc: "7830 6, 6891 6.1.1", level: should, run: notUpstream(func(q *query) *query { return q.option(dns.EDNS0PADDING, 0, 0, 0) }, dns.EDNS0PADDING)},
	{name: "unknown flags in the OPT record are ignored, and clear in the reply", rfc: "6891 6.1.4", level: must, both: true, run: asks(unknownFlags, addressed, withOPT, optFlags(0, 0x7fff))},
	{name: "unknown flags in the OPT record are not sent upstream", rfc: "6891 6.1.4", level: must, run: func(s *session) error {
		if err := asks(unknownFlags, addressed)(s); err != nil {
			return err
		}
		for _, a := range s.received("") {
			if opt := a.opt(); opt != nil && opt.ttl&0x7fff != 0 {
				return fmt.Errorf("sent upstream: %s", opt)
			}
		}
		return nil
	}},
	{name: "the upstream's unknown flags are not handed on", rfc: "6891 6.1.4", level: must, both: true,
		run: served(always(reply{answer: []rr{address(self, 300, "192.0.2.1")}, edns: &edns{size: 1232, flags: 0x7fff}}), asks(nil, addressed, optFlags(0, 0x7fff)))},
	{name: "DO is repeated", rfc: "3225 3, 4035 3.2.1", level: must, both: true, run: asks((*query).dnssec, addressed, optFlags(flagDO, 0))},
	{name: "DO is clear where the query has none", rfc: "3225 3", level: must, both: true, run: asks(nil, addressed, optFlags(0, flagDO))},
	{name: "DO goes upstream", rfc: "3225 3, 4035 3.2.1", level: must, run: func(s *session) error {
		if err := asks((*query).dnssec, addressed)(s); err != nil {
			return err
		}
		for _, a := range s.received("") {
			if opt := a.opt(); opt != nil && opt.ttl&flagDO != 0 {
				return nil
			}
		}
		return fmt.Errorf("no question with DO went upstream")
	}},
	{name: "the query sent upstream has one OPT record: version 0, 512 to 4096 bytes", rfc: "6891 6.2.3, 6.2.5", level: must, run: func(s *session) error {
		if err := asks(nil, addressed)(s); err != nil {
			return err
		}
		sent := s.received("")[0]
		opt := sent.opt()
		return expect(opt != nil && len(sent.all(additional, dns.TypeOPT)) == 1 && opt.ttl>>16&0xff == 0 && opt.class >= 512 && opt.class <= 4096,
			"sent upstream: %s", describe(sent.raw))
	}},
	{name: "EDNS goes upstream for a client without EDNS, too", rfc: "6891 6.1.1", level: should, run: func(s *session) error {
		if err := asks((*query).plain, addressed)(s); err != nil {
			return err
		}
		return expect(s.received("")[0].opt() != nil, "sent upstream: %s", describe(s.received("")[0].raw))
	}},
})

// replyOPT: every reply to EDNS has EDNS, errors too.
func replyOPT() []check {
	var list []check
	for _, tc := range []struct {
		title   string
		servers int
		script  script
		rcode   int
	}{
		{"an answer", 0, ordinary, dns.RcodeSuccess}, {"NODATA", 0, always(reply{authority: []rr{soa(base, 300, 300)}}), dns.RcodeSuccess}, {"NXDOMAIN", 0, data(), dns.RcodeNameError},
		{"SERVFAIL", 1, refusing(dns.RcodeServerFailure), dns.RcodeServerFailure},
	} {
		list = append(list,
			check{name: tc.title + " to EDNS has one OPT record of version 0", rfc: "6891 6.1.1, 7", level: must, both: true, servers: tc.servers, run: served(tc.script, asks(nil, rcode(tc.rcode), withOPT))},
			check{name: tc.title + " to EDNS over TCP has one OPT record of version 0", rfc: "6891 6.1.1, 7", level: must, both: true, servers: tc.servers, run: served(tc.script, asks((*query).overTCP, rcode(tc.rcode), withOPT))})
	}
	return append(list,
		check{name: "a refusal to EDNS has an OPT record", rfc: "6891 7", level: must, run: asksFor(dns.TypeAXFR, (*query).overTCP, withOPT)},
		check{name: "class CHAOS with EDNS gets an OPT record", rfc: "6891 7", level: should, run: asksFor(dns.TypeTXT, func(q *query) *query { return q.with(func(q *query) { q.qclass = dns.ClassCHAOS }) }, withOPT)},
		check{name: "FORMERR to two questions with EDNS has an OPT record", rfc: "6891 7", level: should, run: twoQuestionsEDNS(false)},
		check{name: "FORMERR to two questions with EDNS over TCP has an OPT record", rfc: "6891 7", level: should, run: twoQuestionsEDNS(true)})
}

func twoQuestionsEDNS(overTCP bool) func(*session) error {
	return func(s *session) error {
		packet := appendHeader(nil, randomID(), flagRD, 2, 0, 0, 1)
		for range 2 {
			packet = appendQuestion(packet, s.name("www"), dns.TypeA, dns.ClassINET)
		}
		reply, err := s.exchange(overTCP, (&edns{size: 1232}).appendTo(packet))
		if err != nil {
			return err
		}
		m, err := read(reply)
		if err != nil {
			return err
		}
		return judged(nil, m, rcode(dns.RcodeFormatError), withOPT)
	}
}

func version(number byte) func(*query) *query {
	return func(q *query) *query { return q.with(func(q *query) { q.edns.version = number }) }
}

func unknownFlags(q *query) *query { return q.with(func(q *query) { q.edns.flags |= 0x7fff }) }

// rawOptions are bytes in the OPT record that are no options.
func rawOptions(bytes ...byte) func(*query) *query {
	return func(q *query) *query { return q.with(func(q *query) { q.edns.options = bytes }) }
}

// doubled is the query with a second OPT record.
func doubled(q *query) *query {
	return q.with(func(q *query) {
		q.counts = []uint16{1, 0, 0, 2}
		q.rest = q.edns.appendTo(nil)
	})
}

func twoOPT(overTCP bool) func(*session) error {
	return asks(func(q *query) *query { return doubled(q).with(func(q *query) { q.tcp = overTCP }) }, rcode(dns.RcodeFormatError), noAnswer)
}

func noAnswer(_ *query, m *message) error {
	return expect(len(m.sections[answer]) == 0, "got %d answers, want none", len(m.sections[answer]))
}

// optFlags demands flags of the OPT record.
func optFlags(set, clear uint16) judge {
	return func(_ *query, m *message) error {
		opt := m.opt()
		if opt == nil {
			return fmt.Errorf("got no OPT record")
		}
		got := uint16(opt.ttl)
		return expect(got&set == set && got&clear == 0, "the OPT record has the flags %04x, want %04x set and %04x clear", got, set, clear)
	}
}

// notUpstream demands that no question that goes upstream has an option.
func notUpstream(change func(*query) *query, code uint16) func(*session) error {
	return func(s *session) error {
		if err := asks(change, addressed)(s); err != nil {
			return err
		}
		for _, a := range s.received("") {
			if data, found := a.option(code); found {
				return fmt.Errorf("option %d %x went upstream", code, data)
			}
		}
		return nil
	}
}

// withUpstreamOption is an address in a reply with an option.
func withUpstreamOption(code uint16, data ...byte) script {
	return always(reply{answer: []rr{address(self, 300, "192.0.2.1")}, edns: &edns{size: 1232, options: optionOf(code, data...)}})
}
