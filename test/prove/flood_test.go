//go:build linux

package prove

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
)

// flood is questions for names that are all different, from very many addresses, at a
// rate that does not depend on the replies.
type flood struct {
	server                netip.AddrPort
	number, sources, rate int

	sent, replies, wrong atomic.Int64

	connection *net.UDPConn
	reading    sync.WaitGroup
}

// pour sends the flood. end ends it, and must be called.
func (f *flood) pour(p *proof, seed uint64) {
	p.t.Helper()
	connection, err := net.ListenUDP("udp4", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = connection.SetReadBuffer(4 << 20)
	f.connection = connection
	f.reading.Go(f.read)
	packets, random := ipv4.NewPacketConn(connection), rand.New(rand.NewPCG(seed, 3))
	to, start := net.UDPAddrFromAddrPort(f.server), time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for sent := 0; sent < f.number; {
		now := <-tick.C
		due := min(f.number, int(now.Sub(start).Seconds()*float64(f.rate)), sent+f.rate/50+1)
		for ; sent < due; sent++ {
			message := new(dns.Msg).SetQuestion(fmt.Sprintf("flood-%d-%d.database.windows.net.", seed%1000, sent), dns.TypeA)
			packet, err := message.Pack()
			if err != nil {
				p.t.Fatal(err)
			}
			// Any address of 127.0.0.0/8 is this machine's own.
			source := random.IntN(f.sources)
			control := &ipv4.ControlMessage{Src: net.IPv4(127, byte(1+source>>16), byte(source>>8), byte(source))}
			if _, err := packets.WriteTo(packet, control, to); err == nil {
				f.sent.Add(1)
			}
		}
	}
}

func (f *flood) end() {
	_ = f.connection.Close()
	f.reading.Wait()
}

// read counts the replies. None of the names exists. What somebody else sends to the port,
// a forger that tries all of them, would not reach a client that looks who it is from.
func (f *flood) read() {
	buffer := make([]byte, 4096)
	for {
		length, from, err := f.connection.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		if netip.AddrPortFrom(from.Addr().Unmap(), from.Port()) != f.server {
			continue
		}
		reply := new(dns.Msg)
		if reply.Unpack(buffer[:length]) != nil {
			f.wrong.Add(1)
			continue
		}
		f.replies.Add(1)
		if len(reply.Answer) > 0 || len(reply.Question) != 1 || !strings.HasPrefix(reply.Question[0].Name, "flood-") {
			f.wrong.Add(1)
		}
	}
}
