package logreport

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/querylog"
)

func TestFilters(t *testing.T) {
	var log []byte
	for minute := range 10 {
		log = append(log, line(func(r *querylog.Record) {
			r.Time = start.Add(time.Duration(minute) * time.Minute)
			r.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 20, byte(minute % 2), 7}), 53)
			r.Name = "a.example.org."
			if minute >= 5 {
				r.Name, r.Namespace = "v1.vault.azure.net.", "vault.azure.net"
			}
			if minute == 9 {
				r.Client, r.RealClient = netip.MustParseAddrPort("[2001:db8::1]:53"), netip.MustParsePrefix("10.99.3.0/24")
			}
		})...)
	}
	tests := []struct {
		name    string
		options Options
		want    uint64
	}{
		{"nothing", Options{}, 10},
		{"since", Options{Since: start.Add(3 * time.Minute)}, 7},
		{"until", Options{Until: start.Add(3 * time.Minute)}, 3},
		{"since and until", Options{Since: start.Add(3 * time.Minute), Until: start.Add(4 * time.Minute)}, 1},
		{"a namespace", Options{Namespaces: []string{"Vault.azure.net."}}, 5},
		{"a suffix", Options{Namespaces: []string{"example.org", "nonexistent.example"}}, 5},
		{"no half label", Options{Namespaces: []string{"ample.org"}}, 0},
		{"a client", Options{Clients: []netip.Prefix{netip.MustParsePrefix("10.20.1.7/32")}}, 4},
		{"a network", Options{Clients: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}}, 9},
		{"a real client", Options{Clients: []netip.Prefix{netip.MustParsePrefix("10.99.0.0/16")}}, 1},
		{"a client over IPv6", Options{Clients: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}}, 1},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			report := read(t, tc.options, logOf("query.log", log))
			if report.Queries != tc.want || report.PassedOver != 10-tc.want {
				t.Errorf("%d queries and %d passed over, want %d and %d", report.Queries, report.PassedOver, tc.want, 10-tc.want)
			}
		})
	}
}

// A line that was sampled stands for others, in every count.
func TestSampledLinesCountForOthers(t *testing.T) {
	log := sampled(line(func(r *querylog.Record) {
		r.Verdict, r.PrivatelinkZone, r.Group, r.Cache = "unlinked", "privatelink.vaultcore.azure.net", "azure", "miss"
		r.Upstream, r.UpstreamDuration, r.Duration = "168.63.129.16:53", 3*time.Millisecond, 4*time.Millisecond
	}), 100)
	log = append(log, line(func(r *querylog.Record) { r.Verdict, r.Cache = "private", "hit" })...)
	report := read(t, Options{}, logOf("query.log", log))
	if report.Queries != 101 || report.Lines != 2 || report.Sampled != 1 {
		t.Errorf("%d queries in %d lines, %d sampled, want 101, 2 and 1", report.Queries, report.Lines, report.Sampled)
	}
	if got := fmt.Sprint(report.Verdicts); got != "[{unlinked 100 0} {private 1 0}]" {
		t.Errorf("verdicts = %s", got)
	}
	if report.Upstreams[0].Questions != 100 || report.Zones[0].Queries != 100 || report.Zones[0].Names[0].Queries != 100 {
		t.Errorf("upstreams = %+v, zones = %+v, want 100 of each", report.Upstreams, report.Zones)
	}
	if got := report.Slow[0]; got.Queries != 101 || got.WaitedSeconds != 0.4 || got.P50 < 0.0037 || got.P50 > 0.0043 {
		t.Errorf("slow names = %+v, want 101 queries that waited 0.4 s", got)
	}
	if report.HitShare < 0.0098 || report.HitShare > 0.01 {
		t.Errorf("HitShare = %v, want 1 of 101", report.HitShare)
	}
}

// One failure of twenty is 5 %, and wakes nobody.
func TestFindingsAreGradedByShareAndNumber(t *testing.T) {
	failed := func(r *querylog.Record) {
		r.Group, r.Cache, r.Rcode, r.Error = "azure", "miss", 2, `group "azure": 168.63.129.16:53/udp no reply`
	}
	stale := func(r *querylog.Record) { r.Cache = "stale" }
	withheld := func(r *querylog.Record) { r.PolicyRule, r.PolicyAction = "must-be-private", "withhold" }
	unlinked := func(r *querylog.Record) {
		r.Verdict, r.PrivatelinkZone, r.Group = "unlinked", "privatelink.vaultcore.azure.net", "azure"
	}
	for _, tc := range []struct {
		name       string
		set        func(*querylog.Record)
		count, all int
		want       []Severity
		attention  bool
	}{
		{"one failure of twenty", failed, 1, 20, []Severity{Notice, Notice}, false},
		{"ten of twenty", failed, 10, 20, []Severity{Failing, Failing}, true},
		{"ten of two thousand, all that was asked of the server", failed, 10, 2000, []Severity{Failing}, true},
		{"a stale answer", stale, 1, 20, []Severity{Notice}, false},
		{"stale answers, and few of all", stale, 12, 2000, []Severity{Notice}, false},
		{"many stale answers", stale, 12, 200, []Severity{Wrong}, true},
		{"an answer withheld", withheld, 1, 20, []Severity{Wrong}, true},
		{"an address inside withheld", func(r *querylog.Record) { r.PolicyRule, r.PolicyAction = "private-from-public", "withhold" }, 10, 20, []Severity{Notice}, false},
		{"ten withheld of many", withheld, 10, 2000, []Severity{Failing}, true},
		{"an unlinked answer", unlinked, 1, 2000, []Severity{Wrong}, true},
		{"nothing", nothingSet, 1, 20, nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log []byte
			for index := range tc.all {
				set := nothingSet
				if index < tc.count {
					set = tc.set
				}
				log = append(log, line(set)...)
			}
			report := read(t, Options{}, logOf("query.log", log))
			var got []Severity
			for _, found := range report.Findings {
				got = append(got, found.Severity)
			}
			if !slices.Equal(got, tc.want) || report.NeedsAttention() != tc.attention {
				t.Errorf("findings = %+v, NeedsAttention() = %v, want %v, %v", report.Findings, report.NeedsAttention(), tc.want, tc.attention)
			}
		})
	}
}

func TestPublicNames(t *testing.T) {
	ask := func(name, told string) []byte {
		return line(func(r *querylog.Record) {
			r.Name, r.Direct, r.PolicyRule, r.PolicyAction, r.HasEDE, r.EDEText = name, true, "direct-lookup", "refuse", true, told
		})
	}
	log := slices.Concat(
		ask("v1.privatelink.vaultcore.azure.net.", "direct privatelink lookup; ask for old.vault.azure.net"),
		ask("v2.privatelink.other.example.", "direct privatelink lookup; ask for v2.other.example"),
		ask("v3.privatelink.other.example.", ""),
		line(func(r *querylog.Record) {
			r.Name, r.Direct, r.Chase, r.PolicyRule = "v4.privatelink.other.example.", true, true, "chase"
		}),
	)
	report := read(t, Options{PublicName: func(name string) (string, bool) {
		return "v1.vault.azure.net.", strings.HasPrefix(name, "v1.")
	}}, logOf("query.log", log))
	var got []string
	for _, name := range report.DirectClients[0].Names {
		got = append(got, name.Name+"→"+name.Use)
	}
	want := "v1.privatelink.vaultcore.azure.net→v1.vault.azure.net v2.privatelink.other.example→v2.other.example v3.privatelink.other.example→"
	if strings.Join(got, " ") != want || report.DirectLookups != 3 {
		t.Errorf("%d direct lookups: %v, want 3: %s", report.DirectLookups, got, want)
	}
}

func TestUpstreamFailures(t *testing.T) {
	failed := func(cache, text string) []byte {
		return line(func(r *querylog.Record) { r.Group, r.Cache, r.Rcode, r.Error = "azure", cache, 2, text })
	}
	log := slices.Concat(
		failed("miss", "group \"azure\": 168.63.129.16:53/udp no reply; 168.63.129.16:53/udp no reply\ngroup \"public\": [2620:fe::fe]:853/tls dialling: connection refused"),
		failed("shared", `group "azure": 168.63.129.16:53/udp no reply`),
		failed("miss", `waiting for an answer: context deadline exceeded`),
		line(func(r *querylog.Record) {
			r.Group, r.Cache, r.Upstream, r.UpstreamDuration, r.Rcode = "azure", "miss", "168.63.129.16:53", time.Millisecond, 2
		}),
	)
	var got []string
	for _, u := range read(t, Options{}, logOf("query.log", log)).Upstreams {
		got = append(got, fmt.Sprintf("%s/%s %d asked %d SERVFAIL %d failed %v", u.Group, u.Server, u.Questions, u.Servfail, u.Failed, u.Failures))
	}
	want := "azure/168.63.129.16:53 3 asked 1 SERVFAIL 2 failed [{no reply 2 0}]; public/[2620:fe::fe]:853 1 asked 0 SERVFAIL 1 failed [{dialling: connection refused 1 0}]"
	if strings.Join(got, "; ") != want {
		t.Errorf("upstreams = %s, want %s", strings.Join(got, "; "), want)
	}
}

func TestClientsAreNamedAsTheLogShowsThem(t *testing.T) {
	plain := string(line(nothingSet))
	log := plain + strings.Replace(plain, `"client_ip":"10.20.0.7"`, `"client_hash":"0123456789abcdef"`, 1) +
		strings.Replace(plain, `"client_ip":"10.20.0.7",`, "", 1) + string(line(func(r *querylog.Record) { r.RealClient = netip.MustParsePrefix("10.40.3.0/26") }))
	var got []string
	for _, client := range read(t, Options{}, logOf("query.log", []byte(log))).Clients {
		got = append(got, client.Name)
	}
	if want := "(hidden) 0123456789abcdef 10.20.0.7 10.40.3.0/26"; strings.Join(got, " ") != want {
		t.Errorf("clients = %v, want %s", got, want)
	}
}

func TestWording(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{grouped(0), "0"}, {grouped(999), "999"}, {grouped(1234567), "1,234,567"},
		{percent(0), "0 %"}, {percent(0.0001), "<0.1 %"}, {percent(0.0425), "4.2 %"}, {percent(0.42), "42 %"}, {percent(0.9999), ">99.9 %"}, {percent(1), "100 %"},
		{seconds(0), "0 µs"}, {seconds(0.000009), "9 µs"}, {seconds(0.0021), "2.1 ms"}, {seconds(0.42), "420 ms"}, {seconds(3.96), "4.0 s"}, {seconds(1353), "1,353 s"},
		{duration(2 * time.Minute), "2 min"}, {duration(90 * time.Second), "1 min 30 s"}, {duration(26 * time.Hour), "1 d 2 h"}, {duration(24*time.Hour + 5*time.Minute), "1 d"},
		{plural(1, "query"), "1 query"}, {plural(1000, "query"), "1,000 queries"}, {atLeast(10, "client", 10), "10 clients or more"},
		{hostOf("168.63.129.16:53"), "168.63.129.16"}, {hostOf("[fd00::4]:853"), "fd00::4 -p 853"},
		{shortened("db1.privatelink.database.windows.net", 15), "db1.pri…ows.net"}, {spark([]uint64{0, 1, 4, 8}), " ▁▄█"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}
