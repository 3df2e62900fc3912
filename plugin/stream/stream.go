// Package stream answers messages over TCP, each with its length in two octets before
// it (RFC 1035 section 4.2.2), next to another server's listener that is bound to the
// same address with SO_REUSEPORT. Replies leave as they come, in any order.
//
// It knows connections: how many there may be and how long, which may go first when
// they run short, and how the kernel chooses among the listeners of one address. It must
// not know what the messages mean, nor who the other server is. It exists on Linux only;
// elsewhere Listen says so.
package stream

import (
	"errors"
	"net"
	"time"
)

// ErrUnsupported is returned by Listen where the operating system is not Linux. Who
// gets it leaves all connections to the other server.
var ErrUnsupported = errors.New("steering connections needs Linux")

// ErrClosed is returned for a reply to a connection that is gone. It is net.ErrClosed.
var ErrClosed = net.ErrClosed

// maxMessage is what two octets of length can say.
const maxMessage = 1<<16 - 1

// Worker answers messages, of any connection. Its method is called by one goroutine at a
// time, so it needs no locks for what is its own. It must not wait for anything: there
// are only as many workers as can work at once. A panic in it is recovered and counted,
// and costs the message at hand.
type Worker interface {
	// Answer appends the reply to a message to buffer, which is empty, and returns the
	// result, which is sent soon, many at a time. An empty result sends nothing: the
	// message is dropped, or the worker has taken it over with Connection.Hold and
	// replies later.
	//
	// The message is never empty. It and the buffer belong to the connection again when
	// Answer returns: who takes a message over copies it.
	Answer(message []byte, from *Connection, buffer []byte) []byte
}

// Options are the bounds of a server. For every number 0 means what is said here.
type Options struct {
	// Connections are the most that are open at once: 4096, or a quarter of the files
	// this process may open if that is less. One more closes the one that has been idle
	// for longest (RFC 7766 section 6.2.3), and is refused where none is idle.
	Connections int
	// PerClient are the most that are open at once from one address: 128. One more
	// closes that address's own that has been idle for longest, as above.
	PerClient int
	// InFlight are the most messages of one connection that wait for their replies:
	// 100. More are not read before one is answered.
	InFlight int

	// Idle is how long a connection may be idle, with no reply owed: 10 s.
	Idle time.Duration
	// First is how long the first message, whole, may take: 5 s.
	First time.Duration
	// Message is how long any other message may take from its first octet: 5 s.
	Message time.Duration
	// Write is how long a client may take to take 64 KiB of replies: 5 s.
	Write time.Duration

	// Buffered is how many octets of unfinished messages and of replies that clients do
	// not take may be kept in all: 64 MiB. Beyond, connections with more than a few are cut.
	Buffered int64
}

// withDefaults fills in what is 0.
func (o Options) withDefaults() Options {
	fill(&o.Connections, min(4096, max(maxFiles()/4, 1)))
	fill(&o.PerClient, 128)
	fill(&o.InFlight, 100)
	fill(&o.Idle, 10*time.Second)
	fill(&o.First, 5*time.Second)
	fill(&o.Message, 5*time.Second)
	fill(&o.Write, 5*time.Second)
	fill(&o.Buffered, 64<<20)
	return o
}

func fill[T int | int64 | time.Duration](number *T, otherwise T) {
	if *number == 0 {
		*number = otherwise
	}
}

// Stats are sums since Listen, except where it says "now".
type Stats struct {
	Accepted uint64 // connections, those that were refused included
	Messages uint64 // messages that were given to workers, none of them empty
	Replies  uint64 // replies that were given to the kernel, or wait for it

	Open     int // connections now
	InFlight int // messages now that were taken over and not released yet

	RefusedFull   uint64 // connections beyond Options.Connections with none idle
	RefusedClient uint64 // connections beyond Options.PerClient with none idle
	EvictedFull   uint64 // idle connections that made room for others
	EvictedClient uint64 // idle connections that made room for others of their client

	ClosedIdle   uint64 // connections without a message for Options.Idle
	ClosedUnused uint64 // connections without any message in Options.First
	ClosedSlow   uint64 // connections with a message that took longer than Options.Message
	CutSlow      uint64 // connections whose client did not take replies within Options.Write
	CutMemory    uint64 // connections with too much in memory, see Options.Buffered

	AcceptErrors uint64 // failed attempts to accept, mostly for want of files
	Panics       uint64 // panics in workers

	// LastPanic is the value and the stack of the latest panic, empty if there was none.
	LastPanic string

	// Steered says that a connection to the address was seen to arrive here when that was
	// last tried (see Server.Steer). Where it is false, the other server may get some.
	Steered bool
}
