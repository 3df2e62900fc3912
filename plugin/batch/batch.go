// Package batch answers UDP datagrams in place, many at a time, next to another
// server's socket that is bound to the same address with SO_REUSEPORT.
//
// It knows sockets: batched receiving and sending (recvmmsg, sendmmsg), the local
// address a datagram came to, and how the kernel chooses among the sockets of one
// address. It must not know what the datagrams mean, nor who the other server is. It
// exists on Linux only; elsewhere Listen says so.
package batch

import (
	"errors"
	"net/netip"
)

// ErrUnsupported is returned by Listen where the operating system is not Linux. Who
// gets it leaves all datagrams to the other server and loses nothing but speed.
var ErrUnsupported = errors.New("batches of datagrams need Linux")

const (
	// MaxDatagram is the longest datagram in octets that is received whole. A longer
	// one is dropped and counted in Stats.Truncated. Replies have this much room.
	MaxDatagram = 4096

	// size is how many datagrams one system call moves.
	size = 64
)

// Worker answers the datagrams of one loop. Its methods are called by that loop only,
// one at a time, so it needs no locks for what is its own. A call that takes long
// delays the datagrams of this loop and of no other. A panic in a method is recovered
// and counted, and costs the datagram at hand.
type Worker interface {
	// Answer appends the reply to a datagram to buffer, which is empty and has room
	// for MaxDatagram octets, and returns the result, which is sent after the rest of
	// the batch was answered. An empty result sends nothing: the datagram is dropped, or
	// the worker has taken it over and replies later, through Group.Reply.
	//
	// The datagram and the buffer belong to the loop again at the next call of Flush:
	// who takes a datagram over copies it. The peer may be kept.
	Answer(datagram []byte, peer Peer, buffer []byte) []byte

	// Flush ends a batch: its replies have been sent. It is called after every batch,
	// be it of one datagram, and so is the place to hand tallies and records over.
	Flush()
}

// Peer is where a datagram came from and where it came to. It is a value that can be
// compared, kept, and used from any goroutine, as long as the group is open.
type Peer struct {
	// Remote is who sent the datagram; an IPv4 address is never in its IPv6-mapped
	// form, and no address has a zone.
	Remote netip.AddrPort

	// Local is the address of this machine the datagram was sent to, from which the
	// reply leaves, in the same form. It is invalid if the kernel did not say so.
	Local netip.Addr

	// scope is the interface of a link-local address, 0 otherwise.
	scope uint32

	// loop is the loop whose socket the datagram came to.
	loop int
}

// Stats are sums over all loops since Listen.
type Stats struct {
	Received uint64 // datagrams that were given to workers
	Batches  uint64 // system calls that received at least one datagram
	Sent     uint64 // replies the kernel took, late ones included

	SendErrors    uint64 // replies the kernel did not take; each was dropped alone
	ReceiveErrors uint64 // failed attempts to receive
	Truncated     uint64 // datagrams longer than MaxDatagram, dropped
	Panics        uint64 // panics in workers
	Dropped       uint64 // datagrams the kernel dropped, mostly for want of receive buffer

	// LastPanic is the value and the stack of the latest panic, empty if there was none.
	LastPanic string

	// ReceiveBuffer is the size in octets of the smallest socket's receive buffer as the
	// kernel counts it, its own overhead included: twice what was asked for, and some
	// 768 octets for a short datagram.
	ReceiveBuffer int

	// Steered says that every datagram to the address was seen to arrive at our sockets
	// when that was last tried (see Group.Steer). Where it is false, the other server's
	// socket may get some of them.
	Steered bool
}
