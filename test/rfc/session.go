//go:build linux

package rfc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// patience is how long a client waits: dig, glibc and Windows wait 5 s.
	patience = 5 * time.Second
	// base is what all names of the checks lie under.
	// quietTime is how long there must be no reply where none is owed.
	quietTime = 150 * time.Millisecond
	base      = name("\x07battery\x07example\x00")
)

// session is one check's share of a subject: a zone of its own, at upstreams
// that are shared or its own. Its methods may be called by goroutines at once.
type session struct {
	subject netip.AddrPort
	zone    name
	// hit says that what is asked shall be in the cache before.
	hit     bool
	servers []*upstream
	// source is the address that clients ask from.
	source netip.Addr
	trace  trace

	mutex  sync.Mutex
	script script
	log    []*asked
	primed map[string]bool
}

func newSession(number int, hit bool) *session {
	return &session{
		zone:   base.under(fmt.Sprintf("c%d", number)),
		hit:    hit,
		source: netip.AddrFrom4([4]byte{127, 0, 0, 1}),
		script: ordinary,
		primed: map[string]bool{},
	}
}

// name is a name in the check's zone.
func (s *session) name(labels ...string) name { return s.zone.under(labels...) }

// serve replaces the script of all upstreams.
func (s *session) serve(do script) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.script = do
}

// note remembers a question and returns what is to be done about it.
func (s *session) note(a *asked) script {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for index, server := range s.servers {
		if server == a.server {
			a.index = index
		}
	}
	a.number = 1
	for _, before := range s.log {
		if before.question().qtype == a.question().qtype && before.question().name.is(a.question().name) {
			a.number++
		}
	}
	s.log = append(s.log, a)
	s.trace.packet(fmt.Sprintf("subject > upstream %d", a.index), a.tcp, a.raw)
	return s.script
}

// isDead tells whether the check's upstreams reply to nothing.
func (s *session) isDead() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.script == nil
}

// loopLabel is in the names that our server asks for, on its own account, to find
// routes that lead back to it. No check is about them.
const loopLabel = "privatelink-dns-loop"

// received returns the questions that upstreams were asked for a name; for every
// name of the zone where it is empty.
func (s *session) received(n name) []*asked {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var list []*asked
	for _, a := range s.log {
		if n == "" && !slices.Contains(a.question().name.folded().labels(), loopLabel) || a.question().name.is(n) {
			list = append(list, a)
		}
	}
	return list
}

// query is an ordinary question for a name in the zone, with EDNS.
func (s *session) query(label string, qtype uint16) *query {
	return &query{id: randomID(), flags: flagRD, name: s.name(label), qtype: qtype, qclass: dns.ClassINET, edns: &edns{size: 1232}}
}

func randomID() uint16 { return uint16(rand.Uint32()) }

// ask asks as a client does; where the check is about hits, the same was asked
// by somebody else before.
func (s *session) ask(q *query) (*message, error) {
	if s.hit {
		if err := s.prime(q); err != nil {
			return nil, err
		}
	}
	return s.send(q)
}

// prime brings an answer into the cache by an ordinary question.
func (s *session) prime(q *query) error {
	key := fmt.Sprintf("%s %d %d", q.name.folded(), q.qtype, q.flags&flagCD)
	ordinary := q.with(func(o *query) {
		o.name, o.flags, o.tcp, o.counts, o.rest = q.name.folded(), flagRD|q.flags&flagCD, true, nil, nil
		o.edns = &edns{size: 1232}
		if q.edns != nil {
			o.edns.flags = q.edns.flags & flagDO
		}
	})
	key += fmt.Sprint(ordinary.edns.flags)
	s.mutex.Lock()
	done := s.primed[key]
	s.primed[key] = true
	s.mutex.Unlock()
	if done {
		return nil
	}
	if _, err := s.send(ordinary); err != nil {
		return fmt.Errorf("while filling the cache: %w", err)
	}
	return nil
}

// send asks without more ado and returns the reply.
func (s *session) send(q *query) (*message, error) {
	packet, err := s.exchange(q.tcp, q.packet())
	if err != nil {
		return nil, err
	}
	m, err := read(packet)
	if err != nil {
		return nil, fmt.Errorf("the reply cannot be read: %w: %x", err, packet)
	}
	if m.id != q.id || !m.has(flagQR) {
		return m, fmt.Errorf("the reply has id %d and QR %v, want %d and true", m.id, m.has(flagQR), q.id)
	}
	return m, nil
}

// errSilence is the error for a reply that has not come.
var errSilence = errors.New("no reply")

// exchange sends any bytes, and returns the first that come back.
func (s *session) exchange(overTCP bool, packet []byte) ([]byte, error) {
	if overTCP {
		stream, err := s.dial()
		if err != nil {
			return nil, err
		}
		defer stream.close()
		stream.write(framed(packet))
		return stream.next(patience)
	}
	socket, err := s.socket()
	if err != nil {
		return nil, err
	}
	defer socket.close()
	socket.write(packet)
	return socket.next(patience)
}

// client is a socket or a connection of a client. Errors of writing show as
// replies that do not come.
type client struct {
	net.Conn
	session *session
	tcp     bool
}

// socket is a client over UDP; its kernel sees to it that replies come from
// where the questions went (RFC 2181 section 4).
func (s *session) socket() (*client, error) {
	connection, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.source, 0)), net.UDPAddrFromAddrPort(s.subject))
	return &client{connection, s, false}, err
}

// dial is a client over TCP.
func (s *session) dial() (*client, error) {
	connection, err := net.DialTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.source, 0)), net.TCPAddrFromAddrPort(s.subject))
	return &client{connection, s, true}, err
}

func (c *client) close() { _ = c.Close() }

// framed puts the length before each message and makes one piece of all.
func framed(packets ...[]byte) []byte {
	var all []byte
	for _, packet := range packets {
		all = append(binary.BigEndian.AppendUint16(all, uint16(len(packet))), packet...)
	}
	return all
}

// write writes bytes as they are: over TCP they need their length before them.
func (c *client) write(bytes []byte) {
	c.session.trace.sent(c.tcp, bytes)
	_, _ = c.Write(bytes)
}

// next returns the next message from the server.
func (c *client) next(wait time.Duration) ([]byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return nil, err
	}
	packet, err := c.receive()
	if err != nil {
		return nil, fmt.Errorf("%w within %s: %w", errSilence, wait, err)
	}
	c.session.trace.packet("subject > client", c.tcp, packet)
	return packet, nil
}

func (c *client) receive() ([]byte, error) {
	if c.tcp {
		return readFramed(c.Conn)
	}
	buffer := make([]byte, 65536)
	length, err := c.Read(buffer)
	return buffer[:length], err
}

// message returns the next message, read.
func (c *client) message() (*message, error) {
	packet, err := c.next(patience)
	if err != nil {
		return nil, err
	}
	return read(packet)
}

// pause lets time pass that a check is about: a TTL, or a server's patience. No
// clock but the real one is shared with another process.
func pause(duration time.Duration) {
	timer := time.NewTimer(duration)
	<-timer.C
}
