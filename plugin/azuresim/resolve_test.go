package azuresim

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func demoWorld(t testing.TB) *World {
	t.Helper()
	w, err := DemoWorld()
	if err != nil {
		t.Fatalf("DemoWorld() = %v", err)
	}
	return w
}

// ask resolves "NAME TYPE" for a VNet.
func ask(t testing.TB, w *World, vnet, question string) *dns.Msg {
	t.Helper()
	v, ok := w.VNet(vnet)
	if !ok {
		t.Fatalf("VNet(%q): not in the world", vnet)
	}
	name, kind, _ := strings.Cut(question, " ")
	return w.Resolve(v, dns.Question{Name: dns.Fqdn(name), Qtype: dns.StringToType[kind], Qclass: dns.ClassINET})
}

// lines prints records one by one, with single blanks.
func lines(records []dns.RR) []string {
	var printed []string
	for _, rr := range records {
		printed = append(printed, strings.Join(strings.Fields(rr.String()), " "))
	}
	return printed
}

const privateSOA = "IN SOA azureprivatedns.net. azureprivatedns-host.microsoft.com. 1 3600 300 2419200 10"
const publicSOA = "IN SOA ns1-01.azure-dns.com. azuredns-hostmaster.microsoft.com. 1 3600 300 2419200 300"
const rootSOA = ". 300 IN SOA a.root-servers.net. nstld.verisign-grs.com. 1 3600 300 2419200 300"

// resolution is a question and the answer it must get.
type resolution struct {
	name, vnet, question string
	rcode                int
	answer               []string
	authority            string
}

func checkResolutions(t *testing.T, cases []resolution) {
	t.Helper()
	w := demoWorld(t)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			m := ask(t, w, tc.vnet, tc.question)
			if m.Rcode != tc.rcode {
				t.Errorf("Resolve(%q) rcode = %s, want %s", tc.question, dns.RcodeToString[m.Rcode], dns.RcodeToString[tc.rcode])
			}
			if got := lines(m.Answer); !slices.Equal(got, tc.answer) {
				t.Errorf("Resolve(%q) answer =\n%s\nwant\n%s", tc.question, strings.Join(got, "\n"), strings.Join(tc.answer, "\n"))
			}
			if got := strings.Join(lines(m.Ns), "\n"); got != tc.authority {
				t.Errorf("Resolve(%q) authority = %q, want %q", tc.question, got, tc.authority)
			}
			if !m.Response || !m.RecursionAvailable || m.Authoritative {
				t.Errorf("Resolve(%q) QR, RA, AA = %v, %v, %v, want true, true, false",
					tc.question, m.Response, m.RecursionAvailable, m.Authoritative)
			}
		})
	}
}

// Rows 1, 2 and 2' of the scenarios, and what belongs to them.
func TestResolvePrivateEndpoint(t *testing.T) {
	checkResolutions(t, []resolution{
		{
			name: "no private endpoint", vnet: "hub", question: "web1.database.windows.net A",
			answer: []string{
				"web1.database.windows.net. 60 IN CNAME dataslice6.eastus.database.windows.net.",
				"dataslice6.eastus.database.windows.net. 60 IN A 203.0.113.10",
			},
		},
		{
			name: "private endpoint and link", vnet: "hub", question: "db1.database.windows.net A",
			answer: []string{
				"db1.database.windows.net. 60 IN CNAME db1.privatelink.database.windows.net.",
				"db1.privatelink.database.windows.net. 10 IN A 10.0.2.4",
			},
		},
		{
			name: "private endpoint, zone not linked", vnet: "spoke", question: "db1.database.windows.net A",
			answer: []string{
				"db1.database.windows.net. 60 IN CNAME db1.privatelink.database.windows.net.",
				"db1.privatelink.database.windows.net. 60 IN CNAME dataslice6.eastus.database.windows.net.",
				"dataslice6.eastus.database.windows.net. 60 IN A 203.0.113.10",
			},
		},
		{
			name: "zone linked to nobody", vnet: "hub", question: "app1.azurewebsites.net A",
			answer: []string{
				"app1.azurewebsites.net. 60 IN CNAME app1.privatelink.azurewebsites.net.",
				"app1.privatelink.azurewebsites.net. 60 IN CNAME waws-prod-bl5-001.sip.azurewebsites.windows.net.",
				"waws-prod-bl5-001.sip.azurewebsites.windows.net. 60 IN A 203.0.113.40",
			},
		},
		{
			name: "another environment's zone of the same name", vnet: "test", question: "db1.database.windows.net A",
			answer: []string{
				"db1.database.windows.net. 60 IN CNAME db1.privatelink.database.windows.net.",
				"db1.privatelink.database.windows.net. 10 IN A 10.4.2.4",
			},
		},
		{
			name: "direct question for the private name", vnet: "hub", question: "db1.privatelink.database.windows.net A",
			answer: []string{"db1.privatelink.database.windows.net. 10 IN A 10.0.2.4"},
		},
		{
			name: "private AKS cluster", vnet: "hub", question: "aks1-1a2b3c4d.privatelink.eastus.azmk8s.io A",
			answer: []string{"aks1-1a2b3c4d.privatelink.eastus.azmk8s.io. 10 IN A 10.0.2.8"},
		},
		{
			name: "alias that crosses zones", vnet: "hub", question: "sql.corp.example A",
			answer: []string{
				"sql.corp.example. 300 IN CNAME db1.database.windows.net.",
				"db1.database.windows.net. 60 IN CNAME db1.privatelink.database.windows.net.",
				"db1.privatelink.database.windows.net. 10 IN A 10.0.2.4",
			},
		},
	})
}

// NXDOMAIN with the CNAMEs, and public DNS where the link redirects.
func TestResolveMissing(t *testing.T) {
	checkResolutions(t, []resolution{
		{
			name: "somebody else's private endpoint", vnet: "hub", question: "partner1.database.windows.net A",
			rcode: dns.RcodeNameError,
			answer: []string{
				"partner1.database.windows.net. 60 IN CNAME partner1.privatelink.database.windows.net.",
			},
			authority: "privatelink.database.windows.net. 10 " + privateSOA,
		},
		{
			name: "somebody else's, link without redirect", vnet: "hub", question: "stpartner.blob.core.windows.net A",
			rcode:     dns.RcodeNameError,
			answer:    []string{"stpartner.blob.core.windows.net. 60 IN CNAME stpartner.privatelink.blob.core.windows.net."},
			authority: "privatelink.blob.core.windows.net. 10 " + privateSOA,
		},
		{
			name: "somebody else's, link with redirect", vnet: "spoke", question: "stpartner.blob.core.windows.net A",
			answer: []string{
				"stpartner.blob.core.windows.net. 60 IN CNAME stpartner.privatelink.blob.core.windows.net.",
				"stpartner.privatelink.blob.core.windows.net. 60 IN CNAME blob.bl6prdstr02a.store.core.windows.net.",
				"blob.bl6prdstr02a.store.core.windows.net. 60 IN A 203.0.113.31",
			},
		},
		{
			name: "redirect of a CNAME question", vnet: "spoke", question: "stpartner.privatelink.blob.core.windows.net CNAME",
			answer: []string{
				"stpartner.privatelink.blob.core.windows.net. 60 IN CNAME blob.bl6prdstr02a.store.core.windows.net.",
			},
		},
		{
			name: "no redirect of a TXT question", vnet: "spoke", question: "stpartner.blob.core.windows.net TXT",
			rcode:     dns.RcodeNameError,
			answer:    []string{"stpartner.blob.core.windows.net. 60 IN CNAME stpartner.privatelink.blob.core.windows.net."},
			authority: "privatelink.blob.core.windows.net. 10 " + privateSOA,
		},
		{
			name: "redirect to a name that public DNS lacks too", vnet: "spoke", question: "nobody.privatelink.blob.core.windows.net A",
			rcode: dns.RcodeNameError, authority: "blob.core.windows.net. 300 " + publicSOA,
		},
		{
			name: "redirect leaves what the zone has", vnet: "spoke", question: "st1.blob.core.windows.net A",
			answer: []string{
				"st1.blob.core.windows.net. 60 IN CNAME st1.privatelink.blob.core.windows.net.",
				"st1.privatelink.blob.core.windows.net. 10 IN A 10.0.2.6",
			},
		},
		{
			name: "redirect leaves NODATA", vnet: "spoke", question: "st1.blob.core.windows.net AAAA",
			answer:    []string{"st1.blob.core.windows.net. 60 IN CNAME st1.privatelink.blob.core.windows.net."},
			authority: "privatelink.blob.core.windows.net. 10 " + privateSOA,
		},
		{
			name: "private AKS cluster from elsewhere", vnet: "isolated", question: "aks1-1a2b3c4d.privatelink.eastus.azmk8s.io A",
			rcode: dns.RcodeNameError, authority: "azmk8s.io. 300 " + publicSOA,
		},
	})
}

// Types other than A: NODATA, CNAME and ANY.
func TestResolveTypes(t *testing.T) {
	checkResolutions(t, []resolution{
		{
			name: "AAAA of a private endpoint", vnet: "hub", question: "v1.vault.azure.net AAAA",
			answer:    []string{"v1.vault.azure.net. 60 IN CNAME v1.privatelink.vaultcore.azure.net."},
			authority: "privatelink.vaultcore.azure.net. 10 " + privateSOA,
		},
		{
			name: "HTTPS of a private endpoint", vnet: "hub", question: "v1.vault.azure.net HTTPS",
			answer:    []string{"v1.vault.azure.net. 60 IN CNAME v1.privatelink.vaultcore.azure.net."},
			authority: "privatelink.vaultcore.azure.net. 10 " + privateSOA,
		},
		{
			name: "AAAA at the end of a public chain", vnet: "hub", question: "v2.vault.azure.net AAAA",
			answer: []string{
				"v2.vault.azure.net. 60 IN CNAME data-prod-eus.vaultcore.azure.net.",
				"data-prod-eus.vaultcore.azure.net. 60 IN CNAME data-prod-eus-region.vaultcore.azure.net.",
			},
			authority: "vaultcore.azure.net. 300 " + publicSOA,
		},
		{
			name: "CNAME question", vnet: "hub", question: "db1.database.windows.net CNAME",
			answer: []string{"db1.database.windows.net. 60 IN CNAME db1.privatelink.database.windows.net."},
		},
		{
			name: "CNAME question for a private address", vnet: "hub", question: "db1.privatelink.database.windows.net CNAME",
			authority: "privatelink.database.windows.net. 10 " + privateSOA,
		},
		{
			name: "ANY question", vnet: "hub", question: "db1.database.windows.net ANY",
			answer: []string{"db1.database.windows.net. 60 IN CNAME db1.privatelink.database.windows.net."},
		},
		{name: "zone transfer", vnet: "hub", question: "example.org AXFR", rcode: dns.RcodeRefused},
	})
}

// A linked and an unlinked zone are told apart by their SOA.
func TestResolveApex(t *testing.T) {
	checkResolutions(t, []resolution{
		{
			name: "SOA of a linked zone", vnet: "hub", question: "privatelink.database.windows.net SOA",
			answer: []string{"privatelink.database.windows.net. 3600 " + privateSOA},
		},
		{
			name: "NS of a linked zone", vnet: "hub", question: "privatelink.database.windows.net NS",
			answer: []string{"privatelink.database.windows.net. 3600 IN NS azureprivatedns.net."},
		},
		{
			name: "SOA of an unlinked zone", vnet: "isolated", question: "privatelink.database.windows.net SOA",
			answer: []string{"privatelink.database.windows.net. 3600 " + publicSOA},
		},
		{
			name: "SOA of an unlinked zone that is no public zone", vnet: "isolated", question: "privatelink.vaultcore.azure.net SOA",
			authority: "vaultcore.azure.net. 300 " + publicSOA,
		},
		{name: "the root", vnet: "hub", question: ". NS", answer: []string{". 3600 IN NS a.root-servers.net."}},
	})
}

// Which names exist, and how they are spelled.
func TestResolveNames(t *testing.T) {
	checkResolutions(t, []resolution{
		{
			name: "machine of the VNet", vnet: "hub", question: "vm1.hub2f6.bx.internal.cloudapp.net A",
			answer: []string{"vm1.hub2f6.bx.internal.cloudapp.net. 10 IN A 10.1.0.10"},
		},
		{
			name: "machine of another VNet", vnet: "hub", question: "vm2.spoke7c1.bx.internal.cloudapp.net A",
			rcode: dns.RcodeNameError, authority: "cloudapp.net. 300 " + publicSOA,
		},
		{
			name: "the question's spelling", vnet: "hub", question: "DB1.Database.Windows.NET A",
			answer: []string{
				"DB1.Database.Windows.NET. 60 IN CNAME db1.privatelink.database.windows.net.",
				"db1.privatelink.database.windows.net. 10 IN A 10.0.2.4",
			},
		},
		{
			name: "wildcard", vnet: "hub", question: "one.apps.example.org A",
			answer: []string{"one.apps.example.org. 300 IN A 192.0.2.81"},
		},
		{
			name: "wildcard without the type", vnet: "hub", question: "one.apps.example.org AAAA",
			authority: "example.org. 300 " + publicSOA,
		},
		{
			name: "empty non-terminal", vnet: "hub", question: "apps.example.org A",
			authority: "example.org. 300 " + publicSOA,
		},
		{
			name: "empty non-terminal above a zone", vnet: "hub", question: "windows.net A", authority: rootSOA,
		},
		{
			name: "unknown name of a public zone", vnet: "hub", question: "nobody.corp.example A",
			rcode:     dns.RcodeNameError,
			authority: "corp.example. 300 IN SOA dc1.corp.example. hostmaster.corp.example. 2026010101 900 600 86400 300",
		},
		{
			name: "unknown top level", vnet: "hub", question: "nobody.invalid A",
			rcode: dns.RcodeNameError, authority: rootSOA,
		},
		{
			name: "loop of aliases", vnet: "hub", question: "loop1.example.org A",
			rcode: dns.RcodeServerFailure,
		},
	})
}

func TestResolveClass(t *testing.T) {
	w := demoWorld(t)
	v, _ := w.VNet("hub")
	m := w.Resolve(v, dns.Question{Name: "www.example.org.", Qtype: dns.TypeA, Qclass: dns.ClassCHAOS})
	if m.Rcode != dns.RcodeRefused || len(m.Answer) != 0 {
		t.Errorf("Resolve(CH A) = %v, want REFUSED and no answer", m)
	}
}

func TestResolveChainBound(t *testing.T) {
	w := worldOf(t, `
vnets: [{name: hub}]
public:
  zones:
    - name: example.org
      records: |
        $GENERATE 1-8 a$ 60 CNAME ${1,0,d}.b
        $GENERATE 2-8 $.b 60 CNAME ${1,0,d}.b
        9.b A 192.0.2.1
`)
	// From N.b to 9.b are 9-N aliases, from aN one more.
	for _, tc := range []struct {
		name  string
		rcode int
		count int
	}{
		{"a1.example.org", dns.RcodeSuccess, 9},
		{"a2.example.org", dns.RcodeSuccess, 8},
	} {
		if m := ask(t, w, "hub", tc.name+" A"); m.Rcode != tc.rcode || len(m.Answer) != tc.count {
			t.Errorf("Resolve(%q) = %s with %d records, want %s with %d",
				tc.name, dns.RcodeToString[m.Rcode], len(m.Answer), dns.RcodeToString[tc.rcode], tc.count)
		}
	}
	w = worldOf(t, `
vnets: [{name: hub}]
public:
  zones:
    - name: example.org
      records: |
        $GENERATE 0-8 $.b 60 CNAME ${1,0,d}.b
        9.b A 192.0.2.1
`)
	if m := ask(t, w, "hub", "0.b.example.org A"); m.Rcode != dns.RcodeServerFailure || len(m.Answer) != 0 {
		t.Errorf("Resolve(9 aliases) = %v, want SERVFAIL without an answer", m)
	}
}

// A caller may change what it got: the next answer must not show it.
func TestResolveGivesCopies(t *testing.T) {
	w := demoWorld(t)
	for _, question := range []string{"db1.database.windows.net A", "partner1.database.windows.net A"} {
		m := ask(t, w, "hub", question)
		want := m.String()
		for _, rr := range slices.Concat(m.Answer, m.Ns) {
			rr.Header().Ttl = 1
			rr.Header().Name = "changed."
		}
		if got := ask(t, w, "hub", question).String(); got != want {
			t.Errorf("Resolve(%q) after a change of the first answer = %s, want %s", question, got, want)
		}
	}
}
