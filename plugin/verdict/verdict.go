// Package verdict tells what an answer means for a private endpoint: whether
// it is private, public, not linked, missing, or no matter of private endpoints
// at all.
//
// It reads answers and the catalog. It does not know who asked, how the answer
// was fetched, or what is done with it.
package verdict

import (
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
)

// Verdict is what an answer means.
//
// The table, over the question's type and the answer. "Hop" is a name of the
// chain, the question's own included, that lies in a catalogued privatelink
// zone. Addresses are A and AAAA records, and the address hints of HTTPS and
// SVCB records, at the end of the chain.
//
//	type         answer                              no hop    hop
//	any          NXDOMAIN                            other     missing
//	any          CNAMEs without end                  other     other
//	any          another error                       other     other
//	any          no record of the type               nodata    nodata
//	A AAAA ANY   every address private               private   private
//	HTTPS SVCB   every address hint private          private   private
//	A AAAA ANY   an address that is not private      public    unlinked
//	HTTPS SVCB   an address hint that is not private public    unlinked
//	HTTPS SVCB   no address hint                     other     other
//	CNAME        the CNAME itself                    other     other
//	all others   records of the type                 other     other
type Verdict uint8

// The verdicts. The zero value is Other.
const (
	Other Verdict = iota
	Private
	Public
	Unlinked
	Missing
	NoData
)

var names = []string{Other: "other", Private: "private", Public: "public", Unlinked: "unlinked", Missing: "missing", NoData: "nodata"}

// String returns the verdict as the query log and the metrics write it.
func (v Verdict) String() string { return names[v] }

// Verdicts returns all verdicts in a fixed order.
func Verdicts() []Verdict { return []Verdict{Other, Private, Public, Unlinked, Missing, NoData} }

// Finding is a verdict with its evidence.
type Finding struct {
	Verdict Verdict
	// Zone is the catalogued privatelink zone of the chain's first hop; nil if there is none.
	Zone *catalog.Zone
	// ZoneName is that zone's own name, placeholders filled in, without its
	// final dot; empty if there is none.
	ZoneName string
	// Uncatalogued is the first name of the chain that has a privatelink label
	// but lies in no catalogued zone; empty if there is none.
	Uncatalogued string
	// Chain is the way from the question's name to the records.
	Chain Chain
}

// Of judges a reply to a question. The name is lower case and fully qualified;
// the reply must be an answer to it. Neither is kept or changed.
func Of(name string, qtype uint16, reply *dns.Msg, zones *catalog.Catalog, private Networks) Finding {
	finding := Finding{Chain: follow(name, reply.Answer)}
	finding.noteAll(name, zones)
	finding.Verdict = judge(qtype, reply.Rcode, &finding, private)
	return finding
}

func (f *Finding) noteAll(name string, zones *catalog.Catalog) {
	f.note(name, zones)
	for i := range f.Chain.Links {
		link := &f.Chain.Links[i]
		link.Zone = f.note(link.Target, zones)
	}
}

// note takes in a name of the chain, and returns the catalogued zone it lies in.
func (f *Finding) note(name string, zones *catalog.Catalog) *catalog.Zone {
	match := zones.Match(name)
	switch {
	case match.Zone != nil && f.Zone == nil:
		f.Zone, f.ZoneName = match.Zone, strings.TrimSuffix(match.ZoneName(name), ".")
	case match.Zone == nil && f.Uncatalogued == "" && catalog.HasPrivatelinkLabel(name):
		f.Uncatalogued = name
	}
	return match.Zone
}

func judge(qtype uint16, rcode int, finding *Finding, private Networks) Verdict {
	switch {
	case rcode == dns.RcodeNameError && finding.Zone != nil:
		return Missing
	case rcode != dns.RcodeSuccess, finding.Chain.endless:
		return Other
	case !finding.Chain.answers(qtype):
		return NoData
	case !carriesAddresses(qtype) || len(finding.Chain.Addresses) == 0:
		return Other
	case private.containAll(finding.Chain.Addresses):
		return Private
	case finding.Zone != nil:
		return Unlinked
	default:
		return Public
	}
}

func carriesAddresses(qtype uint16) bool {
	switch qtype {
	case dns.TypeA, dns.TypeAAAA, dns.TypeANY, dns.TypeHTTPS, dns.TypeSVCB:
		return true
	}
	return false
}

// Networks are the address ranges that count as private.
type Networks []netip.Prefix

// PrivateNetworks returns the ranges that are private everywhere: RFC 1918, the
// shared address space of RFC 6598, and unique local addresses of RFC 4193.
func PrivateNetworks() Networks {
	return Networks{
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("100.64.0.0/10"),
		netip.MustParsePrefix("fc00::/7"),
	}
}

// LocalNetworks returns the ranges that mean the machine or the link that a packet is on:
// "this" network and loopback (RFC 1122 section 3.2.1.3), link-local addresses (RFC 3927,
// RFC 4291 section 2.5.6), and the unspecified address.
func LocalNetworks() Networks {
	return Networks{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("169.254.0.0/16"),
		netip.MustParsePrefix("::/127"), // :: and ::1
		netip.MustParsePrefix("fe80::/10"),
	}
}

// Contain reports whether an address lies in one of the networks.
func (n Networks) Contain(address netip.Addr) bool {
	for _, network := range n {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

func (n Networks) containAll(addresses []netip.Addr) bool {
	for _, address := range addresses {
		if !n.Contain(address) {
			return false
		}
	}
	return true
}
