package batch

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loop receives, answers and sends on one socket, in one goroutine.
//
// The socket is non-blocking and the goroutine waits in the runtime's poller. A thread that
// blocks in recvmmsg instead loses its processor to the runtime in every wait and
// has to get one back. Measured with BenchmarkEcho, medians of seven alternating runs, in
// µs of processor time a datagram: at full speed 7.0 with the poller, 8.9 with a thread of
// its own, 9.5 with any thread; at 20,000 a second 27.6, 28.2 and 29.5; at 1,000 a
// second 67, 80 and 87.
type loop struct {
	*socket
	group  *Group
	worker Worker
	tally

	in       *arrivals
	out      *departures
	late     lateReplies
	peer     Peer // of the datagram at hand; Local is fixed unless it varies
	received int  // what the last receive call brought
	errno    syscall.Errno
	sent     int // messages of out that are done with

	// The callbacks are bound once, because binding allocates.
	onReadable, onceReadable, onWritable func(fd uintptr) bool

	orders  chan order
	stopped chan struct{} // closed when the goroutine has ended
}

// order is what a loop is asked to do between batches.
type order struct {
	end  bool          // leave the loop
	done chan struct{} // closed when all that was received before the order is answered
}

// tally is what a loop counts. Others read it at any time.
type tally struct {
	datagrams, batches, replies, sendErrors, receiveErrors, truncated, panics atomic.Uint64
}

func newLoop(g *Group, number int, s *socket) *loop {
	l := &loop{
		socket: s, group: g,
		in: newArrivals(s.variable), out: newDepartures(),
		orders: make(chan order, 8), stopped: make(chan struct{}),
	}
	l.peer.loop = number
	if !s.variable {
		l.peer.Local = s.address().Addr().WithZone("")
	}
	l.onReadable = l.serve
	l.onceReadable = func(fd uintptr) bool { l.serve(fd); return true }
	l.onWritable = l.send
	return l
}

// run serves until it is ordered to end.
func (l *loop) run() {
	defer close(l.stopped)
	for {
		err := l.raw.Read(l.onReadable)
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if l.obey() {
				return
			}
		default: // closed
			return
		}
	}
}

// serve receives and answers a batch. It says whether there may be more; if not, the
// poller is to be waited for. A batch that is not full has emptied the queue, and whatever
// comes after makes the poller report again, so there is no need to look.
func (l *loop) serve(fd uintptr) bool {
	l.receive(fd)
	switch {
	case l.received > 0:
		l.batch()
		return l.received == size
	case l.errno == unix.EAGAIN:
		return false
	}
	l.receiveErrors.Add(1)
	// It has been reported and is gone, but if it comes again and again, such as for
	// want of memory, trying at full speed makes nothing better.
	time.Sleep(time.Millisecond)
	return true
}

// obey carries out the orders that have come, and says whether to end.
func (l *loop) obey() (end bool) {
	// First the deadline, then the orders: whoever gives one sets the deadline after.
	_ = l.conn.SetReadDeadline(time.Time{})
	for {
		select {
		case o := <-l.orders:
			l.drain()
			close(o.done)
			if o.end {
				return true
			}
		default:
			return false
		}
	}
}

// give has the loop obey an order soon, and returns what waits for that. The group's mu
// has to be held.
func (l *loop) give(end bool) (wait func()) {
	o := order{end: end, done: make(chan struct{})}
	l.orders <- o
	// In the past: the loop stops waiting at once.
	_ = l.conn.SetReadDeadline(time.Unix(1, 0))
	return func() {
		select {
		case <-o.done:
		case <-l.stopped:
		}
	}
}

// drain answers until nothing is queued, but no more than ever fits into the queue (a
// datagram takes 512 octets of it at the very least): somebody may send all the time.
func (l *loop) drain() {
	for range l.buffer/512/size + 1 {
		if err := l.raw.Read(l.onceReadable); err != nil || l.errno == unix.EAGAIN {
			return
		}
	}
}

// receive fetches what is queued, at most a batch.
func (l *loop) receive(fd uintptr) {
	l.in.reset(l.received)
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&l.in.messages)), size, unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			n = 0
		}
		l.received, l.errno = int(n), errno
		return
	}
}

// batch answers what was received.
func (l *loop) batch() {
	l.batches.Add(1)
	given := 0
	for i := range l.received {
		if l.take(i) {
			given++
		}
	}
	l.datagrams.Add(uint64(given))
	l.deliver()
	l.flush()
}

// take has the worker answer the i-th datagram, and says whether it was for the worker.
func (l *loop) take(i int) bool {
	datagram, whole := l.in.datagram(i)
	if !whole {
		l.truncated.Add(1)
		return false
	}
	if len(datagram) == probeSize && l.group.sighted(datagram, l.peer.loop) {
		return false
	}
	l.in.identify(i, &l.peer)
	if reply := l.answer(datagram); len(reply) > 0 {
		l.out.add(reply, &l.in.messages[i].header)
	}
	return true
}

func (l *loop) answer(datagram []byte) (reply []byte) {
	defer l.survive()
	return l.worker.Answer(datagram, l.peer, l.out.room())
}

func (l *loop) flush() {
	defer l.survive()
	l.worker.Flush()
}

// survive is deferred around calls of the worker.
func (l *loop) survive() {
	if value := recover(); value != nil {
		l.panics.Add(1)
		text := fmt.Sprintf("%v\n%s", value, debug.Stack())
		l.group.lastPanic.Store(&text)
	}
}

// deliver sends the replies of the batch.
func (l *loop) deliver() {
	if l.out.count == 0 {
		return
	}
	l.sent = 0
	if l.raw.Write(l.onWritable) != nil { // closed
		l.sendErrors.Add(uint64(l.out.count - l.sent))
	}
	l.out.clear()
}

// send sends what is left of the batch, and says whether it is done: if not, it is to be
// called again when the socket has room. A message that cannot be sent is left out.
func (l *loop) send(fd uintptr) bool {
	return l.sendMessages(fd, l.out, &l.sent)
}

// sendMessages sends what is left of departures of which some were sent, and says whether
// that is done.
func (l *loop) sendMessages(fd uintptr, out *departures, sent *int) bool {
	replies, failures := 0, 0
	defer func() {
		l.replies.Add(uint64(replies))
		l.sendErrors.Add(uint64(failures))
	}()
	for *sent < out.count {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&out.messages[*sent])),
			uintptr(out.count-*sent), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			replies += int(n)
			*sent += int(n)
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default: // the error of the first message that is left
			failures++
			*sent++
		}
	}
	return true
}
