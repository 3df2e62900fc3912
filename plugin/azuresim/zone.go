package azuresim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// zone holds the records of one DNS zone, private or public. It is filled by
// add while the world is read and only read afterwards, so lookups need no
// lock.
type zone struct {
	origin string // lower case, fully qualified
	soa    *dns.SOA
	// names maps every existing owner name, in lower case, to its record
	// sets. An empty non-terminal (RFC 8499) exists with no record set.
	names map[string]recordSets
}

// recordSets maps a record type to the records of that type at one name.
type recordSets map[uint16][]dns.RR

// match says what a zone has for a name and a type.
type match int

const (
	noName  match = iota // the name does not exist: NXDOMAIN
	noType               // the name exists, the type does not: NODATA
	aliased              // the name is an alias: follow the CNAME
	matched              // here are the records
)

// newZone returns an empty zone whose SOA, unless a record replaces it, is
// the one that Azure documents for zones of its kind.
func newZone(origin string, soa authority) *zone {
	header := dns.RR_Header{Name: origin, Class: dns.ClassINET, Ttl: authorityTTL}
	header.Rrtype = dns.TypeNS
	ns := &dns.NS{Hdr: header, Ns: soa.primary}
	header.Rrtype = dns.TypeSOA
	z := &zone{origin: origin, soa: &dns.SOA{
		Hdr: header, Ns: soa.primary, Mbox: soa.contact,
		Serial: 1, Refresh: 3600, Retry: 300, Expire: 2419200, Minttl: soa.minimum,
	}}
	z.names = map[string]recordSets{origin: {dns.TypeSOA: {z.soa}, dns.TypeNS: {ns}}}
	return z
}

// authorityTTL is the TTL of the SOA and NS records that newZone makes, in
// seconds.
const authorityTTL = 3600

// authority names who answers for a zone.
type authority struct {
	primary, contact string
	minimum          uint32 // seconds a negative answer may be kept
}

// privateAuthority is what a private zone's SOA shows. Customers tell by it
// whether a zone is linked. The shape is the documented one; it was not
// compared with a live zone.
func privateAuthority() authority {
	return authority{"azureprivatedns.net.", "azureprivatedns-host.microsoft.com.", 10}
}

// publicAuthority is what a zone hosted in Azure's public DNS shows.
func publicAuthority() authority {
	return authority{"ns1-01.azure-dns.com.", "azuredns-hostmaster.microsoft.com.", 300}
}

// add puts rr into the zone. A record that is there already is not added
// again; a SOA replaces the zone's. The error says what was found and what
// was expected.
func (z *zone) add(rr dns.RR) error {
	header := rr.Header()
	name := dns.CanonicalName(header.Name)
	if err := z.admits(name, header); err != nil {
		return err
	}
	if soa, ok := rr.(*dns.SOA); ok {
		z.soa = soa
		z.names[z.origin][dns.TypeSOA] = []dns.RR{soa}
		return nil
	}
	z.exists(name)
	sets := z.names[name]
	same := func(other dns.RR) bool { return dns.IsDuplicate(rr, other) }
	if slices.ContainsFunc(sets[header.Rrtype], same) {
		return nil
	}
	if err := sets.admits(name, header.Rrtype); err != nil {
		return err
	}
	sets[header.Rrtype] = append(sets[header.Rrtype], rr)
	return nil
}

func (z *zone) admits(name string, header *dns.RR_Header) error {
	switch {
	case header.Class != dns.ClassINET:
		return fmt.Errorf("found class %s at %s, expected IN", dns.Class(header.Class), name)
	case isMeta(header.Rrtype):
		return fmt.Errorf("found type %s at %s, expected a type that holds data", dns.Type(header.Rrtype), name)
	case !dns.IsSubDomain(z.origin, name):
		return fmt.Errorf("found %s, expected a name in the zone %s", name, z.origin)
	case header.Rrtype == dns.TypeSOA && name != z.origin:
		return fmt.Errorf("found a SOA at %s, expected it at %s", name, z.origin)
	}
	return nil
}

// maxSet bounds the records of one type at one name. Azure allows 20; a TCP
// answer of 64 KB holds some thousands of addresses.
const maxSet = 1000

// admits keeps an alias alone at its name (RFC 1034, section 3.6.2) and sets
// small.
func (s recordSets) admits(name string, kind uint16) error {
	if len(s[kind]) == maxSet {
		return fmt.Errorf("found more than %d %s records at %s, expected fewer", maxSet, dns.Type(kind), name)
	}
	if len(s[dns.TypeCNAME]) > 0 {
		return fmt.Errorf("found %s beside a CNAME at %s, expected one CNAME and nothing else", dns.Type(kind), name)
	}
	if kind == dns.TypeCNAME && len(s) > 0 {
		return fmt.Errorf("found a CNAME beside other records at %s, expected one CNAME and nothing else", name)
	}
	return nil
}

// isMeta reports whether kind is a type that no zone holds (RFC 6895,
// section 3.1).
func isMeta(kind uint16) bool {
	return kind == dns.TypeNone || kind == dns.TypeOPT || kind >= 128 && kind <= 255
}

// exists makes name, which must lie in the zone, and every name between it
// and the apex known to the zone.
func (z *zone) exists(name string) {
	for {
		if _, ok := z.names[name]; ok {
			return
		}
		z.names[name] = recordSets{}
		offset, end := dns.NextLabel(name, 0)
		if end {
			return
		}
		name = name[offset:]
	}
}

// lookup returns what the zone has for name, in lower case and in the zone,
// and kind. The records belong to the zone: do not change them. Wildcards
// follow RFC 4592; the records then carry the wildcard's owner name.
func (z *zone) lookup(name string, kind uint16) (match, []dns.RR) {
	sets, ok := z.names[name]
	if !ok {
		sets, ok = z.wildcard(name)
	}
	if !ok {
		return noName, nil
	}
	if kind == dns.TypeANY {
		return sets.all()
	}
	if records := sets[kind]; len(records) > 0 {
		return matched, records
	}
	if alias := sets[dns.TypeCNAME]; len(alias) > 0 {
		return aliased, alias
	}
	return noType, nil
}

// wildcard returns the records of the wildcard right below name's closest
// encloser, the longest ancestor that exists.
func (z *zone) wildcard(name string) (recordSets, bool) {
	for offset, end := dns.NextLabel(name, 0); !end; offset, end = dns.NextLabel(name, offset) {
		encloser := name[offset:]
		if _, ok := z.names[encloser]; ok {
			sets, ok := z.names["*."+encloser]
			return sets, ok
		}
	}
	// Only the root zone holds names whose closest encloser is the root.
	sets, ok := z.names["*."]
	return sets, ok
}

func (s recordSets) all() (match, []dns.RR) {
	var records []dns.RR
	for _, kind := range slices.Sorted(maps.Keys(s)) {
		records = append(records, s[kind]...)
	}
	if len(records) == 0 {
		return noType, nil
	}
	return matched, records
}

// negative returns the SOA that a negative answer carries, with the time
// that answer may be kept as its TTL (RFC 2308, section 3). The caller owns
// it.
func (z *zone) negative() dns.RR {
	soa := dns.Copy(z.soa)
	soa.Header().Ttl = min(z.soa.Hdr.Ttl, z.soa.Minttl)
	return soa
}

// longest returns what zones holds for the longest suffix of name, which must
// be in lower case.
func longest[T any](zones map[string]T, name string) (T, bool) {
	for offset, end := 0, false; !end; offset, end = dns.NextLabel(name, offset) {
		if found, ok := zones[name[offset:]]; ok {
			return found, true
		}
	}
	found, ok := zones["."]
	return found, ok
}

// isPrivateLink reports whether origin is a privatelink zone: a label of it
// is "privatelink" or starts with "privatelink-", as Azure Virtual Desktop's
// "privatelink-global" does.
func isPrivateLink(origin string) bool {
	return slices.ContainsFunc(dns.SplitDomainName(origin), func(label string) bool {
		return label == "privatelink" || strings.HasPrefix(label, "privatelink-")
	})
}
