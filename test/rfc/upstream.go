//go:build linux

package rfc

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// upstream is a name server that does what the checks' scripts tell it.
type upstream struct {
	address netip.AddrPort
	packets *net.UDPConn
	streams *net.TCPListener

	// owner is the check that has it to itself, nil for none.
	owner *session

	mutex sync.Mutex
	zones map[name]*session
	// connections counts the TCP connections so far; live are those to close.
	connections int
	live        map[net.Conn]struct{}
	running     sync.WaitGroup
}

// script does something about a question: reply, or not, or with nonsense. It
// runs in a goroutine of its own.
type script func(a *asked)

// asked is a question as it came to an upstream.
type asked struct {
	*message
	session *session
	// index tells which of the check's own servers was asked.
	index int
	from  netip.AddrPort
	// tcp says that it came over the connection of that number.
	tcp        bool
	connection int
	// number is 1 for the first question of this name and type.
	number int
	at     time.Time
	// send sends a message back as it is, write any bytes over TCP, and hangUp ends
	// the TCP connection.
	send   func(packet []byte)
	write  func(bytes []byte)
	hangUp func()
	server *upstream
}

func (a *asked) question() question { return a.questions[0] }

// startUpstream listens at a free port of loopback, with UDP and TCP.
func startUpstream() (*upstream, error) {
	var failure error
	for range 20 {
		packets, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, err
		}
		at := packets.LocalAddr().(*net.UDPAddr)
		streams, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: at.IP, Port: at.Port})
		if err != nil {
			failure = errors.Join(err, packets.Close())
			continue
		}
		u := &upstream{address: at.AddrPort(), packets: packets, streams: streams, zones: map[name]*session{}, live: map[net.Conn]struct{}{}}
		u.running.Go(u.readPackets)
		u.running.Go(u.accept)
		return u, nil
	}
	return nil, failure
}

func (u *upstream) close() {
	u.closePort()
	u.running.Wait()
}

// closePort makes the upstream a port where nobody listens.
func (u *upstream) closePort() {
	_, _ = u.packets.Close(), u.streams.Close()
	u.mutex.Lock()
	defer u.mutex.Unlock()
	for connection := range u.live {
		_ = connection.Close()
	}
}

func (u *upstream) readPackets() {
	buffer := make([]byte, 65536)
	for {
		length, from, err := u.packets.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		packet := append([]byte(nil), buffer[:length]...)
		u.handle(packet, &asked{from: from, send: func(reply []byte) { _, _ = u.packets.WriteToUDPAddrPort(reply, from) }, write: func([]byte) {}, hangUp: func() {}})
	}
}

func (u *upstream) accept() {
	for {
		connection, err := u.streams.AcceptTCP()
		if err != nil {
			return
		}
		u.mutex.Lock()
		u.connections++
		number := u.connections
		u.live[connection] = struct{}{}
		u.mutex.Unlock()
		u.running.Go(func() { u.readStream(connection, number) })
	}
}

func (u *upstream) readStream(connection *net.TCPConn, number int) {
	defer func() {
		_ = connection.Close()
		u.mutex.Lock()
		delete(u.live, connection)
		u.mutex.Unlock()
	}()
	var writing sync.Mutex
	send := func(reply []byte) {
		writing.Lock()
		defer writing.Unlock()
		_, _ = connection.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
	}
	write := func(bytes []byte) { _, _ = connection.Write(bytes) }
	for {
		packet, err := readFramed(connection)
		if err != nil {
			return
		}
		from := connection.RemoteAddr().(*net.TCPAddr).AddrPort()
		u.handle(packet, &asked{from: from, tcp: true, connection: number, send: send, write: write, hangUp: func() { _ = connection.Close() }})
	}
}

// readFramed reads a message behind its length.
func readFramed(stream io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(stream, length[:]); err != nil {
		return nil, err
	}
	packet := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(stream, packet)
	return packet, err
}

// handle gives a question to the script of its zone. What belongs to none, a
// probe for instance, is answered as well as can be.
func (u *upstream) handle(packet []byte, a *asked) {
	read, err := read(packet)
	if err != nil || len(read.questions) != 1 || read.has(flagQR) {
		return
	}
	a.message, a.server, a.at = read, u, time.Now()
	a.session = u.zoneOf(a.question().name)
	if a.session == nil {
		if u.owner == nil || !u.owner.isDead() {
			a.reply(unasked(a.question()))
		}
		return
	}
	send := a.send
	a.send = func(packet []byte) {
		a.session.trace.packet("upstream > subject", a.tcp, packet)
		send(packet)
	}
	if do := a.session.note(a); do != nil {
		u.running.Go(func() { do(a) })
	}
}

// zoneOf returns the check that a name belongs to, nil for none.
func (u *upstream) zoneOf(n name) *session {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	for n = n.folded(); ; n = n[1+int(n[0]):] {
		if s := u.zones[n]; s != nil || n == root {
			return s
		}
	}
}

// reply is a reply in the making. What is not said is as an honest server would
// have it.
type reply struct {
	rcode int
	// flags are set beside QR, RA and the question's RD, clear are not.
	flags, clear                  uint16
	answer, authority, additional []rr
	// edns replaces the OPT record, withoutEDNS leaves it out.
	edns        *edns
	withoutEDNS bool
	// truncated is for a reply without records that says TC.
	truncated bool
}

// reply sends a reply, with TC over UDP when it is longer than the question's
// size.
func (a *asked) reply(r reply) {
	packet := a.packet(r)
	size := 512
	if opt := a.opt(); opt != nil {
		size = max(size, int(opt.class))
	}
	if !a.tcp && len(packet) > size {
		packet = a.packet(reply{rcode: r.rcode, flags: r.flags | flagTC, withoutEDNS: r.withoutEDNS})
	}
	a.send(packet)
}

// packet writes a reply.
func (a *asked) packet(r reply) []byte {
	if r.edns == nil && a.opt() != nil && !r.withoutEDNS {
		r.edns = &edns{size: 1232, rcode: byte(r.rcode >> 4), flags: uint16(a.opt().ttl) & flagDO}
	}
	flags := (flagQR | flagRA | a.flags&(flagRD|flagCD) | r.flags) &^ r.clear
	extra := len(r.additional)
	if r.edns != nil {
		extra++
	}
	packet := appendHeader(nil, a.id, flags|uint16(r.rcode&15), 1, uint16(len(r.answer)), uint16(len(r.authority)), uint16(extra))
	packet = append(packet, a.question().raw...)
	for _, section := range [][]rr{r.answer, r.authority, r.additional} {
		for _, record := range section {
			owner := record.owner
			if owner.is(a.question().name) && owner != root {
				owner = "\xc0\x0c"
			}
			packet = appendRecord(packet, owner, record.rtype, dns.ClassINET, record.ttl, record.data)
		}
	}
	if r.edns != nil {
		packet = r.edns.appendTo(packet)
	}
	return packet
}

// unasked is the reply to what belongs to no check: the root has name servers,
// and nothing else exists.
func unasked(q question) reply {
	if q.name == root && q.qtype == dns.TypeNS {
		return reply{answer: []rr{{root, dns.TypeNS, 300, []byte(base.under("ns"))}}}
	}
	return reply{rcode: dns.RcodeNameError, authority: []rr{soa(root, 300, 300)}}
}
