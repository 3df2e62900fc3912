package privatelink

import (
	"sync"
	"sync/atomic"
)

// maxWaiting bounds the queries that wait for an upstream at once: with some 10 KB
// each, four seconds of a storm of new names at 4,000 a second.
const maxWaiting = 16384

// maxResting bounds the goroutines that are kept for the next query to wait: with some
// 16 KB of stack each.
const maxResting = 256

// waiting counts the queries that wait, each in a goroutine. It is safe for concurrent
// use; the zero value is ready.
type waiting struct {
	mutex sync.Mutex
	count int
	// empty is closed when nobody waits any more; nil unless somebody wants to know.
	empty chan struct{}
	// total counts all that ever waited; nil where nobody wants to know.
	total *atomic.Uint64

	// tasks reaches the goroutines that rest; nil before the first query.
	tasks   chan func()
	resting atomic.Int32
}

// do has a query waited for, in a goroutine. It reports false where too many wait
// already, or no more may.
func (w *waiting) do(wait func()) bool {
	if !w.enter() {
		return false
	}
	select {
	case w.tasks <- wait:
	default:
		go w.work(wait)
	}
	return true
}

// work waits for one query after the other: a goroutine that has waited for one has a
// stack that is large enough for the next. To grow it is a fifth of the work of a miss.
func (w *waiting) work(wait func()) {
	for more := true; more; wait, more = w.rest() {
		w.one(wait)
	}
}

func (w *waiting) one(wait func()) {
	defer w.leave()
	wait()
}

// rest returns the next query to wait for, false where there will be none, or enough
// others rest.
func (w *waiting) rest() (wait func(), more bool) {
	defer w.resting.Add(-1)
	if w.resting.Add(1) > maxResting {
		return nil, false
	}
	wait, more = <-w.tasks
	return wait, more
}

// enter reports false where too many wait already, or no more may.
func (w *waiting) enter() bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.count == maxWaiting || w.empty != nil {
		return false
	}
	if w.tasks == nil {
		w.tasks = make(chan func())
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
	if w.tasks != nil {
		close(w.tasks)
	}
}
