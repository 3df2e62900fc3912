package privatelink

import (
	"fmt"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
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
)

// compose makes the reply to a request: what is kept in wire form, told to this
// client.
func (o *outcome) compose(request *dns.Msg, now time.Time) (*dns.Msg, error) {
	if o.answer != nil && !o.withheld {
		return o.present(now)
	}
	reply := new(dns.Msg)
	reply.SetReply(request)
	reply.RecursionAvailable = true
	reply.Compress = true
	reply.Rcode = o.rcode
	switch o.rcode {
	case dns.RcodeNameError:
		reply.Ns = []dns.RR{ownSOA(o.match.ZoneName(o.query.name), rejectionTTL)}
	case dns.RcodeSuccess:
		reply.Ns = []dns.RR{ownSOA(o.query.name, withheldTTL)}
	}
	o.addOptions(reply, request)
	return reply, nil
}

// present tells the answer to the client. CoreDNS's writer wants a message, for
// the plugins that look at it; our own loops can send the bytes.
func (o *outcome) present(now time.Time) (*dns.Msg, error) {
	presentation := wire.Presentation{Age: o.entry.Age(now), Flatten: o.flatten}
	if o.cacheState == fromStale {
		presentation.StaleTTL = staleTTL
	}
	if o.extendedError != nil {
		presentation.Error = wire.ExtendedError{Present: true, Code: o.extendedError.InfoCode, Text: o.extendedError.ExtraText}
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(wire.AppendReply(nil, o.entry.Message(), o.query.asked, presentation)); err != nil {
		return nil, fmt.Errorf("composing the reply: %w", err)
	}
	reply.Compress = true
	return reply, nil
}

// told is the TTL that a kept record is told with.
func (o *outcome) told(ttl time.Duration, now time.Time) time.Duration {
	if o.cacheState == fromStale {
		return min(ttl, staleTTL*time.Second)
	}
	return max(ttl-o.entry.Age(now), 0)
}

// addOptions answers EDNS with EDNS (RFC 6891, section 6.1.1), and carries the
// extended error where the client can read it (RFC 8914).
func (o *outcome) addOptions(reply, request *dns.Msg) {
	if request.IsEdns0() == nil {
		return
	}
	reply.SetEdns0(wire.AdvertisedSize, o.query.key.DO)
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
