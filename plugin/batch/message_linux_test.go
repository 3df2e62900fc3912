package batch

import (
	"net/netip"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// FuzzControl reads any control message, and one that tells an address is the same as
// what a late reply to that address says.
func FuzzControl(f *testing.F) {
	for _, local := range []string{"192.0.2.1", "2001:db8::1", "fe80::1"} {
		peer := Peer{Local: netip.MustParseAddr(local), scope: 7}
		for _, ipv6 := range []bool{peer.Local.Is6(), true} {
			control, length := controlFor(peer, ipv6)
			f.Add((*[unsafe.Sizeof(control)]byte)(unsafe.Pointer(&control))[:], length, ipv6)
		}
	}
	f.Fuzz(func(t *testing.T, octets []byte, length int, ipv6 bool) {
		var c control
		whole := (*[unsafe.Sizeof(c)]byte)(unsafe.Pointer(&c))
		length = min(max(length, 0), copy(whole[:], octets))
		local, scope := c.local(length)
		if !local.IsValid() || c.header.Level == unix.IPPROTO_IP && ipv6 || local.Is6() && !ipv6 {
			return
		}
		again, length := controlFor(Peer{Local: local, scope: scope}, ipv6)
		gotLocal, gotScope := again.local(length)
		if gotLocal != local || gotScope != scope {
			t.Errorf("local of controlFor(%v, %d) = %v, %d", local, scope, gotLocal, gotScope)
		}
		if scope != 0 && !local.IsLinkLocalUnicast() {
			t.Errorf("%v has the scope %d, want none", local, scope)
		}
	})
}

func TestIdentify(t *testing.T) {
	tests := []struct {
		name, want string
		set        func(name *unix.RawSockaddrInet6)
	}{
		{"IPv4", "192.0.2.1:53", func(name *unix.RawSockaddrInet6) {
			*(*unix.RawSockaddrInet4)(unsafe.Pointer(name)) = unix.RawSockaddrInet4{
				Family: unix.AF_INET, Port: hostOrder(53), Addr: [4]byte{192, 0, 2, 1},
			}
		}},
		{"mapped IPv4", "192.0.2.1:53", func(name *unix.RawSockaddrInet6) {
			*name = unix.RawSockaddrInet6{
				Family: unix.AF_INET6, Port: hostOrder(53), Addr: netip.MustParseAddr("::ffff:192.0.2.1").As16(),
			}
		}},
		{"IPv6", "[2001:db8::1]:65000", func(name *unix.RawSockaddrInet6) {
			*name = unix.RawSockaddrInet6{
				Family: unix.AF_INET6, Port: hostOrder(65000), Addr: netip.MustParseAddr("2001:db8::1").As16(),
			}
		}},
		{"link-local", "[fe80::1]:53", func(name *unix.RawSockaddrInet6) {
			*name = unix.RawSockaddrInet6{
				Family: unix.AF_INET6, Port: hostOrder(53), Addr: netip.MustParseAddr("fe80::1").As16(), Scope_id: 7,
			}
		}},
	}
	a := newArrivals(false)
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			tc.set(&a.names[1])
			var peer Peer
			a.identify(1, &peer)
			if got := peer.Remote.String(); got != tc.want {
				t.Errorf("Remote = %s, want %s", got, tc.want)
			}
			if (peer.scope == 7) != (tc.name == "link-local") {
				t.Errorf("scope = %d, want 7 for a link-local address only", peer.scope)
			}
		})
	}
}
