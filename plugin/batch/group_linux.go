package batch

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Group is a number of sockets bound to one address beside the sockets of others, each
// with a loop that answers what comes to it. Its methods may be called from any
// goroutine, but a worker may call only Reply, Stats and Addr: the others wait for it.
type Group struct {
	address netip.AddrPort
	loops   []*loop

	probes    atomic.Pointer[probes] // nil unless members are being located
	lastPanic atomic.Pointer[string]
	steered   atomic.Bool

	mu      sync.Mutex // held while the state below is used, and for as long as that takes
	state   state
	members members // as last located; nil before
	toward  []int   // the indexes that datagrams are steered to
}

// state is how far a group has come.
type state int

const (
	listening state = iota
	serving
	stopped
	closed
)

// Listen binds the given number of sockets, one a loop, to an address to which another
// socket may be bound already, with SO_REUSEPORT and by the same user. A wildcard
// address of either family gives sockets for both families, as net.ListenPacket does for
// the network "udp". Port 0 asks for any free port. A loop takes about 0.5 MiB of memory
// and up to 8 MiB of the kernel's for what waits (see Stats.ReceiveBuffer).
//
// Nothing is read before Serve, which should follow soon: the kernel may already give
// datagrams to the sockets, where they wait.
func Listen(address netip.AddrPort, loops int) (*Group, error) {
	if loops < 1 || loops > 1024 {
		return nil, fmt.Errorf("listening on %s: found %d loops, expected 1 to 1024", address, loops)
	}
	g := &Group{address: address}
	for number := range loops {
		s, err := open(g.address)
		if err != nil {
			_ = g.Close()
			return nil, fmt.Errorf("listening on %s: %w", address, err)
		}
		g.address = s.address()
		g.loops = append(g.loops, newLoop(g, number, s))
		if number == 0 {
			// Who was there before us serves until we do. Where the kernel cannot do it,
			// it spreads the datagrams over all of us.
			_ = g.direct([]int{0})
		}
	}
	return g, nil
}

// Addr is the address the sockets are bound to, with the port that was chosen if 0 was
// asked for.
func (g *Group) Addr() netip.AddrPort { return g.address }

// Serve starts the loops, each with a worker of its own, and then steers all datagrams
// to them (see Steer; Stats tells whether that succeeded). It calls newWorker once for
// every loop, in its own goroutine. A second call does nothing.
func (g *Group) Serve(newWorker func(loop int) Worker) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != listening {
		return
	}
	g.state = serving
	for number, l := range g.loops {
		l.worker = newWorker(number)
	}
	for _, l := range g.loops {
		go l.run()
	}
	_ = g.steer()
}

// Reply sends a late reply to a peer, from the address and socket its datagram came to.
// Others that are ready in the same moment leave with it, in the call of whoever was
// first; his is the error, and Stats counts for all. It waits while the socket has no
// room. It works until Close.
func (g *Group) Reply(peer Peer, datagram []byte) error {
	if peer.loop < 0 || peer.loop >= len(g.loops) || !peer.Remote.IsValid() {
		return errors.New("replying: the peer is none of this group's")
	}
	l := g.loops[peer.loop]
	if len(datagram) == 0 || len(datagram) > maxLate || peer.Remote.Addr().Is6() && !l.ipv6 {
		return l.replyAlone(peer, datagram)
	}
	return l.replyTogether(&peer, datagram)
}

// replyAlone sends a late reply that is unusual.
func (l *loop) replyAlone(peer Peer, datagram []byte) error {
	remote := peer.Remote
	if remote.Addr().Is6() && remote.Addr().IsLinkLocalUnicast() {
		zone := strconv.FormatUint(uint64(peer.scope), 10)
		remote = netip.AddrPortFrom(remote.Addr().WithZone(zone), remote.Port())
	}
	var information []byte
	if l.variable && peer.Local.IsValid() {
		control, length := controlFor(peer, l.ipv6)
		information = (*[unsafe.Sizeof(control)]byte)(unsafe.Pointer(&control))[:length]
	}
	if _, _, err := l.conn.WriteMsgUDPAddrPort(datagram, information, remote); err != nil {
		l.sendErrors.Add(1)
		return fmt.Errorf("replying to %s: %w", peer.Remote, err)
	}
	l.replies.Add(1)
	return nil
}

// Stats sums up. It may be called at any time, after Close too.
func (g *Group) Stats() Stats {
	s := Stats{Steered: g.steered.Load()}
	for _, l := range g.loops {
		s.Received += l.datagrams.Load()
		s.Batches += l.batches.Load()
		s.Sent += l.replies.Load()
		s.SendErrors += l.sendErrors.Load()
		s.ReceiveErrors += l.receiveErrors.Load()
		s.Truncated += l.truncated.Load()
		s.Panics += l.panics.Load()
		s.Dropped += l.lost()
		if s.ReceiveBuffer == 0 || l.buffer < s.ReceiveBuffer {
			s.ReceiveBuffer = l.buffer
		}
	}
	if text := g.lastPanic.Load(); text != nil {
		s.LastPanic = *text
	}
	return s
}
