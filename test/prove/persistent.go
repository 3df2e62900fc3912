//go:build linux

package prove

import (
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// persistent is a client that asks over one TCP connection, one question after the
// other, without a pause. Where the connection ends it opens another and asks again.
type persistent struct {
	server   netip.AddrPort
	names    []string
	expected map[string]netip.Addr
	ended    chan struct{} // closed when it shall end
	// within bounds each step; 0 is patience.
	within time.Duration

	// What came of it is to be read after run has returned.
	asked, failed, reconnected int

	connection *dns.Conn
}

// run asks until ended is closed.
func (p *persistent) run() {
	defer p.hangUp()
	for {
		select {
		case <-p.ended:
			return
		default:
		}
		name := p.names[p.asked%len(p.names)]
		p.asked++
		if !p.ask(name) {
			p.failed++
		}
	}
}

// ask asks a question, a second time where the connection ended: it may have been
// under way when the server hung up.
func (p *persistent) ask(name string) bool {
	for range 2 {
		if p.connection == nil && !p.connect() {
			return false
		}
		if q, replied := p.exchange(name); replied {
			return q.rcode == dns.RcodeSuccess && q.right(p.expected)
		}
		p.hangUp()
		p.reconnected++
	}
	return false
}

func (p *persistent) connect() bool {
	connection, err := net.DialTimeout("tcp", p.server.String(), p.bound())
	if err != nil {
		return false
	}
	p.connection = &dns.Conn{Conn: connection}
	return true
}

func (p *persistent) bound() time.Duration {
	if p.within > 0 {
		return p.within
	}
	return patience
}

func (p *persistent) hangUp() {
	if p.connection != nil {
		_ = p.connection.Close()
		p.connection = nil
	}
}

// exchange reports false where the connection ended.
func (p *persistent) exchange(name string) (question, bool) {
	q := question{name: name}
	begun := time.Now()
	if p.connection.SetDeadline(begun.Add(p.bound())) != nil || p.connection.WriteMsg(new(dns.Msg).SetQuestion(name, dns.TypeA)) != nil {
		return q, false
	}
	reply, err := p.connection.ReadMsg()
	if err != nil {
		return q, false
	}
	q.read(reply, time.Since(begun))
	return q, true
}
