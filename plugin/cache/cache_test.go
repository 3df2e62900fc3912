package cache

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

func mustMake(t testing.TB, key *Key, rcode int, at time.Time, answer, authority []string) Entry {
	t.Helper()
	entry, err := Make(key, replyOf(t, rcode, answer, authority), Meta{}, generous, at)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

func addressEntry(t testing.TB, key *Key, ttl int, at time.Time) Entry {
	t.Helper()
	return mustMake(t, key, 0, at, []string{fmt.Sprintf("%s %d IN A 10.0.0.1", key.Question.Presentation(), ttl)}, nil)
}

func newCache() *Cache { return New(Limits{Entries: 1000}, 7) }

func expect(t *testing.T, c *Cache, key *Key, after time.Duration, want State) Hit {
	t.Helper()
	hit := c.Get(key, start.Add(after))
	if hit.State != want {
		t.Errorf("Get after %v = %v, want %v", after, hit.State, want)
	}
	if hit.Entry.Exists() != (want >= Fresh) {
		t.Errorf("Get after %v = %v with an entry %v", after, hit.State, hit.Entry.Exists())
	}
	return hit
}

func TestAnAnswerAges(t *testing.T) {
	c, key := newCache(), keyOf(t, db1, dns.TypeA)
	expect(t, c, key, 0, Miss)
	c.Put(addressEntry(t, key, 100, start))
	expect(t, c, key, 0, Fresh)
	expect(t, c, key, 90*time.Second-1, Fresh)
	expect(t, c, key, 90*time.Second, Due)
	expect(t, c, key, 100*time.Second-1, Due)
	expect(t, c, key, 100*time.Second, Stale)
	expect(t, c, key, time.Hour+100*time.Second-1, Stale)
	expect(t, c, key, time.Hour+100*time.Second, Miss)
	if c.Len() != 0 || c.Bytes() != 0 {
		t.Errorf("Len, Bytes = %d, %d after the end, want 0, 0", c.Len(), c.Bytes())
	}
}

func TestAnAnswerThatWasNotUsedIsNotDue(t *testing.T) {
	c, key := newCache(), keyOf(t, db1, dns.TypeA)
	c.Put(addressEntry(t, key, 10, start))
	expect(t, c, key, 9500*time.Millisecond, Fresh)
	expect(t, c, key, 9500*time.Millisecond, Due)
	c.Put(addressEntry(t, key, 10, start.Add(9*time.Second)))
	expect(t, c, key, 18500*time.Millisecond, Fresh)
}

func TestAClockSetBackMakesAMiss(t *testing.T) {
	c, key := newCache(), keyOf(t, db1, dns.TypeA)
	c.Put(addressEntry(t, key, 10, start))
	expect(t, c, key, -time.Minute, Fresh)
	expect(t, c, key, -time.Minute-1, Miss)
}

func TestKeysAreKeptApart(t *testing.T) {
	c, key := newCache(), keyOf(t, db1, dns.TypeA)
	c.Put(addressEntry(t, key, 10, start))
	others := map[string]func(*Key){
		"DO":   func(k *Key) { k.DO = true },
		"CD":   func(k *Key) { k.CD = true },
		"view": func(k *Key) { k.View = "inside" },
		"type": func(k *Key) { k.Question.Type = dns.TypeAAAA },
		"name": func(k *Key) { *k = *keyOf(t, "db2.database.windows.net.", dns.TypeA) },
	}
	for name, change := range others {
		t.Run(name, func(t *testing.T) {
			other := *key
			change(&other)
			expect(t, c, &other, 0, Miss)
		})
	}
	expect(t, c, key, 0, Fresh)
}

func TestACollisionIsAMiss(t *testing.T) {
	c, one, two := newCache(), keyOf(t, db1, dns.TypeA), keyOf(t, "db2.database.windows.net.", dns.TypeA)
	s := c.shards[0]
	s.putAnswer(42, addressEntry(t, one, 10, start))
	if hit := s.get(42, two, start.UnixNano()); hit.State != Miss {
		t.Errorf("get of another question's hash = %v, want %v", hit.State, Miss)
	}
	if hit := s.get(42, one, start.UnixNano()); hit.State != Fresh {
		t.Errorf("get = %v, want %v", hit.State, Fresh)
	}
}

func TestAFailureHidesNoAnswer(t *testing.T) {
	c, key := newCache(), keyOf(t, db1, dns.TypeA)
	failure := func(at time.Duration) Entry { return mustMake(t, key, dns.RcodeServerFailure, start.Add(at), nil, nil) }
	c.Put(failure(0))
	if hit := expect(t, c, key, time.Second, Failed); !hit.Failure.Exists() || hit.Failure.Rcode() != dns.RcodeServerFailure {
		t.Errorf("Failure = %v", hit.Failure)
	}
	expect(t, c, key, 5*time.Second, Miss)

	c.Put(addressEntry(t, key, 10, start))
	expect(t, c, key, 0, Fresh)
	c.Put(failure(9500 * time.Millisecond))
	if hit := expect(t, c, key, 9600*time.Millisecond, Due); !hit.Failure.HeldUntil().Equal(start.Add(39500 * time.Millisecond)) {
		t.Errorf("HeldUntil = %v, want 30 s after the failure", hit.Failure.HeldUntil())
	}
	if hit := expect(t, c, key, 39*time.Second, Stale); !hit.Failure.Exists() {
		t.Error("29.5 s after a failed refresh the failure is forgotten")
	}
	if hit := expect(t, c, key, 40*time.Second, Stale); hit.Failure.Exists() {
		t.Error("30.5 s after a failed refresh it still counts")
	}
	c.Put(failure(41 * time.Second))
	c.Put(addressEntry(t, key, 10, start.Add(42*time.Second)))
	if hit := expect(t, c, key, 53*time.Second, Stale); hit.Failure.Exists() {
		t.Error("an answer did not end the failure")
	}
}

func TestWhatAnAnswerEnds(t *testing.T) {
	soa := []string{linkSOA, "windows.net. 60" + soaTail + "60"}
	tests := []struct {
		name      string
		rcode     int
		answer    []string
		authority []string
		same, do  State
	}{
		{"NXDOMAIN", dns.RcodeNameError, nil, soa[1:], Fresh, Miss},
		{"NXDOMAIN that is not kept", dns.RcodeNameError, nil, nil, Miss, Miss},
		{"TTL 0", 0, []string{db1 + " 0 IN A 10.0.0.1"}, nil, Miss, Fresh},
		{"an answer without an end", 0, []string{toLink}, nil, Fresh, Fresh},
		{"a failure", dns.RcodeServerFailure, nil, nil, Fresh, Fresh},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c, key := newCache(), keyOf(t, db1, dns.TypeA)
			withDO := *key
			withDO.DO = true
			c.Put(addressEntry(t, key, 10, start))
			c.Put(addressEntry(t, &withDO, 10, start))
			c.Put(mustMake(t, key, tc.rcode, start, tc.answer, tc.authority))
			expect(t, c, key, 0, tc.same)
			expect(t, c, &withDO, 0, tc.do)
		})
	}
}

func TestLimits(t *testing.T) {
	key := func(i int) *Key { return keyOf(t, fmt.Sprintf("n%03d.example.", i), dns.TypeA) }
	size := kept{entry: addressEntry(t, key(0), 10, start)}.size()
	tests := []struct {
		name   string
		limits Limits
		want   int
	}{
		{"entries", Limits{Entries: 3}, 3},
		{"bytes", Limits{Entries: 100, Bytes: 5*size + 1}, 5},
		{"both", Limits{Entries: 4, Bytes: 5 * size}, 4},
		{"no room at all", Limits{Entries: 4, Bytes: 1}, 0},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := New(tc.limits, 1)
			for i := range 10 {
				c.Put(addressEntry(t, key(i), 10, start))
				c.Get(key(0), start)
			}
			if c.Len() != tc.want || c.Bytes() != int64(tc.want)*size {
				t.Errorf("Len, Bytes = %d, %d, want %d, %d", c.Len(), c.Bytes(), tc.want, int64(tc.want)*size)
			}
			if tc.want > 0 {
				expect(t, c, key(0), 0, Fresh) // in use all the time
				expect(t, c, key(10-tc.want), 0, Miss)
				expect(t, c, key(9), 0, Fresh)
			}
			if stats := c.Stats(); stats.EvictedByEntries+stats.EvictedByBytes != uint64(10-tc.want) {
				t.Errorf("Stats = %+v, want %d put out", stats, 10-tc.want)
			}
		})
	}
}

func TestFailuresGoBeforeAnswers(t *testing.T) {
	key, failed := keyOf(t, "n000.example.", dns.TypeA), keyOf(t, "n001.example.", dns.TypeA)
	answer := addressEntry(t, key, 10, start)
	c := New(Limits{Entries: 100, Bytes: 2*kept{entry: answer}.size() - 1}, 1)
	c.Put(answer)
	c.Put(mustMake(t, failed, dns.RcodeServerFailure, start, nil, nil))
	expect(t, c, failed, 0, Failed)
	c.Put(addressEntry(t, keyOf(t, "n2.example.", dns.TypeA), 10, start))
	expect(t, c, failed, 0, Miss)
}

func TestLookupAndFlush(t *testing.T) {
	names := []string{"a.example.", "b.a.example.", "xa.example.", "example.", "a.other."}
	tests := []struct {
		name   string
		flush  string
		suffix bool
		want   int
	}{
		{"a name, in both its types and its failure", "A.example.", false, 3},
		{"a suffix", "a.example.", true, 6},
		{"a suffix, at labels only", "example.", true, 12},
		{"everything", ".", true, 15},
		{"nothing", "c.example.", false, 0},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := New(Limits{Entries: 10_000}, 1)
			for _, name := range names {
				c.Put(addressEntry(t, keyOf(t, name, dns.TypeA), 10, start))
				text := keyOf(t, name, dns.TypeTXT)
				c.Put(mustMake(t, text, 0, start, []string{name + " 10 IN TXT x"}, nil))
				c.Put(mustMake(t, text, dns.RcodeServerFailure, start, nil, nil))
			}
			if found, err := c.Lookup("A.Example."); err != nil || len(found) != 3 {
				t.Errorf("Lookup = %d entries, %v, want 3", len(found), err)
			}
			flushed, err := c.Flush(tc.flush, tc.suffix)
			stats := c.Stats()
			if err != nil || flushed.Own != tc.want || len(flushed.Through) > 0 || stats.Entries+stats.Failures != 15-tc.want || stats.Flushed != uint64(tc.want) {
				t.Errorf("Flush(%q, %v) = %+v, %v, want %d; Stats = %+v", tc.flush, tc.suffix, flushed, err, tc.want, stats)
			}
		})
	}
	if _, err := newCache().Flush("no..name.", false); err == nil {
		t.Error("Flush of what is no name gave no error")
	}
}

func TestAFailureKeepsItsReason(t *testing.T) {
	key := keyOf(t, db1, dns.TypeA)
	failure := mustMake(t, key, dns.RcodeServerFailure, start, nil, nil)
	long := strings.Repeat("é", 200)
	for _, tc := range []struct{ name, reason, want string }{
		{"none", "", ""},
		{"a short one", "10.0.0.4:53/udp no reply", "10.0.0.4:53/udp no reply"},
		{"a long one", long, long[:254]},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCache()
			c.Put(failure.WithReason("another").WithReason(tc.reason))
			kept := expect(t, c, key, time.Second, Failed).Failure
			if got := string(kept.AppendReason(nil)); got != tc.want {
				t.Errorf("AppendReason() = %q, want %q", got, tc.want)
			}
			if string(kept.Message()) != string(failure.Message()) || !wire.Whole(kept.Message()) {
				t.Errorf("Message() = %x with a reason, want %x", kept.Message(), failure.Message())
			}
		})
	}
	answer := addressEntry(t, key, 10, start)
	if told := answer.WithReason("x"); !told.Same(answer) || len(told.AppendReason(nil)) > 0 {
		t.Error("an answer was given a reason")
	}
}

func TestConcurrentUse(t *testing.T) {
	c := New(Limits{Entries: 50, Bytes: 20_000}, 1)
	entries := make([]Entry, 100)
	keys := make([]*Key, len(entries))
	for i := range entries {
		keys[i] = keyOf(t, fmt.Sprintf("n%d.example.", i), dns.TypeA)
		entries[i] = addressEntry(t, keys[i], 10, start)
	}
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			query := wire.Query{Size: wire.MinimumSize}
			for i := range 1000 {
				at := (i*7 + worker) % len(entries)
				c.Put(entries[at])
				if hit := c.Get(keys[at], start.Add(time.Duration(i)*10*time.Millisecond)); hit.Entry.Exists() {
					query.Question = keys[at].Question
					_ = wire.AppendReply(nil, hit.Entry.Message(), &query, wire.Presentation{})
				}
				if i%100 == 0 {
					_, _ = c.Flush("n1.example.", false)
					_ = c.Stats()
				}
			}
		})
	}
	group.Wait()
	if c.Len() == 0 || c.Len() > 50 || c.Bytes() > 20_000 {
		t.Errorf("Len, Bytes = %d, %d, want within the limits", c.Len(), c.Bytes())
	}
}

func TestAHitAllocatesNothing(t *testing.T) {
	c, key := newCache(), keyOf(t, db1, dns.TypeA)
	c.Put(mustMake(t, key, 0, start, []string{toLink, atLink}, nil))
	c.Put(mustMake(t, key, dns.RcodeServerFailure, start, nil, nil))
	query := wire.Query{Question: key.Question, Size: wire.MinimumSize}
	buffer := make([]byte, 0, wire.AdvertisedSize)
	for name, after := range map[string]time.Duration{"fresh": time.Second, "due": 9500 * time.Millisecond, "stale": 20 * time.Second} {
		t.Run(name, func(t *testing.T) {
			now := start.Add(after)
			allocations := testing.AllocsPerRun(100, func() {
				asked := KeyOf(&query, "")
				hit := c.Get(&asked, now)
				buffer = wire.AppendReply(buffer[:0], hit.Entry.Message(), &query, wire.Presentation{Age: hit.Entry.Age(now)})
			})
			if allocations != 0 {
				t.Errorf("a hit allocates %v times, want 0", allocations)
			}
		})
	}
}
