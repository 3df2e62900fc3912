package stream

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// pace is how long a probe is waited for before the next one is sent. A probe that
	// another's listener got is waited for in vain.
	pace = 2 * time.Millisecond
	// patience is how long a probe is waited for that should come.
	patience = 500 * time.Millisecond
)

// errElsewhere says that a probe did not come to our listener.
var errElsewhere = errors.New("a connection did not arrive")

// steer does what Steer says. The mutex has to be held.
func (s *Server) steer() error {
	err := s.locate()
	if err == nil {
		err = s.direct([]int{s.index})
	}
	if err == nil {
		err = s.arrives(patience)
	}
	s.steered.Store(err == nil)
	if err != nil {
		return fmt.Errorf("steering connections to %s: %w", s.address, err)
	}
	return nil
}

// leave steers connections to the other listeners, and says whether there are any. The
// mutex has to be held.
func (s *Server) leave() bool {
	if s.locate() != nil {
		// They were spread over all, and are until the listener is closed.
		return true
	}
	others := []int{1}
	if s.index > 0 {
		others = others[:0]
		for index := range s.index {
			others = append(others, index)
		}
	}
	return s.direct(others) == nil && s.arrives(pace) != nil
}

// direct steers connections to the given indexes.
func (s *Server) direct(indexes []int) error {
	if err := s.attach(program{}.steering(indexes)); err != nil {
		return err
	}
	s.toward = indexes
	return nil
}

func (s *Server) attach(p program) error {
	raw, err := s.listener.SyscallConn()
	if err != nil {
		return err
	}
	return onDescriptor(raw, p.attach)
}

// locate finds the index of our listener, while all other connections go where they went.
// The server has to be accepting.
//
// An index beyond the end leads to any listener, but ours comes before the end, and
// probes arrive in the order in which they were sent: the first one to come has named us.
func (s *Server) locate() error {
	p := newProbes()
	s.probes.Store(p)
	defer func() {
		s.probes.Store(nil)
		_ = s.direct(s.toward) // as before, without an eye on probes
	}()
	for index := range maxMembers {
		end, err := s.probe(p, index, func(from netip.AddrPort) error {
			return s.attach(probing(from, index).steering(s.toward))
		})
		if err != nil {
			return err
		}
		defer end()
		if first, came := p.await(pace); came {
			s.index = first
			return nil
		}
	}
	return errElsewhere
}

// arrives makes a connection as anybody does, and returns errElsewhere if it does not
// come to us in time.
func (s *Server) arrives(within time.Duration) error {
	p := newProbes()
	s.probes.Store(p)
	defer s.probes.Store(nil)
	end, err := s.probe(p, 0, func(netip.AddrPort) error { return nil })
	if err != nil {
		return err
	}
	defer end()
	if _, came := p.await(within); !came {
		return errElsewhere
	}
	return nil
}

// await returns the index of the next probe that comes.
func (p *probes) await(within time.Duration) (index int, came bool) {
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	select {
	case index = <-p.sightings:
		return index, true
	case <-timeout.C:
		return 0, false
	}
}

// probe connects to our own address, after what is to be done with the address that it
// comes from.
func (s *Server) probe(p *probes, index int, prepare func(from netip.AddrPort) error) (end func(), err error) {
	target := s.address
	if target.Addr().IsUnspecified() {
		target = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), target.Port())
	}
	fd, from, err := boundSocket(target.Addr())
	if err != nil {
		return nil, err
	}
	// A reset, so that nothing stays behind.
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	end = func() { _ = unix.Close(fd) }
	if err = prepare(from); err == nil {
		p.expect(from, index)
		err = os.NewSyscallError("connecting to ourselves", unix.Connect(fd, socketAddress(target)))
	}
	if err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// boundSocket makes a socket that has an address already, to be known before it connects.
func boundSocket(address netip.Addr) (fd int, bound netip.AddrPort, err error) {
	family := unix.AF_INET
	if address.Is6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, bound, os.NewSyscallError("making a socket", err)
	}
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit) // bounds connect, too
	if err = unix.Bind(fd, socketAddress(netip.AddrPortFrom(address, 0))); err == nil {
		var name unix.Sockaddr
		if name, err = unix.Getsockname(fd); err == nil {
			return fd, netip.AddrPortFrom(address, portOf(name)), nil
		}
	}
	_ = unix.Close(fd)
	return 0, bound, os.NewSyscallError("binding a socket", err)
}

func socketAddress(address netip.AddrPort) unix.Sockaddr {
	if address.Addr().Is6() {
		return &unix.SockaddrInet6{Port: int(address.Port()), Addr: address.Addr().As16()}
	}
	return &unix.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}
}

func portOf(address unix.Sockaddr) uint16 {
	switch address := address.(type) {
	case *unix.SockaddrInet4:
		return uint16(address.Port)
	case *unix.SockaddrInet6:
		return uint16(address.Port)
	}
	return 0
}
