package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// lengthSize is the size of the length before each message on a stream (RFC 1035
// section 4.2.2).
const lengthSize = 2

// tcp asks one server over TCP, with a connection for each query.
type tcp struct {
	addr    string
	dial    dialer
	random  func() uint64
	ignored *atomic.Uint64

	// closing is done when close has been called. It is a context, and not a channel,
	// so that each exchange can hang its connection's end on it.
	closing context.Context
	shut    context.CancelFunc
}

var _ transport = (*tcp)(nil)

func newTCP(addr string, dial dialer, random func() uint64, ignored *atomic.Uint64) *tcp {
	t := &tcp{addr: addr, dial: dial, random: random, ignored: ignored}
	t.closing, t.shut = context.WithCancel(context.Background())
	return t
}

func (t *tcp) protocol() Transport { return TCP }

func (t *tcp) close() { t.shut() }

// exchange implements transport.
func (t *tcp) exchange(ctx context.Context, q query) ([]byte, error) {
	if err := t.over(ctx); err != nil {
		return nil, err
	}
	either, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(t.closing, cancel)
	defer stop()

	wire, err := t.converse(either, q)
	if err == nil {
		return wire, nil
	}
	// A connection closed under our hands is how the end of a context shows; the
	// caller gets the reason.
	if reason := t.over(ctx); reason != nil {
		return nil, reason
	}
	return nil, err
}

// over returns why an exchange must end now, nil when it need not.
func (t *tcp) over(ctx context.Context) error {
	if t.closing.Err() != nil {
		return ErrClosed
	}
	return ctx.Err()
}

// converse connects, sends q and reads until its reply comes.
func (t *tcp) converse(ctx context.Context, q query) ([]byte, error) {
	conn, err := t.dial(ctx, "tcp", t.addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	id := uint16(t.random())
	message := q.withID(id, lengthSize)
	binary.BigEndian.PutUint16(message, uint16(len(q.wire)))
	if _, err := conn.Write(message); err != nil {
		return nil, err
	}
	for {
		wire, err := readMessage(conn)
		if err != nil {
			return nil, err
		}
		if got, ok := messageID(wire); ok && got == id && accepts(wire, q.question) {
			return wire, nil
		}
		t.ignored.Add(1)
	}
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
