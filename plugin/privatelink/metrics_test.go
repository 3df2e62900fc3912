package privatelink

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetricNamesAndHelp(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	c := newCollectors(registry)
	c.queries.WithLabelValues(none, none).Inc()
	c.decisions.WithLabelValues("none", "allow").Inc()
	c.routed.WithLabelValues(".", "azure").Inc()
	c.failures.WithLabelValues("10.0.0.4:53", "silence").Inc()
	c.roundTrips.WithLabelValues("10.0.0.4:53", "udp").Observe(0.001)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

func TestQueriesAreCounted(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "clients stub 10.20.0.0/16", longAgo)
	ask(t, handler, "10.30.0.4", "db1.database.windows.net.", dns.TypeA)
	ask(t, handler, "10.30.0.4", "nothing.example.", dns.TypeA)
	ask(t, handler, "10.20.0.9", "db1.privatelink.database.windows.net.", dns.TypeA)
	ask(t, handler, "168.63.129.16", "db1.database.windows.net.", dns.TypeA)
	ask(t, handler, "10.30.0.4", "db1.database.windows.net.", dns.TypeA)
	c := handler.current.Load().metrics.collectors
	server := handler.current.Load().service.lease.endpoints[0].String()
	tests := []struct {
		name    string
		counter prometheus.Counter
		want    float64
	}{
		{"private answers, the probe's not", c.queries.WithLabelValues("database.windows.net", "private"), 2},
		{"a rejection has no verdict", c.queries.WithLabelValues("database.windows.net", none), 1},
		{"a failure outside the catalog", c.queries.WithLabelValues(none, none), 1},
		{"the policy's refusal", c.decisions.WithLabelValues("direct-lookup", "refuse"), 1},
		{"ordinary questions", c.decisions.WithLabelValues("none", "allow"), 3},
		{"the route", c.routed.WithLabelValues(".", "azure"), 3},
		{"the cache", c.cached.WithLabelValues("hit"), 1},
		{"the failure", c.failures.WithLabelValues(server, "rcode"), 1},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := testutil.ToFloat64(tc.counter); got != tc.want {
				t.Errorf("counter = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestEveryMetricIsInTheManual(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	newMetrics(newHandler(t, answers(t, sql), "", longAgo).current.Load().service, newCollectors(registry)).query(0, 0).Inc()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	manual := readFile(t, "README.md")
	for _, family := range families {
		if !strings.Contains(manual, "`"+family.GetName()+"`") && !strings.Contains(manual, "`"+family.GetName()+"{") {
			t.Errorf("README.md does not explain %s", family.GetName())
		}
	}
}
