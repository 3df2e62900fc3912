package privatelink

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// peerUID is the user who opened a connection to a unix socket, as the kernel says
// (unix(7), SO_PEERCRED).
func peerUID(connection *net.UnixConn) (uint32, error) {
	raw, err := connection.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("asking who connected: %w", err)
	}
	var credentials *unix.Ucred
	var failure error
	err = raw.Control(func(descriptor uintptr) {
		credentials, failure = unix.GetsockoptUcred(int(descriptor), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err == nil {
		err = failure
	}
	if err != nil {
		return 0, fmt.Errorf("asking who connected: %w", err)
	}
	return credentials.Uid, nil
}
