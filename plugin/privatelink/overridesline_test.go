package privatelink

import (
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestOverridesStandInTheLine(t *testing.T) {
	handler := withFallbacks(t, answers(t, sql), newPublic(t), "route . azure\nclients stub 10.20.0.0/16\nclients deny 10.66.0.0/16\n")
	if got := lastAddress(ask(t, handler, "10.30.0.4", sqlName, dns.TypeA)); got != "10.0.2.4" {
		t.Fatalf("before the override %s, want 10.0.2.4", got)
	}
	addOverride(t, handler, sqlName, "A", "10.9.9.9")
	addOverride(t, handler, direct, "A", "10.9.9.9")
	addOverride(t, handler, "web1.database.windows.net", "resolve", "public")
	tests := []struct {
		name, client, question string
		qtype                  uint16
		want                   string
	}{
		{"before the cache", "10.30.0.4", sqlName, dns.TypeA, sqlName + " A 10.9.9.9"},
		{"for a stub", "10.20.0.9", sqlName, dns.TypeA, sqlName + " A 10.9.9.9"},
		{"not for a client that is not served", "10.66.0.9", sqlName, dns.TypeA, "REFUSED"},
		{"not for a direct lookup that is refused", "10.20.0.9", direct, dns.TypeA, "REFUSED"},
		{"not for a zone transfer", "10.30.0.4", sqlName, dns.TypeAXFR, "REFUSED"},
		{"by another group", "10.30.0.4", "web1.database.windows.net.", dns.TypeA, "web1.database.windows.net. A 203.0.113.10"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			reply := ask(t, handler, tc.client, tc.question, tc.qtype)
			if got := told(reply); got != tc.want {
				t.Errorf("%s = %s, want %s", tc.question, got, tc.want)
			}
			for _, record := range reply.Answer {
				if ttl := record.Header().Ttl; ttl > 30 {
					t.Errorf("TTL %d, want 30 at most", ttl)
				}
			}
		})
	}
	decisions := handler.current.Load().metrics.collectors.decisions
	if got := testutil.ToFloat64(decisions.WithLabelValues("override", "allow")); got != 3 {
		t.Errorf("counted %v overridden queries, want 3", got)
	}
}
