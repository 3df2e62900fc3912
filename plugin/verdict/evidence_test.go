package verdict

import (
	"testing"

	"github.com/miekg/dns"
)

// The zone is that of the first hop; a privatelink label that the catalog does
// not know is recorded and is no hop.
func TestOfEvidence(t *testing.T) {
	const public, private = "10 IN A 20.50.2.48", "10 IN A 10.0.2.4"
	tests := []struct {
		name         string
		qname        string
		chain        []string // the targets after qname
		end          string
		rcode        int
		want         Verdict
		zone         string
		uncatalogued string
	}{
		{name: "no hop", qname: "www.example.org.", end: public, want: Public},
		{name: "a hop", qname: "db1.database.windows.net.", chain: []string{"db1.privatelink.database.windows.net."}, end: private, want: Private, zone: "privatelink.database.windows.net"},
		{
			name: "two hops", qname: "www.example.org.", chain: []string{"v1.privatelink.vaultcore.azure.net.", "db1.privatelink.database.windows.net."},
			end: public, want: Unlinked, zone: "privatelink.vaultcore.azure.net",
		},
		{
			name: "the question and another hop", qname: "db1.privatelink.database.windows.net.", chain: []string{"v1.privatelink.vaultcore.azure.net."},
			end: public, want: Unlinked, zone: "privatelink.database.windows.net",
		},
		{name: "the zone itself", qname: "privatelink.database.windows.net.", end: public, want: Unlinked, zone: "privatelink.database.windows.net"},
		{name: "a placeholder", qname: "c1.eastus.kusto.windows.net.", chain: []string{"c1.privatelink.eastus.kusto.windows.net."}, end: public, want: Unlinked, zone: "privatelink.eastus.kusto.windows.net"},
		{name: "an uncatalogued hop", qname: "www.example.org.", chain: []string{"x.privatelink.example.net."}, end: public, want: Public, uncatalogued: "x.privatelink.example.net."},
		{name: "an uncatalogued question", qname: "ak.privatelink.msidentity.com.", chain: []string{"www.tm.ak.example.net."}, end: public, want: Public, uncatalogued: "ak.privatelink.msidentity.com."},
		{name: "an uncatalogued hop and a private address", qname: "www.example.org.", chain: []string{"x.privatelink.example.net."}, end: private, want: Private, uncatalogued: "x.privatelink.example.net."},
		{name: "NXDOMAIN after an uncatalogued hop", qname: "www.example.org.", chain: []string{"x.privatelink.example.net."}, rcode: dns.RcodeNameError, want: Other, uncatalogued: "x.privatelink.example.net."},
		{
			name: "two uncatalogued hops", qname: "www.example.org.", chain: []string{"x.privatelink.example.net.", "y.privatelink-global.example.net."},
			end: public, want: Public, uncatalogued: "x.privatelink.example.net.",
		},
		{
			name: "an uncatalogued hop, then a catalogued one", qname: "www.example.org.", chain: []string{"x.privatelink.example.net.", "db1.privatelink.database.windows.net."},
			end: public, want: Unlinked, zone: "privatelink.database.windows.net", uncatalogued: "x.privatelink.example.net.",
		},
		{
			name: "a catalogued hop, then an uncatalogued one", qname: "db1.database.windows.net.", chain: []string{"db1.privatelink.database.windows.net.", "x.privatelink.example.net."},
			end: private, want: Private, zone: "privatelink.database.windows.net", uncatalogued: "x.privatelink.example.net.",
		},
		{name: "a lookalike", qname: "www.example.org.", chain: []string{"x.notprivatelink.database.windows.net."}, end: public, want: Public},
		{name: "the label inside another", qname: "www.example.org.", chain: []string{"x.privatelink-x.example.net."}, end: public, want: Public},
	}
	zones := loadCatalog(t)
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			owner, records := tc.qname, []string(nil)
			for _, target := range tc.chain {
				records = append(records, owner+" 60 IN CNAME "+target)
				owner = target
			}
			if tc.end != "" {
				records = append(records, owner+" "+tc.end)
			}
			got := Of(tc.qname, dns.TypeA, reply(t, tc.qname, dns.TypeA, tc.rcode, records...), zones, PrivateNetworks())
			if got.Verdict != tc.want || got.ZoneName != tc.zone || got.Uncatalogued != tc.uncatalogued {
				t.Errorf("Of(%q) of %q = %s, zone %q, uncatalogued %q, want %s, %q, %q", tc.qname, records, got.Verdict, got.ZoneName, got.Uncatalogued, tc.want, tc.zone, tc.uncatalogued)
			}
			if wantZone := zones.Match(zoneOwner(tc.zone)).Zone; got.Zone != wantZone {
				t.Errorf("Of(%q) found zone %v, want %v", tc.qname, got.Zone, wantZone)
			}
		})
	}
}

// zoneOwner is a name in a zone, or one in none for no zone.
func zoneOwner(zone string) string {
	if zone == "" {
		return "."
	}
	return "x." + zone + "."
}
