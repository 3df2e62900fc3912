//go:build linux

package differential

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// ways are the ways a question can take through a server, each with a name that takes
// it.
var ways = []struct {
	name    string
	request func(unique string) *dns.Msg
	rcode   int
}{
	{"a miss, then a hit", func(unique string) *dns.Msg {
		return new(dns.Msg).SetQuestion("private-"+unique+"."+namespaces[0].public, dns.TypeA)
	}, dns.RcodeSuccess},
	{"rejected in place", func(unique string) *dns.Msg {
		return new(dns.Msg).SetQuestion("private-"+unique+"."+unrouted, dns.TypeA)
	}, dns.RcodeRefused},
	{"malformed", func(unique string) *dns.Msg {
		request := new(dns.Msg).SetQuestion("private-"+unique+"."+namespaces[0].public, dns.TypeA)
		return request.SetEdns0(1232, false).SetEdns0(1232, false)
	}, dns.RcodeFormatError},
	{"passed on to CoreDNS", func(unique string) *dns.Msg {
		request := new(dns.Msg).SetQuestion("private-"+unique+"."+namespaces[0].public, dns.TypeA)
		request.Question[0].Qclass = dns.ClassCHAOS
		return request
	}, dns.RcodeRefused},
}

// TestRepliesLeaveFromTheAddressThatWasAsked asks servers that are bound to no address
// at every address of this machine, over sockets that are connected: they hear nothing
// from elsewhere.
func TestRepliesLeaveFromTheAddressThatWasAsked(t *testing.T) {
	azure := listen(t, false)
	for _, bind := range []struct {
		name, line string
		serves     func(netip.Addr) bool
	}{
		{"no bind", "", func(netip.Addr) bool { return true }},
		{"bind of the IPv4 wildcard", "bind 0.0.0.0", netip.Addr.Is4},
		{"bind of the IPv6 wildcard", "bind ::", func(netip.Addr) bool { return true }},
	} {
		for _, fastPath := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, fast path %v", bind.name, fastPath), func(t *testing.T) {
				s := serve(t, func(s *server) string { return wildcardCorefile(s, bind.line, azure, fastPath) })
				s.awaitFastPath(t, fastPath)
				for i, address := range ownAddresses(t) {
					if !bind.serves(address) {
						continue
					}
					for _, way := range ways {
						t.Run(address.String()+" "+way.name, func(t *testing.T) {
							for range 2 {
								askConnected(t, netip.AddrPortFrom(address, s.address.Port()), way.request(fmt.Sprint("unique", i)), way.rcode)
							}
						})
					}
				}
			})
		}
	}
}

func wildcardCorefile(s *server, bind string, azure netip.AddrPort, fastPath bool) string {
	off := ""
	if !fastPath {
		off = "fastpath off"
	}
	return fmt.Sprintf(`.:%d {
    %s
    errors
    prometheus %s
    privatelink {
        upstream azure %s
        route catalog azure
        %s
    }
}
`, s.address.Port(), bind, s.metrics, azure, off)
}

// ownAddresses are those of this machine, link-local ones too, and two more of its
// loopback.
func ownAddresses(t *testing.T) []netip.Addr {
	t.Helper()
	found := []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.1.2.3")}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range interfaces {
		addresses, err := each.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, address := range addresses {
			prefix := netip.MustParsePrefix(address.String())
			if prefix.Addr().IsLinkLocalUnicast() {
				found = append(found, prefix.Addr().WithZone(each.Name))
				continue
			}
			found = append(found, prefix.Addr())
		}
	}
	if len(found) < 3 {
		t.Fatalf("found the addresses %v, expected those of loopback at least", found)
	}
	return found
}

// askConnected asks over a connected socket, to which the kernel gives nothing that
// comes from another address.
func askConnected(t *testing.T, server netip.AddrPort, request *dns.Msg, rcode int) {
	t.Helper()
	connection, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	question, err := request.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Write(question); err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, 4096)
	length, err := connection.Read(packet)
	if err != nil {
		t.Fatalf("asked %s: %v", server, err)
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(packet[:length]); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(packet[:2], question[:2]) || reply.Rcode != rcode {
		t.Errorf("asked %s: got %v, want %s", server, reply, dns.RcodeToString[rcode])
	}
}
