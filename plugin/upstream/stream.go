package upstream

import (
	"bufio"
	"context"
	"encoding/binary"
	"net"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// stream is one connection. tcp's lock guards all but out.
type stream struct {
	out     chan *asking // questions to send; has room for all that can be pending
	pending map[uint16]*asking
	conn    net.Conn      // nil while it is being opened
	asked   int           // questions that it was given
	replies int           // and those that the server has replied to
	retired bool          // it takes no more questions
	broken  bool          // it cannot be written to any more
	idle    time.Duration // how long it stays open unused
	heard   time.Time     // when it was opened, or the last message came
}

// open begins to open a connection, which takes questions from now on.
func (t *tcp) open() *stream {
	s := &stream{out: make(chan *asking, full), pending: make(map[uint16]*asking), idle: streamIdle, heard: time.Now()}
	t.streams = append(t.streams, s)
	t.alive++
	t.workers.Go(func() { t.drop(s, t.converse(s)) })
	return s
}

// converse opens the connection, sends and receives until it ends, and returns why.
func (t *tcp) converse(s *stream) error {
	ctx, cancel := context.WithCancel(t.closing)
	defer cancel()
	conn, err := t.dial(ctx)
	if err != nil {
		return err
	}
	// Whatever ends the context ends reading and writing.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	t.mu.Lock()
	s.conn = conn
	s.arm()
	t.mu.Unlock()
	t.workers.Go(func() {
		if err := s.write(ctx); err != nil {
			t.readOut(s)
		}
	})
	return t.read(s)
}

// readOut has what came before the server closed the connection read: a reply may be
// there although the next question cannot be sent any more.
func (t *tcp) readOut(s *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.broken = true
	t.retire(s)
	s.arm()
}

func (t *tcp) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return t.connect(ctx)
}

// write sends what is to be sent until the context ends, or returns why that cannot be
// done.
func (s *stream) write(ctx context.Context) error {
	for {
		select {
		case w := <-s.out:
			if err := w.ticket.depart(ctx, nil); err != nil {
				continue // it has been abandoned, or the context has ended
			}
			// A server that does not read must not keep others' queries from leaving, so
			// it has left before a write that may wait for that server.
			w.ticket.left()
			if _, err := s.conn.Write(w.message); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// read delivers messages until the connection ends, and returns why.
func (t *tcp) read(s *stream) error {
	buffered := bufio.NewReader(s.conn)
	for {
		message, err := readMessage(buffered)
		if err != nil {
			return err
		}
		switch w := t.take(s, message); {
		case w == nil:
			t.ignored.Add(1)
		case w.abandoned:
			t.ignored.Add(1)
			w.ticket.repliedLate()
		default:
			w.done <- delivery{wire: message}
		}
	}
}

// arm sets the time at which the connection ends if nothing comes. It must not be
// called for each question: questions that follow each other would keep a dead
// connection alive.
func (s *stream) arm() {
	if s.conn == nil {
		return
	}
	patience := s.idle
	switch {
	case s.broken:
		patience = lastWords
	case len(s.pending) > 0:
		patience = streamDead
	case s.retired:
		patience = 0
	}
	// A connection that cannot be armed fails when it is read.
	_ = s.conn.SetReadDeadline(time.Now().Add(patience))
}

// mostIdle bounds what a server may ask for with keepalive.
const mostIdle = time.Minute

// askKeepalive returns the option that asks a server how long it keeps an idle
// connection (RFC 7828 section 3.1). A query over UDP must not have it.
func askKeepalive() []byte { return option(dns.EDNS0TCPKEEPALIVE, nil) }

// keep takes in how long the server keeps the connection when it is idle, where a
// reply says so (RFC 7828 section 3.2.2). We close a little sooner, so that no question
// meets the server's closing; at 0, as soon as nothing is pending.
func (t *tcp) keep(s *stream, message []byte) {
	data, found := findOption(message, dns.EDNS0TCPKEEPALIVE)
	if !found || len(data) != 2 {
		return
	}
	timeout := time.Duration(binary.BigEndian.Uint16(data)) * 100 * time.Millisecond
	s.idle = min(timeout-timeout/10, mostIdle)
	if timeout == 0 {
		t.retire(s)
	}
}

// retire takes a connection out of use: it takes no more questions and ends with its
// last one.
func (t *tcp) retire(s *stream) {
	s.retired = true
	t.streams = slices.DeleteFunc(t.streams, func(other *stream) bool { return other == s })
}

// freeID returns a random id that is not pending on the connection.
func (s *stream) freeID(random func() uint64) uint16 {
	for {
		id := uint16(random())
		if _, taken := s.pending[id]; !taken {
			return id
		}
	}
}
