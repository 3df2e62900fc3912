package policy

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// benchmarkPairs are enough clients that their buckets do not all stay in the
// nearest cache.
const benchmarkPairs = 1 << 14

func benchmarkClients() []netip.Addr {
	clients := make([]netip.Addr, benchmarkPairs)
	for number := range clients {
		clients[number] = netip.AddrFrom4([4]byte{10, 0, byte(number >> 8), byte(number)})
	}
	return clients
}

func BenchmarkRemembers(b *testing.B) {
	clients := benchmarkClients()
	m := settled()
	for _, client := range clients[:benchmarkPairs/2] {
		m.Remember(client, chased, ttl, noon)
	}
	for _, bench := range []struct {
		name    string
		clients []netip.Addr
	}{
		{name: "remembered", clients: clients[:benchmarkPairs/2]},
		{name: "not given", clients: clients[benchmarkPairs/2:]},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for index := 0; b.Loop(); index++ {
				m.Remembers(bench.clients[index%len(bench.clients)], chased, noon)
			}
		})
	}
}

func BenchmarkRemember(b *testing.B) {
	clients := benchmarkClients()
	b.Run("again", func(b *testing.B) {
		b.ReportAllocs()
		m := settled()
		for index := 0; b.Loop(); index++ {
			m.Remember(clients[index%len(clients)], chased, ttl, noon)
		}
	})
	b.Run("overflowing", func(b *testing.B) {
		b.ReportAllocs()
		m := settled()
		client := [4]byte{10}
		for number := uint32(0); b.Loop(); number++ {
			client[1], client[2], client[3] = byte(number>>16), byte(number>>8), byte(number)
			m.Remember(netip.AddrFrom4(client), chased, ttl, noon)
		}
	})
	b.Run("in parallel", func(b *testing.B) {
		b.ReportAllocs()
		m := settled()
		b.RunParallel(func(pb *testing.PB) {
			for index := 0; pb.Next(); index++ {
				m.Remember(clients[index%len(clients)], chased, ttl, noon)
			}
		})
	})
}

func BenchmarkClassOf(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	address := func() netip.Addr {
		return netip.AddrFrom4([4]byte{10, byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32())})
	}
	for _, shape := range []struct {
		name    string
		lengths []int
	}{
		{name: "networks of one length", lengths: []int{32}},
		{name: "networks of 4 lengths", lengths: []int{16, 24, 28, 32}},
		{name: "networks of 17 lengths", lengths: []int{16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32}},
	} {
		var clients Clients
		// Short lengths run out of networks, and go on with longer ones.
		for index := 0; len(clients.networks) < 10_000; index++ {
			_ = clients.Declare("stub", netip.PrefixFrom(address(), shape.lengths[index%len(shape.lengths)]))
		}
		var asked [1024]netip.Addr
		for index := range asked {
			asked[index] = address()
		}
		b.Run("10000 "+shape.name, func(b *testing.B) {
			b.ReportAllocs()
			for index := 0; b.Loop(); index++ {
				clients.ClassOf(asked[index%len(asked)])
			}
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	m := settled()
	data := m.Snapshot(noon)
	b.Run("take", func(b *testing.B) {
		for b.Loop() {
			m.Snapshot(noon)
		}
	})
	b.Run("restore", func(b *testing.B) {
		for b.Loop() {
			_, _ = RestoreChaseMemory(data, noon)
		}
	})
}

func BenchmarkAsk(b *testing.B) {
	zones, policy := azure(b), askPolicy(b)
	for _, bench := range askCases() {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			client, match := netip.MustParseAddr(bench.client), zones.Match(bench.qname)
			for b.Loop() {
				policy.Ask(client, bench.qname, dns.TypeA, match, noon)
			}
		})
	}
}
