package privatelink

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

// network is one without sockets, for tests with a fake clock. It is safe for concurrent
// use; the zero value has no servers.
type network struct {
	mutex   sync.Mutex
	servers map[string]dns.HandlerFunc
}

// slot is a process in the network.
func (n *network) slot() *slot {
	shared := newSlot()
	shared.dial = n.dial
	return shared
}

// serve adds a server and returns its address.
func (n *network) serve(handler dns.HandlerFunc) string {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if n.servers == nil {
		n.servers = map[string]dns.HandlerFunc{}
	}
	address := fmt.Sprintf("10.0.9.%d:53", len(n.servers)+1)
	n.servers[address] = handler
	return address
}

// site adds a site.
func (n *network) site(s *fakeSite) *fakeSite {
	s.address = n.serve(s.handle)
	return s
}

// dial connects to a server. At other addresses nothing answers, and that is said at once.
func (n *network) dial(_ context.Context, protocol, address string) (net.Conn, error) {
	n.mutex.Lock()
	handler := n.servers[address]
	n.mutex.Unlock()
	if handler == nil {
		return nil, syscall.ECONNREFUSED
	}
	client, server := net.Pipe()
	go serveConnection(server, protocol == "tcp", handler)
	return client, nil
}

// serveConnection serves until the client closes the connection.
func serveConnection(conn net.Conn, stream bool, handler dns.HandlerFunc) {
	defer func() { _ = conn.Close() }()
	for {
		packet, err := readPacket(conn, stream)
		if err != nil {
			return
		}
		request := new(dns.Msg)
		if err := request.Unpack(packet); err == nil {
			go handler(&connectionWriter{conn: conn, stream: stream}, request)
		}
	}
}

func readPacket(conn net.Conn, stream bool) ([]byte, error) {
	packet := make([]byte, dns.MaxMsgSize)
	if !stream {
		size, err := conn.Read(packet)
		return packet[:size], err
	}
	if _, err := io.ReadFull(conn, packet[:2]); err != nil {
		return nil, err
	}
	packet = packet[:binary.BigEndian.Uint16(packet)]
	_, err := io.ReadFull(conn, packet)
	return packet, err
}

// connectionWriter is a dns.ResponseWriter that can write messages, and no more.
type connectionWriter struct {
	dns.ResponseWriter
	conn   net.Conn
	stream bool
}

// WriteMsg implements dns.ResponseWriter.
func (w *connectionWriter) WriteMsg(reply *dns.Msg) error {
	packet, err := reply.Pack()
	if err != nil {
		return err
	}
	if w.stream {
		packet = append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
	}
	_, err = w.conn.Write(packet)
	return err
}

// Questions over TCP and at addresses without a server.
func TestNetworkWithoutSockets(t *testing.T) {
	var n network
	address := n.serve(answering(sql))
	for _, protocol := range []string{"udp", "tcp"} {
		conn, err := n.dial(t.Context(), protocol, address)
		if err != nil {
			t.Fatal(err)
		}
		question := new(dns.Msg).SetQuestion("db1.privatelink.database.windows.net.", dns.TypeA)
		packet, err := question.Pack()
		if err != nil {
			t.Fatal(err)
		}
		writer := &connectionWriter{conn: conn, stream: protocol == "tcp"}
		go func() { _ = writer.WriteMsg(question) }()
		packet, err = readPacket(conn, writer.stream)
		reply := new(dns.Msg)
		if err != nil || reply.Unpack(packet) != nil || lastAddress(reply) != "10.0.2.4" {
			t.Errorf("over %s = %v, %v; want 10.0.2.4", protocol, reply, err)
		}
		_ = conn.Close()
	}
	if _, err := n.dial(t.Context(), "udp", "10.0.9.9:53"); err == nil {
		t.Error("where no server is, a connection was made")
	}
}
