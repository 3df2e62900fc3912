package batch

import (
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Stop gives the address back to the other sockets: it steers all datagrams to them, and
// returns when all that had come to ours is answered or taken over by a worker.
// Nothing is lost. The loops go on serving what might still come, and Reply works; when
// the late replies are sent, call Close. Where there is no other socket, nothing changes.
//
// It does not return before the workers have returned from their current calls. A second
// call, and one before Serve, does nothing.
func (g *Group) Stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stop()
}

func (g *Group) stop() {
	if g.state != serving {
		return
	}
	g.state = stopped
	g.steered.Store(false)
	_ = g.relocate()
	g.leave()
	var waits []func()
	for _, l := range g.loops {
		waits = append(waits, l.give(false))
	}
	for _, wait := range waits {
		wait()
	}
}

// leave steers datagrams to other sockets, if there are any. When it returns, no more
// come.
func (g *Group) leave() {
	if others := g.members.others(); !slices.Equal(others, g.toward) && g.direct(others) == nil {
		awaitDeliveries()
	}
}

// awaitDeliveries returns when every datagram for which the kernel had chosen a socket is
// queued there. It chooses and queues within one RCU read-side section, and this system
// call waits until all that have begun are over (membarrier(2): MEMBARRIER_CMD_GLOBAL).
func awaitDeliveries() {
	const commandGlobal = 1
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, commandGlobal, 0, 0); errno != 0 {
		time.Sleep(100 * time.Millisecond) // not allowed here: far longer than a delivery takes
	}
}

// Close stops serving, if Stop has not done so, ends the loops and closes the sockets. No
// Flush and no Answer is under way when it returns, and none follows. What was received
// is answered, but nothing that waits in the sockets of a group that never served.
func (g *Group) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == closed {
		return nil
	}
	g.stop()
	var errs []error
	if g.state == listening {
		for _, l := range slices.Backward(g.loops) {
			errs = append(errs, l.close())
		}
	} else {
		_ = g.relocate() // others may have closed since Stop
		errs = g.closeInOrder()
	}
	g.state = closed
	return errors.Join(errs...)
}

// closeInOrder closes the sockets from the highest index down, so that none of ours is
// moved. Another's may be, and then the steering has to follow. Each socket is drained
// while nothing is steered to it.
func (g *Group) closeInOrder() (errs []error) {
	for ; len(g.members) > 0; g.members = g.members.withoutLast() {
		g.leave()
		l := g.loops[g.members[len(g.members)-1]]
		if l.isolate() == nil {
			awaitDeliveries()
		}
		l.give(true)()
		<-l.stopped
		errs = append(errs, l.close())
	}
	return errs
}
