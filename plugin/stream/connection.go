package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// lengthSize is the length before a message.
	lengthSize = 2
	// usualRoom holds dozens of usual questions, and is what an idle connection keeps.
	usualRoom = 2048
	// batchSize is about how many octets of replies are sent at once.
	batchSize = 16 << 10
	// drainTime is how long a connection that is to end still reads: what has come by
	// then is answered.
	drainTime = 50 * time.Millisecond
	// farewellTime is how long the client of a connection that was ended by us may take
	// to close it too: to close with something unread would reset it, and take replies
	// away that are still on their way.
	farewellTime = 200 * time.Millisecond
)

// Connection is one client's. Its exported methods are safe for concurrent use, and may
// be called after it was closed, too.
type Connection struct {
	server        *Server
	conn          net.Conn
	remote, local netip.AddrPort
	place         place

	// What follows belongs to the goroutine that reads.
	in         []byte // what was read is from start to end
	start, end int
	accepted   time.Time
	began      time.Time // when the message at hand began, zero where there is none
	served     bool      // a message has come

	mutex     sync.Mutex
	changed   sync.Cond // told when something below gets less, or failed
	held      int       // messages that are being answered, one more while some are being read
	out       []byte    // replies that wait because others are being written
	spare     []byte    // room for out, while it is being written
	writing   bool
	failed    bool
	lastUsed  time.Time
	drainTill time.Time // zero unless it is to end
}

func newConnection(s *Server, conn net.Conn, remote, local netip.AddrPort) *Connection {
	now := time.Now()
	c := &Connection{server: s, conn: conn, remote: remote, local: local, accepted: now, lastUsed: now}
	c.changed.L = &c.mutex
	return c
}

// Remote is the client's address; an IPv4 address is never in its IPv6-mapped form.
func (c *Connection) Remote() netip.AddrPort { return c.remote }

// Local is the address of this machine that the client connected to, in the same form.
func (c *Connection) Local() netip.AddrPort { return c.local }

// serve reads and answers until the client has no more to say.
func (c *Connection) serve() {
	defer c.finish()
	c.in = make([]byte, usualRoom)
	for c.fill() {
		if c.hasMessage() {
			c.server.roster.used(c)
			c.hold()
			c.answerAll()
			c.release()
		}
	}
}

// fill reads what has come, and says false where no more is to be read.
func (c *Connection) fill() bool {
	if !c.makeRoom() {
		return false
	}
	for {
		if !c.setReadDeadline() {
			return false
		}
		n, err := c.conn.Read(c.in[c.end:])
		if n > 0 {
			if c.start == c.end {
				c.began = time.Now()
			}
			c.end += n
			return true
		}
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			c.readFailed(err)
			return false
		case c.timeIsUp():
			return false
		}
	}
}

// makeRoom has the buffer take more. It grows only with what has come, because a length
// alone costs the client nothing.
func (c *Connection) makeRoom() bool {
	c.end = copy(c.in, c.in[c.start:c.end])
	c.start = 0
	switch {
	case c.end == 0 && len(c.in) > usualRoom:
		c.resize(usualRoom)
	case c.end == len(c.in):
		c.resize(min(2*len(c.in), lengthSize+maxMessage))
		if c.server.buffered.Load() > c.server.options.Load().Buffered {
			c.server.tally.cutMemory.Add(1)
			c.fail()
			return false
		}
	}
	return true
}

// resize keeps what is at the beginning of the buffer.
func (c *Connection) resize(size int) {
	c.server.buffered.Add(int64(size - len(c.in)))
	grown := make([]byte, size)
	copy(grown, c.in[:c.end])
	c.in = grown
}

// setReadDeadline says false where the time is up.
func (c *Connection) setReadDeadline() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.conn.SetReadDeadline(c.deadline()) == nil && !c.failed
}

// deadline is when reading ends if nothing comes. The mutex has to be held.
func (c *Connection) deadline() time.Time {
	options := c.server.options.Load()
	switch {
	case !c.drainTill.IsZero():
		return c.drainTill
	case !c.served:
		return c.accepted.Add(options.First)
	case c.start < c.end:
		return c.began.Add(options.Message)
	case c.held > 0:
		return time.Now().Add(options.Idle)
	}
	return c.lastUsed.Add(options.Idle)
}

// timeIsUp tells, when a deadline has passed, whether that still was the one, and counts.
func (c *Connection) timeIsUp() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	tally := &c.server.tally
	switch {
	case c.deadline().After(time.Now()):
		return false
	case !c.drainTill.IsZero():
	case !c.served:
		tally.closedUnused.Add(1)
	case c.start < c.end:
		tally.closedSlow.Add(1)
	default:
		tally.closedIdle.Add(1)
	}
	return true
}

// hasMessage tells whether a whole message is there.
func (c *Connection) hasMessage() bool {
	unread := c.in[c.start:c.end]
	return len(unread) >= lengthSize && len(unread) >= lengthSize+int(binary.BigEndian.Uint16(unread))
}

// answerAll answers the messages that are there whole.
func (c *Connection) answerAll() {
	room := c.server.rooms.Get().(*[]byte)
	replies := (*room)[:0]
	for c.hasMessage() && c.awaitRoom() {
		replies = c.answerSome(replies)
		c.send(replies)
		replies = replies[:0]
	}
	c.began = time.Now() // the next one has
	if cap(replies) <= 2*batchSize {
		*room = replies
	}
	c.server.rooms.Put(room)
}

// answerSome appends the replies to as many messages as may be answered now.
func (c *Connection) answerSome(replies []byte) []byte {
	worker := <-c.server.workers
	for c.hasMessage() && len(replies) < batchSize && !c.isFull() {
		length := int(binary.BigEndian.Uint16(c.in[c.start:]))
		message := c.in[c.start+lengthSize:][:length]
		c.start += lengthSize + length
		c.served = true
		if length > 0 { // an empty one is no more than a sign of life
			replies = c.answer(worker, message, replies)
		}
	}
	c.server.workers <- worker
	return replies
}

// answer appends the reply to one message, with its length.
func (c *Connection) answer(worker Worker, message, replies []byte) []byte {
	c.server.tally.messages.Add(1)
	begin := len(replies)
	replies = append(replies, 0, 0)
	reply := c.ask(worker, message, replies[len(replies):])
	if len(reply) == 0 || len(reply) > maxMessage {
		return replies[:begin]
	}
	c.server.tally.replies.Add(1)
	binary.BigEndian.PutUint16(replies[begin:], uint16(len(reply)))
	// The reply is where the buffer was, unless there was too little room: then append
	// copies it, and else it copies it onto itself.
	return append(replies, reply...)
}

func (c *Connection) ask(worker Worker, message, buffer []byte) (reply []byte) {
	defer func() {
		if value := recover(); value != nil {
			c.server.tally.panics.Add(1)
			text := fmt.Sprintf("%v\n%s", value, debug.Stack())
			c.server.lastPanic.Store(&text)
		}
	}()
	return worker.Answer(message, c, buffer)
}

// readFailed ends a connection that is broken, but not one whose client has merely
// finished sending (RFC 9293 section 3.6).
func (c *Connection) readFailed(err error) {
	if !errors.Is(err, io.EOF) {
		c.fail()
	}
}

// stop has a connection end when what has come is answered.
func (c *Connection) stop() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.drainTill = time.Now().Add(drainTime)
	_ = c.conn.SetReadDeadline(c.drainTill)
}

// finish closes a connection when its replies have left.
func (c *Connection) finish() {
	c.server.reading.Done()
	c.awaitReplies()
	c.farewell()
	_ = c.conn.Close()
	c.fail()
	c.server.buffered.Add(int64(usualRoom - len(c.in)))
	c.server.roster.leave(c)
	c.server.connections.Done()
}

// farewell lets the client close first where it has not been asked to yet.
func (c *Connection) farewell() {
	halves, can := c.conn.(interface{ CloseWrite() error })
	c.mutex.Lock()
	ordered := !c.drainTill.IsZero() && !c.failed
	c.mutex.Unlock()
	if !ordered || !can || halves.CloseWrite() != nil {
		return
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(farewellTime))
	for range 64 {
		if _, err := c.conn.Read(c.in); err != nil {
			return
		}
	}
}

// evict closes an idle connection. Whoever reads from it ends it.
func (c *Connection) evict() { _ = c.conn.Close() }
