package verdict

import (
	"fmt"
	"slices"
	"testing"

	"github.com/miekg/dns"
)

func BenchmarkOf(b *testing.B) {
	zones, private := loadCatalog(b), PrivateNetworks()
	loop := []string{publicName + " 60 IN CNAME a.example.net.", "a.example.net. 60 IN CNAME " + publicName}
	for len(loop) < 3000 { // about what 64 KiB hold
		loop = append(loop, fmt.Sprintf("x%d.example.net. 60 IN CNAME a.example.net.", len(loop)))
	}
	slices.Reverse(loop) // so that each link is found last
	for _, bench := range []struct {
		name    string
		records []string
	}{
		{name: "public", records: []string{publicName + " 60 IN A 20.50.2.48"}},
		{name: "private endpoint", records: []string{publicName + " 60 IN CNAME " + privateName, privateName + " 10 IN A 10.0.2.4"}},
		{name: "hostile, 3000 records", records: loop},
	} {
		b.Run(bench.name, func(b *testing.B) {
			msg := reply(b, publicName, dns.TypeA, dns.RcodeSuccess, bench.records...)
			b.ReportAllocs()
			for b.Loop() {
				Of(publicName, dns.TypeA, msg, zones, private)
			}
		})
	}
}

func BenchmarkReader(b *testing.B) {
	zones, private := loadCatalog(b), PrivateNetworks()
	msg := reply(b, publicName, dns.TypeA, dns.RcodeSuccess, publicName+" 60 IN CNAME "+privateName, privateName+" 10 IN A 10.0.2.4")
	msg.Compress = true
	packed, err := msg.Pack()
	if err != nil {
		b.Fatal(err)
	}
	var reader Reader
	b.ReportAllocs()
	for b.Loop() {
		reader.Of(publicName, dns.TypeA, packed, zones, private)
	}
}
