package privatelink

import (
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
				if !w.do(func() { time.Sleep(time.Second) }) {
					t.Fatal("a query may not wait, want it to")
				}
			}
			time.Sleep(2 * time.Second) // virtual
			if waits, rest := w.now(), w.resting.Load(); waits != 0 || rest != maxResting {
				t.Errorf("%d wait and %d goroutines rest, want 0 and %d", waits, rest, maxResting)
			}
		}
		w.end()
		if w.do(func() {}) {
			t.Error("a query may wait after the end")
		}
	})
}
