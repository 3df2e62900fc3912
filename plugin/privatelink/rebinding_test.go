package privatelink

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
)

// outside is a public resolver's view: some of it is meant for whoever is inside.
var outside = map[string]func(*dns.Msg){
	"www.example. A":       records("www.example. 60 IN A 203.0.113.9"),
	"ten.example. A":       records("ten.example. 60 IN A 10.0.0.1"),
	"both.example. A":      records("both.example. 60 IN A 203.0.113.9", "both.example. 60 IN A 192.168.0.1"),
	"loopback.example. A":  records("loopback.example. 60 IN A 127.0.0.1"),
	"zero.example. A":      records("zero.example. 60 IN A 0.0.0.0"),
	"metadata.example. A":  records("metadata.example. 60 IN A 169.254.169.254"),
	"six.example. AAAA":    records("six.example. 60 IN AAAA fd00::1"),
	"one.example. AAAA":    records("one.example. 60 IN AAAA ::1"),
	"mapped.example. AAAA": records("mapped.example. 60 IN AAAA ::ffff:10.0.0.1"),
	"hint.example. HTTPS":  records("hint.example. 60 IN HTTPS 1 . ipv4hint=10.0.0.1"),
	"alias.example. A":     records("alias.example. 60 IN CNAME ten.example.", "ten.example. 60 IN A 10.0.0.1"),
	"any.example. ANY":     records("any.example. 60 IN CNAME www.example.", "any.example. 60 IN A 10.0.0.1"),
	"aliased.example. A": records("aliased.example. 60 IN CNAME mi1.abc.database.windows.net.",
		"mi1.abc.database.windows.net. 60 IN A 10.0.9.4"),
	"mi1.abc.database.windows.net. A": records("mi1.abc.database.windows.net. 60 IN A 10.0.9.4"),
	"mail.example. MX":                records("mail.example. 60 IN MX 1 ten.example."),
}

func TestPrivateAddressesFromPublicGroups(t *testing.T) {
	tests := []struct {
		name     string
		qtype    uint16
		withheld bool
	}{
		{"www.example.", dns.TypeA, false}, {"ten.example.", dns.TypeA, true}, {"both.example.", dns.TypeA, true},
		{"loopback.example.", dns.TypeA, true}, {"zero.example.", dns.TypeA, true}, {"metadata.example.", dns.TypeA, true},
		{"six.example.", dns.TypeAAAA, true}, {"one.example.", dns.TypeAAAA, true}, {"mapped.example.", dns.TypeAAAA, true},
		{"hint.example.", dns.TypeHTTPS, true}, {"alias.example.", dns.TypeA, true}, {"any.example.", dns.TypeANY, true},
		{"aliased.example.", dns.TypeA, false}, {"mi1.abc.database.windows.net.", dns.TypeA, false}, {"mail.example.", dns.TypeMX, false},
	}
	group := "upstream public " + answers(t, outside)
	const body = "\nroute . public"
	guarded, open := handlerOf(buildText(t, group+" withhold-private"+body)), handlerOf(buildText(t, group+body))
	for _, handler := range []*Handler{guarded, open} {
		handler.current.Load().service.policy.Chains = policy.NewChaseMemory(1, longAgo)
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			for _, from := range []string{"upstream", "the cache"} {
				reply := ask(t, guarded, "10.30.0.4", tc.name, tc.qtype)
				code, text := extendedError(reply)
				withheld := len(reply.Answer) == 0 && reply.Rcode == dns.RcodeSuccess && len(reply.Ns) == 1 &&
					code == dns.ExtendedErrorCodeFiltered && strings.Contains(text, "upstream public")
				if withheld != tc.withheld || !withheld && len(reply.Answer) == 0 {
					t.Errorf("from %s: %v, want withheld %v", from, reply, tc.withheld)
				}
			}
			if reply := ask(t, open, "10.30.0.4", tc.name, tc.qtype); len(reply.Answer) == 0 {
				t.Errorf("off until written: %v, want the answer", reply)
			}
		})
	}
}

// TestPrivateAddressesOfAFallback come from another group than the route's.
func TestPrivateAddressesOfAFallback(t *testing.T) {
	built := buildText(t, "upstream silent 127.0.0.1:9\nupstream public "+answers(t, outside)+" withhold-private\nroute . silent outage=public")
	built.policy.Chains = policy.NewChaseMemory(1, longAgo)
	handler := handlerOf(built)
	for _, from := range []string{"the fallback", "the cache"} {
		if reply := ask(t, handler, "10.30.0.4", "ten.example.", dns.TypeA); len(reply.Answer) > 0 {
			t.Errorf("from %s: %v, want it withheld", from, reply)
		}
	}
	record := recordAsked(t, handler, "ten.example.", dns.TypeA)
	if record.PolicyRule != "private-from-public" || record.PolicyAction != "withhold" || record.Verdict != "private" {
		t.Errorf("the record says rule %s, action %s, verdict %s; want private-from-public, withhold, private", record.PolicyRule, record.PolicyAction, record.Verdict)
	}
}

func TestWithheldPrivateAddressIsExplained(t *testing.T) {
	handler := handlerOf(buildText(t, "upstream public "+answers(t, outside)+" withhold-private\nroute . public"))
	handler.current.Load().service.policy.Chains = policy.NewChaseMemory(1, longAgo)
	explanation := explainFor(t, handler, "ten.example", "A")
	if explanation.Diagnosis.Code != "withheld" || !strings.Contains(explanation.Diagnosis.Text, "withhold-private") || explanation.Policy.FinalRule != "private-from-public" {
		t.Errorf("diagnosis %+v, policy %+v; want it withheld by private-from-public", explanation.Diagnosis, explanation.Policy)
	}
}

func TestJudgingOriginsAllocatesNothing(t *testing.T) {
	handler := newHandler(t, answers(t, outside), "upstream public 127.0.0.1:9 withhold-private", longAgo)
	service := handler.current.Load().service
	service.foreign[service.routes.rest.group] = true
	warm(t, handler, "www.example.")
	loop, datagram, buffer := newReadLoop(handler), packed(t, "www.example.", dns.TypeA), make([]byte, 0, 1232)
	if got := testing.AllocsPerRun(100, func() { loop.Answer(datagram, clientPeer, buffer) }); got != 0 {
		t.Errorf("Answer() of a kept answer allocates %v times, want 0", got)
	}
	if loop.outcome.cacheState != fromCache || loop.outcome.withheld {
		t.Errorf("it was %s and withheld %v, want a hit that is told", loop.outcome.cacheState, loop.outcome.withheld)
	}
}
