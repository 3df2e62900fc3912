package verdict

import (
	"fmt"
	"slices"
	"testing"

	"github.com/miekg/dns"
)

// way is how an answer gets from the question to its end.
type way struct {
	name  string
	qname string
	chain []string
	end   string
	hop   bool
}

func ways() []way {
	return []way{
		{name: "no chain", qname: "www.example.org.", end: "www.example.org."},
		{name: "no chain, public suffix", qname: "db1.database.windows.net.", end: "db1.database.windows.net."},
		{name: "a chain without hop", qname: "www.example.org.", chain: []string{"www.example.org. 60 IN CNAME www.example.net."}, end: "www.example.net."},
		{name: "a hop", qname: "db1.database.windows.net.", chain: []string{"db1.database.windows.net. 60 IN CNAME db1.privatelink.database.windows.net."}, end: "db1.privatelink.database.windows.net.", hop: true},
		{
			name: "a hop in the middle", qname: "sql.corp.example.",
			chain: []string{
				"sql.corp.example. 60 IN CNAME db1.database.windows.net.", "db1.database.windows.net. 60 IN CNAME db1.privatelink.database.windows.net.",
				"db1.privatelink.database.windows.net. 60 IN CNAME cr1.eastus.control.database.windows.net.",
			},
			end: "cr1.eastus.control.database.windows.net.", hop: true,
		},
		{name: "the question itself", qname: "v1.privatelink.vaultcore.azure.net.", end: "v1.privatelink.vaultcore.azure.net.", hop: true},
		{name: "the question itself, and on", qname: "v1.privatelink.vaultcore.azure.net.", chain: []string{"v1.privatelink.vaultcore.azure.net. 60 IN CNAME v1.example.net."}, end: "v1.example.net.", hop: true},
		{name: "a zone with a placeholder", qname: "c1.eastus.kusto.windows.net.", chain: []string{"c1.eastus.kusto.windows.net. 60 IN CNAME c1.privatelink.eastus.kusto.windows.net."}, end: "c1.privatelink.eastus.kusto.windows.net.", hop: true},
	}
}

// anyType are types of every kind.
func anyType() []uint16 {
	return []uint16{
		dns.TypeA, dns.TypeAAAA, dns.TypeANY, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeCNAME, dns.TypeTXT, dns.TypeSRV, dns.TypeMX,
		dns.TypeNS, dns.TypeSOA, dns.TypeDS, dns.TypePTR, 65280,
	}
}

// tableCase is one answer of one row of the table at Verdict. In the records %s
// stands for the name at the chain's end.
type tableCase struct {
	row, answer string
	types       []uint16
	rcode       int
	records     []string
	noHop, hop  Verdict
}

func errorCases() []tableCase {
	cases := []tableCase{
		{row: "NXDOMAIN", answer: "alone", types: anyType(), rcode: dns.RcodeNameError, noHop: Other, hop: Missing},
		{row: "NXDOMAIN", answer: "with an address nevertheless", types: anyType(), rcode: dns.RcodeNameError, records: []string{"%s 10 IN A 10.0.2.4"}, noHop: Other, hop: Missing},
	}
	for _, rcode := range []int{dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeFormatError, dns.RcodeNotImplemented, dns.RcodeYXDomain, dns.RcodeNotAuth, 11} {
		cases = append(cases,
			tableCase{row: "another error", answer: fmt.Sprintf("rcode %d", rcode), types: anyType(), rcode: rcode},
			tableCase{row: "another error", answer: fmt.Sprintf("rcode %d with an address", rcode), types: anyType(), rcode: rcode, records: []string{"%s 10 IN A 10.0.2.4"}},
		)
	}
	return cases
}

func addressCases() []tableCase {
	a, aaaa, anything := []uint16{dns.TypeA}, []uint16{dns.TypeAAAA}, []uint16{dns.TypeANY}
	withA, withAAAA := []uint16{dns.TypeA, dns.TypeANY}, []uint16{dns.TypeAAAA, dns.TypeANY}
	return []tableCase{
		{row: "no record", answer: "A, nothing", types: a, noHop: NoData, hop: NoData},
		{row: "no record", answer: "A, only another type", types: a, records: []string{"%s 10 IN TXT x", "%s 10 IN AAAA fd00::4"}, noHop: NoData, hop: NoData},
		{row: "no record", answer: "AAAA, nothing", types: aaaa, noHop: NoData, hop: NoData},
		{row: "no record", answer: "AAAA, only A", types: aaaa, records: []string{"%s 10 IN A 10.0.2.4"}, noHop: NoData, hop: NoData},

		{row: "private", answer: "one", types: withA, records: []string{"%s 10 IN A 10.0.2.4"}, noHop: Private, hop: Private},
		{row: "private", answer: "several", types: withA, records: []string{"%s 10 IN A 10.0.2.4", "%s 10 IN A 172.31.255.255", "%s 10 IN A 192.168.0.1"}, noHop: Private, hop: Private},
		{row: "private", answer: "RFC 6598", types: withA, records: []string{"%s 10 IN A 100.64.0.4"}, noHop: Private, hop: Private},
		{row: "private", answer: "unique local", types: withAAAA, records: []string{"%s 10 IN AAAA fd00::4"}, noHop: Private, hop: Private},
		{row: "private", answer: "both families", types: anything, records: []string{"%s 10 IN A 10.0.2.4", "%s 10 IN AAAA fd00::4"}, noHop: Private, hop: Private},
		{row: "private", answer: "IPv4-mapped", types: withAAAA, records: []string{"%s 10 IN AAAA ::ffff:10.0.2.4"}, noHop: Private, hop: Private},

		{row: "not private", answer: "one", types: withA, records: []string{"%s 10 IN A 20.50.2.48"}, noHop: Public, hop: Unlinked},
		{row: "not private", answer: "mixed, the private one first", types: withA, records: []string{"%s 10 IN A 10.0.2.4", "%s 10 IN A 20.50.2.48"}, noHop: Public, hop: Unlinked},
		{row: "not private", answer: "mixed, the private one last", types: withA, records: []string{"%s 10 IN A 20.50.2.48", "%s 10 IN A 10.0.2.4"}, noHop: Public, hop: Unlinked},
		{row: "not private", answer: "mixed families", types: anything, records: []string{"%s 10 IN A 10.0.2.4", "%s 10 IN AAAA 2001:db8::1"}, noHop: Public, hop: Unlinked},
		{row: "not private", answer: "IPv6", types: withAAAA, records: []string{"%s 10 IN AAAA 2603:1030::1"}, noHop: Public, hop: Unlinked},
		{row: "not private", answer: "IPv4-mapped", types: withAAAA, records: []string{"%s 10 IN AAAA ::ffff:20.50.2.48"}, noHop: Public, hop: Unlinked},
		{row: "not private", answer: "loopback", types: withA, records: []string{"%s 10 IN A 127.0.0.1"}, noHop: Public, hop: Unlinked},
		{row: "not private", answer: "link-local", types: withAAAA, records: []string{"%s 10 IN AAAA fe80::1"}, noHop: Public, hop: Unlinked},
		{row: "not private", answer: "no address at all", types: withA, records: []string{"%s 10 IN A 0.0.0.0"}, noHop: Public, hop: Unlinked},
	}
}

func serviceBindingCases() []tableCase {
	https, svcb := []uint16{dns.TypeHTTPS}, []uint16{dns.TypeSVCB}
	return []tableCase{
		{row: "no record", answer: "HTTPS, nothing", types: https, noHop: NoData, hop: NoData},
		{row: "no record", answer: "HTTPS, only SVCB", types: https, records: []string{"%s 10 IN SVCB 1 . ipv4hint=10.0.2.4"}, noHop: NoData, hop: NoData},
		{row: "no record", answer: "SVCB, only HTTPS", types: svcb, records: []string{"%s 10 IN HTTPS 1 . ipv4hint=10.0.2.4"}, noHop: NoData, hop: NoData},

		{row: "hints private", answer: "ipv4hint", types: https, records: []string{"%s 10 IN HTTPS 1 . alpn=h2 ipv4hint=10.0.2.4"}, noHop: Private, hop: Private},
		{row: "hints private", answer: "ipv6hint", types: https, records: []string{"%s 10 IN HTTPS 1 . ipv6hint=fd00::4"}, noHop: Private, hop: Private},
		{row: "hints private", answer: "several", types: https, records: []string{"%s 10 IN HTTPS 1 . ipv4hint=10.0.2.4,10.0.2.5 ipv6hint=fd00::4", "%s 10 IN HTTPS 2 . ipv4hint=10.0.2.6"}, noHop: Private, hop: Private},
		{row: "hints private", answer: "beside a record without", types: https, records: []string{"%s 10 IN HTTPS 1 . alpn=h2", "%s 10 IN HTTPS 2 . ipv4hint=10.0.2.6"}, noHop: Private, hop: Private},
		{row: "hints private", answer: "SVCB", types: svcb, records: []string{"%s 10 IN SVCB 1 . ipv4hint=10.0.2.4"}, noHop: Private, hop: Private},

		{row: "hint not private", answer: "ipv4hint", types: https, records: []string{"%s 10 IN HTTPS 1 . ipv4hint=20.50.2.48"}, noHop: Public, hop: Unlinked},
		{row: "hint not private", answer: "second of a list", types: https, records: []string{"%s 10 IN HTTPS 1 . ipv4hint=10.0.2.4,20.50.2.48"}, noHop: Public, hop: Unlinked},
		{row: "hint not private", answer: "the other family", types: https, records: []string{"%s 10 IN HTTPS 1 . ipv4hint=10.0.2.4 ipv6hint=2603:1030::1"}, noHop: Public, hop: Unlinked},
		{row: "hint not private", answer: "second record", types: https, records: []string{"%s 10 IN HTTPS 1 . ipv4hint=10.0.2.4", "%s 10 IN HTTPS 2 . ipv4hint=20.50.2.48"}, noHop: Public, hop: Unlinked},
		{row: "hint not private", answer: "SVCB", types: svcb, records: []string{"%s 10 IN SVCB 1 . ipv6hint=2603:1030::1"}, noHop: Public, hop: Unlinked},

		{row: "no hint", answer: "parameters without addresses", types: https, records: []string{"%s 10 IN HTTPS 1 . alpn=h2,h3 port=8443"}, noHop: Other, hop: Other},
		{row: "no hint", answer: "an alias", types: https, records: []string{"%s 10 IN HTTPS 0 pool.example.net."}, noHop: Other, hop: Other},
		{row: "no hint", answer: "SVCB", types: svcb, records: []string{"%s 10 IN SVCB 1 ."}, noHop: Other, hop: Other},
	}
}

func otherTypeCases() []tableCase {
	records := []struct {
		qtype uint16
		data  string
	}{
		{dns.TypeTXT, `TXT "10.0.2.4"`}, {dns.TypeSRV, "SRV 0 0 88 dc1.corp.example."}, {dns.TypeMX, "MX 10 mail.example.org."}, {dns.TypePTR, "PTR www.example.org."},
		{dns.TypeNS, "NS ns1.example.org."}, {dns.TypeSOA, "SOA azureprivatedns.net. host. 1 2 3 4 5"}, {dns.TypeDS, "DS 1 8 2 00"}, {65280, `TYPE65280 \# 1 00`},
	}
	var cases []tableCase
	for _, record := range records {
		name := dns.Type(record.qtype).String()
		cases = append(cases,
			tableCase{row: "no record", answer: name + ", nothing", types: []uint16{record.qtype}, noHop: NoData, hop: NoData},
			tableCase{row: "no record", answer: name + ", only A", types: []uint16{record.qtype}, records: []string{"%s 10 IN A 10.0.2.4"}, noHop: NoData, hop: NoData},
			tableCase{row: "all others", answer: name, types: []uint16{record.qtype}, records: []string{"%s 10 IN " + record.data}},
			tableCase{row: "all others", answer: name + " beside A", types: []uint16{record.qtype}, records: []string{"%s 10 IN A 10.0.2.4", "%s 10 IN " + record.data}},
		)
	}
	return cases
}

// Every row of the documented table, by every way an answer can take.
func TestOfTable(t *testing.T) {
	zones, private := loadCatalog(t), PrivateNetworks()
	for _, tc := range slices.Concat(errorCases(), addressCases(), serviceBindingCases(), otherTypeCases()) {
		t.Run(tc.row+"/"+tc.answer, func(t *testing.T) {
			for _, way := range ways() {
				want := tc.noHop
				if way.hop {
					want = tc.hop
				}
				records := slices.Clone(way.chain)
				for _, record := range tc.records {
					records = append(records, fmt.Sprintf(record, way.end))
				}
				for _, qtype := range tc.types {
					got := Of(way.qname, qtype, reply(t, way.qname, qtype, tc.rcode, records...), zones, private)
					if got.Verdict != want {
						t.Errorf("%s: Of(%q, %s) of %q = %s, want %s", way.name, way.qname, dns.Type(qtype), records, got.Verdict, want)
					}
					if (got.Zone != nil) != way.hop {
						t.Errorf("%s: Of(%q, %s) found zone %v, want one: %v", way.name, way.qname, dns.Type(qtype), got.Zone, way.hop)
					}
				}
			}
		})
	}
}
