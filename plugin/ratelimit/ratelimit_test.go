package ratelimit

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

var start = time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC)

func newLimiter() *Limiter { return NewLimiter([2]uint64{1, 2}, start) }

// letters draws a number of verdicts: "p", "t" and "d".
func letters(l *Limiter, client string, known bool, limits Limits, at time.Duration, count int) string {
	var drawn strings.Builder
	for range count {
		drawn.WriteByte("ptd"[l.Take(netip.MustParseAddr(client), known, limits, start.Add(at))])
	}
	return drawn.String()
}

func TestTake(t *testing.T) {
	// A draw is a client, with a "!" before it where it is known, when it comes, and what is said.
	type draw struct {
		client string
		at     time.Duration
		want   string
	}
	tests := []struct {
		name   string
		limits Limits
		draws  []draw
	}{
		{"a second's worth at once, then by turns", Limits{PerClient: 4}, []draw{{"10.0.0.1", 0, "pppptdtd"}}},
		{"it comes back evenly", Limits{PerClient: 4}, []draw{
			{"10.0.0.1", 0, "ppppt"}, {"10.0.0.1", 249 * time.Millisecond, "d"}, {"10.0.0.1", 250 * time.Millisecond, "pt"},
			{"10.0.0.1", time.Second, "pppd"}, {"10.0.0.1", time.Hour, "ppppt"},
		}},
		{"the others have their own", Limits{PerClient: 1}, []draw{{"10.0.0.1", 0, "pt"}, {"10.0.0.2", 0, "pt"}, {"2001:db8::1", 0, "pt"}}},
		{"an IPv4 address in IPv6 is the IPv4 address", Limits{PerClient: 1}, []draw{{"10.0.0.1", 0, "p"}, {"::ffff:10.0.0.1", 0, "t"}}},
		{"a /24 is a network", Limits{PerNetwork: 2}, []draw{{"10.0.0.1", 0, "p"}, {"10.0.0.255", 0, "p"}, {"10.0.0.7", 0, "td"}, {"10.0.1.1", 0, "p"}}},
		{"a /56 is a network", Limits{PerNetwork: 2}, []draw{{"2001:db8:0:1::1", 0, "p"}, {"2001:db8:0:ff::1", 0, "p"}, {"2001:db8:0:2::1", 0, "t"}, {"2001:db8:0:100::1", 0, "p"}}},
		{"what is over the client's limit does not count for the network", Limits{PerClient: 1, PerNetwork: 2}, []draw{{"10.0.0.1", 0, "ptdtd"}, {"10.0.0.2", 0, "p"}, {"10.0.0.3", 0, "t"}}},
		{"who is known is not held to the network's", Limits{PerClient: 2, PerNetwork: 1}, []draw{{"10.0.0.1", 0, "pt"}, {"!10.0.0.2", 0, "ppt"}}},
		{"who is known does not count for it", Limits{PerNetwork: 1}, []draw{{"!10.0.0.2", 0, "pppp"}, {"10.0.0.1", 0, "pt"}}},
		{"no limit", Limits{}, []draw{{"10.0.0.1", 0, "pppppppp"}}},
		{"when the clock of 40 bits has turned over", Limits{PerClient: 1}, []draw{{"10.0.0.1", 0, "pt"}, {"10.0.0.1", (1<<40)*tick + time.Minute, "pd"}}},
		{"a clock that went back", Limits{PerClient: 1}, []draw{{"10.0.0.1", 0, "p"}, {"10.0.0.1", -time.Minute, "p"}}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			l := newLimiter()
			for _, d := range tc.draws {
				client, known := strings.CutPrefix(d.client, "!")
				if got := letters(l, client, known, tc.limits, d.at, len(d.want)); got != d.want {
					t.Errorf("Take(%s) at %s = %q, want %q", d.client, d.at, got, d.want)
				}
			}
		})
	}
}

func TestStatsTellWhatWasLimited(t *testing.T) {
	l := newLimiter()
	letters(l, "10.0.0.1", false, Limits{PerClient: 1, PerNetwork: 1}, 0, 4)
	letters(l, "10.0.0.2", false, Limits{PerClient: 1, PerNetwork: 1}, 0, 1)
	if got, want := l.Stats(), (Stats{ClientTruncated: 2, ClientDropped: 1, NetworkTruncated: 1}); got != want {
		t.Errorf("Stats() = %+v, want %+v", got, want)
	}
}

func TestNoticeIsGivenOnceAMinute(t *testing.T) {
	l := newLimiter()
	for _, tc := range []struct {
		client string
		at     time.Duration
		want   bool
	}{
		{"10.0.0.1", 0, true}, {"10.0.0.1", time.Second, false}, {"10.0.0.9", time.Second, false}, {"10.0.1.1", time.Second, true},
		{"10.0.0.1", 59 * time.Second, false}, {"10.0.0.1", time.Minute, true}, {"10.0.0.1", time.Minute + time.Second, false},
	} {
		if got := l.Notice(netip.MustParseAddr(tc.client), start.Add(tc.at)); got != tc.want {
			t.Errorf("Notice(%s) after %s = %v, want %v", tc.client, tc.at, got, tc.want)
		}
	}
}

// spoofed is the n-th of many addresses, each in a network of its own.
func spoofed(n int) netip.Addr {
	var octets [16]byte
	binary.BigEndian.PutUint32(octets[:], 0x20010000+uint32(n)*0x9E3779B1)
	return netip.AddrFrom16(octets)
}

// TestAFloodOfSourcesTakesNoMemory, lets nobody out of his limit who is at it all the
// time, and costs nobody else an answer.
func TestAFloodOfSourcesTakesNoMemory(t *testing.T) {
	l, limits := newLimiter(), Limits{PerClient: 10, PerNetwork: 10}
	busy, innocent := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")
	passed, lost, sent := 0, 0, 0
	flood := func() {
		now := start.Add(time.Duration(sent) * 5 * time.Microsecond)
		_ = l.Take(spoofed(sent), false, limits, now)
		if sent%100 == 0 && l.Take(busy, false, limits, now) == Pass {
			passed++
		}
		if sent%30_000 == 0 && l.Take(innocent, false, limits, now) != Pass {
			lost++
		}
		sent++
	}
	if got := testing.AllocsPerRun(300_000, flood); got != 0 {
		t.Errorf("Take() allocates %v times, want 0", got)
	}
	// 2,000 a second for 1.5 seconds: 10 at once, and 10 a second.
	if passed < 24 || passed > 26 {
		t.Errorf("%d of the busy client's pass, want 25", passed)
	}
	if lost > 0 {
		t.Errorf("%d of a client within its limit do not pass, want none", lost)
	}
}

func TestProcessorsCountTogether(t *testing.T) {
	l, limits, client := newLimiter(), Limits{PerClient: 1000}, netip.MustParseAddr("192.0.2.1")
	var passed [8]int
	var counting sync.WaitGroup
	for worker := range passed {
		counting.Go(func() {
			for range 500 {
				if l.Take(client, false, limits, start) == Pass {
					passed[worker]++
				}
			}
		})
	}
	counting.Wait()
	sum := 0
	for _, number := range passed {
		sum += number
	}
	stats := l.Stats()
	if sum != 1000 || stats.ClientTruncated != 1500 || stats.ClientDropped != 1500 {
		t.Errorf("%d pass, %+v; want 1000, and 1500 each of the rest", sum, stats)
	}
}

func TestNetworkOf(t *testing.T) {
	for client, want := range map[string]string{"10.1.2.3": "10.1.2.0/24", "::ffff:10.1.2.3": "10.1.2.0/24", "2001:db8:1:2ff::1": "2001:db8:1:200::/56"} {
		if got := NetworkOf(netip.MustParseAddr(client)).String(); got != want {
			t.Errorf("NetworkOf(%s) = %s, want %s", client, got, want)
		}
	}
	if got := NetworkOf(netip.Addr{}); got.IsValid() {
		t.Errorf("NetworkOf(nobody) = %s, want an invalid network", got)
	}
}

func BenchmarkTake(b *testing.B) {
	l, limits := newLimiter(), Limits{PerClient: 10, PerNetwork: 100}
	for name, clients := range map[string]int{"one client": 1, "100,000 clients": 100_000} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				l.Take(spoofed(n%clients), false, limits, start.Add(time.Duration(n)*time.Microsecond))
			}
		})
	}
}
