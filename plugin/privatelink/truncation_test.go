package privatelink

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/ratelimit"
)

func TestNetworksThatDoNotComeByTCPAreTold(t *testing.T) {
	var truncations truncations
	now := time.Unix(1_700_000_000, 0)
	blocked, well := netip.MustParseAddr("10.20.0.9"), netip.MustParseAddr("10.30.0.4")
	truncate := func(client netip.Addr, times int) {
		for range times {
			truncations.truncated(client, now)
		}
	}
	truncate(blocked, 2)
	truncate(well, 5)
	truncations.came(netip.MustParseAddr("10.30.0.77"))
	now = now.Add(followTime)
	if got := truncations.due(now); len(got) != 0 {
		t.Errorf("after two truncated answers due() = %v, want none yet", got)
	}
	truncate(blocked, 1)
	if got := truncations.due(now.Add(followTime - 1)); len(got) != 0 {
		t.Errorf("due() = %v, want none while the third answer can be followed", got)
	}
	now = now.Add(followTime)
	got := truncations.due(now)
	if len(got) != 1 || got[0].network != netip.MustParsePrefix("10.20.0.0/24") || got[0].answers != silentTimes {
		t.Errorf("due() = %v, want 10.20.0.0/24 with %d answers", got, silentTimes)
	}
	truncate(blocked, 1)
	if got := truncations.due(now.Add(silentInterval - 1)); len(got) != 0 {
		t.Errorf("due() = %v, want a network to be told of once an hour", got)
	}
	if sent, unfollowed := truncations.sent.Load(), truncations.unfollowed.Load(); sent != 9 || unfollowed != 4 {
		t.Errorf("%d truncated, %d not followed; want 9, 4", sent, unfollowed)
	}
	truncations.came(blocked)
	if got := truncations.due(now.Add(2 * silentInterval)); len(got) != 0 {
		t.Errorf("due() = %v, want none: the network has come by TCP", got)
	}
}

func TestTruncationsAreBounded(t *testing.T) {
	var truncations truncations
	for number := range 2 * maxSilent {
		truncations.truncated(netip.MustParseAddr(fmt.Sprintf("10.%d.%d.1", number/256, number%256)), longAgo)
	}
	if got := truncations.networks.Len(); got != maxSilent {
		t.Errorf("%d networks are remembered, want %d", got, maxSilent)
	}
}

func TestNetworkOfAClient(t *testing.T) {
	tests := []struct{ client, want string }{
		{"10.20.0.9", "10.20.0.0/24"},
		{"2001:db8:1:2ff::9", "2001:db8:1:200::/56"},
	}
	for _, tc := range tests {
		if got := ratelimit.NetworkOf(netip.MustParseAddr(tc.client)).String(); got != tc.want {
			t.Errorf("NetworkOf(%s) = %s, want %s", tc.client, got, tc.want)
		}
	}
}

func TestTruncatedAnswersAndTCPAreSeen(t *testing.T) {
	text := `"` + strings.Repeat("x", 250) + `"`
	handler := newHandler(t, answers(t, map[string]func(*dns.Msg){
		"large.corp.example. TXT": records("large.corp.example. 300 IN TXT " + text + " " + text + " " + text),
	}), "", longAgo)
	s := handler.current.Load().service
	small := new(dns.Msg).SetQuestion("large.corp.example.", dns.TypeTXT)
	if reply := exchange(t, handler, "10.30.0.4", small); !reply.Truncated {
		t.Fatalf("the reply to a client that takes 512 octets is not truncated: %v", reply)
	}
	if got := s.truncations.sent.Load(); got != 1 {
		t.Errorf("%d truncated answers, want 1", got)
	}
	if reply := ask(t, handler, "10.30.0.4", "large.corp.example.", dns.TypeTXT); reply.Truncated || s.truncations.sent.Load() != 1 {
		t.Errorf("an answer that fits is counted as truncated: %v", reply)
	}
	writer := &test.ResponseWriter{RemoteIP: "10.30.0.77", TCP: true}
	if _, err := handler.ServeDNS(t.Context(), writer, small); err != nil {
		t.Fatal(err)
	}
	if got := s.truncations.waiting.Load(); got != 0 {
		t.Errorf("%d networks wait to come by TCP although the only one came", got)
	}
}
