package azuresim

import "github.com/miekg/dns"

// maxChain is how many CNAMEs one answer follows. The longest chain seen in
// public DNS for a PaaS resource is shorter; a loop ends here.
const maxChain = 8

// Resolve returns the answer that Azure-provided DNS gives to q when v asks.
// It follows the CNAME chain; at each name the longest private zone linked to
// v answers with authority, and public DNS answers where there is none. A
// private zone that lacks the name ends the chain with NXDOMAIN, unless its
// link has nxdomain_redirect, which lets public DNS go on from there for A,
// AAAA and CNAME questions.
//
// The message has no identifier and no OPT record, RA is set, AA is not. The
// caller owns it. Resolve reads w and v only and may be called concurrently.
// v must be one of w's.
func (w *World) Resolve(v *VNet, q dns.Question) *dns.Msg {
	reply := &dns.Msg{Question: []dns.Question{q}}
	reply.Response, reply.RecursionAvailable = true, true
	if q.Qclass != dns.ClassINET || isMeta(q.Qtype) && q.Qtype != dns.TypeANY {
		reply.Rcode = dns.RcodeRefused
		return reply
	}
	name := q.Name
	for range maxChain + 1 {
		z, found, records := w.step(v, dns.CanonicalName(name), q.Qtype)
		reply.Answer = append(reply.Answer, owned(records, name)...)
		switch found {
		case noName:
			reply.Rcode = dns.RcodeNameError
			reply.Ns = []dns.RR{z.negative()}
			return reply
		case noType:
			reply.Ns = []dns.RR{z.negative()}
			return reply
		case matched:
			return reply
		}
		name = target(records)
	}
	reply.Answer = nil
	reply.Rcode = dns.RcodeServerFailure
	return reply
}

// step asks one name of the zone that answers for it, without following an
// alias.
func (w *World) step(v *VNet, name string, kind uint16) (*zone, match, []dns.RR) {
	if l, ok := longest(v.links, name); ok {
		found, records := l.zone.lookup(name, kind)
		if found != noName || !l.redirects(kind) {
			return l.zone, found, records
		}
	}
	// The root is always there, so there is always a zone.
	z, _ := longest(w.public, name)
	found, records := z.lookup(name, kind)
	return z, found, records
}

// redirects reports whether a question of this type goes on in public DNS
// when the linked zone lacks the name. Azure does so for A, AAAA and CNAME:
// https://learn.microsoft.com/azure/dns/private-dns-fallback.
func (l link) redirects(kind uint16) bool {
	return l.redirect && (kind == dns.TypeA || kind == dns.TypeAAAA || kind == dns.TypeCNAME)
}

// owned returns copies of records whose owner is name: so a wildcard's
// records get the name asked for, and the first records of an answer keep
// the client's spelling.
func owned(records []dns.RR, name string) []dns.RR {
	copies := make([]dns.RR, len(records))
	for i, rr := range records {
		copies[i] = dns.Copy(rr)
		copies[i].Header().Name = name
	}
	return copies
}

// target returns where a set with one CNAME leads.
func target(records []dns.RR) string {
	alias, ok := records[0].(*dns.CNAME)
	if !ok {
		return "."
	}
	return alias.Target
}
