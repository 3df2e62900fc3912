package privatelink

import (
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Goroutines are used again, no more of them are kept than may be, and all end. A
// bubble fails where a goroutine is left over.
func TestGoroutinesThatWaitAreUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w waiting
		const queries = 3 * maxResting
		for range 2 {
			for range queries {
				if !w.do(clientPeer.Remote.Addr(), func() { time.Sleep(time.Second) }) {
					t.Fatal("a query may not wait, want it to")
				}
			}
			time.Sleep(2 * time.Second) // virtual
			if waits, rest := w.now(), w.resting.Load(); waits != 0 || rest != maxResting {
				t.Errorf("%d wait and %d goroutines rest, want 0 and %d", waits, rest, maxResting)
			}
		}
		w.end()
		if w.do(clientPeer.Remote.Addr(), func() {}) {
			t.Error("a query may wait after the end")
		}
	})
}

// fill has queries of a network wait until none may any more, and returns their places.
func (w *waiting) fill(network netip.Prefix) (taken []int) {
	for {
		place, entered := w.enter(network)
		if !entered {
			return taken
		}
		taken = append(taken, place)
	}
}

// fillUp leaves no room to anybody.
func (w *waiting) fillUp() {
	for index := range 256 {
		w.fill(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(index), 0, 0}), 24))
	}
}

// A network takes what it leaves to others at most, so that there is room for another one.
func TestNoNetworkTakesAllTheRoom(t *testing.T) {
	var w waiting
	first, second := netip.MustParsePrefix("10.1.0.0/24"), netip.MustParsePrefix("10.2.0.0/24")
	taken := w.fill(first)
	if len(taken) != maxWaiting/2 {
		t.Errorf("one network has %d queries waiting, want %d", len(taken), maxWaiting/2)
	}
	if more := w.fill(second); len(more) != maxWaiting/4 && len(more) > 0 { // none if they share a place
		t.Errorf("another has %d queries waiting beside it, want %d", len(more), maxWaiting/4)
	}
	for _, place := range taken {
		w.leave(place)
	}
	if again := w.fill(first); len(again) < maxWaiting/3 {
		t.Errorf("one that had left has %d queries waiting, want %d at least", len(again), maxWaiting/3)
	}
	if w.fillUp(); w.now() != maxWaiting {
		t.Errorf("%d queries of many networks wait, want %d", w.now(), maxWaiting)
	}
}

// TestNobodyWaitsAfterTheEnd ends what nobody has waited in, while somebody tries to.
func TestNobodyWaitsAfterTheEnd(t *testing.T) {
	client := netip.MustParseAddr("192.0.2.1")
	for range 200 {
		var w waiting
		var both sync.WaitGroup
		both.Go(w.end)
		both.Go(func() { w.do(client, func() {}) })
		both.Wait()
		if w.do(client, func() {}) {
			t.Fatal("a query may wait after the end")
		}
	}
}
