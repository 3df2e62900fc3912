package privatelink

import (
	"github.com/miekg/dns"
)

const (
	// rejectionTTL is how long, in seconds, an NXDOMAIN by policy may be kept,
	// and withheldTTL a NODATA in place of an answer that is withheld: short, so
	// that a change works soon.
	rejectionTTL = 10
	withheldTTL  = 5
	// maxExtraText keeps an error within the smallest reply; the query log has
	// the whole text.
	maxExtraText = 240
	// advertisedSize is the UDP size we can take (DNS flag day 2020).
	advertisedSize = 1232
)

// compose makes the reply to a request. The answer's records move into it.
func (o *outcome) compose(request *dns.Msg) *dns.Msg {
	reply := new(dns.Msg)
	reply.SetReply(request)
	reply.RecursionAvailable = true
	reply.Compress = true
	switch {
	case o.answer != nil && !o.withheld:
		o.fill(reply, request)
	case o.rcode == dns.RcodeNameError:
		reply.Rcode = o.rcode
		reply.Ns = []dns.RR{ownSOA(o.match.ZoneName(o.query.name), rejectionTTL)}
	case o.rcode == dns.RcodeSuccess:
		reply.Ns = []dns.RR{ownSOA(o.query.name, withheldTTL)}
	default:
		reply.Rcode = o.rcode
	}
	o.addOptions(reply, request)
	return reply
}

// fill puts the upstream's records into the reply, with the client's own
// spelling of the name it asked for.
func (o *outcome) fill(reply, request *dns.Msg) {
	answer := o.answer.Msg
	reply.Rcode = answer.Rcode
	reply.AuthenticatedData = answer.AuthenticatedData && (request.AuthenticatedData || o.query.dnssecOK)
	reply.Answer, reply.Ns, reply.Extra = answer.Answer, answer.Ns, answer.Extra
	spelling := request.Question[0].Name
	for _, section := range [][]dns.RR{reply.Answer, reply.Ns} {
		for _, record := range section {
			if header := record.Header(); dns.CanonicalName(header.Name) == o.query.name {
				header.Name = spelling
			}
		}
	}
}

// addOptions answers EDNS with EDNS (RFC 6891, section 6.1.1), and carries the
// extended error where the client can read it (RFC 8914).
func (o *outcome) addOptions(reply, request *dns.Msg) {
	if request.IsEdns0() == nil {
		return
	}
	reply.SetEdns0(advertisedSize, o.query.dnssecOK)
	if o.extendedError != nil {
		options := reply.IsEdns0()
		carried := *o.extendedError
		carried.ExtraText = carried.ExtraText[:min(len(carried.ExtraText), maxExtraText)]
		options.Option = append(options.Option, &carried)
	}
}

// ownSOA is the SOA of a negative answer that no zone gave.
func ownSOA(zone string, ttl uint32) dns.RR {
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: ttl},
		Ns:  "privatelink-dns.invalid.", Mbox: "policy.privatelink-dns.invalid.",
		Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: ttl,
	}
}
