package cache

import (
	"slices"
	"testing"

	"github.com/miekg/dns"
)

// Whoever flushes a name wants the answers to go that tell what was true of it.
func TestFlushRemovesAnswersWhoseChainLeadsThroughTheName(t *testing.T) {
	const (
		vault   = "v1.vault.azure.net."
		custom  = "sql.corp.example."
		unknown = "db9.database.windows.net."
		soa     = "privatelink.database.windows.net. 10 IN SOA azureprivatedns.net. x. 1 2 3 4 10"
	)
	tests := []struct {
		name    string
		flush   string
		suffix  bool
		own     int
		through []string
	}{
		{"the end of two chains", "DB1.privatelink.database.windows.net.", false, 0, []string{db1, db1, custom}},
		{"the middle of one", db1, false, 2, []string{custom}},
		{"the zone", "privatelink.database.windows.net.", true, 0, []string{db1, db1, unknown, custom}},
		{"the zone's name only", "privatelink.database.windows.net.", false, 0, nil},
		{"a name that ends alike", "1.privatelink.database.windows.net.", true, 0, nil},
		{"the beginning", custom, false, 1, nil},
		{"everything", ".", true, 5, nil},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := newCache()
			c.Put(mustMake(t, keyOf(t, db1, dns.TypeA), 0, start, []string{toLink, atLink}, nil))
			c.Put(mustMake(t, keyOf(t, db1, dns.TypeAAAA), 0, start, []string{toLink}, []string{soa}))
			c.Put(mustMake(t, keyOf(t, custom, dns.TypeA), 0, start, []string{custom + " 60 IN CNAME " + db1, toLink, atLink}, nil))
			c.Put(mustMake(t, keyOf(t, unknown, dns.TypeA), dns.RcodeNameError, start, []string{unknown + " 60 IN CNAME db9.privatelink.database.windows.net."}, []string{soa}))
			c.Put(addressEntry(t, keyOf(t, vault, dns.TypeA), 60, start))
			flushed, err := c.Flush(tc.flush, tc.suffix)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(flushed.Through)
			if flushed.Own != tc.own || !slices.Equal(flushed.Through, tc.through) {
				t.Errorf("Flush(%q, %v) = %+v, want %d and %q", tc.flush, tc.suffix, flushed, tc.own, tc.through)
			}
			if stats := c.Stats(); stats.Entries != 5-flushed.Count() || stats.Flushed != uint64(flushed.Count()) {
				t.Errorf("after Flush(%q) = %+v: %+v", tc.flush, flushed, stats)
			}
		})
	}
}
