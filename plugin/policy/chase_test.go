package policy

import (
	"fmt"
	"math"
	"net/netip"
	"sync"
	"testing"
	"time"
)

const (
	chased = "db1.privatelink.database.windows.net."
	ttl    = time.Minute
)

var (
	asker = netip.MustParseAddr("10.30.0.4")
	// noon is a whole second, when the memory under test has long been started.
	noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
)

// settled returns a memory that is out of its first minute at noon.
func settled() *ChaseMemory { return NewChaseMemory(1, noon.Add(-time.Hour)) }

var memoryNames = []string{NotGiven: "NotGiven", Remembered: "Remembered", Forgotten: "Forgotten", NothingYet: "NothingYet"}

func expectMemory(t testing.TB, m *ChaseMemory, client netip.Addr, name string, now time.Time, want Memory) {
	t.Helper()
	if got := m.Remembers(client, name, now); got != want {
		t.Errorf("Remembers(%s, %q, noon + %v) = %s, want %s", client, name, now.Sub(noon), memoryNames[got], memoryNames[want])
	}
}

// A grant lives as long as the CNAME and the grace; not shorter by any part of
// a second, and longer by less than one.
func TestRememberedUntilCNAMEExpires(t *testing.T) {
	tests := []struct {
		name  string
		given time.Duration // after noon
		ttl   time.Duration
	}{
		{name: "the usual TTL", ttl: time.Minute},
		{name: "no TTL", ttl: 0},
		{name: "one second", ttl: time.Second},
		{name: "one nanosecond into the second", given: 1, ttl: time.Minute},
		{name: "in the middle of a second", given: 500 * time.Millisecond, ttl: time.Minute},
		{name: "at the end of a second", given: time.Second - 1, ttl: time.Minute},
		{name: "a fraction of a TTL", given: 300 * time.Millisecond, ttl: 10*time.Second + 900*time.Millisecond},
		{name: "a week", ttl: 7 * 24 * time.Hour},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			m := settled()
			given := noon.Add(tc.given)
			m.Remember(asker, chased, tc.ttl, given)
			end := given.Add(tc.ttl + 5*time.Second)
			expectMemory(t, m, asker, chased, given, Remembered)
			expectMemory(t, m, asker, chased, end.Add(-1), Remembered)
			expectMemory(t, m, asker, chased, end.Add(time.Second), NotGiven)
			if end.Equal(end.Truncate(time.Second)) {
				expectMemory(t, m, asker, chased, end, NotGiven)
			}
		})
	}
}

// miekg/dns hands over whatever 32 bits a server sends. No resolver keeps a
// record for longer than a week, and an absurd TTL must not wrap around into
// the past.
func TestRememberAbsurdTTL(t *testing.T) {
	for _, absurd := range []uint32{604801, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32 - uint32(noon.Unix()), math.MaxUint32 - 6, math.MaxUint32} {
		t.Run(fmt.Sprint(absurd), func(t *testing.T) {
			m := settled()
			m.Remember(asker, chased, time.Duration(absurd)*time.Second, noon)
			end := noon.Add(7*24*time.Hour + 5*time.Second)
			expectMemory(t, m, asker, chased, noon, Remembered)
			expectMemory(t, m, asker, chased, end.Add(-1), Remembered)
			expectMemory(t, m, asker, chased, end, NotGiven)
		})
	}
}

func TestRememberedPerClientAndName(t *testing.T) {
	m := settled()
	m.Remember(asker, chased, ttl, noon)
	m.Remember(netip.MustParseAddr("fe80::1%eth0"), chased, ttl, noon)
	tests := []struct {
		name   string
		client string
		qname  string
		want   Memory
	}{
		{name: "the same", client: "10.30.0.4", qname: chased, want: Remembered},
		{name: "the same client, IPv4-mapped", client: "::ffff:10.30.0.4", qname: chased, want: Remembered},
		{name: "another client", client: "10.30.0.5", qname: chased, want: NotGiven},
		{name: "a client of the other family", client: "::10.30.0.4", qname: chased, want: NotGiven},
		{name: "another name", client: "10.30.0.4", qname: "db2.privatelink.database.windows.net.", want: NotGiven},
		{name: "the zone of the name", client: "10.30.0.4", qname: "privatelink.database.windows.net.", want: NotGiven},
		{name: "a name below", client: "10.30.0.4", qname: "x." + chased, want: NotGiven},
		{name: "the public name", client: "10.30.0.4", qname: "db1.database.windows.net.", want: NotGiven},
		{name: "the root", client: "10.30.0.4", qname: ".", want: NotGiven},
		{name: "no name", client: "10.30.0.4", qname: "", want: NotGiven},
		{name: "a link-local client", client: "fe80::1%eth0", qname: chased, want: Remembered},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			expectMemory(t, m, netip.MustParseAddr(tc.client), tc.qname, noon, tc.want)
		})
	}
	t.Run("no address", func(t *testing.T) { expectMemory(t, m, netip.Addr{}, chased, noon, NotGiven) })
}

func TestRememberAgain(t *testing.T) {
	second := time.Second
	tests := []struct {
		name   string
		grants []struct{ at, ttl time.Duration }
		end    time.Duration
	}{
		{name: "later extends", grants: []struct{ at, ttl time.Duration }{{0, 60 * second}, {30 * second, 60 * second}}, end: 95 * second},
		{name: "an aged TTL does not shorten", grants: []struct{ at, ttl time.Duration }{{0, 60 * second}, {30 * second, 10 * second}}, end: 65 * second},
		{name: "a shorter one at once does not shorten", grants: []struct{ at, ttl time.Duration }{{0, 60 * second}, {0, 0}}, end: 65 * second},
		{name: "a longer one at once extends", grants: []struct{ at, ttl time.Duration }{{0, 0}, {0, 60 * second}}, end: 65 * second},
		{name: "after the first has expired", grants: []struct{ at, ttl time.Duration }{{0, 10 * second}, {100 * second, 10 * second}}, end: 115 * second},
		{name: "an answer that was delayed", grants: []struct{ at, ttl time.Duration }{{30 * second, 60 * second}, {0, 60 * second}}, end: 95 * second},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			m := settled()
			for _, grant := range tc.grants {
				m.Remember(asker, chased, grant.ttl, noon.Add(grant.at))
			}
			expectMemory(t, m, asker, chased, noon.Add(tc.end-1), Remembered)
			expectMemory(t, m, asker, chased, noon.Add(tc.end), NotGiven)
		})
	}
}

// Renewing one grant a thousand times must not push out its neighbours.
func TestRememberAgainTakesNoRoom(t *testing.T) {
	m := settled()
	crowd := neighbours(t, m, asker, chased, bucketWords-2)
	for _, client := range crowd {
		m.Remember(client, chased, ttl, noon)
	}
	for step := range 1000 {
		m.Remember(asker, chased, ttl, noon.Add(time.Duration(step)*time.Millisecond))
	}
	for _, client := range append(crowd, asker) {
		expectMemory(t, m, client, chased, noon.Add(time.Second), Remembered)
	}
}

// Renewing a grant takes the room of the grant itself, not that of a
// neighbour's which has expired.
func TestRememberAgainLeavesExpiredRoom(t *testing.T) {
	m := settled()
	crowd := neighbours(t, m, asker, chased, capacity)
	m.Remember(crowd[0], chased, 0, noon)
	m.Remember(asker, chased, 10*ttl, noon)
	later := noon.Add(ttl)
	m.Remember(asker, chased, 10*ttl, later)
	for _, client := range crowd[1:] {
		m.Remember(client, chased, 10*ttl, later)
	}
	for _, client := range append(crowd[1:], asker) {
		expectMemory(t, m, client, chased, later, Remembered)
	}
	expectMemory(t, m, crowd[0], chased, later, NotGiven)
}

func TestFirstMinute(t *testing.T) {
	m := NewChaseMemory(1, noon)
	other := netip.MustParseAddr("10.30.0.5")
	m.Remember(other, chased, ttl, noon)
	expectMemory(t, m, asker, chased, noon, NothingYet)
	expectMemory(t, m, other, chased, noon, Remembered)
	expectMemory(t, m, asker, chased, noon.Add(time.Minute-1), NothingYet)
	expectMemory(t, m, asker, chased, noon.Add(time.Minute), NotGiven)
	expectMemory(t, m, other, chased, noon.Add(time.Minute), Remembered)
}

// Another seed lays the table out anew: who has found neighbours in one table
// has not in another.
func TestSeedMovesEntries(t *testing.T) {
	crowd := neighbours(t, settled(), asker, chased, capacity+1)
	other := NewChaseMemory(2, noon.Add(-time.Hour))
	other.Remember(asker, chased, ttl, noon)
	for _, client := range crowd {
		other.Remember(client, chased, 2*ttl, noon)
	}
	expectMemory(t, other, asker, chased, noon, Remembered)
}

// Writers and readers of the same few buckets: a grant, once given, is never
// denied while it lives.
func TestChaseMemoryConcurrently(t *testing.T) {
	m := settled()
	clients := append([]netip.Addr{asker}, neighbours(t, m, asker, chased, 2*capacity-1)...)
	var group sync.WaitGroup
	for _, client := range clients {
		group.Go(func() {
			for step := range 1000 {
				now := noon.Add(time.Duration(step) * time.Millisecond)
				m.Remember(client, chased, ttl, now)
				if got := m.Remembers(client, chased, now); got != Remembered && got != Forgotten {
					t.Errorf("Remembers(%s) = %s right after Remember, want Remembered or Forgotten", client, memoryNames[got])
					return
				}
			}
		})
	}
	// Fewer writers than a bucket holds: there nothing may be forgotten.
	calm := neighbours(t, m, asker, "quiet."+chased, capacity)
	for _, client := range calm {
		group.Go(func() {
			for step := range 1000 {
				now := noon.Add(time.Duration(step) * time.Millisecond)
				m.Remember(client, "quiet."+chased, ttl, now)
				if got := m.Remembers(client, "quiet."+chased, now); got != Remembered {
					t.Errorf("Remembers(%s) = %s right after Remember, want Remembered", client, memoryNames[got])
					return
				}
			}
		})
	}
	group.Go(func() {
		for range 3 {
			if _, err := RestoreChaseMemory(m.Snapshot(noon), noon); err != nil {
				t.Errorf("RestoreChaseMemory() = %v of a memory in use, want nil", err)
			}
		}
	})
	group.Wait()
}

// Clients that are given their first chains at once want the same room.
func TestRememberAtOnce(t *testing.T) {
	m := settled()
	clients := neighbours(t, m, asker, chased, capacity)
	bucket, _ := m.locate(asker, chased)
	for range 3000 {
		for index := range bucket {
			bucket[index].Store(0)
		}
		var group sync.WaitGroup
		for _, client := range clients {
			group.Go(func() { m.Remember(client, chased, ttl, noon) })
		}
		group.Wait()
		for _, client := range clients {
			expectMemory(t, m, client, chased, noon, Remembered)
		}
		if t.Failed() {
			return
		}
	}
}

func TestChaseMemoryDoesNotAllocate(t *testing.T) {
	m := settled()
	crowd := append([]netip.Addr{asker}, neighbours(t, m, asker, chased, 2*capacity)...)
	index := 0
	if got := testing.AllocsPerRun(1000, func() {
		index++
		m.Remember(crowd[index%len(crowd)], chased, ttl, noon)
	}); got != 0 {
		t.Errorf("Remember allocates %v times, want 0", got)
	}
	if got := testing.AllocsPerRun(1000, func() {
		index++
		m.Remembers(crowd[index%len(crowd)], chased, noon)
	}); got != 0 {
		t.Errorf("Remembers allocates %v times, want 0", got)
	}
}
