package querylog

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Filter says which records a sink is given: those that pass every condition
// that is set. The zero Filter passes all.
type Filter struct {
	// SampleOneIn keeps one record in so many, drawn by chance, and every record
	// of a failure or a policy hit. A line that was drawn says for how many it
	// stands. 0 and 1 keep all.
	SampleOneIn int
	// Names are suffixes, lower case: only names in one of them pass.
	Names []string
	// Verdicts pass only; empty passes all, those without a verdict too.
	Verdicts []string
	// SlowerThan passes only what took longer.
	SlowerThan time.Duration
}

// filter is a Filter made ready. It is only read once made.
type filter struct {
	Filter
	names map[string]struct{}
}

func newFilter(f Filter) (*filter, error) {
	if f.SampleOneIn < 0 || f.SlowerThan < 0 {
		return nil, fmt.Errorf("found a sample of one in %d and slower than %v, expected neither to be negative", f.SampleOneIn, f.SlowerThan)
	}
	ready := &filter{Filter: f}
	for _, name := range f.Names {
		if ready.names == nil {
			ready.names = make(map[string]struct{}, len(f.Names))
		}
		ready.names[strings.TrimSuffix(strings.ToLower(name), ".")+"."] = struct{}{}
	}
	return ready, nil
}

// passes decides about a record, and tells how many it stands for.
func (f *filter) passes(r *Record, random *rand.Rand) (sample int, passes bool) {
	switch {
	case f.SlowerThan > 0 && r.Duration <= f.SlowerThan,
		f.Verdicts != nil && !slices.Contains(f.Verdicts, r.Verdict),
		f.names != nil && !f.hasSuffixOf(r.Name):
		return 0, false
	case f.SampleOneIn <= 1 || r.failed() || r.policyHit():
		return 1, true
	}
	return f.SampleOneIn, random.IntN(f.SampleOneIn) == 0
}

// hasSuffixOf walks the labels of a name, from its own to the root.
func (f *filter) hasSuffixOf(name string) bool {
	if _, found := f.names["."]; found {
		return true
	}
	for start := 0; start < len(name); {
		if _, found := f.names[name[start:]]; found {
			return true
		}
		start = nextLabel(name, start)
	}
	return false
}

// nextLabel is where the label after the one at start begins.
func nextLabel(name string, start int) int {
	for ; start < len(name); start++ {
		switch name[start] {
		case '\\':
			start++ // an escaped dot ends no label
		case '.':
			return start + 1
		}
	}
	return start
}
