package privatelink

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/privatelink-dns/privatelink-dns/plugin/ratelimit"
)

// maxWaiting bounds the queries that wait for an upstream at once: with some 10 KB
// each, four seconds of a storm of new names at 4,000 a second.
const maxWaiting = 16384

// maxResting bounds the goroutines that are kept for the next query to wait: with some
// 16 KB of stack each.
const maxResting = 256

// shares is in how many places client networks are counted, each in one that nobody can
// foresee: a few networks that fill theirs share them with few others.
const shares = 1024

// waiting counts the queries that wait, each in a goroutine. None may wait for a network
// that has as many waiting as there is room left: one alone takes half of it, ten take a
// tenth each of nearly all, and there is always room for another. It is safe for
// concurrent use; the zero value is ready.
type waiting struct {
	mutex sync.Mutex
	count int
	// share is count by the network; key, with which a network finds its place, is made
	// for the first query.
	share [shares]uint16
	key   maphash.Seed
	// empty is closed when nobody waits any more; nil unless somebody wants to know.
	empty chan struct{}
	// total counts all that ever waited; nil where nobody wants to know.
	total *atomic.Uint64

	// tasks reaches the goroutines that rest; nil before the first query.
	tasks   chan task
	resting atomic.Int32
}

// task is a query to be waited for, and the place where its network is counted.
type task struct {
	wait  func()
	place int
}

// do has a query of a client waited for, in a goroutine. It reports false where too many
// wait already, or no more may.
func (w *waiting) do(client netip.Addr, wait func()) bool {
	place, entered := w.enter(ratelimit.NetworkOf(client))
	if !entered {
		return false
	}
	select {
	case w.tasks <- task{wait, place}:
	default:
		go w.work(task{wait, place})
	}
	return true
}

// work waits for one query after the other: a goroutine that has waited for one has a
// stack that is large enough for the next. To grow it is a fifth of the work of a miss.
func (w *waiting) work(next task) {
	for more := true; more; next, more = w.rest() {
		w.one(next)
	}
}

func (w *waiting) one(t task) {
	defer w.leave(t.place)
	t.wait()
}

// rest returns the next query to wait for, false where there will be none, or enough
// others rest.
func (w *waiting) rest() (next task, more bool) {
	defer w.resting.Add(-1)
	if w.resting.Add(1) > maxResting {
		return task{}, false
	}
	next, more = <-w.tasks
	return next, more
}

// enter reports false where too many wait already, or no more may, and else where the
// network is counted.
func (w *waiting) enter(network netip.Prefix) (place int, entered bool) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.empty != nil {
		return 0, false
	}
	if w.tasks == nil {
		w.tasks, w.key = make(chan task), maphash.MakeSeed()
	}
	address := network.Addr().As16()
	place = int(maphash.Bytes(w.key, address[:]) % shares)
	if int(w.share[place]) >= maxWaiting-w.count {
		return 0, false
	}
	w.share[place]++
	w.count++
	if w.total != nil {
		w.total.Add(1)
	}
	return place, true
}

// now returns how many wait.
func (w *waiting) now() int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.count
}

func (w *waiting) leave(place int) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.share[place]--
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
