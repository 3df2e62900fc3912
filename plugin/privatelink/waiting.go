package privatelink

import (
	"sync"
	"sync/atomic"
)

// maxWaiting bounds the queries that wait for an upstream at once: with some 10 KB
// each, four seconds of a storm of new names at 4,000 a second.
const maxWaiting = 16384

// waiting counts the queries that wait. It is safe for concurrent use; the zero
// value is ready.
type waiting struct {
	mutex sync.Mutex
	count int
	// empty is closed when nobody waits any more; nil unless somebody wants to know.
	empty chan struct{}
	// total counts all that ever waited; nil where nobody wants to know.
	total *atomic.Uint64
}

// enter reports false where too many wait already, or no more may.
func (w *waiting) enter() bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.count == maxWaiting || w.empty != nil {
		return false
	}
	w.count++
	if w.total != nil {
		w.total.Add(1)
	}
	return true
}

// now returns how many wait.
func (w *waiting) now() int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.count
}

func (w *waiting) leave() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.count--
	if w.count == 0 && w.empty != nil {
		close(w.empty)
	}
}

// end lets nobody enter any more, and returns when the last has left. It must be
// called once at most.
func (w *waiting) end() {
	w.mutex.Lock()
	w.empty = make(chan struct{})
	if w.count == 0 {
		close(w.empty)
	}
	w.mutex.Unlock()
	<-w.empty
}
