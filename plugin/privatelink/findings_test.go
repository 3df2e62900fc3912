package privatelink

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// keptAnswer is an entry with an address of its own, for the query that it answers.
func keptAnswer(t *testing.T, number int) (query, cache.Entry) {
	t.Helper()
	name := fmt.Sprintf("www%d.example.org.", number)
	question, err := wire.NewQuestion(name, dns.TypeA, dns.ClassINET)
	if err != nil {
		t.Fatal(err)
	}
	record, err := dns.NewRR(fmt.Sprintf("%s 60 IN A 203.0.%d.%d", name, number/250, number%250))
	if err != nil {
		t.Fatal(err)
	}
	q := query{key: cache.Key{Question: question}, name: name, qtype: dns.TypeA, qclass: dns.ClassINET}
	entry, err := cache.Make(&q.key, &dns.Msg{Answer: []dns.RR{record}}, cache.Meta{}, cache.Lifetimes{MaxTTL: time.Minute}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return q, entry
}

// What is remembered of an answer is what it means, however many there are.
func TestFindingsAreThoseOfTheAnswer(t *testing.T) {
	service := buildText(t, "upstream azure 192.0.2.1\nroute . azure\nprivate 203.0.1.0/24")
	var known findings
	queries, entries := make([]query, 1000), make([]cache.Entry, 1000)
	for number := range queries {
		queries[number], entries[number] = keptAnswer(t, number)
	}
	for range 3 {
		for number, entry := range entries {
			var reader verdict.Reader
			got := known.of(service, &queries[number], entry)
			want := reader.Of(queries[number].name, dns.TypeA, entry.Message(), service.catalog, service.private)
			if got.Verdict != want.Verdict || got.Chain.Addresses[0] != want.Chain.Addresses[0] {
				t.Fatalf("answer %d is %s at %s, want %s at %s", number, got.Verdict, got.Chain.Addresses[0], want.Verdict, want.Chain.Addresses[0])
			}
		}
	}
}

// A reload that changes what is private works at once.
func TestFindingsAreThoseOfTheConfiguration(t *testing.T) {
	const text = "upstream azure 192.0.2.1\nroute . azure\n"
	public, private := buildText(t, text), buildText(t, text+"private 203.0.113.0/24\nprivate 203.0.0.0/16")
	q, entry := keptAnswer(t, 7)
	var known findings
	for range 2 {
		if got := known.of(public, &q, entry).Verdict; got != verdict.Public {
			t.Errorf("before: %s, want %s", got, verdict.Public)
		}
		if got := known.of(private, &q, entry).Verdict; got != verdict.Private {
			t.Errorf("after: %s, want %s", got, verdict.Private)
		}
	}
}
