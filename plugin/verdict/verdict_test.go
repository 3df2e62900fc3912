package verdict

import (
	"testing"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
)

const catalogData = `
schema: 1
cloud: test
services:
  - service: SQL
    category: databases
    resource_types: [Microsoft.Sql/servers]
    group_ids: [sqlServer]
    private_zones: [privatelink.database.windows.net]
    public_suffixes: [database.windows.net]
  - service: Key Vault
    category: security
    resource_types: [Microsoft.KeyVault/vaults]
    group_ids: [vault]
    private_zones: [privatelink.vaultcore.azure.net]
    public_suffixes: [vault.azure.net, vaultcore.azure.net]
  - service: Data Explorer
    category: analytics
    resource_types: [Microsoft.Kusto/clusters]
    group_ids: [cluster]
    private_zones: ["privatelink.{regionName}.kusto.windows.net"]
    public_suffixes: ["{regionName}.kusto.windows.net"]
zones:
  - zone: privatelink.vaultcore.azure.net
    public_suffix: vault.azure.net
`

func loadCatalog(t testing.TB) *catalog.Catalog {
	t.Helper()
	loaded, err := catalog.Load([]catalog.Source{{Path: "test.yaml", Data: []byte(catalogData)}}, nil)
	if err != nil {
		t.Fatalf("catalog.Load() = %v, want nil", err)
	}
	return loaded
}

// reply makes an answer as it comes off the wire.
func reply(t testing.TB, name string, qtype uint16, rcode int, records ...string) *dns.Msg {
	t.Helper()
	var msg dns.Msg
	msg.SetQuestion(name, qtype)
	msg.Response = true
	for _, text := range records {
		record, err := dns.NewRR(text)
		if err != nil {
			t.Fatalf("dns.NewRR(%q) = %v, want nil", text, err)
		}
		msg.Answer = append(msg.Answer, record)
	}
	msg.Rcode = rcode
	packed, err := msg.Pack()
	if err != nil {
		t.Fatalf("packing %v: %v", records, err)
	}
	var unpacked dns.Msg
	if err := unpacked.Unpack(packed); err != nil {
		t.Fatalf("unpacking %v: %v", records, err)
	}
	return &unpacked
}

// The types whose answer can be the CNAME itself.
func TestOfCNAMEItself(t *testing.T) {
	hop := "db1.database.windows.net. 60 IN CNAME db1.privatelink.database.windows.net."
	plain := "db1.database.windows.net. 60 IN CNAME dataslice1.example.net."
	tests := []struct {
		name    string
		qname   string
		qtype   uint16
		answer  []string
		want    Verdict
		hasZone bool
	}{
		{name: "CNAME, hop", qtype: dns.TypeCNAME, answer: []string{hop}, want: Other, hasZone: true},
		{name: "CNAME, no hop", qtype: dns.TypeCNAME, answer: []string{plain}, want: Other},
		{name: "CNAME, hop and its address", qtype: dns.TypeCNAME, answer: []string{hop, "db1.privatelink.database.windows.net. 10 IN A 20.50.2.48"}, want: Other, hasZone: true},
		{name: "CNAME, none", qtype: dns.TypeCNAME, want: NoData},
		{name: "CNAME, an address instead", qtype: dns.TypeCNAME, answer: []string{"db1.database.windows.net. 10 IN A 20.50.2.48"}, want: NoData},
		{name: "CNAME of the private name, none", qname: "db1.privatelink.database.windows.net.", qtype: dns.TypeCNAME, want: NoData, hasZone: true},
		{name: "ANY, none", qtype: dns.TypeANY, want: NoData},
		{name: "ANY of the private name, none", qname: "db1.privatelink.database.windows.net.", qtype: dns.TypeANY, want: NoData, hasZone: true},
		{name: "ANY, the CNAME alone", qtype: dns.TypeANY, answer: []string{hop}, want: Other, hasZone: true},
		{name: "ANY, no address", qtype: dns.TypeANY, answer: []string{`db1.database.windows.net. 10 IN HINFO "RFC8482" ""`}, want: Other},
		{name: "A, the CNAME alone", qtype: dns.TypeA, answer: []string{hop}, want: NoData, hasZone: true},
		{name: "A, the CNAME without hop alone", qtype: dns.TypeA, answer: []string{plain}, want: NoData},
		{name: "HTTPS, the CNAME alone", qtype: dns.TypeHTTPS, answer: []string{hop}, want: NoData, hasZone: true},
		{name: "TXT, the CNAME alone", qtype: dns.TypeTXT, answer: []string{hop}, want: NoData, hasZone: true},
	}
	zones := loadCatalog(t)
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if tc.qname == "" {
				tc.qname = "db1.database.windows.net."
			}
			got := Of(tc.qname, tc.qtype, reply(t, tc.qname, tc.qtype, dns.RcodeSuccess, tc.answer...), zones, PrivateNetworks())
			if got.Verdict != tc.want || (got.Zone != nil) != tc.hasZone {
				t.Errorf("Of(%q, %s) of %q = %s with zone %v, want %s with a zone: %v", tc.qname, dns.Type(tc.qtype), tc.answer, got.Verdict, got.Zone, tc.want, tc.hasZone)
			}
		})
	}
}

// A record without data, as only a broken server sends it, has no address:
// nothing can be concluded from it, least of all that every address is private.
func TestOfRecordsWithoutData(t *testing.T) {
	const name = "db1.privatelink.database.windows.net."
	empty := func(qtype uint16) dns.RR {
		header := dns.RR_Header{Name: name, Rrtype: qtype, Class: dns.ClassINET, Ttl: 10}
		if qtype == dns.TypeA {
			return &dns.A{Hdr: header}
		}
		return &dns.AAAA{Hdr: header}
	}
	zones := loadCatalog(t)
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		t.Run(dns.Type(qtype).String(), func(t *testing.T) {
			msg := reply(t, name, qtype, dns.RcodeSuccess)
			msg.Answer = []dns.RR{empty(qtype)}
			packed, err := msg.Pack()
			if err != nil {
				t.Fatalf("packing: %v", err)
			}
			if err := msg.Unpack(packed); err != nil {
				t.Fatalf("unpacking: %v", err)
			}
			if got := Of(name, qtype, msg, zones, PrivateNetworks()); got.Verdict != Other || len(got.Chain.Addresses) != 0 {
				t.Errorf("Of(%q) = %s with addresses %v, want %s with none", name, got.Verdict, got.Chain.Addresses, Other)
			}
		})
	}
}

// A reader judges kept answers without allocating.
func TestReaderAllocations(t *testing.T) {
	zones, private := loadCatalog(t), PrivateNetworks()
	msg := reply(t, publicName, dns.TypeA, dns.RcodeSuccess, publicName+" 60 IN CNAME "+privateName, privateName+" 10 IN A 10.0.2.4")
	packed, err := msg.Pack()
	if err != nil {
		t.Fatal(err)
	}
	var reader Reader
	if got := reader.Of(publicName, dns.TypeA, packed, zones, private).Verdict; got != Private {
		t.Errorf("Reader.Of() = %v, want %v", got, Private)
	}
	if got := testing.AllocsPerRun(100, func() { reader.Of(publicName, dns.TypeA, packed, zones, private) }); got != 0 {
		t.Errorf("Reader.Of() allocates %v times, want 0", got)
	}
}
