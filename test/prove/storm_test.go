//go:build linux

package prove

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// crowdSize is how many clients ask at once.
const crowdSize = 5000

// proveStorm: thousands of clients that lost their connection to the same
// database ask for it at the same moment. That costs one question upstream,
// and every question that the kernel handed to our program is answered.
func proveStorm(p *proof) {
	rounds := pick(p.run, 10, 2)
	databases := endpoints{rounds, 10 * time.Second}
	// An answer that takes long is still awaited when the last client asks, on
	// a machine that takes its time for so many packets too.
	azure := p.azure(databases.world(), "limit azure", "latency 300ms")
	us := p.forwarder(azure.address)
	everyone := newCrowd(p.t, us)
	most, unanswered, received, longest := 0, 0, crowdSize*rounds, time.Duration(0)
	for round := range rounds {
		name, dropped := databases.name(round), socketDrops(p.t, us.address)
		span, answered := everyone.ask(p.t, name, uint16(round+1))
		dropped = socketDrops(p.t, us.address) - dropped
		received -= dropped
		longest = max(longest, span)
		unanswered += crowdSize - dropped - answered
		most = max(most, azure.asked(name)) // the canary asks for others
	}
	p.require(fmt.Sprintf("asked upstream for one name that %s clients ask for", count(crowdSize)), float64(most), "questions", exactly(1))
	p.require("received and not answered with NOERROR", float64(unanswered), "questions", exactly(0))
	p.note("received", share(received, crowdSize*rounds), "%")
	p.note("the clients asked within", milliseconds(longest), "ms")
}

// crowd is many clients, each with a port of its own, on bare sockets: asking
// must take no longer than the kernel needs for it.
type crowd []int

func newCrowd(t *testing.T, server *server) crowd {
	t.Helper()
	to := &unix.SockaddrInet4{Port: int(server.address.Port()), Addr: server.address.Addr().As4()}
	var everyone crowd
	t.Cleanup(func() {
		for _, handle := range everyone {
			_ = unix.Close(handle)
		}
	})
	for range crowdSize {
		handle, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatalf("opening socket %d, which takes a limit of open files above %d: %v", len(everyone), crowdSize, err)
		}
		everyone = append(everyone, handle)
		if err := unix.Connect(handle, to); err != nil {
			t.Fatal(err)
		}
	}
	return everyone
}

// ask sends a question from everyone. It returns how long that took, and how
// many had a good answer.
func (c crowd) ask(t *testing.T, name string, id uint16) (span time.Duration, answered int) {
	t.Helper()
	message := new(dns.Msg).SetQuestion(name, dns.TypeA).SetEdns0(1232, false)
	message.Id = id
	packet, err := message.Pack()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for _, handle := range c {
		if _, err := unix.Write(handle, packet); err != nil {
			t.Fatal(err)
		}
	}
	span = time.Since(start)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	waiting := append(crowd(nil), c...)
	// All wait for the same answer: after two seconds of silence none will come.
	for heard := start; len(waiting) > 0 && time.Since(heard) < 2*time.Second; <-again.C {
		rest, good := waiting.hear(id)
		if len(rest) < len(waiting) {
			heard = time.Now()
		}
		waiting, answered = rest, answered+good
	}
	return span, answered
}

// hear returns who has had no reply yet, and how many had a good one now.
func (c crowd) hear(id uint16) (rest crowd, good int) {
	buffer := make([]byte, 4096)
	for _, handle := range c {
		length, err := unix.Read(handle, buffer)
		reply := new(dns.Msg)
		switch {
		case err != nil, reply.Unpack(buffer[:length]) != nil, reply.Id != id:
			rest = append(rest, handle)
		case reply.Rcode == dns.RcodeSuccess && len(reply.Answer) > 0:
			good++
		}
	}
	return rest, good
}
