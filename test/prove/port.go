//go:build linux

package prove

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
)

// given are the ports that were given out: proofs run at once, and a port stays free until
// whoever asked for it listens there.
var given sync.Map

// freeAddress returns an address of loopback whose port is free for UDP and
// TCP, another one each time. The port lies below those that the kernel gives to clients, so that no
// client takes it while a server restarts.
func freeAddress(t testing.TB) netip.AddrPort {
	t.Helper()
	first := clientPorts(t)
	for range 100 {
		address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(first/2+rand.IntN(first-first/2)))
		if _, before := given.LoadOrStore(address.Port(), true); !before && free(address) {
			return address
		}
	}
	t.Fatalf("found no free port between %d and %d", first/2, first)
	return netip.AddrPort{}
}

// clientPorts returns the first port that the kernel gives to clients.
func clientPorts(t testing.TB) int {
	t.Helper()
	const path = "/proc/sys/net/ipv4/ip_local_port_range"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var first, last int
	if _, err := fmt.Sscan(string(text), &first, &last); err != nil || first < 4096 {
		t.Fatalf("%s: found %q, expected two ports, 4096 and above", path, text)
	}
	return first
}

func free(address netip.AddrPort) bool {
	stream, err := net.Listen("tcp", address.String())
	if err != nil {
		return false
	}
	defer func() { _ = stream.Close() }()
	packets, err := net.ListenPacket("udp", address.String())
	if err != nil {
		return false
	}
	return packets.Close() == nil
}
