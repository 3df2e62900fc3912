package batch

import (
	"errors"
	"fmt"
	"net"
)

// Steer finds out where in the kernel's array our sockets are, and has it give all
// datagrams to them, evenly. Serve does so. It has to be done again after another socket
// of the address was closed, because one of ours may have taken its place: at the end of
// a reload of the other server, or when a second process or Group that shared the
// address is gone. It takes a few milliseconds and disturbs nothing, so it may well be
// done every now and then.
//
// After an error some datagrams may go to the other sockets, until another call
// succeeds; none is lost. After Stop it returns net.ErrClosed.
func (g *Group) Steer() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != serving {
		return fmt.Errorf("steering datagrams to %s: %w", g.address, net.ErrClosed)
	}
	return g.steer()
}

// steer does what Steer says. mu has to be held.
func (g *Group) steer() error {
	err := g.relocate()
	err = errors.Join(err, g.direct(g.members.ours()))
	g.steered.Store(err == nil)
	return err
}

// relocate brings members up to date. If that fails it leaves what was known or, if
// nothing was, what is likely. mu has to be held.
func (g *Group) relocate() error {
	found, err := g.locate()
	switch {
	case err == nil:
		g.members = found
	case g.members == nil:
		g.members = assumed(len(g.loops))
	}
	return err
}

// direct steers datagrams to the given indexes. mu has to be held.
func (g *Group) direct(indexes []int) error {
	if err := g.attach(steering(indexes, nil)); err != nil {
		return err
	}
	g.toward = indexes
	return nil
}

// attach makes a program that of the kernel's group, through any socket that is open.
// mu has to be held.
func (g *Group) attach(p program) error {
	for _, l := range g.loops {
		if !l.closed {
			return onDescriptor(l.raw, p.attach)
		}
	}
	return net.ErrClosed
}
