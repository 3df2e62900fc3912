package override

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAddReadsWhatAnOperatorWrites(t *testing.T) {
	tests := []struct {
		name   string
		change Change
		want   string
	}{
		{"an address", change("a", "10.0.2.4"), "A 10.0.2.4"},
		{"several addresses", change("A", "10.0.2.4", "10.0.2.5"), "A 10.0.2.4 10.0.2.5"},
		{"an IPv6 address", change("AAAA", "FD00::4"), "AAAA fd00::4"},
		{"an alias", change("cname", "DB2.example"), "CNAME db2.example."},
		{"a group", change("Resolve", "public"), "resolve public"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			for _, spelling := range []string{"db1.database.windows.net", "DB1.Database.Windows.NET."} {
				tc.change.Name = spelling
				added := add(t, new(Store), tc.change)
				if added.Name != name || added.Answer() != tc.want {
					t.Errorf("Add(%s) = %s %s, want %s %s", spelling, added.Name, added.Answer(), name, tc.want)
				}
			}
		})
	}
}

func TestAddLasts(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{0: 4 * time.Hour, time.Minute: time.Minute, MaxDuration: MaxDuration} {
		c := change(TypeA, "10.0.2.4")
		c.For = given
		if added := add(t, new(Store), c); added.Expires.Sub(night) != want || !added.Created.Equal(night) {
			t.Errorf("for %s: %s to %s, want %s from now", given, added.Created, added.Expires, want)
		}
	}
}

// Whoever sets the wall clock neither ends an override nor prolongs it: its end has a
// monotonic reading, which Round takes away.
func TestTheEndIsNotReadFromTheWallClock(t *testing.T) {
	now, path := time.Now(), filepath.Join(t.TempDir(), "overrides.json")
	first, next := new(Store), new(Store)
	for _, store := range []*Store{first, next} {
		if _, err := store.Restore(path, now); err != nil {
			t.Fatal(err)
		}
		if store == first {
			if _, _, err := store.Add(change(TypeA, "10.0.2.4"), now); err != nil {
				t.Fatal(err)
			}
		}
		found := store.List(now)[0]
		if found.ends == found.ends.Round(0) || !found.ends.Equal(found.Expires) {
			t.Errorf("the override ends at %v, want %v with a monotonic reading", found.ends, found.Expires)
		}
		end := now.Add(found.left(now))
		if !found.live(end.Add(-1)) || found.live(end) {
			t.Errorf("the override does not end at %v", end)
		}
	}
}

func TestAddRefuses(t *testing.T) {
	tests := []struct {
		name  string
		alter func(c *Change)
		want  string
	}{
		{"no name", func(c *Change) { c.Name = "" }, `found name "."`},
		{"the root", func(c *Change) { c.Name = "." }, `found name "."`},
		{"an empty label", func(c *Change) { c.Name = "db1..net" }, `found name "db1..net."`},
		{"a long label", func(c *Change) { c.Name = strings.Repeat("a", 64) + ".net" }, "labels of 1 to 63"},
		{"a wildcard", func(c *Change) { c.Name = "*.database.windows.net" }, "wildcards are not supported"},
		{"a name that is not ASCII", func(c *Change) { c.Name = "bücher.example" }, "xn--"},
		{"a URL", func(c *Change) { c.Name = "https://db1.database.windows.net/" }, "found ':'"},
		{"an escape", func(c *Change) { c.Name = `a\.b.example` }, `found '\\'`},
		{"no value", func(c *Change) { c.Values = nil }, "found no value"},
		{"another type", func(c *Change) { c.Type = "MX" }, `found type "MX", expected one of A, AAAA, CNAME, resolve`},
		{"a name for an address", func(c *Change) { c.Values = []string{"db2.example"} }, `found "db2.example", expected an IP address`},
		{"an IPv6 address for A", func(c *Change) { c.Values = []string{"fd00::4"} }, "fd00::4, which is no address for a record of type A"},
		{"an IPv4 address for AAAA", func(c *Change) { c.Type = TypeAAAA }, "10.0.2.4, which is no address for a record of type AAAA"},
		{"a mapped address", func(c *Change) { c.Type, c.Values = TypeAAAA, []string{"::ffff:10.0.2.4"} }, "no address for"},
		{"an address with a zone", func(c *Change) { c.Type, c.Values = TypeAAAA, []string{"fe80::1%eth0"} }, "no address for"},
		{"an address twice", func(c *Change) { c.Values = []string{"10.0.2.4", "10.0.2.4"} }, "found 10.0.2.4 twice"},
		{"too many addresses", func(c *Change) { c.Values = slices.Repeat(c.Values, MaxAddresses+1) }, "expected at most 16"},
		{"two aliases", func(c *Change) { c.Type, c.Values = TypeCNAME, []string{"a.example", "b.example"} }, "found 2 values for CNAME"},
		{"an alias of itself", func(c *Change) { c.Type, c.Values = TypeCNAME, []string{c.Name} }, "to itself"},
		{"an alias that is no name", func(c *Change) { c.Type, c.Values = TypeCNAME, []string{"10.0.2.4 "} }, "found ' '"},
		{"two groups", func(c *Change) { c.Type, c.Values = TypeResolve, []string{"a", "b"} }, "found 2 values for resolve"},
		{"no group", func(c *Change) { c.Type, c.Values = TypeResolve, []string{""} }, "expected one of addresses"},
		{"no reason", func(c *Change) { c.Reason = " " }, "found no reason"},
		{"a long reason", func(c *Change) { c.Reason = strings.Repeat("é", 65) }, "found a reason of 130 bytes"},
		{"a reason of two lines", func(c *Change) { c.Reason = "INC42\n[ERROR] forged" }, "expected one line"},
		{"a reason that is not UTF-8", func(c *Change) { c.Reason = "\xff" }, "printable"},
		{"nobody", func(c *Change) { c.Who = "" }, "who made it"},
		{"too short", func(c *Change) { c.For = time.Second }, "found a duration of 1s, expected 1m0s to 720h0m0s"},
		{"too long", func(c *Change) { c.For = MaxDuration + time.Hour }, "found a duration of 721h0m0s"},
		{"backwards", func(c *Change) { c.For = -time.Hour }, "found a duration of -1h0m0s"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c, store := change(TypeA, "10.0.2.4"), new(Store)
			tc.alter(&c)
			_, _, err := store.Add(c, night)
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tc.want) || strings.Count(err.Error(), "found") != 1 {
				t.Errorf("Add = %v, want one mistake, %q", err, tc.want)
			}
			if len(store.List(night)) != 0 {
				t.Error("the store has an override, want none")
			}
		})
	}
}

func TestAddTellsAllMistakes(t *testing.T) {
	_, _, err := new(Store).Add(Change{Name: "a..b", Type: "A", Values: []string{"x", "y"}}, night)
	for _, want := range []string{`"a..b."`, `"x"`, `"y"`, "no reason", "who"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Add = %v, want it to tell of %s", err, want)
		}
	}
}
