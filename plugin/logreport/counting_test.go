package logreport

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/querylog"
)

// zipf draws keys of which few are frequent and very many are not.
func zipf(seed uint64, capacity int) (sketched *sketch[nothing], exact map[string]uint64, sum uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	draw := rand.NewZipf(random, 1.2, 1, 1<<20)
	sketched, exact = newSketch(capacity, joinNothing), map[string]uint64{}
	for range 60_000 {
		key, count := fmt.Sprint(draw.Uint64()), random.Uint64N(20)
		sketched.add([]byte(key), count)
		exact[key], sum = exact[key]+count, sum+count
	}
	return sketched, exact, sum
}

// checkSketch holds a sketch to its promises.
func checkSketch(t *testing.T, s *sketch[nothing], exact map[string]uint64, sum, slack uint64) {
	t.Helper()
	if len(s.entries) > s.capacity || len(s.index) != len(s.entries) || s.total != sum {
		t.Fatalf("%d entries, %d in the index, total %d, want at most %d and %d", len(s.entries), len(s.index), s.total, s.capacity, sum)
	}
	for _, e := range s.entries {
		if actual := exact[e.key]; actual > e.count || e.count-e.over > actual {
			t.Errorf("key %s is counted %d with at most %d too many, want %d in that", e.key, e.count, e.over, actual)
		}
	}
	for key, count := range exact {
		if count > slack*sum/uint64(s.capacity) && s.index[key] == nil {
			t.Errorf("key %s with %d of %d is not there", key, count, sum)
		}
	}
}

func TestSketchKeepsItsPromises(t *testing.T) {
	first, exact, sum := zipf(1, 300)
	checkSketch(t, first, exact, sum, 1)
	second, others, othersSum := zipf(2, 300)
	for key, count := range others {
		exact[key] += count
	}
	first.merge(second)
	checkSketch(t, first, exact, sum+othersSum, 1)
	first.add([]byte("later"), 1<<40)
	if found := first.sorted()[0]; found.key != "later" || found.over == 0 {
		t.Errorf("the most frequent key is %+v, want the one just added, in another's place", found)
	}
}

func TestSketchIsExactWhereThereIsRoom(t *testing.T) {
	full, exact, _ := zipf(3, 1<<20)
	if len(full.entries) != len(exact) {
		t.Fatalf("%d entries, want %d", len(full.entries), len(exact))
	}
	for _, e := range full.entries {
		if e.over != 0 || e.count != exact[e.key] {
			t.Errorf("key %s is counted %d (%d too many), want %d", e.key, e.count, e.over, exact[e.key])
		}
	}
}

func TestHistogramQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 1))
	var whole, part histogram
	var all []int64
	for index := range 50_000 {
		value := int64(math.Exp(random.Float64() * 18)) // 1 µs to a minute
		all = append(all, value)
		[]*histogram{&whole, &part}[index%2].add(value, 1)
	}
	whole.merge(&part)
	slices.Sort(all)
	for _, share := range []float64{0, 0.01, 0.5, 0.95, 0.99, 1} {
		want := float64(all[int(share*float64(len(all)-1))])
		if got := float64(whole.quantile(share)); math.Abs(got-want) > want/16+1 {
			t.Errorf("quantile(%v) = %v, want %v within one part in 16", share, got, want)
		}
	}
	if whole.max != all[len(all)-1] || whole.count != 50_000 {
		t.Errorf("max %d and count %d, want %d and 50000", whole.max, whole.count, all[len(all)-1])
	}
	var ages histogram
	ages.add(maxSeconds*1_000_000, 1)
	if got := ages.quantile(0.5); got != maxSeconds*1_000_000 {
		t.Errorf("quantile of what is beyond the last bucket = %d, want the greatest", got)
	}
}

func TestBucketsFollowEachOther(t *testing.T) {
	for bucket := range bucketCount - 1 {
		start, next := bucketStart(bucket), bucketStart(bucket+1)
		if bucketOf(start) != bucket || bucketOf(next-1) != bucket || next <= start {
			t.Errorf("bucket %d is from %d to %d, which lie in %d and %d", bucket, start, next, bucketOf(start), bucketOf(next-1))
		}
	}
}

// A timeline keeps every count when its bins become wider, in whatever order
// the times come.
func TestTimelineBecomesWider(t *testing.T) {
	first, second := newTimeline(), newTimeline()
	random := rand.New(rand.NewPCG(5, 1))
	for range 150_000 {
		first.at(start.Add(time.Duration(random.Int64N(int64(30*24*time.Hour)))).UnixMicro()).queries++
	}
	second.at(start.UnixMicro()).queries++
	second.merge(first)
	var sum uint64
	for _, b := range second.bins {
		sum += b.queries
	}
	if second.width() != 60 || len(second.bins) > maxBins || sum != 150_001 {
		t.Errorf("%d bins of %d s with %d queries, want at most %d of 60 s with 150001", len(second.bins), second.width(), sum, maxBins)
	}
	line := second.buckets(start, start.Add(30*24*time.Hour))
	var told uint64
	for _, b := range line.Buckets {
		told += b.Queries
	}
	if told != 150_001 || line.StepSeconds != 21600+21600 && line.StepSeconds != 21600 || len(line.Buckets) > maxBuckets+1 {
		t.Errorf("%d buckets of %d s with %d queries", len(line.Buckets), line.StepSeconds, told)
	}
}

func TestGaps(t *testing.T) {
	tests := []struct {
		name      string
		perSecond func(second int) int
		want      string
	}{
		{"a steady log", func(int) int { return 3 }, "[]"},
		{"a minute's silence", func(second int) int {
			if second >= 600 && second < 660 {
				return 0
			}
			return 5
		}, "[03:10:00-03:11:00 300]"},
		{"a quiet log is silent by chance", func(second int) int {
			if second%30 == 0 {
				return 1
			}
			return 0
		}, "[]"},
		{"no queries before the first and after the last", func(second int) int {
			if second < 600 || second > 900 {
				return 0
			}
			return 100
		}, "[]"},
		{"two seconds are no gap", func(second int) int {
			if second == 600 || second == 601 {
				return 0
			}
			return 1000
		}, "[]"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			times := newTimeline()
			for second := range 1800 {
				if lines := tc.perSecond(second); lines > 0 {
					times.at(start.Add(time.Duration(second) * time.Second).UnixMicro()).lines += uint64(lines)
				}
			}
			got := []string{}
			for _, gap := range times.gaps() {
				got = append(got, fmt.Sprintf("%s-%s %d", gap.From.Format(time.TimeOnly), gap.To.Format(time.TimeOnly), gap.Expected))
			}
			if fmt.Sprint(got) != tc.want {
				t.Errorf("gaps() = %v, want %s", got, tc.want)
			}
		})
	}
}

// Whatever the log holds, the tallies stay small.
func TestMemoryIsBounded(t *testing.T) {
	tallied := newTally(newSelection(Options{}))
	random := rand.New(rand.NewPCG(6, 1))
	for range 6_000 {
		r := recordAt(start.Add(time.Duration(random.Int64N(int64(1e18)))), random)
		r.Name = fmt.Sprintf("%d-%0400d.example.org.", random.Uint64(), 0)
		r.Error = fmt.Sprintf(`group "x": 10.0.0.%d:53/udp %d`, random.IntN(250), random.Uint64())
		r.PolicyRule = []string{"direct-lookup", "override", "must-be-private"}[random.IntN(3)]
		r.Verdict, r.Fallback = "missing", "missing"
		content := querylog.AppendJSON(nil, r)
		if err := tallied.addLine(content[:len(content)-1]); err != nil {
			t.Fatal(err)
		}
	}
	if len(tallied.slow.entries) != slowKeys || len(tallied.faultNames.entries) != manyKeys || len(tallied.timeline.bins) > maxBins {
		t.Errorf("%d slow names, %d faults, %d bins", len(tallied.slow.entries), len(tallied.faultNames.entries), len(tallied.timeline.bins))
	}
	for _, e := range tallied.slow.entries {
		if len(e.key) > maxKeyPart {
			t.Fatalf("a key has %d bytes, want at most %d", len(e.key), maxKeyPart)
		}
	}
}
