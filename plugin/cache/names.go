package cache

import (
	"bytes"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// Lookup returns the answers and failures that are kept for a name, whatever their
// type, flags and view, in no particular order. The name is fully qualified, in
// any case. It looks through the whole cache, shard by shard, and is for people,
// not for queries; nothing counts as used by it. The error wraps wire.ErrName.
func (c *Cache) Lookup(name string) ([]Entry, error) {
	wanted, err := wire.NewQuestion(name, dns.TypeA, dns.ClassINET)
	if err != nil {
		return nil, err
	}
	var found []Entry
	for _, s := range c.shards {
		found = append(found, s.lookup(func(name []byte) bool { return bytes.Equal(name, wanted.Name()) })...)
	}
	return found, nil
}

// Flushed is what Flush removed.
type Flushed struct {
	// Own is how many answers and failures of the name itself, or of those at and below
	// the suffix, were removed.
	Own int
	// Through has an element for each other answer that was removed because its chain of
	// CNAME records leads through them: the name of its question, as miekg/dns prints it.
	Through []string
}

// Count is how many answers and failures were removed.
func (f *Flushed) Count() int { return f.Own + len(f.Through) }

// Flush removes the answers and failures of a name, or, where suffix is true, of a
// name and all names below it, and the answers of other names whose chain leads through
// them. The name is fully qualified, in any case; "." as a suffix is everything. What was
// asked upstream before may still come in with the old answer: that it was asked in
// another Epoch tells. It looks through the whole cache; queries wait for a shard only
// while its entries are listed and removed, not while they are read.
// The error wraps wire.ErrName, and then nothing is removed.
func (c *Cache) Flush(name string, suffix bool) (Flushed, error) {
	wanted, err := wire.NewQuestion(name, dns.TypeA, dns.ClassINET)
	if err != nil {
		return Flushed{}, err
	}
	c.epoch.Add(1)
	f := flushing{name: wanted.Name(), suffix: suffix}
	for _, s := range c.shards {
		f.empty(s)
	}
	return f.done, nil
}

// Epoch is how many times Flush was called.
func (c *Cache) Epoch() uint64 { return c.epoch.Load() }

// isBelow reports whether a name is a suffix or below it; both are in wire form
// and lower case.
func isBelow(name, suffix []byte) bool {
	for len(name) > len(suffix) {
		name = name[1+int(name[0]):]
	}
	return bytes.Equal(name, suffix)
}

func (s *shard) lookup(matches func(name []byte) bool) []Entry {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var found []Entry
	for _, from := range [...]*list{s.answers, s.failures} {
		for _, value := range from.Values() {
			if matches(value.entry.name()) {
				found = append(found, value.entry)
			}
		}
	}
	return found
}

// usable returns the answers that can be used at a time of the steady clock, the least
// recently used first.
func (s *shard) usable(now int64) []Entry {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	entries := make([]Entry, 0, s.answers.Len())
	for _, value := range s.answers.Values() {
		if value.entry.usable(now) {
			entries = append(entries, value.entry)
		}
	}
	return entries
}

// usable reports whether an entry can be used at a time of the clock that its own are of.
func (e Entry) usable(now int64) bool {
	return now < e.end() && e.stored()-now <= maxAhead
}
