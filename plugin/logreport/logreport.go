// Package logreport reads query logs, of any size in constant memory, and
// reports what the person who is called at night wants to know.
//
// It knows the lines of the query log, version 1 of their schema, and how a
// report is printed: as text, JSON or a page of HTML. It does not know CoreDNS,
// the catalog, or how a line comes to be written.
package logreport

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// schema is the version of the log's lines that is read.
const schema = 1

// DefaultTop is how many rows a table has where Options says nothing.
const DefaultTop = 10

// maxTop bounds the rows of a table: the sketches hold some thousand keys.
const maxTop = 1000

// Source is one log.
type Source struct {
	// Name is what complaints call it, most often its path.
	Name string
	// Open gives its content: lines of JSON, also packed by gzip or zstd, which
	// is seen by their first bytes. It is called once, and the result closed.
	Open func() (io.ReadCloser, error)
}

// Options say what of the logs is reported, and how much.
type Options struct {
	// Since and Until bound the time of the lines that count: from Since on, and
	// before Until. The zero time is no bound.
	Since, Until time.Time
	// Namespaces let only those lines count whose namespace is one of them or
	// whose name lies in one; empty lets all count.
	Namespaces []string
	// Clients let only those lines count whose client, or the real client that a
	// resolver told, is in one of the networks; empty lets all count.
	Clients []netip.Prefix
	// Top is how many rows a table has at most; 0 is DefaultTop, and 1,000 the most.
	Top int
	// PublicName says which name is to be asked for in place of a name in a
	// privatelink zone, both lower case and with their final dots; false where
	// that is not known. Nil knows none: then the log's own advice is told. It
	// is called by one goroutine.
	PublicName func(name string) (string, bool)
	// Workers is how many goroutines read lines; 0 is one for each processor.
	Workers int
}

// Read reads the logs, each to its end, and reports on all of them together:
// their order does not matter. Lines that are no records are counted and told
// in the report, and do no more harm. The report is never nil: the error joins
// what kept single sources from being opened or read to their ends, and the
// report is on all that could be read. Where ctx ends, reading does too, and
// the error is ctx's.
//
// Memory is bounded, about 100 MB at the worst, however long the logs are:
// counts by name, client and the like are kept by the space-saving algorithm
// (Metwally, Agrawal, El Abbadi, 2005), which never misses what is frequent and
// states for every row by how much its count may be too high.
func Read(ctx context.Context, sources []Source, options Options) (*Report, error) {
	options.Top = min(max(options.Top, 0), maxTop)
	if options.Top == 0 {
		options.Top = DefaultTop
	}
	if options.Workers <= 0 {
		options.Workers = runtime.GOMAXPROCS(0)
	}
	blocks := newBlockReader(options.Workers)
	tallies := make([]*tally, options.Workers)
	var working sync.WaitGroup
	for index := range tallies {
		tallies[index] = newTally(newSelection(options))
		working.Go(func() { blocks.work(&tallies[index].mistakes, tallies[index].addLine) })
	}
	errs := blocks.readAll(ctx, sources)
	working.Wait()
	total := tallies[0]
	for _, other := range tallies[1:] {
		total.merge(other)
	}
	total.mistakes.merge(&blocks.mistakes)
	return build(total, blocks.summaries, options), errors.Join(errs...)
}

// selection decides which lines count.
type selection struct {
	since, until int64 // in microseconds since 1970; until is exclusive
	namespaces   []string
	clients      []netip.Prefix
}

func newSelection(options Options) selection {
	s := selection{since: earliest, until: latest, clients: options.Clients}
	if !options.Since.IsZero() {
		s.since = options.Since.UnixMicro()
	}
	if !options.Until.IsZero() {
		s.until = options.Until.UnixMicro()
	}
	for _, namespace := range options.Namespaces {
		s.namespaces = append(s.namespaces, strings.ToLower(strings.Trim(namespace, ".")))
	}
	return s
}

// inTime reports whether a line lies in the time that is reported on.
func (s *selection) inTime(r *record) bool { return r.time >= s.since && r.time < s.until }

func (s *selection) takes(r *record) bool {
	return (s.namespaces == nil || s.hasNamespace(r)) && (s.clients == nil || s.hasClient(r))
}

func (s *selection) hasNamespace(r *record) bool {
	name := strings.TrimSuffix(string(r.text[qname]), ".")
	for _, namespace := range s.namespaces {
		below, isSuffix := strings.CutSuffix(name, namespace)
		if string(r.text[namespaceField]) == namespace || isSuffix && (below == "" || strings.HasSuffix(below, ".")) {
			return true
		}
	}
	return false
}

func (s *selection) hasClient(r *record) bool {
	for _, field := range [...]textField{clientIP, realClient} {
		written, _, _ := strings.Cut(string(r.text[field]), "/")
		address, err := netip.ParseAddr(written)
		if err == nil && slices.ContainsFunc(s.clients, func(network netip.Prefix) bool { return network.Contains(address.Unmap().WithZone("")) }) {
			return true
		}
	}
	return false
}

// Mistake is a line that could not be read.
type Mistake struct {
	// Source and Line say where it is; lines count from 1.
	Source string `json:"source"`
	Line   uint64 `json:"line"`
	// Reason says what was found and what was expected.
	Reason string `json:"reason"`

	// order is the source's place among the sources.
	order int
}

// maxMistakes is how many are told; all are counted.
const maxMistakes = 5

// mistakes keeps the first few, by source and line.
type mistakes struct {
	count uint64
	first []Mistake
}

func (m *mistakes) add(found Mistake) {
	m.count++
	if last := len(m.first) - 1; last+1 == maxMistakes && compareMistakes(found, m.first[last]) > 0 {
		return
	}
	m.insert(found)
}

func (m *mistakes) insert(found Mistake) {
	place, _ := slices.BinarySearchFunc(m.first, found, compareMistakes)
	m.first = slices.Insert(m.first, place, found)
	m.first = m.first[:min(len(m.first), maxMistakes)]
}

func (m *mistakes) merge(other *mistakes) {
	m.count += other.count
	for _, found := range other.first {
		m.insert(found)
	}
}

func compareMistakes(a, b Mistake) int {
	return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.Line, b.Line))
}
