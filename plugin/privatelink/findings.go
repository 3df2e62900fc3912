package privatelink

import (
	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
)

// A read loop remembers what that many sets of kept answers mean, those that were used
// last: about a megabyte.
const (
	findingSets = 1 << 11
	findingWays = 2
)

// findings tell what kept answers mean. What was judged is remembered with the entry: to
// judge it anew is 15 % of a hit. They belong to one configuration at a time, because a
// reload may change the catalog and the private ranges. They are for one goroutine; the
// zero value is ready.
type findings struct {
	by   *service
	sets [][findingWays]reading
	// last is the way that was written last.
	last uint
	// scratch is for reading that is not remembered.
	scratch verdict.Reader
}

// reader returns one whose last finding nobody uses.
func (f *findings) reader() *verdict.Reader {
	if f == nil {
		return new(verdict.Reader)
	}
	return &f.scratch
}

// reading is an answer that was judged, and what was found.
type reading struct {
	entry   cache.Entry
	finding verdict.Finding
	reader  verdict.Reader
}

// forget begins anew for a configuration, in the memory of the one before.
func (f *findings) forget(s *service) {
	f.by = s
	if f.sets == nil {
		f.sets = make([][findingWays]reading, findingSets)
	}
	clear(f.sets)
}

// of judges the answer to a query. The finding lasts until the next call; a nil receiver
// remembers nothing.
func (f *findings) of(s *service, q *query, entry cache.Entry) verdict.Finding {
	if f == nil {
		var reader verdict.Reader
		return reader.Of(q.name, q.qtype, entry.Message(), s.catalog, s.private)
	}
	if f.by != s {
		f.forget(s)
	}
	set := &f.sets[spread(entry.Identity())%findingSets]
	for way := range set {
		if set[way].entry.Same(entry) {
			return set[way].finding
		}
	}
	f.last++
	kept := &set[f.last%findingWays]
	kept.entry = entry
	kept.finding = kept.reader.Of(q.name, q.qtype, entry.Message(), s.catalog, s.private)
	return kept.finding
}

// spread makes an address, whose lowest bits are always the same, a hash (Fibonacci
// hashing).
func spread(address uintptr) uint64 {
	const golden = 0x9e3779b97f4a7c15
	return uint64(address) * golden >> 32
}
