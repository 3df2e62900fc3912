//go:build linux

package prove

import (
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// patience is how long a client waits for a reply: as long as dig and glibc.
const patience = 5 * time.Second

// question is one question of a load and what came of it.
type question struct {
	name  string
	asked time.Time // when it left for the first time
	// latency is the time to the first reply by the kernel's clock; more than
	// patience if none came in time.
	latency   time.Duration
	rcode     int
	addresses []netip.Addr
	ttl       time.Duration // the least of the answer's
	// stale tells of extended DNS error 3 (RFC 8914).
	stale bool

	packet []byte
	again  time.Time // when it left for the last time
}

const never = time.Duration(math.MaxInt64)

// replied is when the reply came.
func (q *question) replied() time.Time { return q.asked.Add(q.latency) }

// read takes over what a reply says.
func (q *question) read(reply *dns.Msg, latency time.Duration) {
	q.latency, q.rcode, q.ttl = latency, reply.Rcode, never
	for _, record := range reply.Answer {
		q.ttl = min(q.ttl, time.Duration(record.Header().Ttl)*time.Second)
		if a, ok := record.(*dns.A); ok {
			address, _ := netip.AddrFromSlice(a.A.To4())
			q.addresses = append(q.addresses, address)
		}
	}
	q.stale = extendedError(reply) == dns.ExtendedErrorCodeStaleAnswer
}

// extendedError returns the code of a reply's extended DNS error, or the
// highest, which nobody has registered, for none.
func extendedError(reply *dns.Msg) uint16 {
	if options := reply.IsEdns0(); options != nil {
		for _, option := range options.Option {
			if found, ok := option.(*dns.EDNS0_EDE); ok {
				return found.InfoCode
			}
		}
	}
	return math.MaxUint16
}

// load asks for the addresses of names, one after the other and round again,
// at an even rate that does not depend on the replies.
type load struct {
	server netip.AddrPort
	names  []string
	rate   int // questions a second
	// retry is when a client asks again that has no reply; 0 for never.
	retry time.Duration
	// own are the clients' addresses; nil for some clients with one address.
	own []netip.Addr

	sockets []*socket
	asked   []*question
	ended   chan struct{}
	sending sync.WaitGroup
}

// clients is how many sockets share a load that says nothing of them.
const clients = 8

// begin starts the load. finish ends it, and must be called.
func (l *load) begin(p *proof) {
	p.t.Helper()
	l.ended = make(chan struct{})
	own := l.own
	if own == nil {
		own = slices.Repeat([]netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, clients)
	}
	for _, address := range own {
		l.sockets = append(l.sockets, newSocket(p.t, address, l.server))
	}
	l.sending.Go(l.send)
}

// send asks what is due every other millisecond.
func (l *load) send() {
	start := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-l.ended:
			return
		case now := <-tick.C:
			due := int(now.Sub(start).Seconds() * float64(l.rate))
			for len(l.asked) < due {
				l.ask(len(l.asked))
			}
			l.repeat(now)
		}
	}
}

func (l *load) ask(number int) {
	q := &question{name: l.names[number%len(l.names)], latency: never}
	l.asked = append(l.asked, q)
	l.sockets[number%len(l.sockets)].ask(q)
}

func (l *load) repeat(now time.Time) {
	if l.retry == 0 {
		return
	}
	for _, s := range l.sockets {
		s.repeat(now, l.retry)
	}
}

// finish ends the load, waits for the replies under way as long as clients do,
// and returns all questions.
func (l *load) finish() []*question {
	close(l.ended)
	l.sending.Wait()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for waits := true; waits && l.waiting(); {
		select {
		case <-tick.C:
			l.repeat(time.Now())
		case <-deadline.C:
			waits = false
		}
	}
	for _, s := range l.sockets {
		s.close()
	}
	return l.asked
}

func (l *load) waiting() bool {
	return slices.ContainsFunc(l.sockets, (*socket).waiting)
}

// failed reports whether the question's client did not get the address.
func (q *question) failed(expected map[string]netip.Addr) bool {
	return q.latency > patience || q.rcode != dns.RcodeSuccess || !q.right(expected)
}

// right reports whether the answer is the name's own address.
func (q *question) right(expected map[string]netip.Addr) bool {
	return slices.Equal(q.addresses, []netip.Addr{expected[q.name]})
}

// percentile returns the latency that so many of 100 questions do not exceed,
// in milliseconds; patience for no reply, not a number without questions.
func percentile(questions []*question, percent float64) float64 {
	if len(questions) == 0 {
		return math.NaN()
	}
	latencies := make([]time.Duration, len(questions))
	for i, q := range questions {
		latencies[i] = q.latency
	}
	slices.Sort(latencies)
	at := max(0, int(math.Ceil(percent/100*float64(len(latencies))))-1)
	return milliseconds(min(latencies[at], patience))
}

func milliseconds(length time.Duration) float64 { return length.Seconds() * 1000 }
