package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lengthSize is the size of the length before each message on a stream (RFC 1035
// section 4.2.2).
const lengthSize = 2

const (
	// maxStreams is the number of connections to a server. RFC 7766 section 6.2.2 wants
	// as few as possible; a second one keeps a large reply from holding up all others.
	maxStreams = 4
	// crowded is the number of pending questions from which on another connection is
	// opened, and full the number that no connection goes beyond.
	crowded, full = 16, 256
	// streamIdle is how long a connection stays open unused. RFC 7766 section 6.2.3
	// asks for a few seconds; servers close theirs after 10 s to 30 s, and a connection
	// that we close first costs no question a second try.
	streamIdle = 10 * time.Second
	// streamDead is how long a connection with questions pending may be silent. Nobody
	// waits longer for a reply, and a path that was cut tells neither side.
	streamDead = 5 * time.Second
	// dialTimeout bounds connecting, TLS included. Questions share a connection that
	// is being opened, so it does not end with any of them.
	dialTimeout = 4 * time.Second
)

var (
	// errHungUp says that the server has closed a connection on which it had replied
	// before, with our question pending: the question deserves a new connection.
	errHungUp = errors.New("connection closed by the server")
	// errTurnedAway is the same of a connection without a reply before. A server that has
	// just too many connections does so (RFC 7766 section 6.2.4), but so does a machine
	// without a DNS server behind its port, which is as good as silence.
	errTurnedAway = errors.New("connection closed by the server instead of a reply")
)

// connector opens a connection to the server, ready for messages.
type connector func(ctx context.Context) (net.Conn, error)

// tcp asks one server over TCP, or over TLS: questions share a few connections and
// are sent without waiting for the replies to others, which come in any order
// (RFC 7766 section 6.2.1.1, RFC 9210).
type tcp struct {
	name    Transport
	connect connector
	random  func() uint64
	ignored *atomic.Uint64
	closing context.Context
	shut    context.CancelFunc
	workers sync.WaitGroup

	// One lock for all connections and what is pending on them.
	mu      sync.Mutex
	closed  bool
	streams []*stream // those that take questions
	alive   int       // those that have not ended
	quota   quota
	freed   chan struct{} // closed, and made anew, when a connection ends
}

var _ transport = (*tcp)(nil)

func newTCP(name Transport, connect connector, random func() uint64, ignored *atomic.Uint64) *tcp {
	t := &tcp{name: name, connect: connect, random: random, ignored: ignored, freed: make(chan struct{})}
	t.closing, t.shut = context.WithCancel(context.Background())
	return t
}

// plainTCP returns a connector without TLS.
func plainTCP(addr string, dial dialer) connector {
	return func(ctx context.Context) (net.Conn, error) { return dial(ctx, "tcp", addr) }
}

func (t *tcp) protocol() Transport { return t.name }

// exchange implements transport.
func (t *tcp) exchange(ctx context.Context, q *query, permit *ticket) ([]byte, error) {
	w, err := t.place(ctx, q, permit)
	if err != nil {
		permit.release()
		return nil, err
	}
	select {
	case r := <-w.done:
		return r.wire, r.err
	case <-ctx.Done():
		t.abandon(w)
		return nil, ctx.Err()
	case <-q.lost:
		t.abandon(w)
		return nil, context.Canceled
	}
}

// asking is a question on a connection. Whoever takes it out of the table, and nobody
// else, may send on done, once, and releases the ticket.
type asking struct {
	stream    *stream
	id        uint16
	message   []byte // as it is sent, with its length
	question  []byte
	ticket    *ticket
	sent      time.Time
	abandoned bool
	done      chan delivery // holds one
}

// place registers a question as soon as a connection has room for it.
func (t *tcp) place(ctx context.Context, q *query, permit *ticket) (*asking, error) {
	for {
		w, freed, err := t.register(ctx, q, permit)
		if w != nil || err != nil {
			return w, err
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-q.lost:
			return nil, context.Canceled
		}
	}
}

// register finds a connection and an id for a question and hands it to the
// connection's writer. Without an error and a connection there may be one as soon as
// freed is closed.
func (t *tcp) register(ctx context.Context, q *query, permit *ticket) (registered *asking, freed <-chan struct{}, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, nil, ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	s := t.choose()
	if s == nil {
		return nil, t.freed, nil
	}
	if len(s.pending) >= full {
		return nil, nil, ErrBusy
	}
	w := &asking{stream: s, id: s.freeID(t.random), question: q.question, ticket: permit, sent: time.Now(), done: make(chan delivery, 1)}
	var keepalive []byte
	if q.edns() {
		keepalive = askKeepalive()
	}
	w.message = q.withID(nil, w.id, lengthSize, keepalive)
	binary.BigEndian.PutUint16(w.message, uint16(len(w.message)-lengthSize))
	s.pending[w.id] = w
	if len(s.pending) == 1 {
		s.arm()
	}
	// It has room nearly always: there is one message for a pending question at most,
	// and those that were abandoned unsent go as soon as the writer comes to them.
	select {
	case s.out <- w:
		t.count(s)
		return w, nil, nil
	default:
		delete(s.pending, w.id)
		return nil, nil, ErrBusy
	}
}

// choose returns the connection with the fewest questions, or a new one where that
// is crowded; nil where the server wants many connections, and has them.
func (t *tcp) choose() *stream {
	var best *stream
	for _, s := range t.streams {
		if best == nil || len(s.pending) < len(best.pending) {
			best = s
		}
	}
	if best == nil && !t.mayOpen() {
		return nil
	}
	if best == nil || len(best.pending) >= crowded && len(t.streams) < maxStreams {
		best = t.open()
	}
	return best
}

// abandon gives up a question that nobody waits for any more. One that was sent stays
// in the table for a while. A connection on which nothing at all came in a time
// that is enough for nearly all replies is retired: its path may have been cut.
func (t *tcp) abandon(w *asking) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(w.sent) >= patience && now.Sub(w.stream.heard) >= patience {
		t.retire(w.stream)
	}
	if w.stream.pending[w.id] != w {
		return
	}
	left := abandonedFor - time.Since(w.sent)
	if left <= 0 || w.ticket.unsent() {
		t.forget(w)
		return
	}
	w.abandoned = true
	time.AfterFunc(left, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.forget(w)
	})
}

// forget takes a question out of its connection's table if it is still there.
func (t *tcp) forget(w *asking) {
	if w.stream.pending[w.id] == w {
		delete(w.stream.pending, w.id)
		w.ticket.release()
		if len(w.stream.pending) == 0 {
			w.stream.arm()
		}
	}
}

// take returns the question that a message replies to, which is then no longer
// pending, or nil. Nobody may wait for it any more.
func (t *tcp) take(s *stream, message []byte) *asking {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer s.arm()
	s.heard = time.Now()
	id, ok := messageID(message)
	w := s.pending[id]
	if !ok || w == nil || !accepts(message, w.question) {
		return nil
	}
	s.replies++
	t.keep(s, message)
	delete(s.pending, id)
	w.ticket.release()
	return w
}

// drop takes a connection out of use and ends its questions.
func (t *tcp) drop(s *stream, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.retire(s)
	t.alive--
	if t.closed {
		err = ErrClosed
	}
	err = s.hangUp(err)
	t.learn(s, err)
	t.wake()
	for id, w := range s.pending {
		delete(s.pending, id)
		w.ticket.release()
		w.done <- delivery{err: err}
	}
}

// hangUp tells the end of a connection that the server has closed from others: that it
// could not be opened, or that the server was silent on it from the start.
func (s *stream) hangUp(err error) error {
	gone := unreachable(err) || s.broken
	switch {
	case s.conn == nil || !gone || errors.Is(err, context.DeadlineExceeded):
		return err
	case s.replies > 0:
		return fmt.Errorf("%w: %w", errHungUp, err)
	case errors.Is(err, os.ErrDeadlineExceeded) && !s.broken:
		return err
	default:
		return fmt.Errorf("%w: %w", errTurnedAway, err)
	}
}

// close implements transport. It returns when all connections' goroutines have ended.
func (t *tcp) close() {
	t.mu.Lock()
	t.closed = true
	t.wake()
	t.mu.Unlock()
	t.shut()
	t.workers.Wait()
}

// readMessage reads one message from a stream. A stream that ends before or in a
// message is an io.ErrUnexpectedEOF.
func readMessage(stream io.Reader) ([]byte, error) {
	var length [lengthSize]byte
	if _, err := io.ReadFull(stream, length[:]); err != nil {
		return nil, cutOff(err)
	}
	wire := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(stream, wire); err != nil {
		return nil, cutOff(err)
	}
	return wire, nil
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("reading a reply: %w", err)
}
