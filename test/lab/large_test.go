//go:build linux

package lab

import "testing"

// maxUDP is the size that dig announces, and beyond which nobody should send
// over UDP (DNS flag day 2020).
const maxUDP = 1232

// TestLargeAnswersArriveWhole: answers that do not fit into a packet come with
// TC over UDP, and whole over TCP, also where our own upstream truncates.
func TestLargeAnswersArriveWhole(t *testing.T) {
	t.Parallel()
	l := New(t)
	startHub(l, "upstream corp 10.30.0.10", "route corp.example corp")
	l.Host("domain controller", "10.30.0.10").DomainController("corp.example")
	vm := l.Host("VM in spoke", "10.2.0.10")
	for _, tc := range []struct {
		name, kind string
		records    int
	}{
		{"_ldap._tcp.dc._msdcs.corp.example", "SRV", controllers},
		{"large.corp.example", "TXT", controllers},
		{"large.example.org", "TXT", 60},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkTruncated(t, dig(t, vm, hubDNS, tc.name, tc.kind, "+ignore"), maxUDP)
			checkTruncated(t, dig(t, vm, hubDNS, tc.name, tc.kind, "+ignore", "+noedns"), 512)
			whole := dig(t, vm, hubDNS, tc.name, tc.kind)
			if got := len(whole.Data(tc.kind)); !whole.Retried || whole.Transport != "TCP" || whole.Has("tc") || got != tc.records {
				t.Errorf("got %d records over %s with flags %v, want %d over TCP without tc", got, whole.Transport, whole.Flags, tc.records)
			}
		})
	}
}

func checkTruncated(t *testing.T, answer *Answer, size int) {
	t.Helper()
	if !answer.Has("tc") || answer.Transport != "UDP" || answer.Size > size {
		t.Errorf("got flags %v and %d bytes over %s, want tc and %d bytes at most over UDP", answer.Flags, answer.Size, answer.Transport, size)
	}
}
