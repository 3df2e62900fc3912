package privatelink

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/privatelink-dns/privatelink-dns/plugin/ratelimit"
)

const (
	// followTime is how soon a client comes by TCP that was told to, if it can: clients
	// give up after 5 s.
	followTime = 10 * time.Second
	// silentTimes is how many truncated answers a network must have been sent, without
	// having come by TCP, to be told of. One may have been nobody's any more.
	silentTimes = 3
	// silentInterval is how often the same network is told of.
	silentInterval = time.Hour
	// maxSilent bounds the memory of networks: those that were sent something last.
	maxSilent = 1024
)

// truncations remember the client networks that were sent truncated answers and have
// not come by TCP since: TCP to port 53 may be blocked there. They are the process's.
// They are safe for concurrent use; the zero value is ready.
type truncations struct {
	// sent counts truncated answers, unfollowed those after which nobody came.
	sent, unfollowed atomic.Uint64
	// waiting is how many networks are remembered, so that a query by TCP needs no lock
	// while none is.
	waiting atomic.Int32

	mutex    sync.Mutex
	networks *simplelru.LRU[netip.Prefix, *truncation]
}

// truncation is what is known of a network.
type truncation struct {
	// since is when it was sent the first truncated answer that it did not follow.
	since time.Time
	// fresh are answers that may be followed yet, the first of them sent at freshSince;
	// silent are those that were not followed.
	fresh, silent int
	freshSince    time.Time
	told          time.Time
}

// truncated takes in that a client was sent a truncated answer.
func (t *truncations) truncated(client netip.Addr, now time.Time) {
	t.sent.Add(1)
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.networks == nil {
		t.networks, _ = simplelru.NewLRU[netip.Prefix, *truncation](maxSilent, nil) // fails for no size only
	}
	network := ratelimit.NetworkOf(client)
	known, exists := t.networks.Get(network)
	if !exists {
		known = &truncation{since: now}
		t.networks.Add(network, known)
	}
	if known.fresh++; known.fresh == 1 {
		known.freshSince = now
	}
	t.waiting.Store(int32(t.networks.Len()))
}

// came takes in that a client came by TCP.
func (t *truncations) came(client netip.Addr) {
	if t.waiting.Load() == 0 {
		return
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.networks.Remove(ratelimit.NetworkOf(client))
	t.waiting.Store(int32(t.networks.Len()))
}

// silentNetwork is a network that does not come by TCP.
type silentNetwork struct {
	network netip.Prefix
	answers int
	since   time.Time
}

// due counts the answers that nobody will follow any more, and returns the networks
// that the operator is to be told of.
func (t *truncations) due(now time.Time) []silentNetwork {
	if t.waiting.Load() == 0 {
		return nil
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	var all []silentNetwork
	for _, network := range t.networks.Keys() {
		known, _ := t.networks.Peek(network)
		if known.fresh == 0 || now.Sub(known.freshSince) < followTime {
			continue
		}
		t.unfollowed.Add(uint64(known.fresh))
		known.silent, known.fresh = known.silent+known.fresh, 0
		if known.silent >= silentTimes && now.Sub(known.told) >= silentInterval {
			known.told = now
			all = append(all, silentNetwork{network, known.silent, known.since})
		}
	}
	return all
}

// tellSilentNetworks tells the operator of networks that do not come by TCP.
func (r *running) tellSilentNetworks(now time.Time) {
	for _, each := range r.shared.truncations.due(now) {
		r.log.Warningf("clients in %s were sent %d truncated answers since %s and never came by TCP: is TCP to port 53 blocked on their way here?",
			each.network, each.answers, each.since.Format(time.TimeOnly))
	}
}
