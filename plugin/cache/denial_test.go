package cache

import (
	"testing"
	"time"

	"github.com/miekg/dns"
)

// An expired answer does not outlive an NXDOMAIN to another type.
func TestNXDomainEndsStaleOfOtherTypes(t *testing.T) {
	const name = "gone.example."
	answer := mustMake(t, keyOf(t, name, dns.TypeA), dns.RcodeSuccess, start, []string{name + " 10 IN A 10.0.0.1"}, nil)
	denial := func(after time.Duration) Entry {
		return mustMake(t, keyOf(t, name, dns.TypeAAAA), dns.RcodeNameError, start.Add(after), nil, []string{"example. 60 IN SOA a. b. 1 2 3 4 60"})
	}
	tests := []struct {
		name   string
		put    []Entry
		after  time.Duration
		want   State
		denied bool
	}{
		{"while the denial lives", []Entry{answer, denial(15 * time.Second)}, 20 * time.Second, Fresh, true},
		{"and after it has expired", []Entry{answer, denial(15 * time.Second)}, 2 * time.Minute, Miss, false},
		{"in place of a failure", []Entry{mustMake(t, keyOf(t, name, dns.TypeA), dns.RcodeServerFailure, start.Add(18*time.Second), nil, nil), denial(15 * time.Second)}, 20 * time.Second, Fresh, true},
		{"an answer that lives is not asked again", []Entry{answer, denial(5 * time.Second)}, 8 * time.Second, Fresh, false},
		{"the answer came after it", []Entry{denial(-time.Second), answer}, 20 * time.Second, Stale, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := newCache()
			for _, entry := range tc.put {
				c.Put(entry)
			}
			hit := c.Get(keyOf(t, name, dns.TypeA), start.Add(tc.after))
			if denied := hit.Entry.Exists() && hit.Entry.Kind() == NXDomain; hit.State != tc.want || denied != tc.denied {
				t.Errorf("Get() = %v, denied %v; want %v, %v", hit.State, denied, tc.want, tc.denied)
			}
		})
	}
}

// A name that does not exist has no records of any type.
func TestNXDomainHoldsForAllTypes(t *testing.T) {
	soa := []string{"example. 60 IN SOA a. b. 1 2 3 4 60"}
	tests := []struct {
		name   string
		then   func(*Cache)
		asked  string
		signed bool
		after  time.Duration
		want   State
	}{
		{"another type", func(*Cache) {}, "gone.example.", false, 20 * time.Second, Fresh},
		{"in the end it may exist", func(*Cache) {}, "gone.example.", false, time.Minute, Miss},
		{"another name", func(*Cache) {}, "here.example.", false, 0, Miss},
		{"a name below it", func(*Cache) {}, "below.gone.example.", false, 0, Miss},
		{"with DNSSEC records", func(*Cache) {}, "gone.example.", true, 0, Miss},
		{"flushed", func(c *Cache) { _, _ = c.Flush("gone.example.", false) }, "gone.example.", false, 0, Miss},
		{"it exists meanwhile", func(c *Cache) {
			c.Put(mustMake(t, keyOf(t, "gone.example.", dns.TypeTXT), dns.RcodeSuccess, start, []string{`gone.example. 60 IN TXT "back"`}, nil))
		}, "gone.example.", false, 0, Miss},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := newCache()
			c.Put(mustMake(t, keyOf(t, "gone.example.", dns.TypeA), dns.RcodeNameError, start, nil, soa))
			tc.then(c)
			asked := keyOf(t, tc.asked, dns.TypeAAAA)
			asked.DO = tc.signed
			hit := c.Get(asked, start.Add(tc.after))
			if hit.State != tc.want {
				t.Fatalf("Get() = %v, want %v", hit.State, tc.want)
			}
			if tc.want == Fresh && (hit.Entry.Rcode() != dns.RcodeNameError || hit.Entry.TTL() != 40*time.Second || hit.Entry.Key() != *asked) {
				t.Errorf("answer %v with TTL %s to %v, want NXDOMAIN with 40s", hit.Entry.Rcode(), hit.Entry.TTL(), hit.Entry.Key())
			}
		})
	}
}
