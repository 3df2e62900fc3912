package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// socket is a UDP socket connected to the server: the kernel chooses its port at
// random, drops datagrams from other addresses, and reports at once when nobody
// listens there. The pool's lock guards all fields but conn.
//
// A socket's life: open, in a slot, it takes questions; retired, it takes none and
// waits for its last replies; closed when nothing is pending any more.
type socket struct {
	conn     net.Conn
	source   netip.Addr // that the server sees, where cookies are used
	slot     int
	pending  map[uint16]*waiter
	uses     int       // questions that it still takes
	retireAt time.Time // when it takes no more
	lastUse  time.Time
	retired  bool
	closed   bool
}

// openSocket opens a socket for an empty slot and starts its reader.
func (u *udp) openSocket(ctx context.Context, slot int, now time.Time) (*socket, error) {
	conn, err := u.dial(ctx, "udp", u.addr)
	if err != nil {
		return nil, err
	}
	age := leastAge + time.Duration(u.random()%uint64(mostAge-leastAge))
	s := &socket{
		conn:     conn,
		slot:     slot,
		pending:  make(map[uint16]*waiter),
		uses:     leastUses + int(u.random()%(mostUses-leastUses)),
		retireAt: now.Add(age),
		lastUse:  now,
	}
	if err := s.arm(now); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if u.cookies.on {
		s.source = sourceOf(conn)
	}
	u.slots[slot] = s
	u.open[s] = struct{}{}
	u.readers.Go(func() { u.read(s) })
	return s, nil
}

// arm makes the reader wake up when the socket may have to go, unless it is retired:
// then its last reply closes it.
func (s *socket) arm(now time.Time) error {
	if s.retired {
		return s.conn.SetReadDeadline(time.Time{})
	}
	wake := s.lastUse.Add(idleTime)
	if !wake.After(now) {
		wake = now.Add(idleTime) // unused for long, but with a question pending
	}
	if s.retireAt.Before(wake) {
		wake = s.retireAt
	}
	return s.conn.SetReadDeadline(wake)
}

// bufferSize is what a socket's reader takes of a datagram. A server that sends more
// than the size we offer sends 4,096 bytes at most, unless it was told to send more: of
// such a reply the rest is lost, which shows, and it is asked for over TCP.
const bufferSize = 4096

// read delivers what the socket receives until the socket is closed.
func (u *udp) read(s *socket) {
	buffer := make([]byte, bufferSize)
	for {
		n, err := s.conn.Read(buffer)
		switch {
		case err == nil:
			u.deliver(s, buffer[:n])
		case errors.Is(err, os.ErrDeadlineExceeded):
			if !u.wake(s) {
				return
			}
		default:
			if !u.failed(s, err) {
				return
			}
		}
	}
}

// wake retires the socket if it is too old or idle, and reports whether its reader
// has to go on.
func (u *udp) wake(s *socket) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	idle := len(s.pending) == 0 && !now.Before(s.lastUse.Add(idleTime))
	if idle || !now.Before(s.retireAt) {
		u.retire(s)
	}
	if s.closed {
		return false
	}
	if err := s.arm(now); err != nil {
		u.failPending(s, err)
		u.retire(s)
		return false
	}
	return true
}

// failed ends all questions of a socket whose read has failed, and reports whether
// its reader has to go on. ECONNREFUSED leaves the socket as good as it was: the
// server may be starting.
func (u *udp) failed(s *socket, err error) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.failPending(s, err)
	if !errors.Is(err, syscall.ECONNREFUSED) {
		u.retire(s)
	}
	return !s.closed
}

// retire takes a socket out of the pool; it is closed when its last question has
// gone. A retired socket may be retired again.
func (u *udp) retire(s *socket) {
	s.retired = true
	if u.slots[s.slot] == s {
		u.slots[s.slot] = nil
	}
	u.closeIfDone(s)
}

// remove takes one question out of its socket's table.
func (u *udp) remove(w *waiter) {
	delete(w.socket.pending, w.id)
	w.ticket.release()
	u.closeIfDone(w.socket)
}

// failPending ends all questions of a socket.
func (u *udp) failPending(s *socket, err error) {
	for id, w := range s.pending {
		delete(s.pending, id)
		w.ticket.release()
		w.done <- delivery{err: err}
	}
	u.closeIfDone(s)
}

// closeIfDone closes a retired socket without pending questions, which ends its
// reader.
func (u *udp) closeIfDone(s *socket) {
	if !s.retired || s.closed || len(s.pending) > 0 {
		return
	}
	s.closed = true
	delete(u.open, s)
	// Nothing is lost with a socket that nobody waits for, so its error is nobody's.
	_ = s.conn.Close()
}
