//go:build linux

package prove

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// socket is a client of a name server. It is not connected: a server that is
// down for a moment shall look like silence, as it does over a real network.
// The kernel says when a reply came, so that a latency is the server's and
// not that of a test process waiting for its turn on a busy machine.
type socket struct {
	connection *net.UDPConn
	server     netip.AddrPort

	mutex   sync.Mutex
	pending map[uint16]*question
	next    uint16

	reading sync.WaitGroup
}

// newSocket opens a socket with an address of this machine's own, as all of 127.0.0.0/8 are.
func newSocket(t testing.TB, own netip.Addr, server netip.AddrPort) *socket {
	t.Helper()
	connection, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(own, 0)))
	if err != nil {
		t.Fatal(err)
	}
	if err := setOptions(connection); err != nil {
		t.Fatal(err)
	}
	s := &socket{connection: connection, server: server, pending: map[uint16]*question{}}
	s.reading.Go(s.read)
	return s
}

// setOptions asks the kernel for time stamps and room for many replies.
func setOptions(connection *net.UDPConn) error {
	if err := connection.SetReadBuffer(1 << 20); err != nil {
		return err
	}
	raw, err := connection.SyscallConn()
	if err != nil {
		return err
	}
	var setting error
	err = raw.Control(func(handle uintptr) {
		setting = unix.SetsockoptInt(int(handle), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
	if err != nil {
		return err
	}
	return setting
}

// ask sends a question for the first time.
func (s *socket) ask(q *question) {
	s.next++
	message := new(dns.Msg).SetQuestion(q.name, dns.TypeA).SetEdns0(1232, false)
	message.Id = s.next
	q.packet, _ = message.Pack() // the names are this package's own
	s.mutex.Lock()
	s.pending[message.Id] = q
	q.asked = time.Now()
	q.again = q.asked
	s.mutex.Unlock()
	s.write(q)
}

// write sends a question. What does not leave is lost, and counted so.
func (s *socket) write(q *question) { _, _ = s.connection.WriteToUDPAddrPort(q.packet, s.server) }

// repeat sends again what has waited for so long since it was sent.
func (s *socket) repeat(now time.Time, wait time.Duration) {
	var due []*question
	s.mutex.Lock()
	for _, q := range s.pending {
		if now.Sub(q.again) >= wait && now.Sub(q.asked) < patience {
			q.again = now
			due = append(due, q)
		}
	}
	s.mutex.Unlock()
	for _, q := range due {
		s.write(q)
	}
}

func (s *socket) read() {
	buffer, control := make([]byte, 4096), make([]byte, 128)
	for {
		length, controls, _, from, err := s.connection.ReadMsgUDPAddrPort(buffer, control)
		if err != nil {
			return
		}
		came := stamp(control[:controls])
		reply := new(dns.Msg)
		if from == s.server && reply.Unpack(buffer[:length]) == nil {
			s.settle(reply, came)
		}
	}
}

// settle finds the question of a reply. Its first reply counts.
func (s *socket) settle(reply *dns.Msg, came time.Time) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	q, waits := s.pending[reply.Id]
	if !waits || len(reply.Question) != 1 || reply.Question[0].Name != q.name {
		return
	}
	delete(s.pending, reply.Id)
	// Without Round the difference would leave out the kernel's clock.
	q.read(reply, came.Sub(q.asked.Round(0)))
}

// stamp returns the kernel's time of a packet; now, if there is none.
func stamp(control []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return time.Now()
	}
	for _, message := range messages {
		if message.Header.Type == unix.SCM_TIMESTAMPNS && len(message.Data) >= 16 {
			seconds, rest := binary.NativeEndian.Uint64(message.Data), binary.NativeEndian.Uint64(message.Data[8:])
			return time.Unix(int64(seconds), int64(rest))
		}
	}
	return time.Now()
}

func (s *socket) waiting() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return len(s.pending) > 0
}

func (s *socket) close() {
	_ = s.connection.Close()
	s.reading.Wait()
}
