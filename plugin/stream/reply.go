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
	// maxQueued are those that may wait when all have too many.
	maxQueued = 4 << 10
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

// Reply sends a late reply, which it has copied when it returns. It waits for nobody.
// There may be any number of replies to a message that is held. After the connection has
// ended it returns ErrClosed.
func (c *Connection) Reply(message []byte) error {
	if len(message) == 0 || len(message) > maxMessage {
		return fmt.Errorf("replying to %s: found a message of %d octets, expected 1 to %d", c.remote, len(message), maxMessage)
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if !c.failed {
		c.server.tally.replies.Add(1)
		c.out = append(binary.BigEndian.AppendUint16(c.out, uint16(len(message))), message...)
		c.queued(lengthSize + len(message))
	}
	if c.failed {
		return fmt.Errorf("replying to %s: %w", c.remote, ErrClosed)
	}
	if !c.writing {
		c.writing = true
		go func() {
			c.mutex.Lock()
			defer c.mutex.Unlock()
			c.writeQueue()
		}()
	}
	return nil
}

// send writes replies with their lengths or, where somebody is writing already, leaves
// them to him. It has copied them when it returns.
func (c *Connection) send(replies []byte) {
	if len(replies) == 0 {
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	switch {
	case c.failed:
	case c.writing:
		c.out = append(c.out, replies...)
		c.queued(len(replies))
	default:
		c.writing = true
		c.write(replies)
		c.writeQueue()
	}
}

// queued counts octets that have just been left to who is writing. The mutex has to be
// held.
func (c *Connection) queued(octets int) {
	total := c.server.buffered.Add(int64(octets))
	if total > c.server.options.Load().Buffered && len(c.out) > maxQueued {
		c.server.tally.cutMemory.Add(1)
		c.failLocked()
	}
}

// writeQueue writes what is queued, and what is queued meanwhile. The mutex has to be
// held, and is not while the kernel is waited for.
func (c *Connection) writeQueue() {
	for len(c.out) > 0 && !c.failed {
		replies := c.out
		c.out, c.spare = c.spare[:0], nil
		c.write(replies)
		c.server.buffered.Add(-int64(len(replies)))
		c.spare = replies
	}
	c.dropQueue()                            // nothing, unless it has failed
	if cap(c.out)+cap(c.spare) > usualRoom { // what many connections keep adds up
		c.out, c.spare = nil, nil
	}
	c.writing = false
	c.changed.Broadcast()
}

func (c *Connection) dropQueue() {
	c.server.buffered.Add(-int64(len(c.out)))
	c.out = c.out[:0]
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
		if err := c.conn.SetWriteDeadline(time.Now().Add(c.server.options.Load().Write)); err != nil {
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
	if !c.writing {
		c.dropQueue()
	}
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
	return c.held > c.server.options.Load().InFlight || len(c.out) > maxUntaken
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
