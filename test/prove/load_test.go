//go:build linux

package prove

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestPercentile(t *testing.T) {
	hundred := make([]*question, 100)
	for i := range hundred {
		hundred[i] = &question{latency: time.Duration(100-i) * time.Millisecond}
	}
	lost := append([]*question{{latency: never}}, hundred[:99]...)
	tests := []struct {
		name      string
		questions []*question
		percent   float64
		want      float64
	}{
		{"half", hundred, 50, 50},
		{"99 of 100", hundred, 99, 99},
		{"all", hundred, 100, 100},
		{"one is lost, the others are not", lost, 99, 100},
		{"one is lost", lost, 100, 5000},
		{"one question", hundred[:1], 99, 100},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := percentile(tc.questions, tc.percent); got != tc.want {
				t.Errorf("percentile(%v) = %v, want %v", tc.percent, got, tc.want)
			}
		})
	}
	if got := percentile(nil, 99); !math.IsNaN(got) {
		t.Errorf("percentile of no question = %v, want none", got)
	}
}

// TestLoadSeesWhatItIsAnswered runs a load against a server that answers some
// names well, one wrongly, one as stale, and one never.
func TestLoadSeesWhatItIsAnswered(t *testing.T) {
	p := (&run{}).newProof(t, "load")
	address := freeAddress(t)
	serveFunc(t, address, func(w dns.ResponseWriter, request *dns.Msg) {
		reply := new(dns.Msg).SetReply(request)
		answer := &dns.A{Hdr: header(request.Question[0].Name, dns.TypeA), A: []byte{10, 0, 0, 1}}
		reply.Answer = []dns.RR{answer}
		switch request.Question[0].Name {
		case "wrong.example.":
			answer.A = []byte{10, 0, 0, 2}
		case "refused.example.":
			reply.Rcode = dns.RcodeRefused
		case "stale.example.":
			options := reply.SetEdns0(1232, false).IsEdns0()
			options.Option = append(options.Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeStaleAnswer})
		case "silent.example.":
			return
		}
		_ = w.WriteMsg(reply)
	})
	l := &load{server: address, names: []string{"good.example.", "wrong.example.", "refused.example.", "stale.example.", "silent.example."}, rate: 500}
	l.begin(p)
	pass(100 * time.Millisecond)
	expected := map[string]netip.Addr{}
	for _, name := range l.names {
		expected[name] = netip.MustParseAddr("10.0.0.1")
	}
	questions := l.finish()
	if len(questions) < len(l.names) {
		t.Fatalf("the load asked %d questions, want at least %d", len(questions), len(l.names))
	}
	for _, q := range questions {
		wantFailed := q.name != "good.example." && q.name != "stale.example."
		if q.failed(expected) != wantFailed || q.stale != (q.name == "stale.example.") || (q.latency > patience) != (q.name == "silent.example.") {
			t.Errorf("%s: %+v", q.name, q)
		}
	}
}

// TestLoadAsksAgain runs a load against a server that ignores what it hears
// first of every name.
func TestLoadAsksAgain(t *testing.T) {
	p := (&run{}).newProof(t, "load")
	address := freeAddress(t)
	heard := map[uint16]bool{}
	serveFunc(t, address, func(w dns.ResponseWriter, request *dns.Msg) {
		if again := heard[request.Id]; again {
			_ = w.WriteMsg(new(dns.Msg).SetReply(request))
		}
		heard[request.Id] = true
	})
	const retry = 50 * time.Millisecond
	l := &load{server: address, names: []string{"example.org."}, rate: 100, retry: retry}
	l.begin(p)
	pass(30 * time.Millisecond)
	for _, q := range l.finish()[:1] {
		if q.latency < retry || q.latency > patience {
			t.Errorf("the reply came after %s, want more than %s", q.latency, retry)
		}
	}
}

// serveFunc serves one packet after the other.
func serveFunc(t *testing.T, address netip.AddrPort, handler dns.HandlerFunc) {
	t.Helper()
	ready := make(chan struct{})
	one := make(chan struct{}, 1)
	server := &dns.Server{Addr: address.String(), Net: "udp", NotifyStartedFunc: func() { close(ready) }}
	server.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, request *dns.Msg) {
		one <- struct{}{}
		defer func() { <-one }()
		handler(w, request)
	})
	go func() { _ = server.ListenAndServe() }()
	<-ready
	t.Cleanup(func() { _ = server.Shutdown() })
}
