package logreport

import (
	"cmp"
	"slices"
)

// sketch counts by key in bounded memory, by the space-saving algorithm: where
// there is no room for a new key, it takes the place and the count of the least
// one. So the count of a key is never too low, and too high by over at most;
// every key whose true count is more than the sum of all over the capacity is
// there. Up to its capacity it is exact. Each key has a payload, which is lost
// with the key.
type sketch[P any] struct {
	capacity int
	join     func(into, from *P)
	index    map[string]*entry[P]
	// entries are a heap by count, the least first, once full is set.
	entries []*entry[P]
	full    bool
	// total is the exact sum of all counts.
	total uint64
}

type entry[P any] struct {
	key         string
	count, over uint64
	place       int
	payload     P
}

// newSketch returns an empty sketch; join adds one key's payload to another's.
func newSketch[P any](capacity int, join func(into, from *P)) *sketch[P] {
	return &sketch[P]{capacity: capacity, join: join, index: map[string]*entry[P]{}}
}

// add counts a key and returns its payload, which is valid until the next call.
func (s *sketch[P]) add(key []byte, count uint64) *P {
	s.total += count
	found := s.index[string(key)]
	switch {
	case found != nil:
		found.count += count
	case len(s.entries) < s.capacity:
		found = &entry[P]{key: string(key), count: count, place: len(s.entries)}
		s.entries = append(s.entries, found)
		s.index[found.key] = found
	default:
		found = s.replace(string(key), count)
	}
	if s.full {
		s.sink(found.place)
	}
	return &found.payload
}

func (s *sketch[P]) replace(key string, count uint64) *entry[P] {
	if !s.full {
		s.full = true
		s.heapify()
	}
	least := s.entries[0]
	delete(s.index, least.key)
	*least = entry[P]{key: key, count: least.count + count, over: least.count}
	s.index[key] = least
	return least
}

func (s *sketch[P]) heapify() {
	for place := len(s.entries)/2 - 1; place >= 0; place-- {
		s.sink(place)
	}
}

func (s *sketch[P]) sink(place int) {
	for {
		least := 2*place + 1
		if least >= len(s.entries) {
			return
		}
		if right := least + 1; right < len(s.entries) && s.entries[right].count < s.entries[least].count {
			least = right
		}
		if s.entries[place].count <= s.entries[least].count {
			return
		}
		s.entries[place], s.entries[least] = s.entries[least], s.entries[place]
		s.entries[place].place, s.entries[least].place = place, least
		place = least
	}
}

// least is what a key that is not there may have been counted.
func (s *sketch[P]) least() uint64 {
	if !s.full {
		return 0
	}
	return s.entries[0].count
}

// merge adds what another sketch counted, which must not be used any more.
func (s *sketch[P]) merge(other *sketch[P]) {
	ours, theirs := s.least(), other.least()
	merged := &sketch[P]{capacity: s.capacity, join: s.join, index: map[string]*entry[P]{}, full: s.full || other.full, total: s.total + other.total}
	for _, e := range s.entries {
		if twin := other.index[e.key]; twin != nil {
			e.count, e.over = e.count+twin.count, e.over+twin.over
			s.join(&e.payload, &twin.payload)
		} else {
			e.count, e.over = e.count+theirs, e.over+theirs
		}
		merged.entries = append(merged.entries, e)
	}
	for _, e := range other.entries {
		if s.index[e.key] == nil {
			e.count, e.over = e.count+ours, e.over+ours
			merged.entries = append(merged.entries, e)
		}
	}
	merged.shrink()
	*s = *merged
}

// shrink keeps the greatest and makes the rest consistent.
func (s *sketch[P]) shrink() {
	slices.SortFunc(s.entries, compareEntries[P])
	if len(s.entries) > s.capacity {
		s.entries, s.full = s.entries[:s.capacity], true
	}
	for place, e := range s.entries {
		e.place, s.index[e.key] = place, e
	}
	if s.full {
		s.heapify()
	}
}

// sorted returns the entries, the greatest count first.
func (s *sketch[P]) sorted() []*entry[P] {
	sorted := slices.Clone(s.entries)
	slices.SortFunc(sorted, compareEntries[P])
	return sorted
}

func compareEntries[P any](a, b *entry[P]) int {
	return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.key, b.key))
}

// nothing is the payload of keys that are only counted.
type nothing struct{}

func joinNothing(_, _ *nothing) {}
