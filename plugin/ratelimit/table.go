package ratelimit

import "sync/atomic"

// table is a fixed number of words, in buckets of a cache line. A word is the state of a
// client or network: 23 bits to know it by, one that says whose turn it is, and 40 for the
// tick until which it has spent what it may send.
//
// That tick may lie ahead of the present by a second's worth: that is how a token
// bucket's level is kept in one number (the generic cell rate algorithm, ITU-T I.371). One
// that lies behind is as good as none. 40 bits turn over in 30 hours; who comes back
// exactly then finds a bucket that is less than full for less than a second.
type table struct{ words []atomic.Uint64 }

const (
	bucketWords = 8
	timeMask    = 1<<40 - 1
	turn        = 1 << 40
	keyShift    = 41
)

// newTable makes a table of a number of buckets, a power of two.
func newTable(buckets int) *table { return &table{make([]atomic.Uint64, buckets*bucketWords)} }

// take spends one interval of what the key may have spent ahead, which is burst.
func (t *table) take(key, interval, burst, present uint64) Verdict {
	first := int(key) & (len(t.words)/bucketWords - 1) * bucketWords
	bucket := t.words[first : first+bucketWords]
	for {
		place, word, known := find(bucket, key>>keyShift, burst, present)
		state := word
		if !known {
			state = present & timeMask
		}
		state, verdict := spend(state, interval, burst, present)
		if bucket[place].CompareAndSwap(word, state&(turn|timeMask)|key>>keyShift<<keyShift) {
			return verdict
		}
		// Another processor was faster: look again at what it left.
	}
}

// spend is the word after one more, and whether that was within the limit.
func spend(word, interval, burst, present uint64) (changed uint64, verdict Verdict) {
	spent := ahead(word, burst, present)
	if spent+interval <= burst {
		return word&turn | (present+spent+interval)&timeMask, Pass
	}
	if word&turn == 0 {
		return word | turn, Truncate
	}
	return word &^ turn, Drop
}

// find returns the place and the word of who is known by a fingerprint, else of who has
// spent least.
func find(bucket []atomic.Uint64, fingerprint, burst, present uint64) (place int, word uint64, known bool) {
	least := ^uint64(0)
	for index := range bucket {
		candidate := bucket[index].Load()
		if candidate>>keyShift == fingerprint {
			return index, candidate, true
		}
		if spent := ahead(candidate, burst, present); spent < least {
			place, least, word = index, spent, candidate
		}
	}
	return place, word, false
}

// ahead is how far a word's tick is ahead of the present, 0 where it is not.
func ahead(word, burst, present uint64) uint64 {
	if distance := (word - present) & timeMask; distance <= burst {
		return distance
	}
	return 0
}
