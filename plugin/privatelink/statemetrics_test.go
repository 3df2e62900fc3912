package privatelink

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

// gathered are the samples of a collector, by name and the values of their labels:
// "upstream_state 10.0.0.4:53 up".
func gathered(t *testing.T, collector prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	samples := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			key := []string{strings.TrimPrefix(family.GetName(), "coredns_privatelink_")}
			for _, label := range metric.GetLabel() {
				key = append(key, label.GetValue())
			}
			samples[strings.Join(key, " ")] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	return samples
}

// standAt puts a front before a stanza, or skips the test where there are none.
func standAt(t *testing.T, run *running) *front {
	t.Helper()
	run.handler.waiting.total = &run.shared.handedOver
	if err := run.shared.serveFront("dns://127.0.0.1:53", netip.MustParseAddrPort("127.0.0.1:0"), &serving{handler: run.handler, server: &dnsserver.Server{}}); err != nil {
		t.Skipf("no front: %v", err)
	}
	t.Cleanup(func() { run.shared.endFronts(run.handler) })
	return run.shared.fronts["dns://127.0.0.1:53"]
}

func TestStateOfServersCacheAndFrontsIsTold(t *testing.T) {
	run := newRunning(t, "clients: []\n", "")
	run.handler.current.Load().service.policy.Chains = policy.NewChaseMemory(1, longAgo)
	asked := run.handler.current.Load().service.lease.endpoints[0]
	if _, _, err := run.shared.acquire([]endpoint{asked}, map[endpoint]terms{asked: {budget: upstream.Azure()}}); err != nil {
		t.Fatal(err)
	}
	f := standAt(t, run)
	client := dns.Client{Timeout: 20 * time.Second}
	for range 3 { // asked, then kept
		if _, _, err := client.Exchange(question("db1.database.windows.net.", dns.TypeA), f.address.String()); err != nil {
			t.Fatal(err)
		}
	}
	// The first waited, and ceases to only when its reply is on its way.
	if !soon(func() bool { return run.handler.waiting.now() == 0 }) {
		t.Error("a query that was answered still waits")
	}
	samples := gathered(t, newStateCollector(run.shared))
	server := asked.String()
	tests := []struct {
		name string
		want float64
	}{
		{"upstream_limit_per_second " + server, 1000},
		{"upstream_outstanding_limit " + server, 200},
		{"upstream_waited_total " + server, 0},
		{"cache_entries answer", 1},
		{"cache_entries failure", 0},
		{"front_received_total dns://127.0.0.1:53 udp", 3},
		{"front_received_total dns://127.0.0.1:53 tcp", 0},
		{"front_handed_over_total", 1},
		{"front_waiting", 0},
		{"front_dropped_total dns://127.0.0.1:53", 0},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got, told := samples[tc.name]; got != tc.want || !told {
				t.Errorf("%s = %v (told: %v), want %v", tc.name, got, told, tc.want)
			}
		})
	}
	states := []float64{samples["upstream_state up "+server], samples["upstream_state suspected "+server], samples["upstream_state down "+server]}
	if !slices.Equal(states, []float64{1, 0, 0}) {
		t.Errorf("the states up, suspected and down = %v, want 1, 0, 0", states)
	}
	for _, name := range []string{"upstream_rtt_seconds " + server, "upstream_rtt_p95_seconds " + server, "cache_bytes", "front_receive_buffer_bytes dns://127.0.0.1:53"} {
		if samples[name] <= 0 {
			t.Errorf("%s = %v, want more than 0", name, samples[name])
		}
	}
}

// A reload holds the fronts for as long as a query may wait.
func TestScrapeDoesNotWaitForAReload(t *testing.T) {
	run := newRunning(t, "clients: []\n", "")
	standAt(t, run)
	run.shared.frontsMutex.Lock()
	defer run.shared.frontsMutex.Unlock()
	samples := gathered(t, newStateCollector(run.shared))
	if _, told := samples["front_handed_over_total"]; !told {
		t.Errorf("samples = %v, want all but those of the fronts", samples)
	}
	if _, told := samples["front_waiting"]; told {
		t.Error("the fronts were read although a reload holds them")
	}
}

func TestConfigurationInForceIsTold(t *testing.T) {
	run := newRunning(t, "clients: []\n", "")
	c := newConfigMetrics()
	c.watch(run.handler)
	rules := filepath.Join(run.config.directory, "rules.yaml")
	changed := time.Unix(1_700_000_000, 0)
	if err := os.Chtimes(rules, changed, changed); err != nil {
		t.Fatal(err)
	}
	c.reloaded(true, time.Unix(1_700_000_100, 0))
	c.reloaded(false, time.Unix(1_700_000_200, 0))
	samples := gathered(t, c)
	want := map[string]float64{
		"config_file_timestamp_seconds " + rules:       1_700_000_000,
		"config_last_reload_success_timestamp_seconds": 1_700_000_100,
		"config_last_reload_successful":                0,
		"config_generation":                            1,
		"upstream_group_up azure":                      1,
	}
	for name, value := range want {
		if got, told := samples[name]; got != value || !told {
			t.Errorf("%s = %v (told: %v), want %v", name, got, told, value)
		}
	}
	c.forget(run.handler)
	if _, told := gathered(t, c)["config_file_timestamp_seconds "+rules]; told {
		t.Error("a file is told of that no configuration was read from")
	}
}

// A stanza that has begun can fail for the fault of another one.
func TestConfigurationThatFailsToStartIsNotCounted(t *testing.T) {
	c := newConfigMetrics()
	if samples := gathered(t, c); len(samples) != 0 {
		t.Errorf("before the first configuration samples = %v, want none", samples)
	}
	c.begins(time.Unix(1_700_000_100, 0))
	abandon := c.begins(time.Unix(1_700_000_200, 0))
	if got := gathered(t, c)["config_generation"]; got != 2 {
		t.Errorf("generation = %v, want 2", got)
	}
	abandon()
	samples := gathered(t, c)
	if samples["config_generation"] != 1 || samples["config_last_reload_success_timestamp_seconds"] != 1_700_000_100 || samples["config_last_reload_successful"] != 0 {
		t.Errorf("after a reload that failed samples = %v, want those of the configuration before, and no success", samples)
	}
}

func TestWhatRunsIsTold(t *testing.T) {
	for name, value := range gathered(t, newBuildInfo()) {
		if value != 1 || !strings.Contains(name, " go1.") {
			t.Errorf("%s = %v, want 1 and the version of Go", name, value)
		}
	}
}
