package privatelink

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetricNamesAndHelp(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	run := newRunning(t, "clients: []\n", "")
	c := register(registry, run.shared)
	standAt(t, run)
	newMetrics(run.handler.current.Load().service, c).query(0, 0, noFallback).Inc()
	c.config.watch(run.handler)
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
		{"private answers, the probe's not", c.queries.WithLabelValues("database.windows.net", "private", none), 2},
		{"a rejection has no verdict", c.queries.WithLabelValues("database.windows.net", none, none), 1},
		{"a failure outside the catalog", c.queries.WithLabelValues(none, none, none), 1},
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

// descriptions keeps the collectors that are registered with it.
type descriptions struct {
	prometheus.Registerer
	names map[string]bool
}

var fullName = regexp.MustCompile(`fqName: "([^"]+)"`)

func (d *descriptions) MustRegister(collectors ...prometheus.Collector) {
	for _, collector := range collectors {
		described := make(chan *prometheus.Desc)
		go func() {
			defer close(described)
			collector.Describe(described)
		}()
		for description := range described {
			d.names[fullName.FindStringSubmatch(description.String())[1]] = true
		}
	}
}

func TestTheManualAndTheRegistryNameTheSameMetrics(t *testing.T) {
	registered := &descriptions{names: map[string]bool{}}
	register(registered, newSlot())
	explained := map[string]bool{}
	_, section, _ := strings.Cut(readFile(t, "README.md"), "\n## Metrics\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, found := range regexp.MustCompile("(?m)^\\* `(coredns_privatelink_[a-z0-9_]+)[`{]").FindAllStringSubmatch(section, -1) {
		explained[found[1]] = true
	}
	for name := range registered.names {
		if !explained[name] {
			t.Errorf("README.md does not explain %s", name)
		}
	}
	for name := range explained {
		if !registered.names[name] {
			t.Errorf("README.md explains %s, which does not exist", name)
		}
	}
}

// Whoever asks must not be able to make series: Prometheus keeps each for hours.
func TestNoQueryMakesSeriesWithoutBound(t *testing.T) {
	address := serve(t, func(w dns.ResponseWriter, request *dns.Msg) {
		reply, name := new(dns.Msg).SetReply(request), request.Question[0].Name
		if request.Question[0].Qtype == dns.TypeA {
			reply.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 60}, Target: "x.privatelink." + name}}
		}
		_ = w.WriteMsg(reply)
	})
	handler, registry := newHandler(t, address, "clients resolver 10.0.0.0/8", longAgo), prometheus.NewPedanticRegistry()
	handler.put(handler.current.Load().service, register(registry, newSlot()))
	seriesAfter := func(from, to int) (count int) {
		for number := from; number < to; number++ {
			for _, name := range []string{
				"n%d.example.", "n%d.database.windows.net.", "n%d.privatelink.database.windows.net.", "x.region%d.kusto.windows.net.", "privatelink.made-up%d.example.", `\"%d\010.vault.azure.net.`,
			} {
				name = fmt.Sprintf(name, number)
				for _, qtype := range []uint16{dns.TypeA, uint16(number)} {
					ask(t, handler, fmt.Sprintf("10.1.%d.1", number), name, qtype)
				}
			}
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			count += len(family.GetMetric())
		}
		return count
	}
	first := seriesAfter(30, 50) // with OPT, a type that is none
	if then := seriesAfter(50, 90); then != first || first < 20 {
		t.Errorf("%d series became %d by queries of the same kinds", first, then)
	}
}
