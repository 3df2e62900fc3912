// Package cache keeps answers in wire form, one block of memory an answer.
//
// It knows the DNS message as far as an answer's life and content depend on it:
// which records belong to the question, how long they may be used (RFC 2181,
// RFC 2308), what may be said when they have expired (RFC 8767), and that failures
// are kept too (RFC 9520). It knows nothing of policy, routes, upstream servers,
// clients, files or clocks: bounds and the time come from the caller, what an
// answer means is the caller's and is kept for it, and the reply is composed by
// package wire.
package cache

import (
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Limits bound a cache. Both hold at once.
type Limits struct {
	// Entries is how many answers are kept at most; at least 1. Failures are kept
	// beside them, a quarter as many at most.
	Entries int
	// Bytes is how much memory answers and failures take at most, the cost of
	// keeping them included, the garbage collector's not; 0 stands for no limit.
	Bytes int64
}

// Cache keeps the least recently used answers within limits. It is safe for
// concurrent use. Times given to it are of one clock and may differ a little
// between goroutines.
type Cache struct {
	shards []*shard
	seed   uint64
	epoch  atomic.Uint64
	// denials says that there ever was one.
	denials atomic.Bool
	views   views
}

// Numbers of shards, powers of two. Few shards for a small cache keep "least
// recently used" true; many for a large one keep its goroutines apart.
const (
	maxShards       = 256
	entriesPerShard = 1024
)

// New returns an empty cache. The seed must be hard to guess, as it keeps others
// from choosing names that displace each other.
func New(limits Limits, seed uint64) *Cache {
	count := 1
	for count < maxShards && count*2*entriesPerShard <= limits.Entries {
		count *= 2
	}
	c := &Cache{shards: make([]*shard, count), seed: seed}
	for i := range c.shards {
		c.shards[i] = newShard(share(int64(limits.Entries), count), share(limits.Bytes, count))
	}
	return c
}

// share is a shard's part of a limit, rounded up.
func share(limit int64, count int) int64 {
	return (limit + int64(count) - 1) / int64(count)
}

func (c *Cache) hash(key *Key) uint64 {
	var digest xxhash.Digest
	digest.ResetWithSeed(c.seed)
	_, _ = digest.Write(key.Question.Name())
	fixed := [...]byte{
		byte(key.Question.Type >> 8), byte(key.Question.Type),
		byte(key.Question.Class >> 8), byte(key.Question.Class), key.flags(),
	}
	_, _ = digest.Write(fixed[:])
	_, _ = digest.WriteString(key.View)
	return digest.Sum64()
}

// shardOf uses the upper bits, the shard's map the lower ones.
func (c *Cache) shardOf(hash uint64) *shard {
	return c.shards[hash>>48&uint64(len(c.shards)-1)]
}

// State is what a look-up found.
type State uint8

// The states, in which an answer is ever older.
const (
	// Miss: nothing is kept that could be used.
	Miss State = iota
	// Failed: no answer is kept, but the failure to get one, and it is too early to
	// try again (RFC 9520 section 3.2).
	Failed
	// Fresh: the answer lives.
	Fresh
	// Due: the answer lives, was used before, and has a tenth of its life left: the
	// time to ask for it again.
	Due
	// Stale: the answer has expired and may be used where no other can be had
	// (RFC 8767).
	Stale
)

var stateNames = [...]string{Miss: "miss", Failed: "failed", Fresh: "fresh", Due: "due", Stale: "stale"}

// String returns the state in lower case.
func (s State) String() string { return stateNames[s] }

// Hit is what a look-up found.
type Hit struct {
	State State
	// Entry is the answer: there where State is Fresh, Due or Stale.
	Entry Entry
	// Failure is the last failure to get or to refresh the answer, there as long as
	// it counts: always where State is Failed, and where State is Due or Stale and
	// the refresh is not to be tried again before Failure.HeldUntil. A caller who
	// knows that the upstream has returned since Failure.Stored need not wait.
	Failure Entry
}

// Get looks a key up and makes it the most recently used. It allocates nothing, save
// where the answer is made of what is kept about another type: that the name does not
// exist.
func (c *Cache) Get(key *Key, now time.Time) Hit {
	hash := c.hash(key)
	hit := c.shardOf(hash).get(hash, key, steady(now))
	if hit.State != Fresh && hit.State != Due && c.denials.Load() {
		return c.denyStale(hit, hash, key, now)
	}
	return hit
}

// Put keeps an entry under the key it was made with, in the place of an older one.
//
// A failure never displaces an answer: it is kept beside the answers. An answer
// ends the failure of its key. An NXDOMAIN ends the answers that its key has with
// DO and CD set otherwise, too. An entry that is not Kept is not kept; but if it
// is positive or NXDOMAIN it ends what it contradicts all the same.
func (c *Cache) Put(entry Entry) {
	key := entry.Key()
	hash := c.hash(&key)
	c.views.note(key.View)
	if entry.Kind() == Failure {
		c.shardOf(hash).putFailure(hash, entry)
		return
	}
	c.shardOf(hash).putAnswer(hash, entry)
	c.putDenial(&key, entry)
	if entry.Kind() == NXDomain {
		c.dropSiblings(key, hash)
	}
}

// dropSiblings removes the answers to the same question with DO or CD otherwise
// that do not say NXDOMAIN, which no longer are true.
func (c *Cache) dropSiblings(key Key, hash uint64) {
	for _, flags := range [...][2]bool{{false, false}, {false, true}, {true, false}, {true, true}} {
		key.DO, key.CD = flags[0], flags[1]
		if sibling := c.hash(&key); sibling != hash {
			c.shardOf(sibling).dropContradicted(sibling, &key)
		}
	}
}
