package override

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var night = time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC)

const name = "db1.database.windows.net."

// change is a valid one, for a test to alter.
func change(rrtype string, values ...string) Change {
	return Change{Name: name, Type: rrtype, Values: values, For: 4 * time.Hour, Reason: "INC42: the record is gone", Who: "kim"}
}

func add(t *testing.T, s *Store, c Change) *Override {
	t.Helper()
	added, _, err := s.Add(c, night)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func TestRecordsByType(t *testing.T) {
	both := Override{Name: name, A: []netip.Addr{netip.MustParseAddr("10.0.2.4"), netip.MustParseAddr("10.0.2.5")}, AAAA: []netip.Addr{netip.MustParseAddr("fd00::4")}, Expires: night.Add(time.Hour)}
	onlyA := Override{Name: name, A: both.A[:1], Expires: both.Expires}
	alias := Override{Name: name, CNAME: "db2.example.", Expires: both.Expires}
	tests := []struct {
		name     string
		override Override
		qtype    uint16
		want     []string
	}{
		{"A of several", both, dns.TypeA, []string{"A 10.0.2.4", "A 10.0.2.5"}},
		{"AAAA beside A", both, dns.TypeAAAA, []string{"AAAA fd00::4"}},
		{"ANY is all", both, dns.TypeANY, []string{"A 10.0.2.4", "A 10.0.2.5", "AAAA fd00::4"}},
		{"AAAA of an A override is NODATA", onlyA, dns.TypeAAAA, nil},
		{"HTTPS of an A override is NODATA", onlyA, dns.TypeHTTPS, nil},
		{"A of an alias", alias, dns.TypeA, []string{"CNAME db2.example."}},
		{"CNAME of an alias", alias, dns.TypeCNAME, []string{"CNAME db2.example."}},
		{"a group's answer is not known here", Override{Name: name, Group: "public", Expires: both.Expires}, dns.TypeA, nil},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, record := range tc.override.Records(tc.qtype, night) {
				_, value, _ := strings.Cut(record.String(), "\tIN\t")
				got = append(got, strings.ReplaceAll(value, "\t", " "))
				if record.Header().Name != name || record.Header().Ttl != 30 {
					t.Errorf("%v, want it for %s with TTL 30", record, name)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("Records(%s) = %q, want %q", dns.TypeToString[tc.qtype], got, tc.want)
			}
		})
	}
}

func TestTTLEndsWithTheOverride(t *testing.T) {
	o := Override{Expires: night}
	for before, want := range map[time.Duration]uint32{time.Hour: 30, 30 * time.Second: 30, 7500 * time.Millisecond: 7, 100 * time.Millisecond: 1} {
		if got := o.TTL(night.Add(-before)); got != want {
			t.Errorf("TTL %s before the end = %d, want %d", before, got, want)
		}
	}
}

func TestExplanationFitsIntoAnExtendedError(t *testing.T) {
	c := change(TypeA, "10.0.2.4")
	if got, want := add(t, new(Store), c).Explanation(night), "override by kim: INC42: the record is gone, until 2026-03-14T07:00:00Z"; got != want {
		t.Errorf("Explanation = %q, want %q", got, want)
	}
	c.Reason, c.Who = strings.Repeat("r", MaxReason), strings.Repeat("w", MaxWho)
	if got := len(add(t, new(Store), c).Explanation(night)); got > 240 {
		t.Errorf("the longest explanation has %d bytes, want 240 at most", got)
	}
}
