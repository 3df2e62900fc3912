package verdict

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"
)

// The operator's own ranges count beside the usual ones, and nothing counts
// where no range is given.
func TestOfNetworks(t *testing.T) {
	own := append(PrivateNetworks(), netip.MustParsePrefix("20.50.0.0/16"), netip.MustParsePrefix("2603:1030::/32"))
	tests := []struct {
		name    string
		private Networks
		qtype   uint16
		data    []string
		verdict Verdict
	}{
		{name: "an own network", private: own, qtype: dns.TypeA, data: []string{"A 20.50.2.48"}, verdict: Private},
		{name: "an own network beside a usual one", private: own, qtype: dns.TypeA, data: []string{"A 20.50.2.48", "A 10.0.2.4"}, verdict: Private},
		{name: "beside an own network", private: own, qtype: dns.TypeA, data: []string{"A 20.51.0.0"}, verdict: Unlinked},
		{name: "an own IPv6 network", private: own, qtype: dns.TypeAAAA, data: []string{"AAAA 2603:1030::1"}, verdict: Private},
		{name: "an own network in a hint", private: own, qtype: dns.TypeHTTPS, data: []string{"HTTPS 1 . ipv4hint=20.50.2.48"}, verdict: Private},
		{name: "the usual networks only", private: PrivateNetworks(), qtype: dns.TypeA, data: []string{"A 20.50.2.48"}, verdict: Unlinked},
		{name: "no network", qtype: dns.TypeA, data: []string{"A 10.0.2.4"}, verdict: Unlinked},
	}
	zones := loadCatalog(t)
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			const name = "db1.privatelink.database.windows.net."
			var records []string
			for _, data := range tc.data {
				records = append(records, name+" 10 IN "+data)
			}
			if got := Of(name, tc.qtype, reply(t, name, tc.qtype, dns.RcodeSuccess, records...), zones, tc.private); got.Verdict != tc.verdict {
				t.Errorf("Of(%q) of %q = %s, want %s", name, records, got.Verdict, tc.verdict)
			}
		})
	}
}

func TestPrivateNetworksContain(t *testing.T) {
	edges := map[bool][]string{
		true: {
			"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255",
			"100.64.0.0", "100.127.255.255", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		},
		false: {
			"9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0",
			"100.63.255.255", "100.128.0.0", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe00::",
			"0.0.0.0", "127.0.0.1", "169.254.0.1", "168.63.129.16", "255.255.255.255", "::", "::1", "fe80::1", "2001:db8::1",
		},
	}
	networks := PrivateNetworks()
	for want, addresses := range edges {
		for _, address := range addresses {
			if got := networks.Contain(netip.MustParseAddr(address)); got != want {
				t.Errorf("Contain(%s) = %v, want %v", address, got, want)
			}
		}
	}
	if networks.Contain(netip.Addr{}) {
		t.Error("Contain(zero) = true, want false")
	}
	networks[0] = netip.MustParsePrefix("0.0.0.0/0")
	if PrivateNetworks().Contain(netip.MustParseAddr("20.50.2.48")) {
		t.Error("a change to what PrivateNetworks() returned reached the next caller")
	}
}

func TestVerdicts(t *testing.T) {
	want := []string{"other", "private", "public", "unlinked", "missing", "nodata"}
	var got []string
	for _, verdict := range Verdicts() {
		got = append(got, verdict.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("Verdicts() = %q, want %q", got, want)
	}
	if zero := Verdict(0); zero != Other {
		t.Errorf("the zero Verdict is %s, want %s", zero, Other)
	}
}
