package azuresim

import (
	"sync"
	"time"
)

// quota is what Azure grants to one account. 0 stands for no limit.
type quota struct {
	perSecond   int // questions heard in any one second
	outstanding int // questions heard and not yet answered
}

// limits are the quotas in force, one for each kind of account.
type limits struct {
	machine  quota // a virtual machine that asks 168.63.129.16
	endpoint quota // an inbound endpoint, shared by everyone who asks it
}

// azureLimits are the published figures of 168.63.129.16 and of a Private
// Resolver's endpoint:
// https://learn.microsoft.com/azure/azure-resource-manager/management/azure-subscription-service-limits.
func azureLimits() limits {
	return limits{machine: quota{1000, 200}, endpoint: quota{10000, 0}}
}

func (l limits) of(who account) quota {
	if who.endpoint {
		return l.endpoint
	}
	return l.machine
}

// limiter counts what every account asks and says what goes beyond its quota.
// It may be used by goroutines at once.
type limiter struct {
	limits limits
	start  time.Time // windows count from here, on the monotonic clock

	mu          sync.Mutex
	accounts    map[account]*usage
	outstanding int
	peaks       peaks
}

// usage is the recent past of one account.
type usage struct {
	asked       window // all questions, also those that were dropped
	heard       window // those that were not
	outstanding int
}

// peaks are the highest figures that any one account reached.
type peaks struct {
	perSecond   int // questions asked within one second
	outstanding int // questions heard and not yet answered
}

const (
	// maxAccounts bounds the memory for accounts, at 8 KB each. Accounts
	// beyond it share one, unless others have fallen silent.
	maxAccounts = 4096
	// maxOutstanding bounds the goroutines that wait, with limits off and a
	// long latency.
	maxOutstanding = 1 << 16
)

func newLimiter(l limits, now time.Time) *limiter {
	return &limiter{limits: l, start: now, accounts: make(map[account]*usage)}
}

// admit counts a question of who at now. If it is within the quota the
// outcome is answered, and done must be called once with what admit returned;
// otherwise the outcome says which limit it broke and usage is nil.
func (l *limiter) admit(who account, now time.Time) (*usage, outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := now.Sub(l.start).Milliseconds()
	u := l.usage(who, at)
	granted := l.limits.of(who)
	u.asked.add(at)
	l.peaks.perSecond = max(l.peaks.perSecond, u.asked.sum)
	u.heard.advance(at)
	switch {
	case granted.perSecond > 0 && u.heard.sum >= granted.perSecond:
		return nil, droppedRate
	case granted.outstanding > 0 && u.outstanding >= granted.outstanding, l.outstanding >= maxOutstanding:
		return nil, droppedOutstanding
	}
	u.heard.add(at)
	u.outstanding++
	l.outstanding++
	l.peaks.outstanding = max(l.peaks.outstanding, u.outstanding)
	return u, answered
}

// done ends the time that an admitted question was outstanding.
func (l *limiter) done(u *usage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u.outstanding--
	l.outstanding--
}

// peak returns the highest figures so far.
func (l *limiter) peak() peaks {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peaks
}

// usage returns the account's counters and makes them if need be. The caller
// holds the lock.
func (l *limiter) usage(who account, at int64) *usage {
	if u, ok := l.accounts[who]; ok {
		return u
	}
	if len(l.accounts) >= maxAccounts {
		l.forget(at)
	}
	if len(l.accounts) >= maxAccounts {
		who = account{endpoint: who.endpoint}
		if u, ok := l.accounts[who]; ok {
			return u
		}
	}
	u := new(usage)
	l.accounts[who] = u
	return u
}

// forget drops the accounts that ask nothing and wait for nothing.
func (l *limiter) forget(at int64) {
	for who, u := range l.accounts {
		u.asked.advance(at)
		if u.asked.sum == 0 && u.outstanding == 0 {
			delete(l.accounts, who)
		}
	}
}

// windowLength is the number of milliseconds in a window.
const windowLength = 1000

// window counts events in the last second: in the current millisecond and the
// 999 before it. So it never counts two events that lie a second apart, and
// may miss events of less than the last millisecond of that second. Its
// memory does not depend on the rate. Times are milliseconds since any fixed
// moment; one before the latest is taken for the latest.
type window struct {
	counts [windowLength]uint32
	sum    int
	latest int64
}

// advance drops the events that have left the window at time at.
func (w *window) advance(at int64) {
	for steps := min(at-w.latest, windowLength); steps > 0; steps-- {
		slot := &w.counts[(at-steps+1)%windowLength]
		w.sum -= int(*slot)
		*slot = 0
	}
	w.latest = max(w.latest, at)
}

// add counts one event at time at.
func (w *window) add(at int64) {
	w.advance(at)
	w.counts[w.latest%windowLength]++
	w.sum++
}
