//go:build !linux

package batch

import "net/netip"

// Group cannot be had on this operating system: Listen returns none.
type Group struct{}

// Listen returns ErrUnsupported.
func Listen(netip.AddrPort, int) (*Group, error) { return nil, ErrUnsupported }

// Serve does nothing.
func (*Group) Serve(func(loop int) Worker) {}

// Addr returns the zero value.
func (*Group) Addr() netip.AddrPort { return netip.AddrPort{} }

// Steer returns ErrUnsupported.
func (*Group) Steer() error { return ErrUnsupported }

// Reply returns ErrUnsupported.
func (*Group) Reply(Peer, []byte) error { return ErrUnsupported }

// Stats returns the zero value.
func (*Group) Stats() Stats { return Stats{} }

// Stop does nothing.
func (*Group) Stop() {}

// Close returns nil.
func (*Group) Close() error { return nil }
