package policy

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

const (
	// memoryBytes is what the memory of chains takes, whatever happens.
	memoryBytes = 2 << 20
	// A bucket is one cache line: its first word remembers until when
	// something that was pushed out of it would have lived.
	bucketWords = 8
	memoryWords = memoryBytes / 8
	buckets     = memoryWords / bucketWords

	// graceAfterCNAME covers the way of the reply and of the next question.
	graceAfterCNAME = 5 * time.Second
	// startingTime is how long a memory without a past answers in doubt: the
	// usual TTL of the CNAME that leads into a privatelink zone.
	startingTime = 60 * time.Second
	// longestTTL is the longest that resolvers keep a record, whatever its TTL
	// says (BIND's max-cache-ttl); an absurd TTL must not wrap the expiry.
	longestTTL = 7 * 24 * time.Hour
)

// Memory is what is known of a chain.
type Memory uint8

// What the memory can say of a client and a name.
const (
	// NotGiven: no chain through the name was given to the client.
	NotGiven Memory = iota
	// Remembered: one was given and its CNAME is still alive.
	Remembered
	// Forgotten: the memory overflowed; one may have been given.
	Forgotten
	// NothingYet: the memory is younger than a CNAME; one may have been given before.
	NothingYet
)

// ChaseMemory remembers which client was given a chain through which name, for
// as long as the CNAME that leads there lives in the client's cache. A resolver
// that asks for the name meanwhile is chasing, not looking up directly.
//
// It is a fixed table of atomic words, a 32-bit fingerprint and a 32-bit expiry
// (Unix seconds, on a clock that nobody sets) each: nothing is allocated, nothing grows, and no lock is
// taken. Two pairs of client and name are confused with probability 2^-29,
// which only ever lets a question through. It is safe for concurrent use.
type ChaseMemory struct {
	seed uint64
	// begun is where the memory's clock begins, which nobody sets: what it showed then is
	// for snapshots.
	begun      time.Time
	doubtUntil time.Time
	words      []atomic.Uint64
}

// NewChaseMemory returns an empty memory that was started at the given time. The
// seed makes the table's layout unpredictable to clients; it must be random.
func NewChaseMemory(seed uint64, started time.Time) *ChaseMemory {
	return &ChaseMemory{seed: seed, begun: started, doubtUntil: started.Add(startingTime), words: make([]atomic.Uint64, memoryWords)}
}

// Remember notes that a client was given a CNAME that leads to name and lives
// for ttl. The name is lower case and fully qualified.
func (m *ChaseMemory) Remember(client netip.Addr, name string, ttl time.Duration, now time.Time) {
	bucket, fingerprint := m.locate(client, name)
	present, expiry := m.seconds(now), m.seconds(now.Add(min(ttl, longestTTL)+graceAfterCNAME+time.Second-1))
	for !remember(bucket, fingerprint, present, expiry) {
		continue // another writer took the chosen word: choose again
	}
}

// remember tries once to put an entry into a bucket: over its own older entry,
// else over one that has expired, else over the one that would expire first.
func remember(bucket []atomic.Uint64, fingerprint, present, expiry uint32) bool {
	chosen, chosenWord, chosenRank := 0, uint64(0), ^uint64(0)
	for index := 1; index < len(bucket); index++ {
		word := bucket[index].Load()
		rank := 2 + uint64(uint32(word))
		switch {
		case uint32(word>>32) == fingerprint:
			rank = 0
			expiry = max(expiry, uint32(word))
		case uint32(word) <= present:
			rank = 1
		}
		if rank < chosenRank {
			chosen, chosenWord, chosenRank = index, word, rank
		}
	}
	if chosenRank > 1 {
		raise(&bucket[0], uint64(uint32(chosenWord)))
	}
	return bucket[chosen].CompareAndSwap(chosenWord, uint64(fingerprint)<<32|uint64(expiry))
}

func raise(word *atomic.Uint64, value uint64) {
	for {
		old := word.Load()
		if old >= value || word.CompareAndSwap(old, value) {
			return
		}
	}
}

// Remembers tells what is known of a client and a name. It does not allocate.
func (m *ChaseMemory) Remembers(client netip.Addr, name string, now time.Time) Memory {
	bucket, fingerprint := m.locate(client, name)
	present := m.seconds(now)
	for index := 1; index < len(bucket); index++ {
		word := bucket[index].Load()
		if uint32(word>>32) == fingerprint && uint32(word) > present {
			return Remembered
		}
	}
	switch {
	case bucket[0].Load() > uint64(present):
		return Forgotten
	case now.Before(m.doubtUntil):
		return NothingYet
	default:
		return NotGiven
	}
}

func (m *ChaseMemory) locate(client netip.Addr, name string) (bucket []atomic.Uint64, fingerprint uint32) {
	var digest xxhash.Digest
	digest.ResetWithSeed(m.seed)
	address := client.As16()
	_, _ = digest.Write(address[:])
	_, _ = digest.WriteString(name)
	hash := digest.Sum64()
	first := int(hash%buckets) * bucketWords
	return m.words[first : first+bucketWords], uint32(hash >> 32)
}

// seconds is a time on the memory's clock. It is exact until the year 2106.
func (m *ChaseMemory) seconds(t time.Time) uint32 {
	return uint32(m.begun.Round(0).Add(t.Sub(m.begun)).Unix())
}
