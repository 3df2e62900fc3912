package stream

import (
	"net"
	"net/netip"
	"testing"
)

// serve starts a server on an address.
func serve(t testing.TB, address string, options Options, worker Worker) *Server {
	t.Helper()
	s, err := Listen(netip.MustParseAddrPort(address), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	s.Serve(4, func() Worker { return worker })
	return s
}

// dial returns a connection to a server.
func dial(t testing.TB, address netip.AddrPort) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// say sends messages in one piece.
func say(t testing.TB, conn net.Conn, messages ...string) {
	t.Helper()
	if _, err := conn.Write(framed(messages...)); err != nil {
		t.Fatal(err)
	}
}

// hear reads the next message.
func hear(t testing.TB, conn net.Conn) string {
	t.Helper()
	message, err := receive(conn)
	if err != nil {
		t.Fatalf("reading a reply: %v", err)
	}
	return message
}

func TestServeAnswers(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::]:0", "0.0.0.0:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			s := serve(t, address, Options{}, echo{})
			conn := dial(t, s.Addr())
			say(t, conn, "one", "two")
			if first, second := hear(t, conn), hear(t, conn); first != "one" || second != "two" {
				t.Errorf("replies = %q, %q; want one, two", first, second)
			}
			if stats := s.Stats(); !stats.Steered || stats.Accepted != 1 || stats.Messages != 2 || stats.Replies != 2 || stats.Open != 1 {
				t.Errorf("Stats() = %+v, want one steered connection with two messages", stats)
			}
		})
	}
}
