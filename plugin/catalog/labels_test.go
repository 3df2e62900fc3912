package catalog

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestLabelStarts(t *testing.T) {
	long := strings.Repeat("abcdefghi.", 12)
	outOfSight := `x\.` + strings.Repeat("a", 54) + ".example."
	for _, tc := range []struct {
		name, in string
		limit    int
		want     []string // suffixes from the root up
	}{
		{"root", ".", 3, []string{"."}},
		{"one label", "net.", 3, []string{".", "net."}},
		{"short", "a.b.c.", 3, []string{".", "c.", "b.c.", "a.b.c."}},
		{"limited", "www.example.org.", 2, []string{".", "org.", "example.org."}},
		{"limit of all labels", "www.example.org.", 3, []string{".", "org.", "example.org.", "www.example.org."}},
		{"no limit needed", "www.example.org.", 9, []string{".", "org.", "example.org.", "www.example.org."}},
		{"limit zero", "www.example.org.", 0, []string{"."}},
		{"escaped dot", `a\.b.example.org.`, 9, []string{".", "org.", "example.org.", `a\.b.example.org.`}},
		{"escaped backslash", `a\\.example.org.`, 9, []string{".", "org.", "example.org.", `a\\.example.org.`}},
		{"escaped backslash and dot", `a\\\.b.example.org.`, 9, []string{".", "org.", "example.org.", `a\\\.b.example.org.`}},
		{"escape left of the limit", `a\.b.www.example.org.`, 2, []string{".", "org.", "example.org."}},
		{"decimal escape", `a\046b.example.org.`, 9, []string{".", "org.", "example.org.", `a\046b.example.org.`}},
		{"long, few labels wanted", long, 2, []string{".", "abcdefghi.", "abcdefghi.abcdefghi."}},
		{"long, escape of the dot 64 bytes from the end", outOfSight, 3, []string{".", "example.", outOfSight}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var at labelStarts
			count := at.fill(tc.in, tc.limit)
			if count != len(tc.want)-1 {
				t.Fatalf("fill(%q, %d) = %d, want %d", tc.in, tc.limit, count, len(tc.want)-1)
			}
			for d, want := range tc.want {
				if got := tc.in[at[d]:]; got != want {
					t.Errorf("fill(%q, %d): label %d starts %q, want %q", tc.in, tc.limit, d, got, want)
				}
			}
		})
	}
}

func TestLabelStartsOfLongName(t *testing.T) {
	name := strings.Repeat("abcdefghi.", 20)
	var at labelStarts
	if count := at.fill(name, maxLabels); count != 20 {
		t.Fatalf("fill of 20 labels = %d, want 20", count)
	}
	for d := 1; d <= 20; d++ {
		if got := at.label(name, d); got != "abcdefghi" {
			t.Errorf("label(%d) = %q, want %q", d, got, "abcdefghi")
		}
	}
}

func TestLabelStartsRejects(t *testing.T) {
	for _, tc := range []struct{ name, in string }{
		{"empty", ""},
		{"not fully qualified", "www.example.org"},
		{"too long", strings.Repeat("a", maxNameLength) + "."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var at labelStarts
			if count := at.fill(tc.in, 9); count != -1 {
				t.Errorf("fill(%.20q) = %d, want -1", tc.in, count)
			}
		})
	}
}

func TestHasPrivatelinkLabel(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     bool
	}{
		{"second", "db1.privatelink.database.windows.net.", true},
		{"first", "privatelink.database.windows.net.", true},
		{"deep", "r.eastus.data.privatelink.azurecr.io.", true},
		{"last", "a.privatelink.", true},
		{"alone", "privatelink.", true},
		{"global", "rdweb.privatelink-global.wvd.microsoft.com.", true},
		{"none", "db1.database.windows.net.", false},
		{"longer at the front", "db1.notprivatelink.database.windows.net.", false},
		{"longer at the back", "db1.privatelink2.database.windows.net.", false},
		{"other global", "db1.privatelink-globals.wvd.microsoft.com.", false},
		{"dot is escaped", `a\.privatelink.database.windows.net.`, false},
		{"backslash is escaped", `a\\.privatelink.database.windows.net.`, true},
		{"root", ".", false},
		{"empty", "", false},
		{"empty label before", "..privatelink.", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := HasPrivatelinkLabel(tc.in); got != tc.want {
				t.Errorf("HasPrivatelinkLabel(%q) = %v, want %v", tc.in, got, tc.want)
			}
		})
	}
}

// FuzzLabelStarts compares the short cuts of fill with miekg/dns.
func FuzzLabelStarts(f *testing.F) {
	f.Add("www.example.org.", 2)
	f.Add(`a\.b.example.org.`, 9)
	f.Add(`a\\.b\046.example.org.`, 9)
	f.Add(strings.Repeat("abc.", 40), 30)
	f.Add(strings.Repeat(`\`, 70)+".a.", 3)
	f.Fuzz(func(t *testing.T, name string, limit int) {
		if _, ok := dns.IsDomainName(name); !ok || limit < 0 || !dns.IsFqdn(name) || len(name) > maxNameLength {
			return
		}
		starts := dns.Split(name)
		want := min(len(starts), limit, maxLabels)
		var at labelStarts
		if got := at.fill(name, limit); got != want {
			t.Fatalf("fill(%q, %d) = %d, want %d", name, limit, got, want)
		}
		for d := 1; d <= want; d++ {
			if got, want := int(at[d]), starts[len(starts)-d]; got != want {
				t.Errorf("fill(%q, %d): label %d starts at %d, want %d", name, limit, d, got, want)
			}
		}
	})
}
