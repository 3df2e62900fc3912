package azuresim

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// faults are what the Corefile makes go wrong.
type faults struct {
	dead     bool          // no answer to anything
	latency  time.Duration // every answer waits so long
	jitter   time.Duration // and up to so long more, evenly spread
	loss     float64       // percent of UDP questions that get no answer
	servfail float64       // percent of questions answered with SERVFAIL
}

// maxLatency bounds latency and jitter. No client waits longer, and every
// waiting answer is a goroutine.
const maxLatency = time.Minute

// dice decides by chance. It may be used by goroutines at once; with the same
// seed it falls the same way.
type dice struct {
	mu     sync.Mutex
	random *rand.Rand
}

func newDice(seed uint64) *dice {
	return &dice{random: rand.New(rand.NewPCG(seed, 0))}
}

// hits reports true in percent of the cases.
func (d *dice) hits(percent float64) bool {
	if percent <= 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.random.Float64()*100 < percent
}

// delay returns how long an answer waits.
func (d *dice) delay(f faults) time.Duration {
	if f.jitter <= 0 {
		return f.latency
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return f.latency + time.Duration(d.random.Int64N(int64(f.jitter)+1))
}

// pause waits, and reports false if ctx or stopped ended it early.
func pause(ctx context.Context, wait time.Duration, stopped <-chan struct{}) bool {
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-stopped:
	}
	return false
}
