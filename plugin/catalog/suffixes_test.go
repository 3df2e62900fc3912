package catalog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"gopkg.in/yaml.v3"
)

func TestSuffixesLookup(t *testing.T) {
	var s Suffixes[string]
	for _, suffix := range []string{".", "net", "windows.NET.", "database.windows.net", `dot\.ted.example.org`, `at\@.example.org`} {
		if err := s.AddSuffix(suffix, "suffix "+strings.ToLower(suffix)); err != nil {
			t.Fatalf("AddSuffix(%q): %v", suffix, err)
		}
	}
	for _, name := range []string{"db1.database.windows.net", "windows.net", "net"} {
		if err := s.AddName(name, "name "+name); err != nil {
			t.Fatalf("AddName(%q): %v", name, err)
		}
	}
	for _, tc := range []struct {
		name, in, want string
		labels         int
	}{
		{"longest suffix", "db2.database.windows.net.", "suffix database.windows.net", 3},
		{"the suffix itself", "database.windows.net.", "suffix database.windows.net", 3},
		{"shorter suffix", "blob.core.windows.net.", "suffix windows.net.", 2},
		{"exact name", "db1.database.windows.net.", "name db1.database.windows.net", 4},
		{"exact name and suffix at once", "windows.net.", "name windows.net", 2},
		{"below an exact name", "x.db1.database.windows.net.", "suffix database.windows.net", 3},
		{"exact name of one label", "net.", "name net", 1},
		{"no half labels", "xdatabase.windows.net.", "suffix windows.net.", 2},
		{"root", ".", "suffix .", 0},
		{"default", "www.example.org.", "suffix .", 0},
		{"dot inside a label", `x.dot\.ted.example.org.`, `suffix dot\.ted.example.org`, 3},
		{"that dot is no separator", "x.dot.ted.example.org.", "suffix .", 0},
		{"a label with a dot above the suffix", `a\.b.database.windows.net.`, "suffix database.windows.net", 3},
		{"one spelling of an octet", `x.at\@.example.org.`, `suffix at\@.example.org`, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			value, labels, ok := s.Lookup(tc.in)
			if !ok || value != tc.want || labels != tc.labels {
				t.Errorf("Lookup(%q) = %q, %d, %v, want %q, %d, true", tc.in, value, labels, ok, tc.want, tc.labels)
			}
		})
	}
	for _, tc := range []struct{ name, in string }{
		{"empty", ""},
		{"not fully qualified", "windows.net"},
		{"too long", strings.Repeat("a.", 600)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if value, _, ok := s.Lookup(tc.in); ok {
				t.Errorf("Lookup(%.20q) = %q, want nothing", tc.in, value)
			}
		})
	}
	if got := s.Len(); got != 9 {
		t.Errorf("Len() = %d, want 9", got)
	}
}

func TestSuffixesZeroValue(t *testing.T) {
	var s Suffixes[int]
	if value, labels, ok := s.Lookup("www.example.org."); ok || value != 0 || labels != 0 {
		t.Errorf("Lookup of the zero value = %d, %d, %v, want 0, 0, false", value, labels, ok)
	}
	if got := s.Len(); got != 0 {
		t.Errorf("Len() = %d, want 0", got)
	}
}

func TestSuffixesTouches(t *testing.T) {
	var s Suffixes[int]
	if err := errors.Join(s.AddSuffix("a.core.example", 1), s.AddSuffix("corp.example", 2), s.AddName("db1.sql.example", 3)); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, suffix string
		want         bool
	}{
		{"a suffix", "corp.example.", true},
		{"below a suffix", "x.corp.example.", true},
		{"above a suffix", "core.example.", true},
		{"above a name", "sql.example.", true},
		{"a name", "db1.sql.example.", true},
		{"below a name", "x.db1.sql.example.", false},
		{"a part of a label", "ore.example.", false},
		{"another suffix", "b.core.example.", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := s.Touches(tc.suffix); got != tc.want {
				t.Errorf("Touches(%q) = %v, want %v", tc.suffix, got, tc.want)
			}
		})
	}
}

func TestSuffixesDuplicate(t *testing.T) {
	for _, tc := range []struct {
		name  string
		add   func(*Suffixes[string], string, string) error
		exact bool
	}{
		{"suffix", (*Suffixes[string]).AddSuffix, false},
		{"name", (*Suffixes[string]).AddName, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s Suffixes[string]
			if err := tc.add(&s, "Example.ORG", "first"); err != nil {
				t.Fatalf("adding example.org: %v", err)
			}
			err := tc.add(&s, "example.org.", "second")
			var duplicate *DuplicateError
			if !errors.As(err, &duplicate) {
				t.Fatalf("adding example.org again = %v, want a *DuplicateError", err)
			}
			if want := (DuplicateError{Name: "example.org.", Exact: tc.exact, Existing: "first"}); *duplicate != want {
				t.Errorf("DuplicateError = %+v, want %+v", *duplicate, want)
			}
			if !strings.Contains(err.Error(), tc.name) || !strings.Contains(err.Error(), "example.org.") {
				t.Errorf("Error() = %q, want it to have %q and the name", err, tc.name)
			}
			if value, _, _ := s.Lookup("example.org."); value != "first" {
				t.Errorf("Lookup after a duplicate = %q, want %q", value, "first")
			}
		})
	}
}

func TestSuffixesRejects(t *testing.T) {
	for _, tc := range []struct{ name, in string }{
		{"empty", ""},
		{"empty label", "a..b"},
		{"leading dot", ".example.org"},
		{"long label", strings.Repeat("a", 64) + ".org"},
		{"long name", strings.Repeat("abcdefg.", 32)},
		{"long name with an escape", strings.Repeat("abcdefg.", 31) + `abcd\@fg.`},
		{"open escape", `example.org\`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s Suffixes[int]
			if err := s.AddSuffix(tc.in, 1); err == nil {
				t.Errorf("AddSuffix(%q) = nil, want an error", tc.in)
			}
			if err := s.AddName(tc.in, 1); err == nil {
				t.Errorf("AddName(%q) = nil, want an error", tc.in)
			}
			if s.Len() != 0 {
				t.Errorf("Len() = %d after an error, want 0", s.Len())
			}
		})
	}
}

// TestSuffixesAgainstMap compares look-ups with the obvious way to do them.
func TestSuffixesAgainstMap(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	name := func(labels int) string {
		var b strings.Builder
		for range labels {
			b.WriteByte(byte('a' + random.IntN(3)))
			b.WriteByte('.')
		}
		return b.String()
	}
	var s Suffixes[int]
	want := make(map[string]int)
	for i := range 400 {
		suffix := name(1 + random.IntN(9))
		if err := s.AddSuffix(suffix, i); err == nil {
			want[suffix] = i
		}
	}
	if s.Len() != len(want) {
		t.Fatalf("Len() = %d, want %d", s.Len(), len(want))
	}
	for range 20_000 {
		in := name(1 + random.IntN(40))
		wantValue, wantLabels, wantOK := 0, 0, false
		for _, start := range dns.Split(in) {
			if value, found := want[in[start:]]; found {
				wantValue, wantLabels, wantOK = value, dns.CountLabel(in[start:]), true
				break
			}
		}
		if value, labels, ok := s.Lookup(in); value != wantValue || labels != wantLabels || ok != wantOK {
			t.Fatalf("Lookup(%q) = %d, %d, %v, want %d, %d, %v", in, value, labels, ok, wantValue, wantLabels, wantOK)
		}
	}
}

func TestSuffixesLookupAllocates(t *testing.T) {
	var s Suffixes[*int]
	for _, name := range randomNames(1000) {
		if err := s.AddSuffix(name, new(int)); err != nil {
			t.Fatal(err)
		}
	}
	_ = s.AddName("db1.database.windows.net.", new(int))
	loaded := randomNames(1)[0]
	for _, name := range []string{loaded, "a.b." + loaded, "www.example.org.", `a\.b.` + loaded, "db1.database.windows.net."} {
		if got := testing.AllocsPerRun(100, func() { s.Lookup(name) }); got != 0 {
			t.Errorf("Lookup(%q) allocates %v times, want 0", name, got)
		}
	}
}

// TestSuffixesMemory holds the memory of a large set loosely; what it really
// takes is a metric of BenchmarkSuffixesLoad.
func TestSuffixesMemory(t *testing.T) {
	names := randomNames(100_000)
	taken, s := heapOf(func() *Suffixes[*int] {
		var s Suffixes[*int]
		for _, name := range names {
			// The caller's names may be pieces of a file that is not kept.
			if err := s.AddSuffix(strings.Clone(name), new(int)); err != nil {
				t.Fatal(err)
			}
		}
		return &s
	})
	if s.Len() != 100_000 {
		t.Fatalf("Len() = %d, want 100000", s.Len())
	}
	if taken > 60<<20 {
		t.Errorf("100,000 suffixes take %d MiB, want at most 60", taken>>20)
	}
}

// heapOf measures the heap that what load returns keeps alive.
func heapOf[T any](load func() T) (bytes uint64, loaded T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	loaded = load()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return max(after.HeapAlloc, before.HeapAlloc) - before.HeapAlloc, loaded
}

// BenchmarkSuffixesLoad reads a YAML list of 100,000 suffixes and adds them.
func BenchmarkSuffixesLoad(b *testing.B) {
	var file strings.Builder
	for _, name := range randomNames(100_000) {
		fmt.Fprintf(&file, "- %s\n", name)
	}
	data := []byte(file.String())
	load := func() *Suffixes[*int] {
		var names []string
		if err := yaml.Unmarshal(data, &names); err != nil {
			b.Fatal(err)
		}
		var s Suffixes[*int]
		for _, name := range names {
			if err := s.AddSuffix(name, new(int)); err != nil {
				b.Fatal(err)
			}
		}
		return &s
	}
	taken, s := heapOf(load)
	runtime.KeepAlive(s)
	for b.Loop() {
		load()
	}
	b.ReportMetric(float64(taken)/(1<<20), "MiB")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/load")
}
