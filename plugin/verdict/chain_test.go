package verdict

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	publicName  = "v1.vault.azure.net."
	privateName = "v1.privatelink.vaultcore.azure.net."
)

func expectChain(t testing.TB, got Chain, links []Link, addresses ...string) {
	t.Helper()
	hasZone := func(link Link) bool { return strings.HasSuffix(link.Target, ".privatelink.vaultcore.azure.net.") }
	sameLink := func(got, want Link) bool {
		return got.Target == want.Target && got.TTL == want.TTL && (got.Zone != nil) == hasZone(want)
	}
	if !slices.EqualFunc(got.Links, links, sameLink) {
		t.Errorf("links = %v, want %v", got.Links, links)
	}
	var want []netip.Addr
	for _, address := range addresses {
		want = append(want, netip.MustParseAddr(address))
	}
	if !slices.Equal(got.Addresses, want) {
		t.Errorf("addresses = %v, want %v", got.Addresses, want)
	}
}

func TestChain(t *testing.T) {
	hop := Link{Target: privateName, TTL: 60 * time.Second}
	tests := []struct {
		name      string
		qtype     uint16
		answer    []string
		want      Verdict
		links     []Link
		addresses []string
	}{
		{name: "nothing", qtype: dns.TypeA, want: NoData},
		{
			name: "a healthy private endpoint", qtype: dns.TypeA, want: Private, links: []Link{hop}, addresses: []string{"10.0.2.4"},
			answer: []string{publicName + " 60 IN CNAME " + privateName, privateName + " 10 IN A 10.0.2.4"},
		},
		{
			name: "addresses in the answer's order", qtype: dns.TypeA, want: Private, links: []Link{hop}, addresses: []string{"10.0.2.6", "10.0.2.4", "10.0.2.5"},
			answer: []string{publicName + " 60 IN CNAME " + privateName, privateName + " 10 IN A 10.0.2.6", privateName + " 10 IN A 10.0.2.4", privateName + " 10 IN A 10.0.2.5"},
		},
		{
			name: "hints", qtype: dns.TypeHTTPS, want: Private, links: []Link{hop}, addresses: []string{"10.0.2.4", "10.0.2.5", "fd00::4"},
			answer: []string{publicName + " 60 IN CNAME " + privateName, privateName + " 10 IN HTTPS 1 . ipv4hint=10.0.2.4,10.0.2.5 ipv6hint=fd00::4"},
		},
		{
			name: "any case of owners and targets", qtype: dns.TypeA, want: Private, links: []Link{hop}, addresses: []string{"10.0.2.4"},
			answer: []string{"V1.Vault.AZURE.net. 60 IN CNAME V1.PrivateLink.VaultCore.azure.net.", "v1.pRIVATElINK.vAULTcORE.azure.net. 10 IN A 10.0.2.4"},
		},
		{
			name: "the longest TTL", qtype: dns.TypeA, want: NoData, links: []Link{{Target: privateName, TTL: 4294967295 * time.Second}},
			answer: []string{publicName + " 4294967295 IN CNAME " + privateName},
		},
		{
			name: "no TTL", qtype: dns.TypeA, want: NoData, links: []Link{{Target: privateName}},
			answer: []string{publicName + " 0 IN CNAME " + privateName},
		},
		{
			name: "records of other names mean nothing", qtype: dns.TypeA, want: Private, links: []Link{hop}, addresses: []string{"10.0.2.4"},
			answer: []string{
				"www.example.org. 10 IN A 20.50.2.48", "www.example.net. 60 IN CNAME " + publicName, publicName + " 60 IN CNAME " + privateName,
				"v2.privatelink.vaultcore.azure.net. 10 IN A 20.50.2.49", "x." + privateName + " 10 IN A 20.50.2.50", privateName + " 10 IN A 10.0.2.4",
			},
		},
		{name: "only records of other names", qtype: dns.TypeA, want: NoData, answer: []string{"www.example.org. 10 IN A 10.0.2.4", "www.example.org. 60 IN CNAME " + privateName}},
		{
			name: "a chain of somebody else is no hop", qtype: dns.TypeA, want: Public, addresses: []string{"20.50.2.48"},
			answer: []string{"www.example.org. 60 IN CNAME " + privateName, publicName + " 10 IN A 20.50.2.48", privateName + " 10 IN A 10.0.2.4"},
		},
		{
			name: "signatures are no links", qtype: dns.TypeA, want: Private, links: []Link{hop}, addresses: []string{"10.0.2.4"},
			answer: []string{
				publicName + " 60 IN CNAME " + privateName, publicName + " 60 IN RRSIG CNAME 8 4 60 20300101000000 20200101000000 1 azure.net. AAAA",
				privateName + " 10 IN A 10.0.2.4", privateName + " 10 IN RRSIG A 8 5 10 20300101000000 20200101000000 1 azure.net. AAAA",
			},
		},
		{
			name: "a DNAME and its CNAME", qtype: dns.TypeA, want: Private, links: []Link{hop}, addresses: []string{"10.0.2.4"},
			answer: []string{"vault.azure.net. 60 IN DNAME privatelink.vaultcore.azure.net.", publicName + " 60 IN CNAME " + privateName, privateName + " 10 IN A 10.0.2.4"},
		},
		{
			name: "the root as a target", qtype: dns.TypeA, want: Private, links: []Link{{Target: ".", TTL: 60 * time.Second}}, addresses: []string{"10.0.2.4"},
			answer: []string{publicName + " 60 IN CNAME .", ". 10 IN A 10.0.2.4"},
		},
	}
	zones := loadCatalog(t)
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := Of(publicName, tc.qtype, reply(t, publicName, tc.qtype, dns.RcodeSuccess, tc.answer...), zones, PrivateNetworks())
			if got.Verdict != tc.want {
				t.Errorf("Of(%q) = %s, want %s", publicName, got.Verdict, tc.want)
			}
			expectChain(t, got.Chain, tc.links, tc.addresses...)
		})
	}
}

// What is not in the answer section is no answer.
func TestChainReadsTheAnswerOnly(t *testing.T) {
	msg := reply(t, publicName, dns.TypeA, dns.RcodeSuccess)
	elsewhere := reply(t, publicName, dns.TypeA, dns.RcodeSuccess, publicName+" 60 IN CNAME "+privateName, publicName+" 10 IN A 10.0.2.4", privateName+" 10 IN A 10.0.2.4").Answer
	msg.Ns, msg.Extra = elsewhere, elsewhere
	got := Of(publicName, dns.TypeA, msg, loadCatalog(t), PrivateNetworks())
	if got.Verdict != NoData || got.Zone != nil {
		t.Errorf("Of(%q) = %s with zone %v, want %s with none", publicName, got.Verdict, got.Zone, NoData)
	}
	expectChain(t, got.Chain, nil)
}

// longestChain is the number of links that are followed.
const longestChain = 16

// chainOf returns CNAMEs that lead from publicName over count links.
func chainOf(count int) (records []string, links []Link) {
	owner := publicName
	for number := 1; number <= count; number++ {
		target := fmt.Sprintf("l%d.example.net.", number)
		records = append(records, owner+" 60 IN CNAME "+target)
		links = append(links, Link{Target: target, TTL: time.Minute})
		owner = target
	}
	return records, links
}

// Servers order the records of an answer as they like.
func TestChainInAnyOrder(t *testing.T) {
	records, links := chainOf(longestChain - 1)
	owner := links[len(links)-1].Target
	records = append(records, owner+" 60 IN CNAME "+privateName, privateName+" 10 IN A 10.0.2.4", privateName+" 10 IN A 10.0.2.5", "www.example.org. 10 IN A 20.50.2.48")
	links = append(links, Link{Target: privateName, TTL: time.Minute})
	zones, random := loadCatalog(t), rand.New(rand.NewPCG(1, 2))
	for range 200 {
		got := Of(publicName, dns.TypeA, reply(t, publicName, dns.TypeA, dns.RcodeSuccess, records...), zones, PrivateNetworks())
		slices.SortFunc(got.Chain.Addresses, netip.Addr.Compare)
		expectChain(t, got.Chain, links, "10.0.2.4", "10.0.2.5")
		if got.Verdict != Private || got.Zone == nil {
			t.Errorf("Of(%q) = %s with zone %v, want %s with one", publicName, got.Verdict, got.Zone, Private)
		}
		if t.Failed() {
			t.Fatalf("the records were %q", records)
		}
		random.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	}
}

// A chain that is too long, a loop among them, has no end and so no records,
// whatever records there are.
func TestChainWithoutEnd(t *testing.T) {
	atLimit, _ := chainOf(longestChain)
	tooLong, _ := chainOf(longestChain + 1)
	limit, beyond := fmt.Sprintf("l%d.example.net.", longestChain), fmt.Sprintf("l%d.example.net.", longestChain+1)
	self := []string{publicName + " 60 IN CNAME " + publicName}
	pair := []string{publicName + " 60 IN CNAME " + privateName, privateName + " 60 IN CNAME " + publicName}
	triple := []string{
		publicName + " 60 IN CNAME a.example.net.", "a.example.net. 60 IN CNAME b.example.net.", "b.example.net. 60 IN CNAME a.example.net.",
	}
	tests := []struct {
		name      string
		answer    []string
		want      Verdict
		addresses []string
	}{
		{name: "the longest chain", answer: append(slices.Clone(atLimit), limit+" 10 IN A 10.0.2.4"), want: Private, addresses: []string{"10.0.2.4"}},
		{name: "one link more", answer: append(slices.Clone(tooLong), beyond+" 10 IN A 10.0.2.4"), want: Other},
		{name: "one link more, and an address beside the last", answer: append(slices.Clone(tooLong), limit+" 10 IN A 10.0.2.4"), want: Other},
		{name: "a name that leads to itself", answer: self, want: Other},
		{name: "a name that leads to itself, and an address", answer: append(slices.Clone(self), publicName+" 10 IN A 10.0.2.4"), want: Other},
		{name: "a loop of two", answer: pair, want: Other},
		{name: "a loop of two, and addresses", answer: append(slices.Clone(pair), publicName+" 10 IN A 10.0.2.4", privateName+" 10 IN A 20.50.2.48"), want: Other},
		{name: "a way into a loop", answer: triple, want: Other},
		{name: "a way into a loop, and addresses", answer: append(slices.Clone(triple), "a.example.net. 10 IN A 10.0.2.4", "b.example.net. 10 IN A 10.0.2.4"), want: Other},
	}
	zones := loadCatalog(t)
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := Of(publicName, dns.TypeA, reply(t, publicName, dns.TypeA, dns.RcodeSuccess, tc.answer...), zones, PrivateNetworks())
			if got.Verdict != tc.want {
				t.Errorf("Of(%q) = %s, want %s", publicName, got.Verdict, tc.want)
			}
			if len(got.Chain.Links) > longestChain {
				t.Errorf("the chain has %d links, want at most %d", len(got.Chain.Links), longestChain)
			}
			expectChain(t, Chain{Links: got.Chain.Links, Addresses: got.Chain.Addresses}, got.Chain.Links, tc.addresses...)
		})
	}
	t.Run("NXDOMAIN after a loop through a hop", func(t *testing.T) {
		if got := Of(publicName, dns.TypeA, reply(t, publicName, dns.TypeA, dns.RcodeNameError, pair...), zones, PrivateNetworks()); got.Verdict != Missing {
			t.Errorf("Of(%q) = %s, want %s", publicName, got.Verdict, Missing)
		}
	})
}

// Neither the reply is changed nor does the finding hold on to it.
func TestOfLeavesTheReplyAlone(t *testing.T) {
	records := []string{
		"V1.vault.azure.net. 60 IN CNAME V1.privatelink.vaultcore.azure.net.", privateName + " 10 IN A 10.0.2.4",
		privateName + " 10 IN AAAA fd00::4", privateName + " 10 IN HTTPS 1 . ipv4hint=10.0.2.5",
	}
	msg, same := reply(t, publicName, dns.TypeANY, dns.RcodeSuccess, records...), reply(t, publicName, dns.TypeANY, dns.RcodeSuccess, records...)
	same.Id = msg.Id
	got := Of(publicName, dns.TypeANY, msg, loadCatalog(t), PrivateNetworks())
	if !reflect.DeepEqual(msg, same) {
		t.Errorf("Of() left the reply as\n%v\nwant\n%v", msg, same)
	}
	for _, record := range msg.Answer {
		switch record := record.(type) {
		case *dns.A:
			clear(record.A)
		case *dns.AAAA:
			clear(record.AAAA)
		case *dns.CNAME:
			record.Target = "www.example.org."
		}
	}
	expectChain(t, got.Chain, []Link{{Target: privateName, TTL: time.Minute}}, "10.0.2.4", "fd00::4", "10.0.2.5")
}
