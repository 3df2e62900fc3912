//go:build linux

package rfc

import (
	"github.com/miekg/dns"
)

// ordinary answers every name of the zone: addresses and texts, nothing else.
func ordinary(a *asked) {
	owner := a.question().name
	switch a.question().qtype {
	case dns.TypeA:
		a.reply(reply{answer: []rr{address(owner, 300, "192.0.2.1")}})
	case dns.TypeAAAA:
		a.reply(reply{answer: []rr{address(owner, 300, "2001:db8::1")}})
	case dns.TypeTXT:
		a.reply(reply{answer: []rr{text(owner, 300, 40)}})
	default:
		a.reply(reply{authority: []rr{soa(a.session.zone, 300, 300)}})
	}
}

// silent never replies to the check's questions. The upstream is well otherwise.
func silent(*asked) {}

// dead is the script of an upstream that replies to nothing at all, probes
// included. It is for checks that have it to themselves.
var dead script

// always gives the same reply to everything; its records must belong to the
// question's name.
func always(r reply) script { return func(a *asked) { a.reply(r) } }

// refusing replies with a response code and no records.
func refusing(rcode int) script { return always(reply{rcode: rcode}) }

// data answers from records, following CNAMEs, as an authoritative server does
// for its zone. What is not there is denied with an SOA of 300 seconds.
func data(records ...rr) script { return dataFor(nil, records...) }

// dataFor is data with changes to each reply.
func dataFor(change func(a *asked, r *reply), records ...rr) script {
	return func(a *asked) {
		r := lookUp(records, a.question().name, a.question().qtype)
		if r.answer == nil || r.rcode != 0 || r.authority != nil {
			r.authority = []rr{soa(a.session.zone, 300, 300)}
		}
		if change != nil {
			change(a, &r)
		}
		a.reply(r)
	}
}

// longestChain bounds what is followed, should records make a loop.
const longestChain = 20

// lookUp finds the answer to a question; an authority section that is not nil
// says that it is negative.
func lookUp(records []rr, n name, qtype uint16) reply {
	var r reply
	for range longestChain {
		exists, target, found := false, name(""), false
		for _, record := range records {
			if !record.owner.is(n) {
				continue
			}
			exists = true
			switch record.rtype {
			case qtype:
				r.answer, found = append(r.answer, record), true
			case dns.TypeCNAME:
				r.answer, target = append(r.answer, record), name(record.data)
			}
		}
		switch {
		case found:
			return r
		case target != "":
			n = target
		default:
			if !exists {
				r.rcode = dns.RcodeNameError
			}
			r.authority = []rr{}
			return r
		}
	}
	return r
}

// onFirst does one thing at the first question of a name and type, and another
// at all later ones.
func onFirst(first, later script) script {
	return func(a *asked) {
		if a.number == 1 {
			first(a)
			return
		}
		later(a)
	}
}

// overUDP does one thing about questions over UDP, and another about those over
// TCP.
func overUDP(packets, streams script) script {
	return func(a *asked) {
		if a.tcp {
			streams(a)
			return
		}
		packets(a)
	}
}

// truncating says TC over UDP, so that its questions come over TCP.
func truncating(streams script) script { return overUDP(always(reply{flags: flagTC}), streams) }

// self is the question's own name as the owner of a record: a pointer to it.
const self = name("\xc0\x0c")

// answering replies with records of the question's own name.
func answering(records ...rr) script { return always(reply{answer: records}) }

// flagged is an address with flags in the header of the reply.
func flagged(flags uint16) script {
	return always(reply{flags: flags, answer: []rr{address(self, 300, "192.0.2.1")}})
}
