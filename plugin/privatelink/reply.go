package privatelink

import (
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// rejectionTTL is how long, in seconds, an NXDOMAIN by policy may be kept,
// withheldTTL a NODATA in place of an answer that is withheld, and failureTTL one in
// place of a failure: short, so that a change works soon.
const (
	rejectionTTL = 10
	withheldTTL  = 5
	failureTTL   = 1
)

// appendReply appends the reply as the client is given it, whatever it came over,
// and returns the longer buffer.
func (s *service) appendReply(buffer []byte, o *outcome, now time.Time) []byte {
	var room [optionsRoom]byte
	presentation := wire.Presentation{Error: o.extendedError, Options: s.appendOptions(room[:0], &o.query, now)}
	if o.tells() {
		presentation.Age, presentation.Flatten = o.entry.Age(now), o.flatten
		if o.cacheState == fromStale {
			presentation.StaleTTL = staleTTL
		}
		reply := wire.AppendReply(buffer, o.entry.Message(), o.query.asked, presentation)
		o.truncated = reply[len(buffer)+2]&truncatedFlag != 0
		return reply
	}
	if negative, err := o.ownNegative(); err == nil && negative != nil {
		return wire.AppendReply(buffer, negative, o.query.asked, presentation)
	}
	return wire.AppendRcode(buffer, o.query.asked, o.rcode, presentation)
}

// truncatedFlag is TC in the third octet of a message (RFC 1035 section 4.1.1).
const truncatedFlag = 1 << 1

// optionsRoom is what a cookie and a keep-alive take.
const optionsRoom = 40

// idleTime is how long an idle connection is kept open, by CoreDNS as by a front.
const idleTime = 10 * time.Second

// appendOptions appends the EDNS options that answer those of the query.
func (s *service) appendOptions(buffer []byte, q *query, now time.Time) []byte {
	buffer = s.cookies.AppendOption(buffer, q.asked, q.client.Addr(), now)
	if q.transport == "udp" {
		return buffer // a keep-alive is for connections only (RFC 7828 section 3.2.1)
	}
	return wire.AppendKeepAlive(buffer, q.asked, idleTime)
}

// ownNegative is the message of a negative answer that no zone gave, nil where the
// reply is no negative answer.
func (o *outcome) ownNegative() ([]byte, error) {
	var soa dns.RR
	switch o.rcode {
	case dns.RcodeNameError:
		soa = ownSOA(o.match.ZoneName(o.query.name), rejectionTTL)
	case dns.RcodeSuccess:
		soa = ownSOA(o.query.name, withheldTTL)
		if !o.withheld {
			soa = ownSOA(o.query.name, failureTTL)
		}
	default:
		return nil, nil
	}
	message := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Rcode: o.rcode}, Ns: []dns.RR{soa}}
	message.Question = []dns.Question{{Name: o.query.name, Qtype: o.query.qtype, Qclass: o.query.qclass}}
	return message.Pack()
}

// told is the TTL that a kept record is told with.
func (o *outcome) told(ttl time.Duration, now time.Time) time.Duration {
	if o.cacheState == fromStale {
		return min(ttl, staleTTL*time.Second)
	}
	return max(ttl-o.entry.Age(now), 0)
}

// ownSOA is the SOA of a negative answer that no zone gave.
func ownSOA(zone string, ttl uint32) dns.RR {
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: ttl},
		Ns:  "privatelink-dns.invalid.", Mbox: "policy.privatelink-dns.invalid.",
		Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: ttl,
	}
}
