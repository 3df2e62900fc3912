//go:build linux

package prove

import (
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// weather is what happens to packets between our program and the simulator, each in
// percent of the packets.
type weather struct {
	lost, doubled, late int
	// truncated replies say so (TC) and are whole over TCP; cut ones end anywhere and say
	// nothing; garbled ones have noise in place of the records, misdirected ones in the id
	// or the question. Noise in an address that arrives with all else right is not among
	// these: nobody can see it, and the checksum of UDP is against it.
	truncated, cut, garbled, misdirected int
	// hungUp are connections over TCP.
	hungUp int
	// latest bounds how late a late packet is.
	latest time.Duration
}

// road is the way from our program to the simulator, as a process on the way sees it: it
// has the address of the simulator towards our program.
type road struct {
	address, target netip.AddrPort
	packets, beyond *net.UDPConn
	streams         net.Listener
	weather         atomic.Pointer[weather]

	// lasting counts the questions for names of lastingLabel.
	lasting atomic.Int64

	mutex  sync.Mutex
	random *rand.Rand
	// asked are the last questions, by the id that they have beyond.
	asked [1 << 16]passing
	next  uint16

	open sync.WaitGroup
}

// passing is a question under way.
type passing struct {
	from   netip.AddrPort
	id     uint16
	packet []byte
}

// buildRoad makes the road, with an address towards our program. It is closed with its
// proof.
func buildRoad(p *proof, near netip.Addr, target netip.AddrPort, seed uint64) *road {
	p.t.Helper()
	r := &road{address: netip.AddrPortFrom(near, freeAddress(p.t).Port()), target: target, random: rand.New(rand.NewPCG(seed, 1))}
	r.weather.Store(&weather{})
	var err error
	if r.packets, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(r.address)); err != nil {
		p.t.Fatal(err)
	}
	if r.beyond, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		p.t.Fatal(err)
	}
	if r.streams, err = net.Listen("tcp4", r.address.String()); err != nil {
		p.t.Fatal(err)
	}
	for _, connection := range []*net.UDPConn{r.packets, r.beyond} {
		if err := connection.SetReadBuffer(4 << 20); err != nil {
			p.t.Fatal(err)
		}
	}
	r.open.Go(r.there)
	r.open.Go(r.back)
	r.open.Go(r.connect)
	p.t.Cleanup(func() {
		_ = r.packets.Close()
		_ = r.beyond.Close()
		_ = r.streams.Close()
		r.open.Wait()
	})
	return r
}

// hits reports true in percent of the cases.
func (r *road) hits(percent int) bool { return percent > 0 && r.dice(100) < percent }

func (r *road) dice(sides int) int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.random.IntN(sides)
}

// there carries questions, under ids of its own.
func (r *road) there() {
	buffer := make([]byte, 4096)
	for {
		length, from, err := r.packets.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		if length < headerSize {
			continue
		}
		packet := append([]byte(nil), buffer[:length]...)
		if name := packet[headerSize:]; len(name) > 1+len(lastingLabel) && strings.EqualFold(string(name[1:1+len(lastingLabel)]), lastingLabel) {
			r.lasting.Add(1)
		}
		known := append([]byte(nil), packet...)
		r.mutex.Lock()
		r.next++
		id := r.next
		r.asked[id] = passing{from, uint16(packet[0])<<8 | uint16(packet[1]), known}
		r.mutex.Unlock()
		packet[0], packet[1] = byte(id>>8), byte(id)
		r.carry(func() { _, _ = r.beyond.WriteToUDPAddrPort(packet, r.target) })
	}
}

// back carries replies to whoever asked.
func (r *road) back() {
	buffer := make([]byte, 4096)
	for {
		length, _, err := r.beyond.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		if length < headerSize {
			continue
		}
		packet := append([]byte(nil), buffer[:length]...)
		r.mutex.Lock()
		to := r.asked[uint16(packet[0])<<8|uint16(packet[1])]
		r.mutex.Unlock()
		packet[0], packet[1] = byte(to.id>>8), byte(to.id)
		packet = r.damage(packet, len(to.packet))
		r.carry(func() { _, _ = r.packets.WriteToUDPAddrPort(packet, to.from) })
	}
}

// headerSize is that of every message (RFC 1035, 4.1.1).
const headerSize = 12

// carry sends a packet as the weather allows.
func (r *road) carry(send func()) {
	w := r.weather.Load()
	if r.hits(w.lost) {
		return
	}
	times := 1
	if r.hits(w.doubled) {
		times = 2
	}
	for range times {
		if w.latest > 0 && r.hits(w.late) {
			time.AfterFunc(time.Duration(r.dice(int(w.latest))), send)
		} else {
			send()
		}
	}
}

// damage does to a reply what the weather does. Its question ends before the length of
// what was asked.
func (r *road) damage(packet []byte, asked int) []byte {
	w := r.weather.Load()
	switch {
	case r.hits(w.truncated):
		message := new(dns.Msg)
		if message.Unpack(packet) != nil {
			return packet
		}
		message.Truncated, message.Answer, message.Ns = true, nil, nil
		if short, err := message.Pack(); err == nil {
			return short
		}
	case r.hits(w.cut):
		return packet[:r.dice(len(packet))]
	case r.hits(w.garbled):
		for i := questionEnd(packet); i < len(packet); i++ {
			packet[i] = byte(r.dice(256))
		}
	case r.hits(w.misdirected):
		at := []int{0, 1, headerSize + 1, headerSize + 2, questionEnd(packet) - 3}[r.dice(5)]
		packet[at] ^= byte(1 + r.dice(31))
	}
	return packet
}

// questionEnd is where the only question of a packet ends.
func questionEnd(packet []byte) int {
	at := headerSize
	for at < len(packet) && packet[at] != 0 {
		at += int(packet[at]) + 1
	}
	return min(at+5, len(packet))
}

// connect carries connections.
func (r *road) connect() {
	for {
		near, err := r.streams.Accept()
		if err != nil {
			return
		}
		if r.hits(r.weather.Load().hungUp) {
			_ = near.Close()
			continue
		}
		r.open.Go(func() {
			defer func() { _ = near.Close() }()
			far, err := net.DialTimeout("tcp4", r.target.String(), time.Second)
			if err != nil {
				return
			}
			defer func() { _ = far.Close() }()
			_ = far.SetDeadline(time.Now().Add(30 * time.Second))
			_ = near.SetDeadline(time.Now().Add(30 * time.Second))
			go func() {
				_, _ = io.Copy(far, near)
				_ = far.(*net.TCPConn).CloseWrite()
			}()
			_, _ = io.Copy(near, far)
		})
	}
}

// recent returns one of the last questions; false before there are any.
func (r *road) recent() (passing, bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	q := r.asked[r.next-uint16(r.random.IntN(16))]
	return q, q.packet != nil
}
