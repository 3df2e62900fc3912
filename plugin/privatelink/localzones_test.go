package privatelink

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/querylog"
)

// recordAsked is the query log's record of a question.
func recordAsked(t *testing.T, handler *Handler, name string, qtype uint16) querylog.Record {
	t.Helper()
	loop := newReadLoop(handler)
	reply := loop.Answer(packed(t, name, qtype), clientPeer, nil)
	if len(reply) == 0 {
		t.Fatal("the question was not answered in place")
	}
	var record querylog.Record
	loop.outcome.fill(&record, reply, loop.outcome.query.arrived)
	return record
}

// withLocal has the given routes beside that of the root, and serves zones locally.
func withLocal(t *testing.T, zones, routes string) *Handler {
	t.Helper()
	known := records("any. 60 IN A 10.9.9.9")
	inside := map[string]func(*dns.Msg){}
	for _, name := range []string{"dc1.corp.local. A", "4.0.0.10.in-addr.arpa. PTR", "printer.local. A", "www.example. A"} {
		inside[name] = func(reply *dns.Msg) {
			known(reply)
			reply.Answer[0].Header().Name = reply.Question[0].Name
			if reply.Question[0].Qtype == dns.TypePTR {
				records(reply.Question[0].Name + " 60 IN PTR vm1.corp.example.")(reply)
				reply.Answer = reply.Answer[1:]
			}
		}
	}
	body := routes
	if zones != "" {
		body += "\nlocally-served " + zones
	}
	return newHandler(t, answers(t, inside), body, longAgo)
}

func TestLocallyServed(t *testing.T) {
	tests := []struct {
		name, zones, routes string
		asked               string
		qtype               uint16
		want                string // what is told, or the rcode and the SOA's owner
	}{
		{"off until written", "", "", "printer.local.", dns.TypeA, "10.9.9.9"},
		{"a name of mDNS", "all", "", "printer.local.", dns.TypeA, "NXDOMAIN local."},
		{"a name of Tor", "all", "", "a.b.onion.", dns.TypeAAAA, "NXDOMAIN onion."},
		{"a reverse zone", "all", "", "4.0.0.10.in-addr.arpa.", dns.TypePTR, "NXDOMAIN 10.in-addr.arpa."},
		{"172.31", "all", "", "4.0.31.172.in-addr.arpa.", dns.TypePTR, "NXDOMAIN 31.172.in-addr.arpa."},
		{"172.32 is public", "all", "", "4.0.32.172.in-addr.arpa.", dns.TypePTR, "SERVFAIL"},
		{"the shared address space", "all", "", "4.0.127.100.in-addr.arpa.", dns.TypePTR, "NXDOMAIN 127.100.in-addr.arpa."},
		{"a unique local address", "all", "", "1.0.0.0.0.0.d.f.ip6.arpa.", dns.TypePTR, "NXDOMAIN d.f.ip6.arpa."},
		{"the loopback address of IPv6", "all", "", "1." + strings.Repeat("0.", 31) + "ip6.arpa.", dns.TypePTR, "NOERROR 1." + strings.Repeat("0.", 31) + "ip6.arpa."},
		{"the zone itself", "all", "", "10.in-addr.arpa.", dns.TypeA, "NOERROR 10.in-addr.arpa."},
		{"its SOA", "all", "", "10.in-addr.arpa.", dns.TypeSOA, "10.in-addr.arpa. nobody.invalid. 1 3600 1200 604800 10800"},
		{"its NS", "all", "", "10.in-addr.arpa.", dns.TypeNS, "10.in-addr.arpa."},
		{"localhost", "all", "", "LocalHost.", dns.TypeA, "127.0.0.1"},
		{"localhost by IPv6", "all", "", "app.localhost.", dns.TypeAAAA, "::1"},
		{"localhost has no more", "all", "", "app.localhost.", dns.TypeMX, "NOERROR localhost."},
		{"not what is alike", "all", "", "www.example.", dns.TypeA, "10.9.9.9"},
		{"a route of a forest", "all", "route corp.local azure", "dc1.corp.local.", dns.TypeA, "10.9.9.9"},
		{"the rest beside the forest", "all", "route corp.local azure", "printer.local.", dns.TypeA, "NXDOMAIN local."},
		{"a route of the zone", "all", "route 10.in-addr.arpa azure", "4.0.0.10.in-addr.arpa.", dns.TypePTR, "vm1.corp.example."},
		{"a route above the zone", "all", "route arpa azure", "4.0.0.10.in-addr.arpa.", dns.TypePTR, "vm1.corp.example."},
		{"some zones only", "onion invalid", "", "printer.local.", dns.TypeA, "10.9.9.9"},
		{"one of some", "onion invalid", "", "x.INVALID.", dns.TypeA, "NXDOMAIN invalid."},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			handler := withLocal(t, tc.zones, tc.routes)
			reply := ask(t, handler, "10.30.0.4", tc.asked, tc.qtype)
			if got := localTold(reply); got != tc.want {
				t.Errorf("%s = %q, want %q", tc.asked, got, tc.want)
			}
			asked := handler.current.Load().metrics.collectors.routed
			if code, _ := extendedError(reply); (code == dns.ExtendedErrorCodeSynthesized) != (routedQueries(asked) == 0) {
				t.Errorf("extended error %d and %v queries are routed, want 29 where none is", code, routedQueries(asked))
			}
		})
	}
}

// routedQueries counts the queries for which an upstream group was chosen.
func routedQueries(routed *prometheus.CounterVec) (sum float64) {
	for _, label := range []string{".", "arpa", "corp.local", "10.in-addr.arpa"} {
		sum += testutil.ToFloat64(routed.WithLabelValues(label, "azure"))
	}
	return sum
}

// localTold is the data of a reply's only record, or the rcode and the SOA's owner.
func localTold(reply *dns.Msg) string {
	if len(reply.Answer) == 1 {
		return strings.TrimPrefix(reply.Answer[0].String(), reply.Answer[0].Header().String())
	}
	told := dns.RcodeToString[reply.Rcode]
	for _, record := range reply.Ns {
		if record.Header().Ttl == localTTL {
			told += " " + strings.ToLower(record.Header().Name)
		}
	}
	return told
}

func TestLocallyServedIsRecordedAndExplained(t *testing.T) {
	handler := withLocal(t, "all", "must-private local")
	record := recordAsked(t, handler, "printer.local.", dns.TypeA)
	if record.PolicyRule != "locally-served" || record.PolicyAction != "allow" || record.Verdict != "other" || record.Route != "" {
		t.Errorf("the record says rule %s, action %s, verdict %s, route %q; want locally-served, allow, other and no route", record.PolicyRule, record.PolicyAction, record.Verdict, record.Route)
	}
	explanation := explainFor(t, handler, "printer.local", "A")
	if explanation.Diagnosis.Code != "locally-served" || explanation.Reply.Rcode != "NXDOMAIN" || explanation.Route != nil {
		t.Errorf("diagnosis %+v, reply %+v; want locally-served, NXDOMAIN", explanation.Diagnosis, explanation.Reply)
	}
	if got := handler.current.Load().service.policy.Clients.ClassOf(clientPeer.Remote.Addr()); got != policy.Other {
		t.Errorf("class = %v, want other", got)
	}
}

func TestLocallyServedReportsMistakes(t *testing.T) {
	_, err := parseText(t.TempDir(), "privatelink {\nlocally-served example 10.in-addr.arpa\n}\n")
	if err == nil || !strings.Contains(err.Error(), "Corefile:2: found locally-served example, expected all, or zones such as local") || strings.Contains(err.Error(), "served 10.in-addr") {
		t.Errorf("parse = %v, want example to be reported alone", err)
	}
}
