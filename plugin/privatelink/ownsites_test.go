package privatelink

import (
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
)

// The client's own site is preferred behind a name that a route without sites knows.
func TestCrossingKeepsTheClientsSite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		a, b := n.site(linkedSite(0, "db1=10.0.1.4")), n.site(linkedSite(0, "db1=10.0.2.4"))
		handler := withSitesIn(t, n.slot(), "", "", "upstream a "+a.address+" clients=10.1.0.0/16\nupstream b "+b.address+" clients=10.2.0.0/16\n"+
			"upstream corp "+n.serve(answering(corporate))+"\nroute . a b\nroute corp.example corp")
		for range 2 { // from the upstreams, and kept
			for client, want := range map[string]string{"10.1.0.9": "10.0.1.4", "10.2.0.9": "10.0.2.4", "192.0.2.9": "10.0.1.4"} {
				if got := addressOrRcode(ask(t, handler, client, "sql.corp.example.", dns.TypeA)); got != want {
					t.Errorf("sql.corp.example. asked by %s = %s, want %s", client, got, want)
				}
			}
		}
	})
}

// Two routes with different sites each prefer the one whose network is the longest
// around the client.
func TestRoutesPreferSitesOfTheirOwn(t *testing.T) {
	s := buildText(t, "upstream c 10.0.0.3 clients=10.2.0.0/16\nupstream d 10.0.0.4\nupstream e 10.0.0.5 clients=10.0.0.0/8\nroute . d e\nroute corp.example d c")
	tests := []struct{ name, client, wantRest, wantCorp string }{
		{"both networks", "10.2.0.9", "e", "c"},
		{"the wide one", "10.1.0.9", "e", "d"},
		{"none", "192.0.2.9", "d", "d"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			view := s.routes.viewOf(&query{client: netip.AddrPortFrom(netip.MustParseAddr(tc.client), 53)})
			corp := s.routes.find("x.corp.example.", catalog.Match{})
			if rest, corp := s.routes.rest.sites.ranked(view)[0].Name, corp.sites.ranked(view)[0].Name; rest != tc.wantRest || corp != tc.wantCorp {
				t.Errorf("preferred = %s and %s, want %s and %s", rest, corp, tc.wantRest, tc.wantCorp)
			}
		})
	}
}
