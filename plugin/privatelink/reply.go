package privatelink

import (
	"github.com/miekg/dns"
)

const (
	// rejectionTTL is how long an NXDOMAIN by policy may be kept: short, so
	// that a change of the policy works soon.
	rejectionTTL = 10
	// advertisedSize is the UDP size we can take (DNS flag day 2020).
	advertisedSize = 1232
)

// compose makes the reply to a request. The answer's records move into it.
func (o *outcome) compose(request *dns.Msg) *dns.Msg {
	reply := new(dns.Msg)
	reply.SetReply(request)
	reply.RecursionAvailable = true
	reply.Compress = true
	if o.answer == nil {
		reply.Rcode = o.rcode
		if o.rcode == dns.RcodeNameError {
			reply.Ns = []dns.RR{rejectionSOA(o.match.ZoneName(o.query.name))}
		}
	} else {
		o.fill(reply, request)
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
		options.Option = append(options.Option, o.extendedError)
	}
}

func rejectionSOA(zone string) dns.RR {
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: rejectionTTL},
		Ns:  "privatelink-dns.invalid.", Mbox: "policy.privatelink-dns.invalid.",
		Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: rejectionTTL,
	}
}
