package stream

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listen binds a listener to an address to which another may be bound already, with
// SO_REUSEPORT and by the same user. A wildcard address of either family gives a listener
// for both families, as net.Listen does for the network "tcp". Port 0 asks for any free
// port.
//
// Nothing is accepted before Serve, which should follow soon: the kernel may already give
// connections to the listener, where they wait.
func Listen(address netip.AddrPort, options Options) (*Server, error) {
	config := net.ListenConfig{
		Control:   reusePort,
		KeepAlive: -1, // a connection that is idle for seconds is closed anyway
	}
	config.SetMultipathTCP(false) // its listeners cannot be steered to
	listener, err := config.Listen(context.Background(), "tcp", address.String())
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	s := newServer(options)
	s.listener = listener.(*net.TCPListener)
	s.address = addrPort(listener.Addr())
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

// maxFiles is how many files this process may open.
func maxFiles() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur > 1<<30 {
		return 1 << 30
	}
	return int(limit.Cur)
}
