//go:build linux

package prove

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// resource is a name that leads to a PaaS resource.
type resource struct {
	name string
	// alias is its name in a privatelink zone; "" without a private endpoint.
	alias string
	// private is the address of our private endpoint; "" for somebody else's,
	// which our private zone does not know.
	private string
	// public is the public address; "" where target leads on instead.
	public string
	// target is where a name of the company's own leads.
	target string
}

// resources are the same seen from Azure, with private zones, and from the
// rest of the world, without.
type resources []resource

// privateZones are linked to the network of the tests.
var privateZones = []string{"privatelink.database.windows.net", "privatelink.vaultcore.azure.net"}

// world returns the simulator's world file, in which records live for so many
// seconds, and negative answers of private zones for so many others.
func (all resources) world(seconds, negative int) string {
	var text strings.Builder
	text.WriteString("vnets:\n  - {name: hub, networks: [127.0.0.0/8]}\nprivate_zones:\n")
	for _, zone := range privateZones {
		fmt.Fprintf(&text, "  - name: %s\n    links: [{vnet: hub}]\n    records: |\n", zone)
		fmt.Fprintf(&text, "      @ %d SOA azureprivatedns.net. azureprivatedns-host.microsoft.com. 1 3600 300 2419200 %d\n", negative, negative)
		for _, r := range all {
			if r.private != "" && strings.HasSuffix(r.alias, zone+".") {
				fmt.Fprintf(&text, "      %s %d A %s\n", r.alias, seconds, r.private)
			}
		}
	}
	text.WriteString("public:\n  zones:\n")
	for _, zone := range append([]string{"database.windows.net", "vault.azure.net", "vaultcore.azure.net", "example.org"}, privateZones...) {
		fmt.Fprintf(&text, "    - name: %s\n", zone)
	}
	text.WriteString("  resources:\n")
	for _, r := range all {
		fmt.Fprintf(&text, "    - {name: %s, ttl: %d", r.name, seconds)
		if r.alias != "" {
			fmt.Fprintf(&text, ", private_link: %s", r.alias)
		}
		if r.public != "" {
			fmt.Fprintf(&text, ", addresses: [%s]", r.public)
		}
		if r.target != "" {
			fmt.Fprintf(&text, ", chain: [%s]", r.target)
		}
		text.WriteString("}\n")
	}
	return text.String()
}

// publicTTL is how long public answers live, in seconds.
const publicTTL = 60

// longestChain bounds the names of a chain.
const longestChain = 8

// publicly returns the records that public DNS has for a name and a type,
// CNAMEs first, and whether the name exists.
func (all resources) publicly(name string, kind uint16) (records []dns.RR, exists bool) {
	for range longestChain {
		var leads string
		for _, r := range all {
			switch name {
			case r.name:
				exists, leads = true, r.alias+r.target
				if leads == "" {
					return append(records, address(name, kind, r.public)...), true
				}
			case r.alias:
				return append(records, address(name, kind, r.public)...), true
			}
		}
		if leads == "" {
			return records, exists
		}
		records = append(records, &dns.CNAME{Hdr: header(name, dns.TypeCNAME), Target: leads})
		name = leads
	}
	return records, exists
}

// address returns the A or AAAA record of a name whose IPv4 address is given:
// public names have both kinds of address.
func address(name string, kind uint16, written string) []dns.RR {
	four := netip.MustParseAddr(written)
	switch kind {
	case dns.TypeA:
		return []dns.RR{&dns.A{Hdr: header(name, kind), A: four.AsSlice()}}
	case dns.TypeAAAA:
		six := netip.MustParseAddr("2001:db8::").As16()
		copy(six[12:], four.AsSlice())
		return []dns.RR{&dns.AAAA{Hdr: header(name, kind), AAAA: six[:]}}
	}
	return nil
}

func header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: publicTTL}
}

// publicAddresses returns the addresses anywhere in a message that are not
// private.
func publicAddresses(message *dns.Msg) []string {
	var found []string
	for _, record := range append(append(append([]dns.RR(nil), message.Answer...), message.Ns...), message.Extra...) {
		switch record := record.(type) {
		case *dns.A:
			if !record.A.IsPrivate() {
				found = append(found, record.A.String())
			}
		case *dns.AAAA:
			if !record.AAAA.IsPrivate() {
				found = append(found, record.AAAA.String())
			}
		}
	}
	return found
}
