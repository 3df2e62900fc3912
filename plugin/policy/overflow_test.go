package policy

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// neighbours returns clients whose grants for name share a bucket with that of
// one client.
func neighbours(t testing.TB, m *ChaseMemory, client netip.Addr, name string, count int) []netip.Addr {
	t.Helper()
	bucket, _ := m.locate(client, name)
	var found []netip.Addr
	for number := uint32(0); len(found) < count; number++ {
		if number == 64*buckets {
			t.Fatalf("found %d of %d neighbours", len(found), count)
		}
		other := netip.AddrFrom4([4]byte{100, 64 | byte(number>>16), byte(number >> 8), byte(number)})
		if shared, _ := m.locate(other, name); &shared[0] == &bucket[0] {
			found = append(found, other)
		}
	}
	return found
}

// capacity is how many grants a bucket holds.
const capacity = bucketWords - 1

// A full bucket pushes out the entry that would expire first. Until that would
// have expired, nobody whose entry might be the one is told NotGiven.
func TestOverflowIsNeverSilent(t *testing.T) {
	m := settled()
	clients := append([]netip.Addr{asker}, neighbours(t, m, asker, chased, capacity+1)...)
	stranger := clients[capacity+1]
	for index, client := range clients[:capacity] {
		m.Remember(client, chased, time.Duration(60+10*index)*time.Second, noon)
	}
	for _, client := range clients[:capacity] {
		expectMemory(t, m, client, chased, noon, Remembered)
	}
	expectMemory(t, m, stranger, chased, noon, NotGiven)

	m.Remember(clients[capacity], chased, 300*time.Second, noon)
	pushedOut := noon.Add(65 * time.Second) // when the asker's grant would have ended
	expectMemory(t, m, asker, chased, noon, Forgotten)
	expectMemory(t, m, stranger, chased, noon, Forgotten)
	expectMemory(t, m, asker, chased, pushedOut.Add(-1), Forgotten)
	expectMemory(t, m, asker, chased, pushedOut, NotGiven)
	for _, client := range clients[1 : capacity+1] {
		expectMemory(t, m, client, chased, noon.Add(64*time.Second), Remembered)
	}
	// Other buckets have forgotten nothing.
	expectMemory(t, m, asker, "db2.privatelink.database.windows.net.", noon, NotGiven)
}

// What is pushed out later and would have lived longer prolongs the doubt; what
// would have lived shorter does not end it.
func TestOverflowAgain(t *testing.T) {
	tests := []struct {
		name string
		// held are the lifetimes of a full bucket's entries, in seconds, and
		// more those of the entries that overflow it; end is when the doubt ends.
		held [capacity]int
		more []int
		end  time.Duration
	}{
		{name: "one", held: [capacity]int{10, 20, 1000, 1000, 1000, 1000, 1000}, more: []int{2000}, end: 15 * time.Second},
		{name: "two", held: [capacity]int{20, 1000, 1000, 10, 1000, 1000, 1000}, more: []int{2000, 2000}, end: 25 * time.Second},
		{name: "three", held: [capacity]int{1000, 1000, 1000, 1000, 1000, 10, 20}, more: []int{2000, 3000, 2000}, end: 1005 * time.Second},
		{name: "a long one, then a short one", held: [capacity]int{1000, 1000, 1000, 1000, 1000, 1000, 1000}, more: []int{10, 2000}, end: 1005 * time.Second},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			m := settled()
			clients := neighbours(t, m, asker, chased, capacity+len(tc.more))
			for index, lifetime := range append(tc.held[:], tc.more...) {
				m.Remember(clients[index], chased, time.Duration(lifetime)*time.Second, noon)
			}
			expectMemory(t, m, asker, chased, noon.Add(tc.end-1), Forgotten)
			expectMemory(t, m, asker, chased, noon.Add(tc.end), NotGiven)
		})
	}
}

// The room of what has expired is used first, and that is no loss.
func TestExpiredEntriesMakeRoom(t *testing.T) {
	m := settled()
	clients := append([]netip.Addr{asker}, neighbours(t, m, asker, chased, 2*capacity)...)
	for index, client := range clients[:capacity] {
		lifetime := ttl
		if index%2 == 0 {
			lifetime = 10 * ttl
		}
		m.Remember(client, chased, lifetime, noon)
	}
	later := noon.Add(ttl + graceAfterCNAME)
	for _, client := range clients[capacity : capacity+capacity/2] {
		m.Remember(client, chased, ttl, later)
	}
	for index, client := range clients[:capacity+capacity/2] {
		want := Remembered
		if index < capacity && index%2 == 1 {
			want = NotGiven
		}
		expectMemory(t, m, client, chased, later, want)
	}
}

// Filled at random, until one bucket in twenty has overflowed, the memory still
// never says NotGiven of a grant that is alive.
func TestNeverForgetsSilently(t *testing.T) {
	m := settled()
	random := rand.New(rand.NewPCG(3, 4))
	const grants = memoryWords / 2
	client := func(number int) netip.Addr {
		return netip.AddrFrom4([4]byte{10, byte(number >> 16), byte(number >> 8), byte(number)})
	}
	ends := make([]time.Time, grants)
	for number := range grants {
		now := noon.Add(time.Duration(number) * time.Millisecond)
		lifetime := time.Duration(random.IntN(120)) * time.Second
		m.Remember(client(number), chased, lifetime, now)
		ends[number] = now.Add(lifetime + graceAfterCNAME)
	}
	now := noon.Add(grants * time.Millisecond)
	var counts [4]int
	for number, end := range ends {
		memory := m.Remembers(client(number), chased, now)
		if end.After(now) {
			counts[memory]++
		}
	}
	if counts[NotGiven] != 0 || counts[NothingYet] != 0 {
		t.Errorf("of the grants alive %d are NotGiven and %d NothingYet, want 0", counts[NotGiven], counts[NothingYet])
	}
	if counts[Remembered] == 0 || counts[Forgotten] == 0 {
		t.Errorf("of the grants alive %d are Remembered and %d Forgotten, want some of both", counts[Remembered], counts[Forgotten])
	}
}
