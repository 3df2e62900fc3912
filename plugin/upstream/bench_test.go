package upstream

import (
	"net"
	"testing"

	"github.com/miekg/dns"
)

// benchmarked starts a server that answers with one A record as fast as it can, and
// returns a Server that asks it.
func benchmarked(b *testing.B) *Server {
	b.Helper()
	query, err := newQuery(testQuestion)
	if err != nil {
		b.Fatal(err)
	}
	answer := reply(b, query.wire, address("10.0.2.4"))
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		buffer := make([]byte, 512)
		for {
			_, from, err := conn.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			copy(answer, buffer[:2])
			_, _ = conn.WriteToUDPAddrPort(answer, from)
		}
	}()
	s := NewServer(conn.LocalAddr().(*net.UDPAddr).AddrPort())
	b.Cleanup(func() {
		s.Close()
		conn.Close()
	})
	return s
}

func BenchmarkServerExchange(b *testing.B) {
	s, ctx := benchmarked(b), b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Exchange(ctx, testQuestion); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkServerExchangeParallel(b *testing.B) {
	s, ctx := benchmarked(b), b.Context()
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Exchange(ctx, testQuestion); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkGroupExchangeParallel(b *testing.B) {
	g, ctx := &Group{Name: "bench", Servers: []*Server{benchmarked(b)}}, b.Context()
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := g.Exchange(ctx, testQuestion); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkClientExchange is miekg/dns's own client with a socket for each question,
// to compare with.
func BenchmarkClientExchange(b *testing.B) {
	addr := benchmarked(b).Addr().String()
	b.ReportAllocs()
	var client dns.Client
	for b.Loop() {
		msg := new(dns.Msg)
		msg.SetQuestion(testQuestion.Name, testQuestion.Type)
		msg.SetEdns0(ednsSize, false)
		if _, _, err := client.ExchangeContext(b.Context(), msg, addr); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAccepts(b *testing.B) {
	query, err := newQuery(testQuestion)
	if err != nil {
		b.Fatal(err)
	}
	wire := reply(b, query.wire, address("10.0.2.4"))
	b.ReportAllocs()
	for b.Loop() {
		if !accepts(wire, query.question) {
			b.Fatal("not accepted")
		}
	}
}
