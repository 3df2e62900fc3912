//go:build linux

package prove

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// proveLoop: a company's server sends back to us what our route sends there. The
// loop is found and reported with file and line, its questions fail at once, the rest
// is served, and after a repair and a reload the route serves again.
func proveLoop(p *proof) {
	azure := p.azure(endpoints{2, 10 * time.Second}.world(), "latency 5ms")
	company := freeAddress(p.t)
	var corefile string
	write := func(us, behind netip.AddrPort) string {
		corefile = p.file("Corefile.loop", fmt.Sprintf(`.:%d {
    bind %s
    privatelink {
        upstream azure %s%s
        upstream corp %s
        route . azure
        route n1.database.windows.net corp
    }
}
.:%d {
    bind %s
    forward . %s
}`, us.Port(), us.Addr(), azure.address, p.subject.budget, company, company.Port(), company.Addr(), behind))
		return corefile
	}
	us, address := p.serveAnywhere(nil, func(address netip.AddrPort) string { return write(address, address) })
	l := &loopProof{proof: p, server: address}
	p.require("loop found and held back after", l.await("x%d.n1.database.windows.net.", isHeldBack), "ms", atMost(3000))
	p.require("its questions fail within", l.slowest("y%d.n1.database.windows.net.", isHeldBack), "ms", atMost(500))
	p.require("questions of other routes are answered within", l.slowest("n0.database.windows.net.", isAnswered), "ms", atMost(500))
	place := 0.0
	if said := us.output.tail(); strings.Contains(said, corefile+":7: ") && strings.Contains(said, `to upstream group "corp" leads back to this server`) {
		place = 1
	}
	p.require("reported with the file and the line of the route", place, "time", exactly(1))

	write(address, azure.address)
	us.signal(syscall.SIGHUP)
	p.require("after the repair and a reload: answered after", l.await("n1.database.windows.net.", isAnswered), "ms", atMost(3000))
}

type loopProof struct {
	*proof
	server netip.AddrPort
	asked  int
}

// ask asks for the next name of a pattern, for kept failures say nothing new.
func (l *loopProof) ask(pattern string) (*dns.Msg, time.Duration) {
	l.t.Helper()
	l.asked++
	name := pattern
	if strings.Contains(pattern, "%d") {
		name = fmt.Sprintf(pattern, l.asked)
	}
	client := dns.Client{Timeout: patience}
	reply, took, err := client.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA).SetEdns0(1232, false), l.server.String())
	if err != nil {
		l.t.Logf("asking for %s: %v", name, err)
		return new(dns.Msg), patience
	}
	return reply, took
}

// await asks until a reply is as wanted, and returns how long that took.
func (l *loopProof) await(pattern string, wanted func(*dns.Msg) bool) float64 {
	l.t.Helper()
	start := time.Now()
	for time.Since(start) < 20*time.Second {
		if reply, _ := l.ask(pattern); wanted(reply) {
			return milliseconds(time.Since(start))
		}
		pass(50 * time.Millisecond)
	}
	return math.Inf(1)
}

// slowest asks some questions, and returns how long the slowest took. One that is not
// answered as wanted took for ever.
func (l *loopProof) slowest(pattern string, wanted func(*dns.Msg) bool) float64 {
	l.t.Helper()
	slowest := 0.0
	for range pick(l.run, 100, 20) {
		reply, took := l.ask(pattern)
		if !wanted(reply) {
			l.t.Logf("%s: %s", pattern, reply)
			return math.Inf(1)
		}
		slowest = max(slowest, milliseconds(took))
	}
	return slowest
}

// isHeldBack reports whether a reply says that its route leads in circles.
func isHeldBack(reply *dns.Msg) bool {
	return reply.Rcode == dns.RcodeServerFailure && strings.Contains(reply.String(), "forwarding loop")
}

func isAnswered(reply *dns.Msg) bool {
	return reply.Rcode == dns.RcodeSuccess && len(publicAddresses(reply)) == 0 && len(reply.Answer) == 2
}
