package upstream

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// poolSize is the number of sockets that take questions. Each question goes to one of
// them at random, which is opened when it is first needed, so that questions leave from
// another port nearly every time (RFC 5452 section 9.2): where few are asked, a socket
// has gone before it is chosen again. A server with any number of questions is kept
// within as many files.
const poolSize = 128

// maxPending is the number of questions a socket may have pending. At a 512th of
// all ids, a free one is found at the first try nearly always, and a forger who
// hits the port hits a pending id no more often than that. A pool holds 16,384, which
// is more than a server with 10,000 questions a second has in the time of a reply.
const maxPending = 128

// A socket takes that many questions, and none after that time: what somebody has
// learnt about a port is soon of no use. Both vary from socket to socket so that
// the sockets of a pool are not replaced together.
const (
	leastUses, mostUses = 2000, 4000
	leastAge, mostAge   = 10 * time.Second, 20 * time.Second
)

// idleTime is how long a socket without pending questions stays open unused.
const idleTime = 5 * time.Second

// udp asks one server over UDP: many questions share a socket, each question goes
// to a random socket of the pool under a random id, and replies find their question
// by socket and id.
type udp struct {
	addr    string
	dial    dialer
	random  func() uint64
	ignored *atomic.Uint64
	readers sync.WaitGroup
	waiters sync.Pool // of *waiter
	// lowerCase switches random spelling off. It is not changed after the first question.
	lowerCase bool

	// One lock for the pool and all its sockets. It is held for a map access and a
	// comparison of names, and each 2,000th time or so for opening a socket, so that
	// however many questions arrive at once, the pool's size is kept.
	mu     sync.Mutex
	closed bool
	slots  [poolSize]*socket    // the sockets that take questions; nil where none is
	open   map[*socket]struct{} // these, and those that wait for their last replies

	spelling habit // keeping our spelling
	cookies  cookies
}

var _ transport = (*udp)(nil)

func newUDP(addr string, dial dialer, random func() uint64, ignored *atomic.Uint64) *udp {
	return &udp{addr: addr, dial: dial, random: random, ignored: ignored, open: make(map[*socket]struct{})}
}

func (u *udp) protocol() Transport { return UDP }

// exchange implements transport.
func (u *udp) exchange(ctx context.Context, q *query, t *ticket) ([]byte, error) {
	w, err := u.register(ctx, q, t)
	if err != nil {
		t.release()
		return nil, err
	}
	if err := t.depart(ctx, q.lost); err != nil {
		u.withdraw(w, err)
	} else if _, err := u.write(w); err != nil {
		u.unsent(w, err)
	}
	select {
	case r := <-w.done:
		u.waiters.Put(w)
		return r.wire, r.err
	case <-ctx.Done():
		u.abandon(w)
		return nil, ctx.Err()
	case <-q.lost:
		u.abandon(w)
		return nil, context.Canceled
	}
}

// abandonedFor is how long after it was sent a query without a reply counts as
// outstanding when nobody waits for it any more. The server goes on working on it: it
// asks other servers, with a timeout of a second or two. Counted for longer, the
// slots of names that never get a reply would be missing for others.
const abandonedFor = 2 * time.Second

// waiter is a question that is pending on a socket under an id. Whoever takes it
// out of the socket's table, and nobody else, may send on done, once, and releases
// the ticket. It is used again by another question after that was received.
type waiter struct {
	socket   *socket
	id       uint16
	message  []byte // as it is sent
	question []byte // the part of it
	asked    []byte // the same in the question's own spelling
	cookie   []byte // the option that it is sent with, nil for none
	ticket   *ticket
	sent     time.Time
	// silent says that it is not counted as pending: a probe, or a question that was
	// abandoned and stays for its late reply, which releases the ticket.
	silent    bool
	abandoned bool
	done      chan delivery // holds one, so that a reader never waits for its reader
}

// delivery is a reply or the reason why there will be none.
type delivery struct {
	wire []byte
	err  error
}

// register finds a socket and an id for a question, which is pending from then on:
// before it is sent, so that no reply can be missed.
func (u *udp) register(ctx context.Context, q *query, t *ticket) (*waiter, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	now := t.got()
	s, err := u.choose(ctx, now)
	if err != nil {
		if ended := ctx.Err(); ended != nil {
			err = ended // dialling wraps it in an error of its own
		}
		return nil, err
	}
	w, _ := u.waiters.Get().(*waiter)
	if w == nil {
		w = &waiter{done: make(chan delivery, 1)}
	}
	*w = waiter{socket: s, id: u.freeID(s), asked: q.question, ticket: t, sent: now, silent: q.probe, message: w.message, done: w.done}
	u.compose(w, q)
	s.pending[w.id] = w
	s.lastUse = now
	if s.uses--; s.uses <= 0 {
		u.retire(s)
	}
	return w, nil
}

// compose makes the message of a question that has a socket and an id.
func (u *udp) compose(w *waiter, q *query) {
	if q.edns() && !q.probe {
		w.cookie = u.cookies.optionFrom(w.socket.source, w.sent, u.random)
	}
	w.message = q.withID(w.message, w.id, 0, w.cookie)
	w.question = w.message[headerSize : headerSize+len(q.question)]
	if !u.lowerCase && !q.probe && u.spelling.tested(w.sent) {
		respell(w.question, u.random)
	}
}

// choose returns a random socket of the pool, a new one where the random place is
// empty, and one further on where the socket is full or none can be opened. Sockets
// that are too old have been taken out by their readers.
func (u *udp) choose(ctx context.Context, now time.Time) (*socket, error) {
	first := int(u.random() % poolSize)
	var failure error
	for i := range poolSize {
		slot := (first + i) % poolSize
		s := u.slots[slot]
		// Without a file or a route for a new socket, an open one may still do; a second
		// try would fail like the first.
		if s == nil && failure == nil {
			s, failure = u.openSocket(ctx, slot, now)
		}
		if s != nil && len(s.pending) < maxPending {
			return s, nil
		}
	}
	if failure != nil {
		return nil, failure
	}
	return nil, ErrBusy
}

// freeID returns a random id that is not pending on the socket.
func (u *udp) freeID(s *socket) uint16 {
	for {
		id := uint16(u.random())
		if _, taken := s.pending[id]; !taken {
			return id
		}
	}
}

// deliver hands a datagram to the question it is the reply to, if there is one.
func (u *udp) deliver(s *socket, datagram []byte) {
	w, believed := u.take(s, datagram)
	switch {
	case w == nil:
		u.ignored.Add(1)
	case w.abandoned:
		u.ignored.Add(1)
		w.ticket.repliedLate()
	case !believed:
		w.done <- delivery{err: errSuspect}
	default:
		w.done <- delivery{wire: bytes.Clone(datagram)}
	}
}

// take returns the question that a datagram replies to, which is then no longer
// pending, or nil, and whether it is to be believed.
func (u *udp) take(s *socket, datagram []byte) (w *waiter, believed bool) {
	id, ok := messageID(datagram)
	if !ok {
		return nil, false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	w = s.pending[id]
	if w == nil || !accepts(datagram, w.question) {
		return nil, false
	}
	believed = true
	if w.cookie != nil {
		var ours bool
		if ours, believed = u.cookies.judge(datagram, w.cookie, w.sent); !ours {
			return nil, false
		}
	}
	u.remove(w)
	if hasQuestion(datagram) && !bytes.Equal(w.question, w.asked) {
		same := bytes.Equal(datagram[headerSize:headerSize+len(w.question)], w.question)
		believed = u.spelling.judge(same, w.sent) && believed
	}
	return w, believed
}

// errSuspect says that a reply had the question in another spelling than ours, or not
// our cookie, from a server that has always given them back: it may be forged. TCP
// tells.
var errSuspect = errors.New("reply in another spelling, or without our cookie")

// abandon gives up a question that nobody waits for any more. It stays in the table
// for a while: the server works on it, and its late reply is a sign of life.
func (u *udp) abandon(w *waiter) {
	u.mu.Lock()
	defer u.mu.Unlock()
	left := abandonedFor - time.Since(w.sent)
	if left <= 0 || w.socket.pending[w.id] != w {
		u.forget(w)
		return
	}
	w.silent, w.abandoned = true, true
	time.AfterFunc(left, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.forget(w)
	})
}

// forget takes a question out of its socket's table if it is still there.
func (u *udp) forget(w *waiter) {
	if w.socket.pending[w.id] != w {
		return
	}
	u.remove(w)
	if w.cookie != nil {
		u.cookies.habit.judge(false, time.Now()) // maybe it was dropped for that
	}
}

// write sends a question that may leave now.
func (u *udp) write(w *waiter) (int, error) {
	defer w.ticket.left()
	return w.socket.conn.Write(w.message)
}

// withdraw ends a question that was not sent, unless it has ended for another reason,
// which is in done.
func (u *udp) withdraw(w *waiter, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if w.socket.pending[w.id] == w {
		u.remove(w)
		w.done <- delivery{err: err}
	}
}

// unsent ends a question that could not be written to its socket.
func (u *udp) unsent(w *waiter, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if w.socket.pending[w.id] != w {
		return // ended for another reason, which is in done
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		// The kernel reports on a write what became of an earlier datagram.
		u.failPending(w.socket, err)
		return
	}
	u.remove(w)
	w.done <- delivery{err: err}
	// Interfaces and routes change under a connected socket; the next question shall
	// have a new one.
	u.retire(w.socket)
}

// close implements transport. It returns when all readers have ended.
func (u *udp) close() {
	u.mu.Lock()
	u.closed = true
	for s := range u.open {
		u.failPending(s, ErrClosed)
		u.retire(s)
	}
	u.mu.Unlock()
	u.readers.Wait()
}

// load returns the number of open sockets and of pending questions that count.
func (u *udp) load() (sockets, pending int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for s := range u.open {
		for _, w := range s.pending {
			if !w.silent {
				pending++
			}
		}
	}
	return len(u.open), pending
}
