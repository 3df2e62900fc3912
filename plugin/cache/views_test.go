package cache

import (
	"bytes"
	"slices"
	"testing"

	"github.com/miekg/dns"
)

func TestViews(t *testing.T) {
	c := New(Limits{Entries: 10}, 1)
	if got := c.Views(); !slices.Equal(got, []string{""}) {
		t.Errorf("Views() of an empty cache = %q, want the empty one", got)
	}
	for _, view := range []string{"inside", "", "inside", "\x00prod"} {
		key := keyOf(t, "db1.database.windows.net.", dns.TypeA)
		key.View = view
		c.Put(addressEntry(t, key, 60, start))
	}
	want := []string{"", "inside", "\x00prod"}
	if got := c.Views(); !slices.Equal(got, want) {
		t.Errorf("Views() = %q, want %q", got, want)
	}

	after := New(Limits{Entries: 10}, 2)
	if _, err := after.ReadSnapshot(bytes.NewReader(snapshotOf(t, c, start)), start); err != nil {
		t.Fatal(err)
	}
	got := after.Views()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("Views() after a restart = %q, want %q", got, want)
	}
}
