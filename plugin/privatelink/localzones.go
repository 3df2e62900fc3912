package privatelink

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// localTTL is the TTL, in seconds, of what is served locally, and of its SOA records
// (RFC 6303 section 3).
const localTTL = 10800

// localhost is the one name of these that has addresses (RFC 6761 section 6.3).
const localhost = "localhost."

// localZones are the zones whose names must not leave, lower case and fully qualified:
// the special names of RFC 6761, RFC 6762 and RFC 7686, and the reverse zones of RFC 6303
// and, for the shared address space, RFC 7793.
func localZones() []string {
	zones := []string{
		localhost, "invalid.", "test.", "local.", "onion.",
		"0.in-addr.arpa.", "10.in-addr.arpa.", "127.in-addr.arpa.", "254.169.in-addr.arpa.", "168.192.in-addr.arpa.",
		"2.0.192.in-addr.arpa.", "100.51.198.in-addr.arpa.", "113.0.203.in-addr.arpa.", "255.255.255.255.in-addr.arpa.",
		strings.Repeat("0.", 32) + "ip6.arpa.", "1." + strings.Repeat("0.", 31) + "ip6.arpa.",
		"c.f.ip6.arpa.", "d.f.ip6.arpa.", "8.e.f.ip6.arpa.", "9.e.f.ip6.arpa.", "a.e.f.ip6.arpa.", "b.e.f.ip6.arpa.",
		"8.b.d.0.1.0.0.2.ip6.arpa.",
	}
	for octet := 16; octet < 32; octet++ {
		zones = append(zones, strconv.Itoa(octet)+".172.in-addr.arpa.")
	}
	for octet := 64; octet < 128; octet++ {
		zones = append(zones, strconv.Itoa(octet)+".100.in-addr.arpa.")
	}
	return zones
}

// parseLocallyServed reads which of the zones are answered here.
func parseLocallyServed(parsed *config, where string, arguments []string) error {
	known := localZones()
	var mistakes []error
	for _, written := range arguments {
		zone := dns.CanonicalName(written)
		switch {
		case written == "all":
			parsed.local = append(parsed.local, known...)
		case slices.Contains(known, zone):
			parsed.local = append(parsed.local, zone)
		default:
			mistakes = append(mistakes, fmt.Errorf("%s: found locally-served %s, expected all, or zones such as local, onion, 10.in-addr.arpa and the others of RFC 6303 and RFC 6761", where, written))
		}
	}
	return errors.Join(mistakes...)
}

// addLocal has zones answered here that no route but that of the root is for.
func (r *routes) addLocal(zones []string) error {
	slices.Sort(zones)
	for _, zone := range slices.Compact(zones) {
		if err := r.local.AddSuffix(zone, zone); err != nil {
			return err
		}
	}
	return nil
}

// serveLocally answers for a zone that is served here, whose data is made for this reply
// only.
func (s *service) serveLocally(o *outcome, zone string) (settled bool) {
	q := &o.query
	o.decision.Rule = policy.LocallyServed
	const life = localTTL * time.Second
	reply := localReply(zone, q.name, q.qtype)
	entry, err := cache.Make(&q.key, reply, cache.Meta{}, cache.Lifetimes{MaxTTL: life, MaxNegativeTTL: life}, q.arrived)
	if err != nil {
		o.fail(fmt.Errorf("the zone %s, served locally: %w", zone, err))
		return true
	}
	o.answer, o.entry = &upstream.Answer{Msg: reply}, entry
	o.extendedError = wire.ExtendedError{
		Present: true, Code: dns.ExtendedErrorCodeSynthesized,
		Text: "names in " + strings.TrimSuffix(zone, ".") + " do not leave this server, and no route is for them",
	}
	return true
}

// localReply is what an empty zone says (RFC 6303 section 3), and that of localhost with
// its two addresses.
func localReply(zone, name string, qtype uint16) *dns.Msg {
	soa := &dns.SOA{
		Hdr: localHeader(zone, dns.TypeSOA), Ns: zone, Mbox: "nobody.invalid.",
		Serial: 1, Refresh: 3600, Retry: 1200, Expire: 604800, Minttl: localTTL,
	}
	reply := new(dns.Msg)
	switch {
	case zone == localhost:
		reply.Answer = localhostRecords(name, qtype)
	case name != zone:
		reply.Rcode = dns.RcodeNameError
	case qtype == dns.TypeSOA:
		reply.Answer = []dns.RR{soa}
	case qtype == dns.TypeNS:
		reply.Answer = []dns.RR{&dns.NS{Hdr: localHeader(zone, qtype), Ns: zone}}
	}
	if len(reply.Answer) == 0 {
		reply.Ns = []dns.RR{soa}
	}
	return reply
}

func localhostRecords(name string, qtype uint16) []dns.RR {
	switch qtype {
	case dns.TypeA:
		return []dns.RR{&dns.A{Hdr: localHeader(name, qtype), A: net.IPv4(127, 0, 0, 1)}}
	case dns.TypeAAAA:
		return []dns.RR{&dns.AAAA{Hdr: localHeader(name, qtype), AAAA: net.IPv6loopback}}
	}
	return nil
}

func localHeader(name string, rtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rtype, Class: dns.ClassINET, Ttl: localTTL}
}
