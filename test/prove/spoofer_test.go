//go:build linux

package prove

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// forgedAddress is what the spoofer wants clients to be told.
var forgedAddress = netip.MustParseAddr("10.66.66.66")

// spoofer is somebody off the path who forges replies to our program's questions. It
// sends from the upstream's own address, knows the names that are asked for at this
// moment, and for some forgeries even more; one thing it never has right.
type spoofer struct {
	road   *road
	number int // forgeries in all
	rate   int // a second

	sent      atomic.Int64
	random    *rand.Rand
	elsewhere *net.UDPConn
	ended     chan struct{}
	sending   sync.WaitGroup
}

// spoof starts a spoofer. finish ends it, and must be called.
func (p *proof) spoof(r *road, number, rate int, seed uint64) *spoofer {
	p.t.Helper()
	s := &spoofer{road: r, number: number, rate: rate, random: rand.New(rand.NewPCG(seed, 2)), ended: make(chan struct{})}
	var err error
	if s.elsewhere, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		p.t.Fatal(err)
	}
	s.sending.Go(s.send)
	return s
}

func (s *spoofer) finish() {
	close(s.ended)
	s.sending.Wait()
	_ = s.elsewhere.Close()
}

func (s *spoofer) send() {
	start := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for int(s.sent.Load()) < s.number {
		select {
		case <-s.ended:
			return
		case now := <-tick.C:
			due := min(s.number, int(now.Sub(start).Seconds()*float64(s.rate)))
			// What was missed while the machine was busy does not come all at once.
			for range min(due-int(s.sent.Load()), s.rate/50+1) {
				s.forge()
			}
		}
	}
}

// forge sends one forgery.
func (s *spoofer) forge() {
	q, any := s.road.recent()
	if !any {
		return
	}
	message := new(dns.Msg)
	if message.Unpack(q.packet) != nil {
		return
	}
	name := dns.CanonicalName(message.Question[0].Name)
	reply := new(dns.Msg).SetQuestion(name, dns.TypeA)
	reply.Id, reply.Response, reply.RecursionAvailable = q.id, true, true
	to, from := q.from, s.road.packets
	switch s.random.IntN(4) {
	case 0: // another id, at the right socket
		reply.Id ^= uint16(1 + s.random.IntN(1<<16-1))
	case 1: // the right id and socket, for another name
		reply.Question[0].Name = "other-" + name
	case 2: // the right id, socket and name, even its spelling, from another address
		from, reply.Question[0].Name = s.elsewhere, message.Question[0].Name
	case 3: // as somebody who sees nothing
		to = netip.AddrPortFrom(to.Addr(), uint16(32768+s.random.IntN(28232)))
		reply.Id = uint16(s.random.IntN(1 << 16))
	}
	reply.Answer = []dns.RR{&dns.A{
		Hdr: dns.RR_Header{Name: reply.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 86400},
		A:   forgedAddress.AsSlice(),
	}}
	if packet, err := reply.Pack(); err == nil {
		_, _ = from.WriteToUDPAddrPort(packet, to)
	}
	s.sent.Add(1)
}
