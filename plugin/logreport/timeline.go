package logreport

import (
	"maps"
	"slices"
	"time"
)

// meaning is a verdict as it is counted over time.
type meaning uint8

const (
	private meaning = iota
	public
	unlinked
	missing
	nodata
	other
	unasked // no answer, so no verdict: refused, withheld or failed

	meanings
)

// meaningNames are the verdicts as the log writes them, save for the last.
func meaningNames() [meanings]string {
	return [meanings]string{private: "private", public: "public", unlinked: "unlinked", missing: "missing", nodata: "nodata", other: "other", unasked: "none"}
}

func (r *record) meaning() meaning {
	switch string(r.text[verdictField]) {
	case "private":
		return private
	case "public":
		return public
	case "unlinked":
		return unlinked
	case "missing":
		return missing
	case "nodata":
		return nodata
	case "":
		return unasked
	}
	return other
}

// bin is what is counted of one step of time.
type bin struct {
	// lines are the log's, whether or not they are reported on.
	lines    uint64
	queries  uint64
	failed   uint64
	meanings [meanings]uint64
}

func (b *bin) merge(o *bin) {
	b.lines, b.queries, b.failed = b.lines+o.lines, b.queries+o.queries, b.failed+o.failed
	for index, count := range o.meanings {
		b.meanings[index] += count
	}
}

// maxBins holds a day in seconds, and a month in minutes.
const maxBins = 90_000

// binWidths are the widths in seconds that bins can have; each divides the next.
func binWidths() []int64 { return []int64{1, 10, 60, 600, 3600, 21600, 86400} }

// timeline counts by time, in bins that become wider when there are too many of them.
type timeline struct {
	widths []int64
	bins   map[int64]*bin
	// last is the bin that was used last, which most often is the next one's too.
	last      *bin
	lastStart int64
}

func newTimeline() *timeline {
	return &timeline{widths: binWidths(), bins: map[int64]*bin{}}
}

func (t *timeline) width() int64 { return t.widths[0] }

// at returns the bin of a time in microseconds since 1970, after 2000.
func (t *timeline) at(microseconds int64) *bin {
	start := microseconds / 1_000_000
	start -= start % t.width()
	if t.last != nil && t.lastStart == start {
		return t.last
	}
	found := t.bins[start]
	if found == nil {
		if len(t.bins) >= maxBins && len(t.widths) > 1 {
			t.widen()
			return t.at(microseconds)
		}
		found = &bin{}
		t.bins[start] = found
	}
	t.last, t.lastStart = found, start
	return found
}

// widen makes the bins of the next width. Two centuries have 73,000 days, so
// the last width is wide enough.
func (t *timeline) widen() {
	t.widths = t.widths[1:]
	t.last = nil
	old := t.bins
	t.bins = make(map[int64]*bin, len(old)/int(min(t.width(), 10)))
	for start, from := range old {
		start -= start % t.width()
		if into := t.bins[start]; into != nil {
			into.merge(from)
		} else {
			t.bins[start] = from
		}
	}
}

func (t *timeline) merge(from *timeline) {
	for t.width() < from.width() {
		t.widen()
	}
	for from.width() < t.width() {
		from.widen()
	}
	for start, b := range from.bins {
		// Should this make t's bins wider, each still holds all of b's.
		t.at(start * 1_000_000).merge(b)
	}
}

// step is the least of the steps that a chart can have which shows the span in
// at most so many.
func (t *timeline) step(span int64, most int) int64 {
	for _, step := range []int64{1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 604800, 2592000, 31536000} {
		if step >= t.width() && step%t.width() == 0 && span/step+2 <= int64(most) {
			return step
		}
	}
	return 10 * 31536000
}

// maxBuckets is how many steps a report has at most.
const maxBuckets = 120

// buckets sums the bins up, empty steps included.
func (t *timeline) buckets(from, to time.Time) Timeline {
	names := meaningNames()
	step := t.step(to.Unix()-from.Unix(), maxBuckets)
	first := from.Unix() - from.Unix()%step
	line := Timeline{StepSeconds: step}
	for start := first; start <= to.Unix(); start += step {
		line.Buckets = append(line.Buckets, Bucket{Time: time.Unix(start, 0).UTC(), Verdicts: map[string]uint64{}})
	}
	for start, b := range t.bins {
		place := (start - first) / step
		if place < 0 || place >= int64(len(line.Buckets)) || b.queries == 0 {
			continue
		}
		bucket := &line.Buckets[place]
		bucket.Queries, bucket.Failed = bucket.Queries+b.queries, bucket.Failed+b.failed
		for index, count := range b.meanings {
			if count > 0 {
				bucket.Verdicts[names[index]] += count
			}
		}
	}
	return line
}

const (
	// minGap is the shortest silence that is told, in seconds.
	minGap = 5
	// minLost is how many lines must be expected in a silence for it to be a gap:
	// that it is chance has then less than one chance in 10^8.
	minLost = 20
)

// gaps finds silences, within the logs, in which lines must be expected: as many
// as the same time before and after it has on average.
func (t *timeline) gaps() []Gap {
	starts := slices.Sorted(maps.Keys(t.bins))
	var before []uint64 // before[i] are the lines of all bins before the i-th
	var sum uint64
	for _, start := range starts {
		before = append(before, sum)
		sum += t.bins[start].lines
	}
	before = append(before, sum)
	between := func(from, to int64) uint64 {
		low, _ := slices.BinarySearch(starts, from)
		high, _ := slices.BinarySearch(starts, to)
		return before[high] - before[low]
	}
	var gaps []Gap
	for index := 1; index < len(starts); index++ {
		from, to := starts[index-1]+t.width(), starts[index]
		if to-from < minGap {
			continue
		}
		length := to - from
		around := between(from-length, from) + between(to, to+length)
		if lost := around / 2; lost >= minLost {
			gaps = append(gaps, Gap{From: time.Unix(from, 0).UTC(), To: time.Unix(to, 0).UTC(), Expected: lost})
		}
	}
	return gaps
}
