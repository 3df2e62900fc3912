//go:build !linux

package stream

import "net/netip"

// Listen returns ErrUnsupported.
func Listen(netip.AddrPort, Options) (*Server, error) { return nil, ErrUnsupported }

func (s *Server) steer() error { return ErrUnsupported }

func (s *Server) leave() bool { return false }

// maxFiles is what systems allow that say nothing else.
func maxFiles() int { return 1024 }
