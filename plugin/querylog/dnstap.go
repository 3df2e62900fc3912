package querylog

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"time"

	tap "github.com/dnstap/golang-dnstap"
	"github.com/farsightsec/golang-framestream"
)

const (
	// dnstapTimeout bounds the handshake and each write: a reader that hangs
	// for longer is left and called again.
	dnstapTimeout = 4 * time.Second
	// dnstapGrace is how long blocks wait in the queue for a reader that has
	// gone, because most are only being restarted.
	dnstapGrace = 2 * time.Second
	// dnstapRetry is the time between two calls to a reader that is not there.
	dnstapRetry = 250 * time.Millisecond
	// maxIdentity is as long as dnstap.proto says: a DNS string.
	maxIdentity = 255
)

// DnstapOptions say where dnstap goes and what it says, as CoreDNS's dnstap
// plugin does.
type DnstapOptions struct {
	// Network is unix, tcp or tls; Address a path, or a host and a port.
	Network, Address string
	// TLS is for the network tls; nil trusts the system's authorities.
	TLS *tls.Config
	// Messages includes the messages as they were on the wire. Without, there
	// are only times and addresses.
	Messages bool
	// Identity and Version name this server, each in at most 255 bytes.
	Identity, Version string
	// Extra puts the record, as a line of JSON has it, into the extra field of
	// the client response: verdict, policy, route and all.
	Extra bool
}

// NewDnstap returns a sink that calls a dnstap reader and writes a client query
// and a client response for each record, and between them a forwarder query and
// a forwarder response for each of its exchanges. It does not call before there
// is something to write. While the reader cannot be reached, records wait for
// two seconds and are then dropped; it is called again all the time.
func NewDnstap(options DnstapOptions) (Sink, error) {
	switch options.Network {
	case "unix", "tcp", "tls":
	default:
		return nil, fmt.Errorf("found dnstap network %q, expected unix, tcp or tls", options.Network)
	}
	if options.Address == "" {
		return nil, fmt.Errorf("found no dnstap address, expected a path or a host and a port")
	}
	if len(options.Identity) > maxIdentity || len(options.Version) > maxIdentity {
		return nil, fmt.Errorf("found a dnstap identity of %d and a version of %d bytes, expected at most %d each", len(options.Identity), len(options.Version), maxIdentity)
	}
	return &dnstapSink{options: options, grace: dnstapGrace, retry: dnstapRetry}, nil
}

// dnstapSink is a sink. All of it belongs to its outlet's goroutine.
//
// Frame Streams has frames of data and frames of control, and a frame of data
// is its length and its content. Blocks are made of such frames already, so
// the library's writer is used for the control frames alone.
type dnstapSink struct {
	options      DnstapOptions
	grace, retry time.Duration
	connection   net.Conn
	control      *framestream.Writer
	// down is when the reader was first found gone, called when it was called last.
	down, called time.Time
}

func (s *dnstapSink) takesMessages() bool { return s.options.Messages }

func (s *dnstapSink) newEncoder() encoder {
	e := &dnstapEncoder{messages: s.options.Messages, extra: s.options.Extra}
	e.payload.Identity, e.payload.Version = []byte(s.options.Identity), []byte(s.options.Version)
	return e.append
}

// write sends a block, on a new connection where the old one has failed. What a
// reader got of a block whose connection failed cannot be known: all of it is
// sent again, or counted as lost.
func (s *dnstapSink) write(b *block) (lost int, err error) {
	for {
		if err = s.send(b.data); err == nil {
			s.down = time.Time{}
			return 0, nil
		}
		now := time.Now()
		if s.down.IsZero() {
			s.down = now
		}
		if now.Sub(s.down) >= s.grace {
			return b.records, err
		}
		time.Sleep(s.retry)
	}
}

func (s *dnstapSink) send(data []byte) error {
	if s.connection == nil {
		if err := s.call(time.Now()); err != nil {
			return err
		}
	}
	if err := s.connection.SetWriteDeadline(time.Now().Add(dnstapTimeout)); err != nil {
		return s.hangUp(err)
	}
	if _, err := s.connection.Write(data); err != nil {
		return s.hangUp(err)
	}
	return nil
}

func (s *dnstapSink) hangUp(err error) error {
	_ = s.connection.Close()
	s.connection, s.control = nil, nil
	return fmt.Errorf("writing to dnstap reader %s: %w", s.options.Address, err)
}

// call connects and shakes hands, at most once in a while.
func (s *dnstapSink) call(now time.Time) error {
	if now.Sub(s.called) < s.retry {
		return fmt.Errorf("dnstap reader %s does not answer", s.options.Address)
	}
	s.called = now
	connection, err := s.dial()
	if err != nil {
		return fmt.Errorf("calling the dnstap reader: %w", err)
	}
	control, err := framestream.NewWriter(connection, &framestream.WriterOptions{
		ContentTypes: [][]byte{tap.FSContentType}, Bidirectional: true, Timeout: dnstapTimeout,
	})
	if err != nil {
		_ = connection.Close()
		return fmt.Errorf("shaking hands with dnstap reader %s: %w", s.options.Address, err)
	}
	s.connection, s.control = connection, control
	return nil
}

func (s *dnstapSink) dial() (net.Conn, error) {
	dialer := &net.Dialer{Timeout: dnstapTimeout}
	if s.options.Network == "tls" {
		return tls.DialWithDialer(dialer, "tcp", s.options.Address, s.options.TLS)
	}
	return dialer.Dial(s.options.Network, s.options.Address)
}

func (s *dnstapSink) tick(time.Time) (int, error) { return 0, errNoNews }

// close says goodbye and waits until the reader has read all, or ctx ends.
func (s *dnstapSink) close(ctx context.Context) (int, error) {
	if s.connection == nil {
		return 0, nil
	}
	defer s.connection.Close()
	stop := context.AfterFunc(ctx, func() { _ = s.connection.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := s.control.Close(); err != nil {
		return 0, fmt.Errorf("saying goodbye to dnstap reader %s: %w", s.options.Address, err)
	}
	return 0, nil
}

// protocols are dnstap's numbers for our words.
var protocols = map[string]tap.SocketProtocol{
	"udp": tap.SocketProtocol_UDP, "tcp": tap.SocketProtocol_TCP, "tls": tap.SocketProtocol_DOT, "https": tap.SocketProtocol_DOH,
}

func familyOf(address netip.Addr) tap.SocketFamily {
	if address.Is4() {
		return tap.SocketFamily_INET
	}
	return tap.SocketFamily_INET6
}
