package upstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// responder is what a server in these tests does with a query: it calls send for
// each message it sends back, now or later, or never. A nil message closes an
// in-memory server's TCP connection.
type responder func(transport Transport, query []byte, send func(wire []byte))

// testQuestion is the question of nearly all tests.
var testQuestion = Question{Name: "db1.database.example.org.", Type: dns.TypeA, Class: dns.ClassINET}

// reply composes the reply to a query: its id and question, an OPT record if the
// query has one, and what edit makes of it.
func reply(tb testing.TB, query []byte, edit func(*dns.Msg)) []byte {
	tb.Helper()
	var asked, msg dns.Msg
	if err := asked.Unpack(query); err != nil {
		tb.Fatalf("the server received a malformed query: %v", err)
	}
	msg.SetReply(&asked)
	msg.RecursionAvailable = true
	if asked.IsEdns0() != nil {
		msg.SetEdns0(4096, false)
	}
	if edit != nil {
		edit(&msg)
	}
	wire, err := msg.Pack()
	if err != nil {
		tb.Fatalf("packing a reply: %v", err)
	}
	return wire
}

// address makes a reply's answer an A record.
func address(ip string) func(*dns.Msg) {
	return func(m *dns.Msg) {
		m.Answer = append(m.Answer, &dns.A{
			Hdr: dns.RR_Header{Name: testQuestion.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 10},
			A:   net.ParseIP(ip),
		})
	}
}

// rcode sets a reply's rcode.
func rcode(code int) func(*dns.Msg) {
	return func(m *dns.Msg) { m.Rcode = code }
}

// always replies to everything in the same way.
func always(tb testing.TB, edit func(*dns.Msg)) responder {
	return func(_ Transport, query []byte, send func([]byte)) { send(reply(tb, query, edit)) }
}

// silent never replies.
func silent(Transport, []byte, func([]byte)) {}

// hangUp closes a TCP connection of an in-memory server without a reply.
func hangUp(_ Transport, _ []byte, send func([]byte)) { send(nil) }

// after replies as another responder does, later.
func after(delay time.Duration, respond responder) responder {
	return func(transport Transport, query []byte, send func([]byte)) {
		time.AfterFunc(delay, func() { respond(transport, query, send) })
	}
}

// firstAddress returns the address in an answer's first record, "" if there is none.
func firstAddress(answer *Answer) string {
	if answer == nil || len(answer.Msg.Answer) == 0 {
		return ""
	}
	a, ok := answer.Msg.Answer[0].(*dns.A)
	if !ok {
		return ""
	}
	return a.A.String()
}

// inMemory is a server without a network, for tests with a fake clock. A write to
// its UDP connections is one datagram. It counts what it is asked.
type inMemory struct {
	respond responder
	probed  responder // what is done with probes; nil leaves them without a reply

	mu      sync.Mutex
	lasts   int // see closeAfter
	eager   bool
	started []time.Time // when each query came, without probes
	probes  []time.Time // when each probe came
	conns   int         // how many UDP connections were opened
	streams int         // how many TCP connections were opened
	alive   int         // how many of them the client has not closed
	most    int         // the most there were of these
}

// newInMemory returns a Server that asks respond.
func newInMemory(tb testing.TB, addr string, respond responder) (*Server, *inMemory) {
	tb.Helper()
	m := &inMemory{respond: respond}
	s := newServer(netip.MustParseAddrPort(addr), m.dial, rand.New(rand.NewChaCha8([32]byte{1})).Uint64)
	tb.Cleanup(s.Close)
	return s, m
}

// become changes what the server does, and forgets what it was asked.
func (m *inMemory) become(respond responder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.respond, m.started = respond, nil
}

// times returns how long after start each query came.
func (m *inMemory) times(start time.Time) []time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []time.Duration
	for _, t := range m.started {
		list = append(list, t.Sub(start))
	}
	return list
}

func (m *inMemory) opened() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conns
}

func (m *inMemory) dial(_ context.Context, network, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	if network == "udp" {
		m.mu.Lock()
		m.conns++
		m.mu.Unlock()
		go m.serveDatagrams(server)
	} else {
		m.mu.Lock()
		m.streams++
		m.alive++
		m.most = max(m.most, m.alive)
		lasts, eager := m.lasts, m.eager
		m.mu.Unlock()
		client = &counted{Conn: client, closed: sync.OnceFunc(m.ended)}
		go m.serveStream(server, lasts, eager)
	}
	return client, nil
}

// counted is the client's end of a TCP connection.
type counted struct {
	net.Conn
	closed func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.closed()
	return c.Conn.Close()
}

func (m *inMemory) ended() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.alive--
}

func (m *inMemory) serveDatagrams(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		m.answer(UDP, append([]byte(nil), buffer[:n]...), func(wire []byte) { _, _ = conn.Write(wire) })
	}
}

// closeAfter has the server close each new TCP connection after so many replies: when
// one more question comes or, eager, at once; 0 stands for any number.
func (m *inMemory) closeAfter(replies int, eager bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lasts, m.eager = replies, eager
}

func (m *inMemory) serveStream(conn net.Conn, lasts int, eager bool) {
	defer conn.Close()
	var mu sync.Mutex
	read, written := 0, 0
	closeIfDone := func() {
		if lasts > 0 && written >= lasts && (eager || read > lasts) {
			conn.Close()
		}
	}
	for {
		query, err := readStream(conn)
		if err != nil {
			return
		}
		mu.Lock()
		read++
		closeIfDone()
		mu.Unlock()
		m.answer(TCP, query, func(wire []byte) {
			mu.Lock()
			defer mu.Unlock()
			if wire == nil {
				conn.Close()
				return
			}
			if _, err := conn.Write(framed(wire)); err == nil {
				written++
			}
			closeIfDone()
		})
	}
}

// answer responds in a goroutine of its own, as net.Pipe has no buffer: the server
// must go on reading.
func (m *inMemory) answer(transport Transport, query []byte, send func([]byte)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if isProbe(query) {
		m.probes = append(m.probes, time.Now())
		if m.probed != nil {
			go m.probed(transport, query, send)
		}
		return
	}
	m.started = append(m.started, time.Now())
	go m.respond(transport, query, send)
}

// isProbe reports whether a query asks for the default probe name.
func isProbe(query []byte) bool { return bytes.Contains(query, []byte("\x09localhost\x00")) }

func readStream(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, message)
	return message, err
}

func framed(wire []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)
}

// loopback is a server on real sockets, UDP and TCP on one port.
type loopback struct {
	addr    netip.AddrPort
	udp     *net.UDPConn
	tcp     net.Listener
	respond responder

	mu   sync.Mutex
	seen []sighting
}

// sighting is what a server sees of a query over UDP.
type sighting struct {
	from netip.AddrPort
	id   uint16
}

// newLoopback starts a server and returns it with a Server that asks it.
func newLoopback(tb testing.TB, respond responder) (*Server, *loopback) {
	tb.Helper()
	l := &loopback{respond: respond}
	l.listen(tb)
	l.addr = l.udp.LocalAddr().(*net.UDPAddr).AddrPort()
	go l.serveDatagrams()
	go l.serveStreams()
	s := NewServer(l.addr)
	tb.Cleanup(func() {
		s.Close()
		l.udp.Close()
		l.tcp.Close()
	})
	return s, l
}

// listen finds a port that is free for both transports.
func (l *loopback) listen(tb testing.TB) {
	tb.Helper()
	var err error
	for range 20 {
		if l.tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			tb.Fatalf("listening: %v", err)
		}
		local := net.UDPAddrFromAddrPort(l.tcp.Addr().(*net.TCPAddr).AddrPort())
		if l.udp, err = net.ListenUDP("udp", local); err == nil {
			return
		}
		l.tcp.Close()
	}
	tb.Fatalf("listening: %v", err)
}

func (l *loopback) serveDatagrams() {
	buffer := make([]byte, 4096)
	for {
		n, from, err := l.udp.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		query := append([]byte(nil), buffer[:n]...)
		l.mu.Lock()
		l.seen = append(l.seen, sighting{from, binary.BigEndian.Uint16(query)})
		l.mu.Unlock()
		l.respond(UDP, query, func(wire []byte) { _, _ = l.udp.WriteToUDPAddrPort(wire, from) })
	}
}

func (l *loopback) serveStreams() {
	for {
		conn, err := l.tcp.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			for {
				query, err := readStream(conn)
				if err != nil {
					return
				}
				l.respond(TCP, query, func(wire []byte) { _, _ = conn.Write(framed(wire)) })
			}
		}()
	}
}

// sightings returns all queries over UDP so far.
func (l *loopback) sightings() []sighting {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]sighting(nil), l.seen...)
}

// within returns a context that bounds a test on real sockets; it never decides one.
func within(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	tb.Cleanup(cancel)
	return ctx
}
