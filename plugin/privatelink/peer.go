//go:build !linux

package privatelink

import (
	"errors"
	"net"
)

// peerUID is not known outside linux.
func peerUID(*net.UnixConn) (uint32, error) { return 0, errors.ErrUnsupported }
