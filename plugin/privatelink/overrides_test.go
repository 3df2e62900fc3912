package privatelink

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/override"
	"github.com/privatelink-dns/privatelink-dns/plugin/querylog"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// addOverride makes a handler answer a name as an operator says, from start on.
func addOverride(t *testing.T, handler *Handler, name, rrtype string, values ...string) {
	t.Helper()
	change := override.Change{Name: name, Type: rrtype, Values: values, Reason: "INC42", Who: "kim"}
	if _, _, err := handler.current.Load().service.overrides.Add(change, start); err != nil {
		t.Fatal(err)
	}
}

// askOverrides asks the overrides as if it were so much later than the start. The
// reply is nil where they do not answer.
func askOverrides(t *testing.T, handler *Handler, request *dns.Msg, later time.Duration) (*outcome, *dns.Msg) {
	t.Helper()
	asked, service, now := new(wire.Query), handler.current.Load().service, start.Add(later)
	if err := wire.QueryOf(request, false, asked); err != nil {
		t.Fatal(err)
	}
	service.now = func() time.Time { return now }
	question := request.Question[0]
	o := service.resolve(t.Context(), query{
		asked: asked, key: cache.KeyOf(asked, ""), name: dns.CanonicalName(question.Name), qtype: question.Qtype, qclass: question.Qclass,
		client: netip.MustParseAddrPort("10.30.0.4:5353"), arrived: now,
	})
	if o.override == nil {
		return o, nil
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(service.appendReply(nil, o, now)); err != nil {
		t.Fatal(err)
	}
	handler.current.Load().metrics.count(o)
	return o, reply
}

// recordOf is what the query log gets.
func recordOf(o *outcome) querylog.Record {
	var record querylog.Record
	o.fill(&record, nil, o.query.arrived)
	return record
}

func question(name string, qtype uint16) *dns.Msg {
	return new(dns.Msg).SetQuestion(name, qtype).SetEdns0(1232, false)
}

// told is what a reply says, on one line.
func told(reply *dns.Msg) string {
	switch {
	case reply == nil:
		return "not overridden"
	case reply.Rcode != dns.RcodeSuccess:
		return dns.RcodeToString[reply.Rcode]
	case len(reply.Answer) == 0 && len(reply.Ns) == 1:
		return "NODATA"
	}
	return summary(reply.Answer)
}

const sqlName = "db1.database.windows.net."

func TestOverridesAnswer(t *testing.T) {
	const viaPublic = "route catalog azure\nroute example.org public\n"
	tests := []struct {
		name, body string
		add        []string
		question   string
		qtype      uint16
		want       string
		wantEDE    uint16
	}{
		{"an address", viaPublic, []string{sqlName, "A", "10.9.9.9"}, sqlName, dns.TypeA, sqlName + " A 10.9.9.9", 4},
		{"another type has no data", viaPublic, []string{sqlName, "A", "10.9.9.9"}, sqlName, dns.TypeAAAA, "NODATA", 4},
		{"another name", viaPublic, []string{sqlName, "A", "10.9.9.9"}, "a." + sqlName, dns.TypeA, "not overridden", 0},
		{"the client's spelling", viaPublic, []string{sqlName, "A", "10.9.9.9"}, "DB1.database.windows.NET.", dns.TypeA, "DB1.database.windows.NET. A 10.9.9.9", 4},
		{"a public address that must be private", viaPublic + "must-private database.windows.net\n", []string{sqlName, "A", "203.0.113.99"}, sqlName, dns.TypeA, sqlName + " A 203.0.113.99", 4},
		{"a group", viaPublic, []string{sqlName, "resolve", "public"}, sqlName, dns.TypeA, sqlName + " A 203.0.113.10", 0},
		{"a group for what must be private", viaPublic + "must-private database.windows.net\n", []string{sqlName, "resolve", "public"}, sqlName, dns.TypeA, sqlName + " A 203.0.113.10", 0},
		{"a group that says NXDOMAIN", viaPublic, []string{"gone.example", "resolve", "public"}, "gone.example.", dns.TypeA, "NXDOMAIN", 0},
		{"an alias", viaPublic, []string{"old.example", "CNAME", sqlName}, "old.example.", dns.TypeA,
			"old.example. CNAME " + sqlName + " | " + sqlName + " CNAME " + direct + " | " + direct + " A 10.0.2.4", 4},
		{"the alias itself", viaPublic, []string{"old.example", "CNAME", sqlName}, "old.example.", dns.TypeCNAME, "old.example. CNAME " + sqlName, 4},
		{"an alias of what no route knows", viaPublic, []string{"old.example", "CNAME", "new.example"}, "old.example.", dns.TypeA, "old.example. CNAME new.example.", 4},
		{"an alias of what does not answer", viaPublic, []string{"old.example", "CNAME", "db7.database.windows.net"}, "old.example.", dns.TypeA, "SERVFAIL", 23},
		{"an alias of what must be private", viaPublic + "must-private example.org\n", []string{"old.example", "CNAME", "web1.example.org"}, "old.example.", dns.TypeA, "NODATA", 17},
		{"an alias of what does not exist", viaPublic, []string{"old.example", "CNAME", "gone.example.org"}, "old.example.", dns.TypeA, "NXDOMAIN", 4},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			handler := withFallbacks(t, answers(t, sql), newPublic(t), "upstream org "+organisation(t)+"\n"+strings.ReplaceAll(tc.body, "example.org public", "example.org org"))
			addOverride(t, handler, tc.add[0], tc.add[1], tc.add[2:]...)
			o, reply := askOverrides(t, handler, question(tc.question, tc.qtype), time.Minute)
			if got := told(reply); got != tc.want {
				t.Fatalf("%s = %s, want %s", tc.question, got, tc.want)
			}
			if reply == nil {
				return
			}
			code, text := extendedError(reply)
			if code != tc.wantEDE || code == 4 && !strings.HasPrefix(text, "override by kim: INC42, until ") {
				t.Errorf("EDE %d %q, want %d", code, text, tc.wantEDE)
			}
			if rule := recordOf(o).PolicyRule; rule != "override" && code != 17 {
				t.Errorf("rule %s, want override", rule)
			}
			for _, record := range append(reply.Answer, reply.Ns...) {
				if ttl := record.Header().Ttl; ttl > 30 && o.cacheState == "" {
					t.Errorf("TTL %d, want 30 at most", ttl)
				}
			}
		})
	}
}

// organisation is a server with a public name and no other.
func organisation(t *testing.T) string {
	t.Helper()
	return answers(t, map[string]func(*dns.Msg){
		"web1.example.org. A": records("web1.example.org. 300 IN A 203.0.113.20"),
		"gone.example.org. A": func(reply *dns.Msg) {
			reply.Rcode = dns.RcodeNameError
			reply.Ns = []dns.RR{ownSOA("example.org.", 300)}
		},
	})
}

func TestOverrideThatWasLookedUpDirectly(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "clients resolver 10.30.0.0/16", longAgo)
	addOverride(t, handler, direct, "A", "10.9.9.9")
	// Whether this may be asked is decided before: here it may.
	if _, reply := askOverrides(t, handler, question(direct, dns.TypeA), 0); told(reply) != direct+" A 10.9.9.9" {
		t.Errorf("%s = %s, want the override", direct, told(reply))
	}
}

func TestOverrideIsNotKept(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "", longAgo)
	service := handler.current.Load().service
	addOverride(t, handler, sqlName, "A", "10.9.9.9")
	end := service.overrides.List(start)[0].Expires.Sub(start)
	for _, step := range []struct {
		after   time.Duration
		want    string
		wantTTL uint32
	}{{0, sqlName + " A 10.9.9.9", 30}, {end - 7*time.Second, sqlName + " A 10.9.9.9", 7}, {end, "not overridden", 0}} {
		_, reply := askOverrides(t, handler, question(sqlName, dns.TypeA), step.after)
		if got := told(reply); got != step.want || reply != nil && reply.Answer[0].Header().Ttl != step.wantTTL {
			t.Errorf("after %s: %v, want %s with TTL %d", step.after, reply, step.want, step.wantTTL)
		}
		if reply != nil && service.cache.Len() != 0 {
			t.Errorf("after %s: %d answers are kept, want none", step.after, service.cache.Len())
		}
	}
}

func TestRedirectHasAnswersOfItsOwn(t *testing.T) {
	other := newPublic(t)
	handler := withFallbacks(t, answers(t, sql), other, "route . azure\n")
	ask := func() (*outcome, string) { // the usual line, for the cache
		o, reply := askAt(t, handler, sqlName, 0)
		return o, lastAddress(reply)
	}
	if _, got := ask(); got != "10.0.2.4" {
		t.Fatalf("before the override %s, want 10.0.2.4", got)
	}
	addOverride(t, handler, sqlName, "resolve", "public")
	for index, want := range []cacheState{fromUpstream, fromCache} {
		o, reply := askOverrides(t, handler, question(sqlName, dns.TypeA), time.Second)
		if o.cacheState != want || lastAddress(reply) != "203.0.113.10" || recordOf(o).Group != "public" {
			t.Errorf("question %d = %s of %s, %s; want the public address, %s", index, lastAddress(reply), recordOf(o).Group, o.cacheState, want)
		}
	}
	if other.wasAsked(direct) {
		t.Error("the public resolver was asked for the privatelink name")
	}
	m := handler.current.Load().metrics
	if got := testutil.ToFloat64(m.collectors.routed.WithLabelValues("override", "public")); got != 2 {
		t.Errorf("counted %v queries by override, want 2", got)
	}
	service := handler.current.Load().service
	if _, err := service.overrides.Remove(sqlName, start); err != nil {
		t.Fatal(err)
	}
	if o, got := ask(); got != "10.0.2.4" || o.cacheState != fromCache {
		t.Errorf("after the override %s, %s; want 10.0.2.4 as it was kept before", got, o.cacheState)
	}
}

func TestAliasOfAnAliasAndInACircle(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "", longAgo)
	addOverride(t, handler, "a.example", "CNAME", "b.example")
	addOverride(t, handler, "b.example", "CNAME", "c.example")
	addOverride(t, handler, "c.example", "A", "10.9.9.9")
	const want = "a.example. CNAME b.example. | b.example. CNAME c.example. | c.example. A 10.9.9.9"
	if _, reply := askOverrides(t, handler, question("a.example.", dns.TypeA), 0); told(reply) != want {
		t.Errorf("a.example = %s, want %s", told(reply), want)
	}
	addOverride(t, handler, "c.example", "CNAME", "a.example")
	_, reply := askOverrides(t, handler, question("a.example.", dns.TypeA), 0)
	if _, text := extendedError(reply); told(reply) != "SERVFAIL" || !strings.Contains(text, "from one to the next") {
		t.Errorf("a.example in a circle = %s with %q, want SERVFAIL and why", told(reply), text)
	}
}

func TestAliasTellsAgedTTLs(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "", longAgo)
	askAt(t, handler, sqlName, 0)
	addOverride(t, handler, "old.example", "CNAME", sqlName)
	o, reply := askOverrides(t, handler, question("old.example.", dns.TypeA), 4*time.Second)
	var ttls []uint32
	for _, record := range reply.Answer {
		ttls = append(ttls, record.Header().Ttl)
	}
	// 30 for the override; the private address has lived for 4 s of its 10.
	if len(ttls) != 3 || ttls[0] != 30 || ttls[1] != 30 || ttls[2] != 6 || o.cacheState != fromCache {
		t.Errorf("TTLs %v, %s; want 30, 30 and 6 from the cache", ttls, o.cacheState)
	}
}

func TestOverrideToAGroupThatIsGone(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "", longAgo)
	addOverride(t, handler, sqlName, "resolve", "public")
	if o, reply := askOverrides(t, handler, question(sqlName, dns.TypeA), 0); reply != nil || recordOf(o).PolicyRule != "none" {
		t.Errorf("%s = %s by %s, want the usual way", sqlName, told(reply), recordOf(o).PolicyRule)
	}
}

func TestOverrideOfClassINOnly(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "", longAgo)
	addOverride(t, handler, sqlName, "A", "10.9.9.9")
	request := question(sqlName, dns.TypeA)
	request.Question[0].Qclass = dns.ClassCHAOS
	if _, reply := askOverrides(t, handler, request, 0); reply != nil {
		t.Errorf("class CH = %s, want the usual way", told(reply))
	}
}

func TestOverridesSurviveARestart(t *testing.T) {
	state := t.TempDir()
	first := newRunning(t, "clients: []\n", "state "+state)
	if err := first.start(); err != nil {
		t.Fatal(err)
	}
	change := override.Change{Name: sqlName, Type: "A", Values: []string{"10.9.9.9"}, For: time.Hour, Reason: "INC42", Who: "kim"}
	if _, _, err := first.shared.overrides.Add(change, time.Now()); err != nil {
		t.Fatal(err)
	}
	// No word of farewell: a crash loses no override.
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second := newRunning(t, "clients: []\n", "state "+state)
	second.restoreOverrides()
	list := second.shared.overrides.List(time.Now())
	if len(list) != 1 || list[0].Name != sqlName || list[0].Answer() != "A 10.9.9.9" {
		t.Fatalf("after the restart %v, want the override", list)
	}
	second.expireOverrides(time.Now().Add(2 * time.Hour))
	if left := second.shared.overrides.List(time.Now()); len(left) != 0 {
		t.Errorf("after its end %v, want nothing", left)
	}
	if damaged, err := filepath.Glob(filepath.Join(state, "*damaged*")); len(damaged) != 0 || err != nil {
		t.Errorf("found %v, %v; want no damage", damaged, err)
	}
	_ = first.shared.stopAdmin()
}
