// Package ratelimit says which datagrams are too many: those of one client, and those
// of one network, that come faster than a number a second.
//
// It knows addresses, networks and the time it is told. It knows nothing of DNS: who is
// exempt, and what is replied, is for the caller to say.
package ratelimit

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/dchest/siphash"
)

// Limits are what is allowed, in datagrams a second, one second's worth of them at once.
// 0 is no limit. More than MaxPerSecond count as that.
type Limits struct {
	PerClient, PerNetwork int
}

// MaxPerSecond is the highest limit that can be kept to.
const MaxPerSecond = 1_000_000

// The lengths of what counts as one network: an IPv4 network is not announced smaller
// than a /24, and a /56 is what a site gets of IPv6 (RFC 6177 section 2). Who owns one
// can send from every address in it.
const (
	IPv4NetworkBits = 24
	IPv6NetworkBits = 56
)

// NetworkOf is the network that a client counts for. It is invalid for an address that
// is.
func NetworkOf(client netip.Addr) netip.Prefix {
	client = client.Unmap()
	bits := IPv6NetworkBits
	if client.Is4() {
		bits = IPv4NetworkBits
	}
	network, _ := client.Prefix(bits) // fails for more bits than there are only
	return network
}

// Verdict is what is to be done with a datagram.
type Verdict uint8

// The verdicts. Truncate and Drop take turns, for each client or network: who is real
// learns that it may come by another way, which who only pretends to be him cannot.
const (
	// Pass: it is within the limits.
	Pass Verdict = iota
	// Truncate: it is not, and is to be replied to with next to nothing.
	Truncate
	// Drop: it is not, and is not to be replied to.
	Drop
)

// Limiter counts what clients and networks send. It takes some 4 MiB, whatever
// happens: it forgets who may send a whole second's worth anyway and, where too many
// others were seen within moments, who is furthest from his limit. Then more passes than
// should, and never less.
//
// It takes no lock, allocates nothing, and is safe for concurrent use.
type Limiter struct {
	started           time.Time
	seed              [2]uint64
	clients, networks *table
	noticed           *table
	tallies           [tallies]tally
}

// tally is one of several counts of the same, so that processors do not wait for each
// other's: it takes a cache line.
type tally struct {
	counts [4]atomic.Uint64
	_      [32]byte
}

const tallies = 16

// The buckets of the tables, each a cache line of 8 clients or networks: 2 MiB, and
// 64 KiB for the networks that were noticed.
const (
	buckets        = 1 << 15
	noticedBuckets = 1 << 10
)

// NewLimiter returns a limiter that has seen nobody. The seed must be random: who knows
// it could choose addresses that push others out.
func NewLimiter(seed [2]uint64, now time.Time) *Limiter {
	return &Limiter{started: now, seed: seed, clients: newTable(buckets), networks: newTable(buckets), noticed: newTable(noticedBuckets)}
}

// Take judges and counts one datagram. A client that is known to be who it says it is
// does not count for its network, and is not held to its limit: others may pretend to be
// of that network. What is over a client's limit does not count for its network.
func (l *Limiter) Take(client netip.Addr, known bool, limits Limits, now time.Time) Verdict {
	client = client.Unmap()
	present := l.ticks(now)
	hash := l.hash(client)
	if limits.PerClient > 0 {
		if verdict := l.clients.take(hash, intervalOf(limits.PerClient), second, present); verdict != Pass {
			return l.count(hash, 0, verdict)
		}
	}
	if known || limits.PerNetwork == 0 {
		return Pass
	}
	network := l.hash(NetworkOf(client).Addr())
	if verdict := l.networks.take(network, intervalOf(limits.PerNetwork), second, present); verdict != Pass {
		return l.count(hash, 2, verdict)
	}
	return Pass
}

// NoticeInterval is how often Notice reports the same network.
const NoticeInterval = time.Minute

// Notice reports whether a client's network, found over a limit, is to be told of: once
// in NoticeInterval.
func (l *Limiter) Notice(client netip.Addr, now time.Time) bool {
	const interval = uint64(NoticeInterval / tick)
	return l.noticed.take(l.hash(NetworkOf(client).Addr()), interval, interval, l.ticks(now)) == Pass
}

// Stats are how many datagrams were over a limit since the start, by the limit and the
// verdict.
type Stats struct {
	ClientTruncated, ClientDropped   uint64
	NetworkTruncated, NetworkDropped uint64
}

// Stats returns the sums.
func (l *Limiter) Stats() Stats {
	var sums [4]uint64
	for index := range l.tallies {
		for kind := range sums {
			sums[kind] += l.tallies[index].counts[kind].Load()
		}
	}
	return Stats{ClientTruncated: sums[0], ClientDropped: sums[1], NetworkTruncated: sums[2], NetworkDropped: sums[3]}
}

func (l *Limiter) count(hash uint64, limit int, verdict Verdict) Verdict {
	l.tallies[hash%tallies].counts[limit+int(verdict-Truncate)].Add(1)
	return verdict
}

// hash is keyed, so that nobody can tell whom he shares a bucket with.
func (l *Limiter) hash(address netip.Addr) uint64 {
	octets := address.As16()
	return siphash.Hash(l.seed[0], l.seed[1], octets[:])
}

// tick is what time is counted in, and second that many of them.
const (
	tick   = 100 * time.Nanosecond
	second = uint64(time.Second / tick)
)

func (l *Limiter) ticks(now time.Time) uint64 { return uint64(now.Sub(l.started) / tick) }

func intervalOf(perSecond int) uint64 { return second / uint64(min(perSecond, MaxPerSecond)) }
