//go:build linux

package rfc

import (
	"fmt"

	"github.com/miekg/dns"
)

// dnssecChecks are about records that only those get who ask for them, with DO
// or by their type.
var dnssecChecks = []check{
	{name: "signatures arrive at a client with DO", rfc: "4035 3.2.1, 3225 3", level: must, both: true, run: signed((*query).dnssec, true)},
	{name: "signatures arrive at a client with DO over TCP", rfc: "4035 3.2.1", level: must, both: true, run: signed(func(q *query) *query { return q.dnssec().overTCP() }, true)},
	{name: "signatures do not arrive at a client without DO", rfc: "4035 3.2.1, 3225 3", level: must, both: true, run: signed(nil, false)},
	{name: "signatures do not arrive at a client without EDNS", rfc: "4035 3.2.1, 3225 3", level: must, both: true, run: signed((*query).plain, false)},
	{name: "signatures that an upstream sends unasked do not arrive at a client without DO", rfc: "3225 3, 4035 3.2.1", level: should, both: true, run: func(s *session) error {
		s.serve(answering(address(self, 300, "192.0.2.1"), s.signature(self)))
		return asks(nil, addressed)(s)
	}},
	{name: "signatures arrive at a client with DO after one without", rfc: "4035 3.2.1", level: must, run: signedInTurn(false, true)},
	{name: "signatures do not arrive at a client without DO after one with", rfc: "4035 3.2.1, 3225 3", level: must, run: signedInTurn(true, false)},
	{name: "NSEC records of an NXDOMAIN arrive at a client with DO", rfc: "4035 3.1.3, 3.2.1", level: must, both: true, run: denied((*query).dnssec, true)},
	{name: "NSEC records of an NXDOMAIN do not arrive at a client without DO", rfc: "4035 3.2.1", level: must, both: true, run: denied(nil, false)},
	{name: "NSEC records of an NXDOMAIN arrive at a client with DO after one without", rfc: "4035 3.2.1", level: must, run: func(s *session) error {
		if err := denied(nil, false)(s); err != nil {
			return err
		}
		return denied((*query).dnssec, true)(s)
	}},
	{name: "DO with CD gets signatures", rfc: "4035 3.2.2", level: must, both: true, run: signed(func(q *query) *query { return q.dnssec().flagged(flagCD) }, true)},
	{name: "RRSIG records that are asked for by type arrive without DO", rfc: "4035 3.2.1, 3225 3", level: must, both: true, run: func(s *session) error {
		s.serve(answering(s.signature(self)))
		return asksFor(dns.TypeRRSIG, (*query).plain, answers(s.signature(s.name("www"))))(s)
	}},
	{name: "NSEC records that are asked for by type arrive without DO", rfc: "4035 3.2.1, 3225 3", level: must, both: true, run: func(s *session) error {
		s.serve(answering(s.denial(self)))
		return asksFor(dns.TypeNSEC, (*query).plain, answers(s.denial(s.name("www"))))(s)
	}},
	{name: "DNSKEY records arrive with their signatures at a client with DO", rfc: "4035 3.2.1", level: must, both: true, run: func(s *session) error {
		key := rr{self, dns.TypeDNSKEY, 300, []byte("\x01\x01\x03\x0d12345678")}
		s.serve(answering(key, s.signatureOf(self, dns.TypeDNSKEY)))
		key.owner = s.name("www")
		return asksFor(dns.TypeDNSKEY, (*query).dnssec, answers(key, s.signatureOf(s.name("www"), dns.TypeDNSKEY)))(s)
	}},
	{name: "DS records arrive with their signatures at a client with DO", rfc: "4035 3.1.4.1", level: must, both: true, run: func(s *session) error {
		ds := rr{self, dns.TypeDS, 300, []byte("\x12\x34\x0d\x0212345678901234567890123456789012")}
		s.serve(answering(ds, s.signatureOf(self, dns.TypeDS)))
		ds.owner = s.name("www")
		return asksFor(dns.TypeDS, (*query).dnssec, answers(ds, s.signatureOf(s.name("www"), dns.TypeDS)))(s)
	}},
	{name: "the signatures of a chain arrive at a client with DO", rfc: "4035 3.2.1", level: must, both: true, run: func(s *session) error {
		www, target := s.name("www"), s.name("target")
		records := []rr{cname(www, 300, target), s.signatureOf(www, dns.TypeCNAME), address(target, 300, "192.0.2.1"), s.signature(target)}
		s.serve(func(a *asked) {
			if a.question().name.is(www) {
				a.reply(reply{answer: records})
				return
			}
			a.reply(reply{answer: records[2:]})
		})
		return asks((*query).dnssec, answers(records...))(s)
	}},
	{name: "the proof of a wildcard arrives at a client with DO", rfc: "4035 3.1.3.3, 3.2.1", level: must, both: true, run: func(s *session) error {
		signature := s.signature(self)
		signature.data[3]-- // it has fewer labels than the name: a wildcard's
		s.serve(always(reply{answer: []rr{address(self, 300, "192.0.2.1"), signature}, authority: []rr{s.denial(s.name("a")), s.signatureOf(s.name("a"), dns.TypeNSEC)}}))
		return asks((*query).dnssec, rcode(dns.RcodeSuccess), func(_ *query, m *message) error {
			return expect(len(m.all(authority, dns.TypeNSEC)) == 1 && len(m.all(authority, dns.TypeRRSIG)) == 1, "got %s", describe(m.raw))
		})(s)
	}},
	{name: "AD is not set for a client with DO where upstream has not set it", rfc: "4035 3.2.3", level: must, both: true, run: asks((*query).dnssec, addressed, flagClear(flagAD))},
	{name: "what CD brought is not the answer for a client without CD", rfc: "4035 4.7, 6840 5.9", level: should, run: checkingDisabled(true)},
	{name: "a failure without CD is not the answer for a client with CD", rfc: "4035 3.2.2, 6840 5.9", level: should, run: checkingDisabled(false), servers: 1},
	{name: "a client with DO gets an answer after one without over the same name", rfc: "4035 3.2.1", level: must, run: func(s *session) error {
		if err := asks(nil, addressed)(s); err != nil {
			return err
		}
		return asks((*query).dnssec, addressed)(s)
	}},
}

// signature is an RRSIG of an address.
func (s *session) signature(owner name) rr { return s.signatureOf(owner, dns.TypeA) }

func (s *session) signatureOf(owner name, covered uint16) rr {
	data := append([]byte{byte(covered >> 8), byte(covered)}, "\x0d\x04\x00\x00\x01\x2c\x70\x00\x00\x00\x60\x00\x00\x00\x12\x34"...)
	data = append(append(data, s.zone...), "0123456789012345678901234567890123456789012345678901234567890123"...)
	return rr{owner, dns.TypeRRSIG, 300, data}
}

func (s *session) denial(owner name) rr {
	return rr{owner, dns.TypeNSEC, 300, append([]byte(s.name("zzz")), 0, 6, 0x40, 1, 0, 0, 0, 3)}
}

// honestly gives signatures to those who ask with DO.
func (s *session) honestly(a *asked) {
	r := reply{answer: []rr{address(self, 300, "192.0.2.1")}}
	if opt := a.opt(); opt != nil && opt.ttl&flagDO != 0 {
		r.answer = append(r.answer, s.signature(self))
	}
	a.reply(r)
}

func signed(change func(*query) *query, want bool) func(*session) error {
	return func(s *session) error {
		s.serve(s.honestly)
		records := []rr{address(s.name("www"), 300, "192.0.2.1")}
		if want {
			records = append(records, s.signature(s.name("www")))
		}
		return asks(change, answers(records...))(s)
	}
}

// signedInTurn asks twice, with DO or without.
func signedInTurn(first, second bool) func(*session) error {
	return func(s *session) error {
		for _, want := range []bool{first, second} {
			var change func(*query) *query
			if want {
				change = (*query).dnssec
			}
			if err := signed(change, want)(s); err != nil {
				return fmt.Errorf("with DO %v: %w", want, err)
			}
		}
		return nil
	}
}

// denied asks for a name that does not exist.
func denied(change func(*query) *query, want bool) func(*session) error {
	return func(s *session) error {
		s.serve(func(a *asked) {
			r := reply{rcode: dns.RcodeNameError, authority: []rr{soa(s.zone, 300, 300)}}
			if opt := a.opt(); opt != nil && opt.ttl&flagDO != 0 {
				r.authority = append(r.authority, s.signatureOf(s.zone, dns.TypeSOA), s.denial(s.zone), s.signatureOf(s.zone, dns.TypeNSEC))
			}
			a.reply(r)
		})
		return asks(change, rcode(dns.RcodeNameError), withSOA(s, 1, 300), func(_ *query, m *message) error {
			proofs, signatures := len(m.all(authority, dns.TypeNSEC)), len(m.all(authority, dns.TypeRRSIG))
			if want {
				return expect(proofs == 1 && signatures == 2, "got %d NSEC and %d RRSIG records, want 1 and 2", proofs, signatures)
			}
			return expect(proofs == 0 && signatures == 0, "got %d NSEC and %d RRSIG records, want none", proofs, signatures)
		})(s)
	}
}

// checkingDisabled: the upstream validates, and fails without CD.
func checkingDisabled(first bool) func(*session) error {
	return func(s *session) error {
		s.serve(func(a *asked) {
			if a.has(flagCD) {
				ordinary(a)
				return
			}
			a.reply(reply{rcode: dns.RcodeServerFailure})
		})
		for _, disabled := range []bool{first, !first} {
			q := s.query("www", dns.TypeA)
			want := rcode(dns.RcodeServerFailure)
			if disabled {
				q, want = q.flagged(flagCD), addressed
			}
			m, err := s.send(q)
			if err == nil {
				err = want(q, m)
			}
			if err != nil {
				return fmt.Errorf("with CD %v: %w", disabled, err)
			}
		}
		return nil
	}
}
