package privatelink

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// corp is a corporate server that answers its CNAMEs with public tails.
func corp(t *testing.T) string {
	t.Helper()
	return answers(t, corporate)
}

var corporate = map[string]func(*dns.Msg){
	"sql.corp.example. A": records(
		"sql.corp.example. 300 IN CNAME alias.corp.example.",
		"alias.corp.example. 300 IN CNAME db1.database.windows.net.",
		"db1.database.windows.net. 60 IN CNAME db1.privatelink.database.windows.net.",
		"db1.privatelink.database.windows.net. 60 IN A 203.0.113.10"),
	"partner.corp.example. A": records(
		"partner.corp.example. 300 IN CNAME partner1.database.windows.net.",
		"partner1.database.windows.net. 60 IN A 203.0.113.11"),
	"www.corp.example. A": records("www.corp.example. 300 IN CNAME web.corp.example.", "web.corp.example. 300 IN A 10.10.0.80"),
}

func TestChainThatCrossesRoutes(t *testing.T) {
	const routes = "route catalog azure\nroute corp.example corp\n"
	tests := []struct {
		name, upstream, body, question string
		want                           string
	}{
		{"the tail is asked of the catalog's route", answers(t, sql), routes, "sql.corp.example.",
			"sql.corp.example. CNAME alias.corp.example. | alias.corp.example. CNAME db1.database.windows.net. | " +
				"db1.database.windows.net. CNAME db1.privatelink.database.windows.net. | db1.privatelink.database.windows.net. A 10.0.2.4"},
		{"a chain that stays is left alone", answers(t, sql), routes, "www.corp.example.",
			"www.corp.example. CNAME web.corp.example. | web.corp.example. A 10.10.0.80"},
		{"without an answer to the tail there is none", silent(t), routes, "sql.corp.example.", "SERVFAIL"},
		{"the tail's own fallback applies", linked(t), "route catalog azure missing=public\nroute corp.example corp\n", "partner.corp.example.",
			"partner.corp.example. CNAME partner1.database.windows.net. | " +
				"partner1.database.windows.net. CNAME partner1.privatelink.database.windows.net. | partner1.privatelink.database.windows.net. A 203.0.113.11"},
		{"no fallback behind a name that must be private", linked(t),
			"route catalog azure missing=public\nroute corp.example corp\nmust-private partner.corp.example\n", "partner.corp.example.", "NXDOMAIN"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			handler := withFallbacks(t, tc.upstream, newPublic(t), "upstream corp "+corp(t)+"\n"+tc.body)
			reply := ask(t, handler, "10.30.0.4", tc.question, dns.TypeA)
			got := dns.RcodeToString[reply.Rcode]
			if reply.Rcode == dns.RcodeSuccess {
				got = summary(reply.Answer)
			}
			if got != tc.want {
				t.Errorf("%s = %s, want %s", tc.question, got, tc.want)
			}
		})
	}
}

// The fallback of the head's route is not the tail's.
func TestMissingTailIsNotAskedPubliclyForItsHead(t *testing.T) {
	const name = "partner.corp.example."
	other := newPublic(t)
	handler := withFallbacks(t, linked(t), other, "upstream corp "+corp(t)+"\nroute catalog azure\nroute corp.example corp missing=public")
	reply := ask(t, handler, "10.30.0.4", name, dns.TypeA)
	if reply.Rcode != dns.RcodeNameError || other.wasAsked(name) {
		t.Errorf("%s = %s, public DNS asked: %v; want NXDOMAIN and not asked", name, dns.RcodeToString[reply.Rcode], other.wasAsked(name))
	}
}

// The head's route is never down, so its return would never be seen.
func TestReturnOfTheTailsUpstreamCounts(t *testing.T) {
	const name = "sql.corp.example."
	built := buildText(t, "upstream azure "+silent(t)+"\nupstream corp "+corp(t)+"\nroute catalog azure\nroute corp.example corp")
	built.policy.Chains = policy.NewChaseMemory(1, longAgo)
	askAt(t, handlerOf(built), name, 0)
	hit := built.cache.Get(keyFor(t, name, dns.TypeA), start)
	if hit.State != cache.Failed {
		t.Fatalf("kept = %s, want the failure", hit.State)
	}
	way := built.routes.find(name, built.catalog.Match(name))
	if !built.tooEarly(way, hit.Failure, start.Add(999*time.Millisecond)) || built.tooEarly(way, hit.Failure, start.Add(time.Second)) {
		t.Errorf("held for %s, want 1s", hit.Failure.HeldUntil().Sub(hit.Failure.Stored()))
	}
}

// keyFor is the key of a question without flags and view.
func keyFor(t *testing.T, name string, qtype uint16) *cache.Key {
	t.Helper()
	question, err := wire.NewQuestion(name, qtype, dns.ClassINET)
	if err != nil {
		t.Fatal(err)
	}
	return &cache.Key{Question: question}
}

// summary is an answer section without TTLs and classes.
func summary(answer []dns.RR) string {
	var lines []string
	for _, record := range answer {
		fields := strings.Fields(record.String())
		lines = append(lines, strings.Join(append(fields[:1:1], fields[3:]...), " "))
	}
	return strings.Join(lines, " | ")
}

func TestFlattenedAnswers(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "clients resolver 10.30.0.4 answers=flattened\nclients stub 10.20.0.0/16", longAgo)
	tests := []struct{ name, client, want string }{
		{"a class whose answers are flattened", "10.30.0.4", "db1.database.windows.net. A 10.0.2.4"},
		{"another class", "10.20.0.9", "db1.database.windows.net. CNAME db1.privatelink.database.windows.net. | db1.privatelink.database.windows.net. A 10.0.2.4"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			reply := ask(t, handler, tc.client, "db1.database.windows.net.", dns.TypeA)
			if got := summary(reply.Answer); got != tc.want {
				t.Errorf("answer = %s, want %s", got, tc.want)
			}
			if last := reply.Answer[len(reply.Answer)-1].Header().Ttl; last > 10 {
				t.Errorf("TTL = %d, want the least of the chain, 10", last)
			}
		})
	}
}
