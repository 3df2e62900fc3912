package privatelink

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// flights shares one upstream question among all who ask it at the same time.
// It is safe for concurrent use; the zero value is ready.
type flights[K comparable, V any] struct {
	mutex   sync.Mutex
	pending map[K]*flight[V]
}

// flight is one question on its way.
type flight[V any] struct {
	landed chan struct{}
	value  V
	err    error
	// urgent is closed when somebody waits; nil where that changes nothing.
	urgent chan struct{}
	hurry  sync.Once
}

// join returns the flight of a key: the one that is on its way, or a new one
// that runs ask in a goroutine of its own. Ask must bound itself: no waiter
// can cancel it, for others may wait too. Shared reports that somebody else
// had asked already.
func (f *flights[K, V]) join(key K, ask func() (V, error)) (joined *flight[V], shared bool) {
	if joined, shared = f.board(key, nil); !shared {
		go f.run(key, joined, ask)
	}
	return joined, shared
}

// board is join for a caller who runs a new flight himself, which he must. Urgent, which
// may be nil, is for him to know when somebody waits for a flight that nobody did before.
func (f *flights[K, V]) board(key K, urgent chan struct{}) (joined *flight[V], shared bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if pending, exists := f.pending[key]; exists {
		return pending, true
	}
	if f.pending == nil {
		f.pending = map[K]*flight[V]{}
	}
	started := &flight[V]{landed: make(chan struct{}), urgent: urgent}
	f.pending[key] = started
	return started, false
}

// run asks. It returns when the flight has landed.
func (f *flights[K, V]) run(key K, started *flight[V], ask func() (V, error)) {
	defer func() {
		if cause := recover(); cause != nil {
			started.err = fmt.Errorf("panic while asking upstream: %v", cause)
		}
		f.mutex.Lock()
		delete(f.pending, key)
		f.mutex.Unlock()
		close(started.landed)
	}()
	started.value, started.err = ask()
}

// isAwaited says that somebody waits for the flight now.
func (f *flight[V]) isAwaited() {
	if f.urgent != nil {
		f.hurry.Do(func() { close(f.urgent) })
	}
}

// hasLanded reports whether wait would not have to wait.
func (f *flight[V]) hasLanded() bool {
	select {
	case <-f.landed:
		return true
	default:
		return false
	}
}

// wait returns what the flight brought, or the context's error when its time
// is up first; the flight goes on.
func (f *flight[V]) wait(ctx context.Context) (V, error) { return f.waitUnless(ctx, nil) }

// errInterrupted says that something came up while a flight was waited for.
var errInterrupted = errors.New("interrupted")

// waitUnless is wait, and returns errInterrupted as soon as interrupted is closed.
func (f *flight[V]) waitUnless(ctx context.Context, interrupted <-chan struct{}) (V, error) {
	var nothing V
	select {
	case <-f.landed:
		return f.value, f.err
	case <-interrupted:
		return nothing, errInterrupted
	case <-ctx.Done():
		return nothing, ctx.Err()
	}
}
