package logreport

import "math/bits"

const (
	// Each power of two has eight buckets, so that a bucket's middle is within
	// 1/16 of everything in it.
	subBuckets = 8
	// bucketCount reaches to 2^28 microseconds, four and a half minutes.
	bucketCount = subBuckets * 26
)

// histogram counts durations in buckets that grow with them (log-linear), in
// microseconds. The zero value is empty.
type histogram struct {
	count, sum uint64
	// max is exact.
	max     int64
	buckets [bucketCount]uint64
}

func bucketOf(microseconds int64) int {
	if microseconds < subBuckets {
		return int(max(microseconds, 0))
	}
	exponent := bits.Len64(uint64(microseconds)) - 4 // 2^3 is subBuckets
	return min((exponent+1)*subBuckets+int(microseconds>>exponent)-subBuckets, bucketCount-1)
}

// bucketStart is the least duration of a bucket.
func bucketStart(bucket int) int64 {
	if bucket < subBuckets {
		return int64(bucket)
	}
	return int64(subBuckets+bucket%subBuckets) << (bucket/subBuckets - 1)
}

func (h *histogram) add(microseconds int64, count uint64) {
	h.count += count
	h.sum += uint64(microseconds) * count
	h.max = max(h.max, microseconds)
	h.buckets[bucketOf(microseconds)] += count
}

func (h *histogram) merge(other *histogram) {
	h.count += other.count
	h.sum += other.sum
	h.max = max(h.max, other.max)
	for bucket, count := range other.buckets {
		h.buckets[bucket] += count
	}
}

// quantile returns a duration that the given share of all is not above, within
// one part in sixteen; 0 if there are none.
func (h *histogram) quantile(share float64) int64 {
	if h.count == 0 {
		return 0
	}
	rank := uint64(share*float64(h.count-1)) + 1
	for bucket, count := range h.buckets {
		if count >= rank {
			if bucket == bucketCount-1 {
				return h.max
			}
			return min((bucketStart(bucket)+bucketStart(bucket+1)-1)/2, h.max)
		}
		rank -= count
	}
	return h.max
}
