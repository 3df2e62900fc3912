package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	// maxChunk is what a client has to take within Options.Write.
	maxChunk = 64 << 10
	// maxUntaken are the octets of replies of one connection that may wait before no
	// more of its messages are read.
	maxUntaken = 64 << 10
)

// Hold takes over the message that the worker is answering: it counts as one that waits
// for its reply, until Release.
func (c *Connection) Hold() {
	c.server.tally.inFlight.Add(1)
	c.hold()
}

// Release ends a Hold: no more replies come. There must be one for every Hold.
func (c *Connection) Release() {
	c.server.tally.inFlight.Add(-1)
	c.release()
}

func (c *Connection) hold() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.held++
}

func (c *Connection) release() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.held--
	c.lastUsed = time.Now()
	c.changed.Broadcast()
}

// Reply sends a late reply, which it has copied when it returns. There may be any number
// of them for a message that is held. It may wait, for as long as the client may take to
// take the replies (see Options.Write). After the connection has ended it returns
// ErrClosed.
func (c *Connection) Reply(message []byte) error {
	if len(message) == 0 || len(message) > maxMessage {
		return fmt.Errorf("replying to %s: found a message of %d octets, expected 1 to %d", c.remote, len(message), maxMessage)
	}
	room := c.server.rooms.Get().(*[]byte)
	framed := binary.BigEndian.AppendUint16((*room)[:0], uint16(len(message)))
	framed = append(framed, message...)
	c.server.tally.replies.Add(1)
	sent := c.send(framed)
	if cap(framed) <= 2*batchSize {
		*room = framed
	}
	c.server.rooms.Put(room)
	if !sent {
		return fmt.Errorf("replying to %s: %w", c.remote, ErrClosed)
	}
	return nil
}

// send writes replies or, where somebody is writing already, leaves them to him. It has
// copied them when it returns, and says false where the connection has ended.
func (c *Connection) send(replies []byte) bool {
	if len(replies) == 0 {
		return true
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.failed {
		return false
	}
	if c.writing {
		return c.queue(replies)
	}
	c.writing = true
	c.write(replies)
	for len(c.out) > 0 && !c.failed {
		replies := c.out
		c.out, c.spare = c.spare[:0], nil
		c.write(replies)
		c.server.buffered.Add(-int64(len(replies)))
		c.spare = replies
	}
	c.server.buffered.Add(-int64(len(c.out))) // nothing, unless it has failed
	c.out = c.out[:0]
	if cap(c.out) > maxUntaken || cap(c.spare) > maxUntaken {
		c.out, c.spare = nil, nil
	}
	c.writing = false
	c.changed.Broadcast()
	return !c.failed
}

// queue leaves replies to who is writing. The mutex has to be held.
func (c *Connection) queue(replies []byte) bool {
	total := c.server.buffered.Add(int64(len(replies)))
	c.out = append(c.out, replies...)
	if total > c.server.options.Buffered && len(c.out) > maxUntaken {
		c.server.tally.cutMemory.Add(1)
		c.failLocked()
		return false
	}
	return true
}

// write gives replies to the kernel. The mutex has to be held, and is not meanwhile.
func (c *Connection) write(replies []byte) {
	c.mutex.Unlock()
	err := c.writeInTime(replies)
	c.mutex.Lock()
	c.lastUsed = time.Now()
	if err != nil && !c.failed {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.server.tally.cutSlow.Add(1)
		}
		c.failLocked()
	}
}

func (c *Connection) writeInTime(replies []byte) error {
	for len(replies) > 0 {
		chunk := replies[:min(len(replies), maxChunk)]
		if err := c.conn.SetWriteDeadline(time.Now().Add(c.server.options.Write)); err != nil {
			return err
		}
		if _, err := c.conn.Write(chunk); err != nil {
			return err
		}
		replies = replies[len(chunk):]
	}
	return nil
}

// fail ends a connection at once. What was not sent is lost.
func (c *Connection) fail() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.failLocked()
}

func (c *Connection) failLocked() {
	if c.failed {
		return
	}
	c.failed = true
	// What waits in the kernel is of no use: a client that is slow may be so for long.
	if abrupt, can := c.conn.(interface{ SetLinger(int) error }); can {
		_ = abrupt.SetLinger(0)
	}
	_ = c.conn.Close()
	c.changed.Broadcast()
}

// isFull tells whether no more messages are to be read for now.
func (c *Connection) isFull() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.isFullLocked()
}

// isFullLocked leaves out the hold of the goroutine that reads, which asks.
func (c *Connection) isFullLocked() bool {
	return c.held > c.server.options.InFlight || len(c.out) > maxUntaken
}

// awaitRoom returns when more messages may be read, and says false where the connection
// has ended.
func (c *Connection) awaitRoom() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for c.isFullLocked() && !c.failed {
		c.changed.Wait()
	}
	return !c.failed
}

// awaitReplies returns when all replies have left, or none can.
func (c *Connection) awaitReplies() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for (c.held > 0 || c.writing) && !c.failed {
		c.changed.Wait()
	}
}

// idle tells whether no reply is owed.
func (c *Connection) idle() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.held == 0 && !c.writing
}
