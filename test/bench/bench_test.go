//go:build linux

package main

import (
	"math"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/batch"
)

const statisticsText = `
Statistics:

  Queries sent:         1003
  Queries completed:    1000 (99.70%)
  Queries lost:         3 (0.30%)

  Response codes:       NOERROR 990 (99.00%), SERVFAIL 10 (1.00%)
  Average packet size:  request 42, response 100
  Run time (s):         0.500000
  Queries per second:   2000.000000
`

func TestParseDnsperf(t *testing.T) {
	lines := "> NOERROR a.example A 0.003000\n> T b.example A\n> NOERROR c.example A 0.001000\n"
	result, err := parseDnsperf(lines + statisticsText)
	if err != nil {
		t.Fatal(err)
	}
	if result.completed != 1000 || result.lost != 3 || result.perSecond() != 2000 || result.rcodes["SERVFAIL"] != 10 {
		t.Errorf("parseDnsperf = %+v, want 1000 completed, 3 lost, 2000/s, 10 SERVFAIL", result)
	}
	if want := []time.Duration{time.Millisecond, 3 * time.Millisecond}; !slices.Equal(result.latencies, want) {
		t.Errorf("latencies = %v, want %v", result.latencies, want)
	}
	if result.percentile(50) != 1 || result.percentile(99) != 3 {
		t.Errorf("percentiles 50 and 99 = %v and %v, want 1 and 3", result.percentile(50), result.percentile(99))
	}
	if err := result.right("NOERROR"); err == nil {
		t.Error("right(NOERROR) = nil with 13 of 1003 not so, want an error")
	}
	if _, err := parseDnsperf("dnsperf: no such file"); err == nil {
		t.Error("parseDnsperf of no statistics = nil, want an error")
	}
}

func TestUpstreamAnswersWithAChain(t *testing.T) {
	tests := []struct {
		name, question, target string
		edns                   bool
	}{
		{"a public name", "db000001.database.windows.net.", "db000001.privatelink.database.windows.net.", false},
		{"with random case and EDNS", "dB000001.DataBase.windows.net.", "dB000001.privatelink.DataBase.windows.net.", true},
		{"the end of a chain", "db000001.privatelink.database.windows.net.", "", false},
		{"a name with a route", "db000001.s000001.corp.example.", "db000001.target.s000001.corp.example.", false},
		{"its end", "db000001.target.s000001.corp.example.", "", true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			query := new(dns.Msg).SetQuestion(tc.question, dns.TypeA)
			if tc.edns {
				query.SetEdns0(1232, false)
			}
			reply := answerOf(t, new(upstream), query)
			answer := reply.Answer
			if tc.target != "" {
				if cname, ok := answer[0].(*dns.CNAME); !ok || cname.Target != tc.target || cname.Hdr.Name != tc.question {
					t.Fatalf("first record = %v, want the CNAME to %s", answer[0], tc.target)
				}
				answer = answer[1:]
			}
			owner := tc.question
			if tc.target != "" {
				owner = tc.target
			}
			want := net.IP(addressOf("db000001").AsSlice())
			if a, ok := answer[0].(*dns.A); len(answer) != 1 || !ok || !a.A.Equal(want) || a.Hdr.Name != owner {
				t.Errorf("last records = %v, want %s A %s", answer, owner, want)
			}
			if got := reply.IsEdns0() != nil; got != tc.edns {
				t.Errorf("the reply has EDNS: %v, want %v", got, tc.edns)
			}
		})
	}
}

func TestUpstreamCounts(t *testing.T) {
	u := new(upstream)
	for range 3 {
		answerOf(t, u, new(dns.Msg).SetQuestion("a.example.", dns.TypeA))
	}
	reply := answerOf(t, u, new(dns.Msg).SetQuestion(countName+".", dns.TypeTXT))
	if len(reply.Answer) != 1 || !slices.Equal(reply.Answer[0].(*dns.TXT).Txt, []string{"3"}) {
		t.Errorf("count = %v, want 3", reply.Answer)
	}
	for _, query := range []string{"", "short", "\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x3fa\x00\x00\x01\x00\x01"} {
		if reply := u.Answer([]byte(query), batch.Peer{}, nil); len(reply) > 0 {
			t.Errorf("Answer(%q) = %q, want nothing", query, reply)
		}
	}
}

func answerOf(t *testing.T, u *upstream, query *dns.Msg) *dns.Msg {
	t.Helper()
	packet, err := query.Pack()
	if err != nil {
		t.Fatal(err)
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(u.Answer(packet, batch.Peer{}, nil)); err != nil {
		t.Fatal(err)
	}
	if reply.Id != query.Id || !reply.Response || len(reply.Question) != 1 || reply.Question[0] != query.Question[0] {
		t.Fatalf("reply = %v, want one to %v", reply, query)
	}
	return reply
}

func TestNamesSpreadOverAllRoutes(t *testing.T) {
	for _, routes := range []int{fewRoutes, 1000, manyRoutes} {
		again, once := map[string]bool{}, map[string]bool{}
		for n := range cachedNames {
			again[suffixOf(routedNames(routes)(n))] = true
		}
		for n := range routes {
			once[suffixOf(newRoutedNames(1, routes)(n))] = true
		}
		if want := min(routes, cachedNames); len(again) != want || len(once) != routes {
			t.Errorf("%d routes: cached names have %d suffixes and new ones %d, want %d and %d", routes, len(again), len(once), want, routes)
		}
	}
}

func suffixOf(name string) string {
	_, suffix, _ := strings.Cut(name, ".")
	return suffix
}

func TestSpreadOf(t *testing.T) {
	if got, want := spreadOf([]float64{4, math.NaN(), 1, 2, 3}), (spread{2.5, 1, 4}); got != want {
		t.Errorf("spreadOf = %v, want %v", got, want)
	}
	if got := spreadOf(nil); got.measured() || got.written(1) != "-" {
		t.Errorf("spreadOf nothing = %v, want no figure", got)
	}
}

func TestJudgeComparesWithTheBestPeer(t *testing.T) {
	w := &workload{name: cachedName}
	measured := func(name string, figure float64) *cell {
		return &cell{workload: w, subject: subject{name: name}, full: []measurement{{processor: figure}}}
	}
	cells := []*cell{measured(oursName, 3), measured(unboundName, 4), measured(dnsmasqName, 2)}
	b := bound{most: 1.5, ours: side{cachedName, oursName}, figure: processorTime}
	b.peers = []side{{cachedName, floorName}, {cachedName, unboundName}, {cachedName, dnsmasqName}}
	if v := b.judge(cells); v.ratio != 1.5 || v.against != dnsmasqName || !v.reached() {
		t.Errorf("judge = %+v, want 1.5 against dnsmasq, reached", v)
	}
	if v := b.judge(cells[1:]); v.reached() {
		t.Errorf("judge without ours = %+v, want it not reached", v)
	}
}

func TestBoundsNameWhatIsMeasured(t *testing.T) {
	known := map[side]bool{}
	for _, w := range workloads() {
		for _, s := range w.subjects {
			known[side{w.name, s.name}] = true
		}
	}
	for _, b := range bounds() {
		for _, s := range append(b.peers, b.ours) {
			if !known[s] {
				t.Errorf("%s: found %v, which no run measures", b.title, s)
			}
		}
	}
}
