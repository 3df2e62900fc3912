package cache

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// overhead is what keeping an entry costs besides its block, in bytes: the
	// list's element, the map's slot at the usual load, and what allocation rounds
	// up.
	overhead = 144
	// failureShare is the part of the entries that failures may be.
	failureShare = 4
	// maxAhead is how far an entry may have been stored in the future: goroutines
	// read the clock at different times. More means that it is of a snapshot, and the
	// clock was set back since: nothing is known of the entry's age.
	maxAhead = int64(time.Minute)
)

// kept is an entry and whether it was used since it was put.
type kept struct {
	entry Entry
	used  bool
}

func (k kept) size() int64 { return overhead + int64(cap(k.entry.block)) }

type list = simplelru.LRU[uint64, kept]

// shard is a part of the cache under its own mutex.
type shard struct {
	mutex    sync.Mutex
	answers  *list
	failures *list
	// denials are NXDOMAIN answers once more, by name only.
	denials  *list
	bytes    int64
	maxBytes int64
	// maxEntries bounds the answers.
	maxEntries int
	stats      Stats
}

func newShard(entries, maxBytes int64) *shard {
	s := &shard{maxBytes: maxBytes, maxEntries: int(max(entries, 1))}
	forget := func(_ uint64, gone kept) { s.bytes -= gone.size() }
	s.answers = newList(entries, forget)
	s.failures = newList((entries+failureShare-1)/failureShare, forget)
	s.denials = newList((entries+denialShare-1)/denialShare, forget)
	return s
}

func newList(entries int64, forget simplelru.EvictCallback[uint64, kept]) *list {
	made, _ := simplelru.NewLRU(int(max(entries, 1)), forget) // its only error is a size below 1
	return made
}

func (s *shard) get(hash uint64, key *Key, now int64) Hit {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	hit := s.answer(hash, key, now)
	if hit.State != Fresh {
		s.addFailure(&hit, hash, key, now)
	}
	s.stats.count(hit.State)
	return hit
}

// answer finds an answer that can be used.
func (s *shard) answer(hash uint64, key *Key, now int64) Hit {
	found, ok := s.answers.Get(hash)
	if !ok || !found.entry.isFor(key) {
		return Hit{}
	}
	entry := found.entry
	expires := entry.expires()
	switch {
	case now >= entry.end() || entry.stored()-now > maxAhead:
		s.answers.Remove(hash)
		s.stats.Expired++
		return Hit{}
	case now >= expires:
		return Hit{State: Stale, Entry: entry}
	case !found.used:
		s.answers.Add(hash, kept{entry: entry, used: true})
		return Hit{State: Fresh, Entry: entry}
	case expires-now <= entry.life()/10:
		return Hit{State: Due, Entry: entry}
	}
	return Hit{State: Fresh, Entry: entry}
}

// addFailure adds the failure that still counts, to a hit or to a miss.
func (s *shard) addFailure(hit *Hit, hash uint64, key *Key, now int64) {
	found, ok := s.failures.Get(hash)
	if !ok || !found.entry.isFor(key) {
		return
	}
	failure := found.entry
	if now >= failure.lastUse() || failure.stored()-now > maxAhead {
		s.failures.Remove(hash)
		return
	}
	switch {
	case hit.State != Miss && now < failure.held():
		hit.Failure = failure
	case hit.State == Miss && now < failure.expires():
		hit.State, hit.Failure = Failed, failure
	}
}

func (s *shard) putAnswer(hash uint64, entry Entry) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.failures.Remove(hash)
	if entry.Kept() {
		s.add(s.answers, hash, entry)
	} else if entry.Kind() != NoData {
		s.answers.Remove(hash)
	}
}

func (s *shard) putFailure(hash uint64, entry Entry) {
	if !entry.Kept() {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.add(s.failures, hash, entry)
}

// add puts an entry in and others out until the limits hold again.
func (s *shard) add(to *list, hash uint64, entry Entry) {
	put := kept{entry: entry}
	if old, ok := to.Peek(hash); ok {
		s.bytes -= old.size()
	}
	s.bytes += put.size()
	if to.Add(hash, put) {
		s.stats.EvictedByEntries++
	}
	for s.maxBytes > 0 && s.bytes > s.maxBytes {
		if !s.removeLeast() {
			return
		}
		s.stats.EvictedByBytes++
	}
}

// removeLeast removes what is worth least: failures first, answers last.
func (s *shard) removeLeast() bool {
	for _, from := range []*list{s.failures, s.denials, s.answers} {
		if _, _, removed := from.RemoveOldest(); removed {
			return true
		}
	}
	return false
}

// restore puts an entry of a snapshot in, which never displaces a newer one.
func (s *shard) restore(hash uint64, entry Entry) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.answers.Contains(hash) {
		return false
	}
	s.add(s.answers, hash, entry)
	return true
}

// dropContradicted removes the answer of a key unless it says NXDOMAIN.
func (s *shard) dropContradicted(hash uint64, key *Key) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if found, ok := s.answers.Peek(hash); ok && found.entry.isFor(key) && found.entry.Kind() != NXDomain {
		s.answers.Remove(hash)
	}
}
