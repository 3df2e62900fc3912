//go:build linux

package differential

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// compareSeries compares what both servers tell Prometheus: every series of CoreDNS's
// and of ours, but for times.
func compareSeries(t *testing.T, fast, slow *server) (found []string) {
	t.Helper()
	one, other := series(t, fast), series(t, slow)
	if len(one) < 50 {
		t.Fatalf("found %d series, expected more", len(one))
	}
	names := maps.Clone(one)
	maps.Copy(names, other)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if one[name] != other[name] && !slices.ContainsFunc(timed, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			found = append(found, fmt.Sprintf("%s %s, the other %s", name, orNone(one[name]), orNone(other[name])))
		}
	}
	return found
}

// silencesOf returns how often a server found an upstream silent.
func silencesOf(t *testing.T, s *server) (number int) {
	t.Helper()
	for name, value := range series(t, s) {
		if strings.HasPrefix(name, silenceSeries) {
			count, err := strconv.Atoi(value)
			if err != nil {
				t.Fatalf("%s: found %q, expected a number", name, value)
			}
			number += count
		}
	}
	return number
}

const silenceSeries = `coredns_privatelink_upstream_failures_total{reason="silence"`

func orNone(value string) string {
	if value == "" {
		return "is missing"
	}
	return value
}

// timed are series whose values are times, or depend on them.
var timed = []string{
	"coredns_dns_request_duration_seconds_bucket", "coredns_dns_request_duration_seconds_sum",
	"coredns_privatelink_upstream_duration_seconds_bucket", "coredns_privatelink_upstream_duration_seconds_sum",
	silenceSeries,
	"coredns_privatelink_config_", "coredns_privatelink_upstream_rtt", "coredns_privatelink_upstream_sent_per_second",
	"coredns_privatelink_upstream_sockets", "coredns_privatelink_upstream_ignored_total",
	// Only one of them has a front.
	"coredns_privatelink_front_",
	// CoreDNS counts the octets of a reply before it writes it otherwise.
	"coredns_dns_response_size_bytes_bucket", "coredns_dns_response_size_bytes_sum",
}

// series returns the values of a server's series by name and labels, in which its
// address and directory are left out.
func series(t *testing.T, s *server) map[string]string {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(fmt.Sprintf("http://%s/metrics", s.metrics))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	own := strings.NewReplacer(s.address.String(), "SERVER", s.directory, "DIRECTORY")
	found := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(own.Replace(string(text))))
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, "coredns_") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		// A series that was made and never counted is no difference.
		if value := line[at+1:]; value != "0" {
			found[line[:at]] = value
		}
	}
	return found
}
