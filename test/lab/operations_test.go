//go:build linux

package lab

import (
	"testing"

	"github.com/miekg/dns"
)

// TestOperationsThatAForwarderRefuses: it holds no zone that could be updated,
// notified or transferred, and says so.
func TestOperationsThatAForwarderRefuses(t *testing.T) {
	t.Parallel()
	l := New(t)
	startHub(l)
	vm := l.Host("VM in spoke", "10.2.0.10")
	const zone = "corp.example."
	update := new(dns.Msg).SetUpdate(zone)
	update.Insert([]dns.RR{&dns.A{Hdr: dns.RR_Header{Name: "new." + zone, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: []byte{10, 2, 0, 10}}})
	operations := []struct {
		name    string
		message *dns.Msg
	}{
		{"UPDATE", update},
		{"UPDATE of a catalogued zone", new(dns.Msg).SetUpdate(sqlZone + ".")},
		{"NOTIFY", new(dns.Msg).SetNotify(zone)},
		{"AXFR", new(dns.Msg).SetAxfr(zone)},
		{"IXFR", new(dns.Msg).SetIxfr(zone, 1, "dc1."+zone, "hostmaster."+zone)},
	}
	for _, tc := range operations {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(tc.name+" over "+network, func(t *testing.T) {
				a := newAsker(t, vm, network, hubDNS)
				plain := tc.message.Copy()
				if reply, err := a.ask(plain); err != nil || reply.Rcode != dns.RcodeRefused {
					t.Errorf("without EDNS: got %v, %v, want REFUSED", reply, err)
				}
				reply, err := a.ask(tc.message.Copy().SetEdns0(maxUDP, false))
				if err != nil || reply.Rcode != dns.RcodeRefused || extendedError(reply) != edeNotSupported {
					t.Errorf("with EDNS: got %v, %v, want REFUSED with EDE %d", reply, err, edeNotSupported)
				}
			})
		}
	}
}

// extendedError returns the code of a reply's extended error, or -1.
func extendedError(reply *dns.Msg) int {
	if options := reply.IsEdns0(); options != nil {
		for _, option := range options.Option {
			if found, ok := option.(*dns.EDNS0_EDE); ok {
				return int(found.InfoCode)
			}
		}
	}
	return -1
}
