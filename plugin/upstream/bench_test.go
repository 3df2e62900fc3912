package upstream

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

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

// reportProcessor adds the processor time of an operation, the server's share in it
// included, which says more than elapsed time on a machine that does other things, too.
func reportProcessor(b *testing.B) {
	b.Helper()
	b.ReportAllocs()
	before := processorTime(b)
	b.Cleanup(func() {
		b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "µs-cpu/op")
	})
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkFloor is the least that a question can cost: a datagram there and back.
func BenchmarkFloor(b *testing.B) {
	conn, err := net.Dial("udp", benchmarked(b).Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	query, buffer := make([]byte, 53), make([]byte, 512)
	reportProcessor(b)
	for b.Loop() {
		if _, err := conn.Write(query); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Read(buffer); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkServerExchange(b *testing.B) {
	s, ctx := benchmarked(b), b.Context()
	reportProcessor(b)
	for b.Loop() {
		if _, err := s.Exchange(ctx, testQuestion); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGroupExchange is what a miss costs: with a budget and a deadline.
func BenchmarkGroupExchange(b *testing.B) {
	g := &Group{Name: "bench", Servers: []*Server{benchmarked(b)}}
	g.Servers[0].SetBudget(Budget{PerSecond: 1000000, Outstanding: 200})
	reportProcessor(b)
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), 4*time.Second)
		if _, err := g.Exchange(ctx, testQuestion); err != nil {
			b.Fatal(err)
		}
		cancel()
	}
}

func BenchmarkServerExchangeParallel(b *testing.B) {
	s, ctx := benchmarked(b), b.Context()
	reportProcessor(b)
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
	reportProcessor(b)
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
	reportProcessor(b)
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

// BenchmarkUnpack reads the reply for a private endpoint: a chain of two records.
func BenchmarkUnpack(b *testing.B) {
	wire, q := composeReply(b, records(b)["chain"], 0, true), testQuery(b)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := unpack(wire, q); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("miekg", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := new(dns.Msg).Unpack(wire); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkPacer is a ticket that is free, and given back.
func BenchmarkPacer(b *testing.B) {
	p := newPacer(Budget{PerSecond: 100_000_000, Outstanding: 200})
	defer p.close()
	q := testQuery(b)
	b.ReportAllocs()
	for b.Loop() {
		t, err := p.acquire(b.Context(), client, q, nil, noReserve, nil)
		if err != nil || t.depart(b.Context(), nil) != nil {
			b.Fatal("no ticket")
		}
		t.left()
		t.release()
	}
}
