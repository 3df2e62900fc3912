package catalog_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
)

func BenchmarkMatch(b *testing.B) {
	c, err := catalog.Load(shipped(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, tc := range []struct{ name, in string }{
		{"public", "db1.database.windows.net."},
		{"private", "db1.privatelink.database.windows.net."},
		{"placeholder", "mi1.0a1b2c3d4e5f.database.windows.net."},
		{"deep", "c1-0a1b2c3d.00000000-0000-0000-0000-000000000000.privatelink.westeurope.azmk8s.io."},
		{"elsewhere", "www.example.org."},
		{"escaped", `a\.b.privatelink.database.windows.net.`},
	} {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Match(tc.in)
			}
		})
	}
	names := make([]string, 0, 4096)
	random := rand.New(rand.NewPCG(1, 2))
	for len(names) < cap(names) {
		suffix := c.Namespaces()[random.IntN(len(c.Namespaces()))].Suffix
		if random.IntN(2) == 0 {
			suffix = c.Zones()[random.IntN(len(c.Zones()))].Name
		}
		names = append(names, fmt.Sprintf("x%d.%s", random.IntN(1e6), fill(suffix)))
	}
	b.Run("random", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			c.Match(names[i%len(names)])
			i++
		}
	})
}

func BenchmarkHasPrivatelinkLabel(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		catalog.HasPrivatelinkLabel("db1.database.windows.net.")
	}
}

func BenchmarkPublicName(b *testing.B) {
	c, err := catalog.Load(shipped(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	const name = "v1.privatelink.vaultcore.azure.net."
	zone := c.Match(name).Zone
	b.ReportAllocs()
	for b.Loop() {
		zone.PublicName(name)
	}
}

// BenchmarkLoad reads the shipped catalogs, and one with 100,000 public
// suffixes.
func BenchmarkLoad(b *testing.B) {
	var large strings.Builder
	large.WriteString("schema: 1\ncloud: large\nservices:\n  - service: Large\n    private_zones: [privatelink.example.org]\n    public_suffixes:\n")
	for i := range 100_000 {
		fmt.Fprintf(&large, "      - a%d.region%d.example.org\n", i, i%40)
	}
	for _, tc := range []struct {
		name    string
		sources []catalog.Source
	}{
		{"shipped", shipped(b)},
		{"100000", []catalog.Source{{Path: "large.yaml", Data: []byte(large.String())}}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			load := func() *catalog.Catalog {
				c, err := catalog.Load(tc.sources, nil)
				if err != nil {
					b.Fatal(err)
				}
				return c
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			c := load()
			runtime.GC()
			runtime.ReadMemStats(&after)
			runtime.KeepAlive(c)
			for b.Loop() {
				load()
			}
			b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/(1<<20), "MiB")
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/load")
		})
	}
}
