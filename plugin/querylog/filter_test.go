package querylog

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestFilter(t *testing.T) {
	quick, slow := hitRecord(), hitRecord()
	slow.Duration = 2 * time.Second
	missing := hitRecord()
	missing.Name, missing.Verdict = "st1.blob.core.windows.net.", "missing"
	tests := []struct {
		name   string
		filter Filter
		record *Record
		want   bool
	}{
		{"no filter", Filter{}, quick, true},
		{"slower than", Filter{SlowerThan: time.Second}, slow, true},
		{"not slower than", Filter{SlowerThan: time.Second}, quick, false},
		{"exactly as slow", Filter{SlowerThan: 2 * time.Second}, slow, false},
		{"verdict", Filter{Verdicts: []string{"unlinked", "missing"}}, missing, true},
		{"another verdict", Filter{Verdicts: []string{"unlinked", "missing"}}, quick, false},
		{"name itself", Filter{Names: []string{"db1.database.windows.net"}}, quick, true},
		{"suffix, with a dot and capitals", Filter{Names: []string{"Database.Windows.net."}}, quick, true},
		{"a suffix in the middle of a label", Filter{Names: []string{"base.windows.net"}}, quick, false},
		{"another suffix", Filter{Names: []string{"example.org", "database.windows.net"}}, missing, false},
		{"the root", Filter{Names: []string{"."}}, quick, true},
		{"an escaped dot is no label's end", Filter{Names: []string{"b.example.org"}}, plainRecord(`a\.b.example.org.`), false},
		{"a name that ends in a backslash", Filter{Names: []string{"example.org"}}, plainRecord(`a\`), false},
		{"all conditions, one not met", Filter{SlowerThan: time.Second, Names: []string{"example.org"}}, slow, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			f, err := newFilter(tc.filter)
			if err != nil {
				t.Fatal(err)
			}
			if sample, got := f.passes(tc.record, fixedRandom()); got != tc.want || got && sample != 1 {
				t.Errorf("passes(%q) = %d, %v, want %v", tc.record.Name, sample, got, tc.want)
			}
		})
	}
}

// A sample takes about its share, pairs of A and AAAA alike, and all that an
// operator looks for.
func TestSample(t *testing.T) {
	const count, oneIn = 100_000, 20
	f, err := newFilter(Filter{SampleOneIn: oneIn})
	if err != nil {
		t.Fatal(err)
	}
	random := fixedRandom()
	passed := func(change func(*Record, int)) (kept [2]int, stands int) {
		for number := range count {
			record := hitRecord()
			change(record, number)
			if sample, passes := f.passes(record, random); passes {
				kept[number%2]++
				stands += sample
			}
		}
		return kept, stands
	}
	kept, stands := passed(func(*Record, int) {})
	for parity, got := range kept {
		if want := count / oneIn / 2; got < want*9/10 || got > want*11/10 {
			t.Errorf("%d of the records %d, %d, … were kept, want about %d", got, parity, parity+2, want)
		}
	}
	if stands < count*95/100 || stands > count*105/100 {
		t.Errorf("the lines stand for %d records, want about %d", stands, count)
	}
	for name, change := range map[string]func(*Record, int){
		"SERVFAIL":    func(r *Record, _ int) { r.Rcode = 2 },
		"an error":    func(r *Record, _ int) { r.Error = "timed out" },
		"a refusal":   func(r *Record, _ int) { r.PolicyAction = "refuse" },
		"a withhold":  func(r *Record, _ int) { r.PolicyAction = "withhold" },
		"an audit":    func(r *Record, _ int) { r.PolicyAction = "audit" },
		"BADVERS":     func(r *Record, _ int) { r.Rcode = 16 },
		"a REFUSED":   func(r *Record, _ int) { r.Rcode = 5 },
		"both faults": func(r *Record, n int) { r.Rcode, r.PolicyAction = 5, "refuse" },
	} {
		if kept, stands := passed(change); kept[0]+kept[1] != count || stands != count {
			t.Errorf("%d of %d records with %s were kept, standing for %d, want all", kept[0]+kept[1], count, name, stands)
		}
	}
	if kept, _ := passed(func(r *Record, _ int) { r.Rcode = rcodeNXDomain }); kept[0]+kept[1] > count/10 {
		t.Errorf("%d of %d NXDOMAIN were kept: they are no failure", kept[0]+kept[1], count)
	}
}

// Each sink has its own filter and its own view of the client.
func TestDestinationsSeeTheirOwn(t *testing.T) {
	all, sampled := newOpenSink(), newOpenSink()
	log, err := New(
		Destination{Name: "all", Sink: NewStream(all)},
		Destination{Name: "sampled", Sink: NewStream(sampled), Filter: Filter{SampleOneIn: 10}, Client: ClientTruncated, Instance: "hub-\"a\""},
	)
	if err != nil {
		t.Fatal(err)
	}
	for number := range 1000 {
		record := hitRecord()
		record.Name = fmt.Sprint(number)
		log.Log(record)
	}
	mustClose(t, log)
	expectNumbered(t, all.names(t), 1000)
	if text := all.taken.String(); strings.Contains(text, `"sample"`) || strings.Contains(text, `"instance"`) || !strings.Contains(text, `"client_ip":"10.20.0.7"`) {
		t.Error("the unfiltered sink has a sample or no whole address")
	}
	lines := strings.Split(strings.TrimSpace(sampled.taken.String()), "\n")
	for _, line := range lines {
		if got := decodeLine(t, []byte(line+"\n")); got.Sample != 10 || got.Client != "10.20.0.0" || got.Instance != `hub-"a"` {
			t.Fatalf("line %s, want a sample of 10, the client 10.20.0.0 and the instance", line)
		}
	}
	if s := log.Statistics()[1]; int(s.Written) != len(lines) || int(s.Filtered) != 1000-len(lines) || len(lines) == 0 {
		t.Errorf("Statistics() = %+v with %d lines, want them written and the rest filtered", s, len(lines))
	}
}
