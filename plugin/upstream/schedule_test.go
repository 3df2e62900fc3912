package upstream

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func (a attempt) String() string { return fmt.Sprintf("%s+%v", a.server.addr.Addr(), a.delay) }

func joined(plan []attempt) string {
	list := make([]string, len(plan))
	for i, a := range plan {
		list[i] = a.String()
	}
	return strings.Join(list, " ")
}

func unused(n int) []*Server {
	servers := make([]*Server, n)
	for i := range servers {
		servers[i] = NewServer(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(4 + i)}), 53))
	}
	return servers
}

// unknown are candidates of which nothing is known.
func unknown(servers []*Server) []candidate {
	list := make([]candidate, len(servers))
	for i, s := range servers {
		list[i] = candidate{server: s}
	}
	return list
}

func TestSchedule(t *testing.T) {
	tests := []struct {
		name    string
		servers int
		want    string
	}{
		{"none", 0, ""},
		{"one", 1, "10.0.0.4+0s 10.0.0.4+800ms"},
		{"two", 2, "10.0.0.4+0s 10.0.0.5+800ms 10.0.0.4+1.6s 10.0.0.5+2.4s"},
		{"three", 3, "10.0.0.4+0s 10.0.0.5+800ms 10.0.0.6+1.6s 10.0.0.4+2.133s 10.0.0.5+2.666s 10.0.0.6+3.199s"},
		{"four", 4, "10.0.0.4+0s 10.0.0.5+800ms 10.0.0.6+1.6s 10.0.0.7+2.4s 10.0.0.4+2.6s 10.0.0.5+2.8s 10.0.0.6+3s 10.0.0.7+3.2s"},
		{"five", 5, "10.0.0.4+0s 10.0.0.5+600ms 10.0.0.6+1.2s 10.0.0.7+1.8s 10.0.0.8+2.4s 10.0.0.4+2.56s 10.0.0.5+2.72s 10.0.0.6+2.88s 10.0.0.7+3.04s 10.0.0.8+3.2s"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := joined(schedule(nil, unknown(unused(tc.servers)))); got != tc.want {
				t.Errorf("schedule of %d = %s, want %s", tc.servers, got, tc.want)
			}
		})
	}
}

// One reply in twenty takes longer than the p95. That must not lead to a server that is
// there for when all before it fail.
func TestHedgeStaysInTheTier(t *testing.T) {
	candidates := unknown(unused(3))
	for i := range candidates {
		candidates[i].p95 = 30 * time.Millisecond
	}
	candidates[2].tier = 1
	const want = "10.0.0.4+0s 10.0.0.5+30ms 10.0.0.6+830ms 10.0.0.4+1.62s 10.0.0.5+2.41s 10.0.0.6+3.2s"
	if got := joined(schedule(nil, candidates)); got != want {
		t.Errorf("schedule = %s, want %s", got, want)
	}
}

// However many servers there are, each is asked twice, in order, the first at once
// and the last in time.
func TestScheduleBounds(t *testing.T) {
	for n := 1; n <= 40; n++ {
		servers := unused(n)
		plan := schedule(nil, unknown(servers))
		if len(plan) != 2*n || plan[0].delay != 0 || plan[n-1].delay > lastFirstStart || plan[2*n-1].delay > lastStart {
			t.Errorf("schedule of %d = %s, out of bounds", n, joined(plan))
		}
		for i, a := range plan {
			if a.server != servers[i%n] || i > 0 && a.delay <= plan[i-1].delay {
				t.Errorf("schedule of %d = %s, wrong order at %d", n, joined(plan), i)
			}
		}
	}
}
