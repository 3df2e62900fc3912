package batch

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// receiveBuffer is what is asked for: at 100,000 datagrams a second it holds those of a
// fifth of a second, longer than a garbage collection or a busy machine delays a loop.
const receiveBuffer = 8 << 20

// sendBuffer is what is asked for: replies to neighbours that do not answer ARP stay in it
// for three seconds, and as long as it is full of them the loop stands still. Measured
// with 200 such replies a second: 86 of 751 others were answered within a second with
// the usual 208 KiB, all within 5 ms with this.
const sendBuffer = 8 << 20

// socket is one member of the group of sockets that are bound to an address.
type socket struct {
	conn *net.UDPConn
	raw  syscall.RawConn

	ipv6     bool // its family, which is IPv6 also where it receives both
	variable bool // the local address is a wildcard, so it varies by datagram
	buffer   int  // octets of receive buffer, as the kernel counts them

	closed bool // guarded by the group's mu

	// lostAtLast is what the kernel had dropped when the socket was closed.
	lostAtLast atomic.Uint64
}

// open binds a socket the way net.ListenPacket("udp", …) does: for a wildcard address
// of either family that is one socket for both. The kernel takes only
// sockets of the same family, address and user into one group, so this has to be so.
func open(address netip.AddrPort) (*socket, error) {
	config := net.ListenConfig{Control: reusePort}
	packets, err := config.ListenPacket(context.Background(), "udp", address.String())
	if err != nil {
		return nil, err
	}
	s := &socket{conn: packets.(*net.UDPConn)}
	if err := s.prepare(); err != nil {
		_ = s.conn.Close()
		return nil, fmt.Errorf("preparing a socket for %s: %w", address, err)
	}
	return s, nil
}

func reusePort(_, _ string, raw syscall.RawConn) error {
	return onDescriptor(raw, func(fd int) error {
		return os.NewSyscallError("setting SO_REUSEPORT", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	})
}

// onDescriptor runs f on the descriptor and returns the error of either.
func onDescriptor(raw syscall.RawConn, f func(fd int) error) error {
	var err error
	if controlErr := raw.Control(func(fd uintptr) { err = f(int(fd)) }); controlErr != nil {
		return controlErr
	}
	return err
}

func (s *socket) prepare() (err error) {
	if s.raw, err = s.conn.SyscallConn(); err != nil {
		return err
	}
	s.variable = s.address().Addr().IsUnspecified()
	return onDescriptor(s.raw, func(fd int) error {
		domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		if err != nil {
			return os.NewSyscallError("reading SO_DOMAIN", err)
		}
		s.ipv6 = domain == unix.AF_INET6
		if s.buffer, err = enlarge(fd); err != nil {
			return err
		}
		return s.askForLocal(fd)
	})
}

// enlarge asks for the buffers, and returns what it got for receiving.
func enlarge(fd int) (int, error) {
	if err := askForBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receiveBuffer); err != nil {
		return 0, os.NewSyscallError("setting SO_RCVBUF", err)
	}
	if err := askForBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, sendBuffer); err != nil {
		return 0, os.NewSyscallError("setting SO_SNDBUF", err)
	}
	got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return got, os.NewSyscallError("reading SO_RCVBUF", err)
}

// askForBuffer asks for a buffer by force, beyond the system's limit, if this process may,
// or else within it.
func askForBuffer(fd, force, within, octets int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, octets) == nil {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, within, octets)
}

// askForLocal has the kernel tell the local address of each datagram where it varies.
func (s *socket) askForLocal(fd int) error {
	switch {
	case !s.variable:
		return nil
	case s.ipv6: // also tells IPv4 addresses, mapped
		return os.NewSyscallError("setting IPV6_RECVPKTINFO", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1))
	}
	return os.NewSyscallError("setting IP_PKTINFO", unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1))
}

// address is what the socket is bound to; an IPv4 address never in mapped form.
func (s *socket) address() netip.AddrPort {
	address := s.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
}

// lost is how many datagrams the kernel has dropped that were meant for the socket.
func (s *socket) lost() uint64 {
	var information [unix.SK_MEMINFO_VARS]uint32
	length := uint32(unsafe.Sizeof(information))
	err := onDescriptor(s.raw, func(fd int) error {
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&information)), uintptr(unsafe.Pointer(&length)), 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
	if err != nil { // closed, or a kernel before 4.12
		return s.lostAtLast.Load()
	}
	return uint64(information[unix.SK_MEMINFO_DROPS])
}

// isolate keeps datagrams from a socket that is about to be closed. While the kernel
// closes one, there is a moment in which it has left its group but is still in the table
// of all sockets, and a datagram whose look-up finds it there is given to it and lost,
// whatever the steering program says (udp_lib_unhash in net/ipv4/udp.c). Measured with
// a flood of datagrams: one lost in some six hundred sockets closed. A look-up passes over
// a socket that is connected to somebody else, here to itself, and such a socket still
// sends to everybody.
func (s *socket) isolate() error {
	return onDescriptor(s.raw, func(fd int) error {
		self, err := unix.Getsockname(fd)
		if err != nil {
			return os.NewSyscallError("reading the address of a socket", err)
		}
		if s.variable {
			self = s.loopback()
		}
		return os.NewSyscallError("connecting a socket to itself", unix.Connect(fd, self))
	})
}

// loopback is the address of this machine and the socket's port, in the socket's family.
func (s *socket) loopback() unix.Sockaddr {
	address, port := netip.AddrFrom4([4]byte{127, 0, 0, 1}), int(s.address().Port())
	if s.ipv6 {
		return &unix.SockaddrInet6{Port: port, Addr: address.As16()}
	}
	return &unix.SockaddrInet4{Port: port, Addr: address.As4()}
}

// close closes the socket, and with it loses what is queued in it. The group's mu has to
// be held.
func (s *socket) close() error {
	s.lostAtLast.Store(s.lost())
	s.closed = true
	return s.conn.Close()
}
