package privatelink

import (
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// keepAnswer keeps the answer with db1's private endpoint, as if a route had brought it.
func keepAnswer(t *testing.T, s *service, by *route, came fallback) cache.Entry {
	t.Helper()
	question, err := wire.NewQuestion("db1.database.windows.net.", dns.TypeA, dns.ClassINET)
	if err != nil {
		t.Fatal(err)
	}
	kept := new(dns.Msg)
	sql["db1.database.windows.net. A"](kept)
	key := cache.Key{Question: question}
	entry, err := cache.Make(&key, kept, cache.Meta{Group: by.id, Flags: came.flag()}, cache.Lifetimes{MaxTTL: time.Minute, MaxStale: time.Hour}, start)
	if err != nil {
		t.Fatal(err)
	}
	s.cache.Put(entry)
	return entry
}

func TestReloadThatAddsAFallbackKeepsStale(t *testing.T) {
	const name = "db1.database.windows.net."
	shared, dead, other := newSlot(), silent(t), newPublic(t)
	groups := "upstream azure " + dead + "\nupstream public " + other.address + "\n"
	first := buildOn(t, shared, groups+"route . azure")
	keepAnswer(t, first, first.routes.rest, noFallback)
	second := buildOn(t, shared, groups+"route . azure outage=public")
	second.policy.Chains = policy.NewChaseMemory(1, longAgo)
	_, reply := askAt(t, handlerOf(second), name, 20*time.Second)
	if lastAddress(reply) != "10.0.2.4" || other.wasAsked(name) {
		t.Errorf("%s %q, public asked %v; want the stale 10.0.2.4, not asked", dns.RcodeToString[reply.Rcode], lastAddress(reply), other.wasAsked(name))
	}
}

func TestRouteOwnsWhatItKept(t *testing.T) {
	const groups = "upstream azure 10.0.0.4\nupstream corp 10.0.0.5\nupstream public 10.0.0.6\n"
	const both = "route . azure missing=public outage=public"
	tests := []struct {
		name, before, after string
		came                fallback
		want                bool
	}{
		{"nothing changed", groups + both, groups + both, noFallback, true},
		{"a server more", groups + both, "upstream azure 10.0.0.4 10.0.0.7\nupstream public 10.0.0.6\n" + both, noFallback, true},
		{"another group", groups + "route . azure", groups + "route . corp", noFallback, false},
		{"a second site", groups + "route . azure", groups + "route . azure corp", noFallback, false},
		{"sites in another order", groups + "route . azure corp", groups + "route . corp azure", noFallback, false},
		{"its fallback after missing", groups + both, groups + "route . azure missing=public", afterMissing, true},
		{"no such fallback after missing", groups + both, groups + "route . azure outage=public", afterMissing, false},
		{"its fallback after an outage", groups + both, groups + "route . azure outage=public", afterOutage, true},
		{"no such fallback after an outage", groups + both, groups + "route . azure missing=public", afterOutage, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			shared := newSlot()
			before := buildOn(t, shared, tc.before)
			entry := keepAnswer(t, before, before.routes.rest, tc.came)
			shared.commit() // a reload begins
			if got := buildOn(t, shared, tc.after).routes.rest.owns(entry); got != tc.want {
				t.Errorf("owns = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestStanzasWithOneNameForTwoGroupsShareNoAnswers(t *testing.T) {
	shared := newSlot()
	first := buildOn(t, shared, "upstream azure 10.0.0.4\nroute . azure")
	other := buildOn(t, shared, "upstream azure 10.0.0.5\nroute . azure")
	same := buildOn(t, shared, "upstream azure 10.0.0.4\nroute . azure")
	entry := keepAnswer(t, first, first.routes.rest, noFallback)
	if other.routes.rest.owns(entry) || !same.routes.rest.owns(entry) {
		t.Errorf("a stanza with other servers owns the answer: %v, one with the same: %v; want false, true", other.routes.rest.owns(entry), same.routes.rest.owns(entry))
	}
}
