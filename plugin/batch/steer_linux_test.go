package batch

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/coredns/coredns/plugin/pkg/reuseport"
)

// foreign is another server on an address, which answers with "other:" before what it
// is sent.
func foreign(t testing.TB, address string) net.PacketConn {
	t.Helper()
	conn, err := reuseport.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.UDPConn).SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	go func() {
		reply := make([]byte, 6+MaxDatagram)
		copy(reply, "other:")
		for {
			n, from, err := conn.ReadFrom(reply[6:])
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(reply[:6+n], from)
		}
	}()
	t.Cleanup(func() { conn.Close() })
	return conn
}

// answerers asks many times from new ports and returns how often each answered.
func answerers(t testing.TB, address netip.AddrPort) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for range 60 {
		// Not connected, because the other server does not choose the address it
		// replies from.
		conn, err := net.ListenUDP("udp", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.WriteToUDPAddrPort(nil, address); err != nil {
			t.Fatal(err)
		}
		counts[hear(t, conn)]++
		conn.Close()
	}
	return counts
}

func portOf(conn net.PacketConn) netip.AddrPort {
	address := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
}

func TestTakesAllFromASocketThatWasThereBefore(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0", ":0"} {
		t.Run(address, func(t *testing.T) {
			bound := portOf(foreign(t, address))
			var seen [3]replier
			g, err := Listen(bound, len(seen))
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			asked := bound
			if asked.Addr().IsUnspecified() {
				asked = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), bound.Port())
			}
			if got := answerers(t, asked)["other:"]; got != 60 {
				t.Errorf("before Serve the other server answered %d, want 60", got)
			}
			g.Serve(func(loop int) Worker {
				seen[loop].prefix = "ours:"
				return &seen[loop]
			})
			if got := answerers(t, asked)["ours:"]; got != 60 {
				t.Errorf("after Serve we answered %d, want 60", got)
			}
			for loop := range seen {
				if got := seen[loop].taken.Load(); got < 5 {
					t.Errorf("loop %d of 3 got %d of 60 datagrams, want about a third", loop, got)
				}
			}
			if s := g.Stats(); !s.Steered {
				t.Errorf("Stats() = %+v, want Steered", s)
			}
			g.Stop()
			if got := answerers(t, asked)["other:"]; got != 60 {
				t.Errorf("after Stop the other server answered %d, want 60", got)
			}
		})
	}
}

// TestFollowsTheSocketsOfOthers goes through what a server does to its socket while we
// serve beside it. Whatever it does, every datagram is answered, and after Steer by us.
func TestFollowsTheSocketsOfOthers(t *testing.T) {
	tests := []struct {
		name   string
		before int // other sockets when we start
		after  func(t *testing.T, address string, others []net.PacketConn)
		want   members
	}{
		{"alone", 0, func(*testing.T, string, []net.PacketConn) {}, members{0, 1, 2}},
		{"one", 1, func(*testing.T, string, []net.PacketConn) {}, members{other, 0, 1, 2}},
		{"several", 4, func(*testing.T, string, []net.PacketConn) {}, members{other, other, other, other, 0, 1, 2}},
		{"closed", 1, func(_ *testing.T, _ string, others []net.PacketConn) {
			others[0].Close()
		}, members{2, 0, 1}},
		{"reopened", 1, func(t *testing.T, address string, others []net.PacketConn) {
			others[0].Close()
			foreign(t, address)
		}, members{2, 0, 1}},
		{"opened before the old one was closed", 1, func(t *testing.T, address string, others []net.PacketConn) {
			foreign(t, address)
			others[0].Close()
		}, members{other, 0, 1, 2}},
		{"duplicated, then closed", 1, func(t *testing.T, _ string, others []net.PacketConn) {
			file, err := others[0].(*net.UDPConn).File()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { file.Close() })
			others[0].Close()
		}, members{other, 0, 1, 2}},
		{"two closed", 3, func(_ *testing.T, _ string, others []net.PacketConn) {
			others[0].Close()
			others[1].Close()
		}, members{2, 1, other, 0}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			address := "127.0.0.1:0"
			var others []net.PacketConn
			for range tc.before {
				others = append(others, foreign(t, address))
				address = portOf(others[0]).String()
			}
			g := serve(t, address, 3, &replier{prefix: "ours:"})
			tc.after(t, g.Addr().String(), others)
			answerers(t, g.Addr()) // not all by us, but all answered
			if err := g.Steer(); err != nil {
				t.Fatalf("Steer: %v", err)
			}
			if !slices.Equal(g.members, tc.want) {
				t.Errorf("members = %v, want %v", g.members, tc.want)
			}
			if got := answerers(t, g.Addr()); got["ours:"] != 60 {
				t.Errorf("after Steer %v answered, want us 60 times", got)
			}
		})
	}
}

// TestServesWhereProbesDoNotArrive shadows the address the probes are sent to.
func TestServesWhereProbesDoNotArrive(t *testing.T) {
	address := portOf(foreign(t, "0.0.0.0:0"))
	foreign(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), address.Port()).String())
	g := serve(t, address.String(), 2, &replier{prefix: "ours:"})
	asked := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), address.Port())
	if got := answerers(t, asked); got["ours:"] != 60 {
		t.Errorf("%v answered, want us 60 times", got)
	}
	if g.Stats().Steered {
		t.Error("Stats().Steered, but no probe can have arrived")
	}
	if err := g.Steer(); !errors.Is(err, errUnreachable) {
		t.Errorf("Steer = %v, want %v", err, errUnreachable)
	}
	g.Stop()
	if got := answerers(t, asked); got["other:"] != 60 {
		t.Errorf("after Stop %v answered, want the other server 60 times", got)
	}
	if err := g.Steer(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Steer after Stop = %v, want %v", err, net.ErrClosed)
	}
}

func TestMembers(t *testing.T) {
	tests := []struct {
		name         string
		members      members
		ours, others []int
		withoutLast  members
	}{
		{"another first", members{other, 0, 1}, []int{1, 2}, []int{0}, members{other, 0}},
		{"alone, or before all others", members{1, 0}, []int{0, 1}, []int{2}, members{1}},
		{"others between", members{other, 1, other, other, 0}, []int{1, 4}, []int{0, 2, 3}, members{other, 1}},
		{"one", members{other, 0}, []int{1}, []int{0}, nil},
		{"one, first", members{0}, []int{0}, []int{1}, nil},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.members.ours(); !slices.Equal(got, tc.ours) {
				t.Errorf("%v.ours() = %v, want %v", tc.members, got, tc.ours)
			}
			if got := tc.members.others(); !slices.Equal(got, tc.others) {
				t.Errorf("%v.others() = %v, want %v", tc.members, got, tc.others)
			}
			if got := tc.members.withoutLast(); !slices.Equal(got, tc.withoutLast) {
				t.Errorf("%v.withoutLast() = %v, want %v", tc.members, got, tc.withoutLast)
			}
		})
	}
}
