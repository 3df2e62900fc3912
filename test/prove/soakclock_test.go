//go:build linux

package prove

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// lastingLabel begins the names of databases whose answers live for an hour. They are
// asked for anew only by who reads an age from the wall clock.
const lastingLabel = "lasting"

func lastingEndpoints() []endpoint {
	all := make([]endpoint, 20)
	for i := range all {
		all[i] = endpoint{fmt.Sprintf("%s%d", lastingLabel, i), netip.AddrFrom4([4]byte{10, 201, 0, byte(i)}), time.Hour}
	}
	return all
}

// moving are databases with a short TTL, whose addresses change when somebody sets the
// wall clock. Who keeps the old one for longer than the TTL has set its age back, too.
type moving struct {
	// moves are the moments between which each generation of addresses became true.
	moves []move
	// judged counts answers that were given for long enough after a move.
	judged int
}

type move struct{ begun, done time.Time }

const (
	movingLabel = "moving"
	movingTTL   = 2 * time.Second
	// movingSlack is how late an answer may be on its way to us, and from us.
	movingSlack = 2 * time.Second
)

func (m *moving) endpoints() []endpoint {
	all := make([]endpoint, 10)
	for i := range all {
		generation := len(m.moves)
		all[i] = endpoint{fmt.Sprintf("%s%d", movingLabel, i), netip.AddrFrom4([4]byte{10, byte(202 + generation>>8), byte(generation), byte(i)}), movingTTL}
	}
	return all
}

func movedNames() []string {
	names := make([]string, 10)
	for i, each := range new(moving).endpoints() {
		names[i] = each.name()
	}
	return names
}

func (m *moving) holds(name string) bool { return strings.HasPrefix(name, movingLabel) }

// wrongly says what is wrong with the answer to a question for a moving database; empty
// where nothing is. An old address is right for as long as it may be on its way or fresh,
// and after that where the answer says itself that it is stale.
func (m *moving) wrongly(q *question) string {
	text := fmt.Sprintf("%s is rcode %d with %v, stale %v", q.name, q.rcode, q.addresses, q.stale)
	var number byte
	if _, err := fmt.Sscanf(q.name, movingLabel+"%d.", &number); err != nil || q.rcode != 0 || len(q.addresses) != 1 {
		return text
	}
	got := q.addresses[0].As4()
	generation := int(got[1]-202)<<8 | int(got[2])
	if got[0] != 10 || got[1] < 202 || got[3] != number || generation > len(m.moves) {
		return text
	}
	if generation > 0 && m.moves[generation-1].begun.After(q.replied()) {
		return text + ", which is true only later"
	}
	if generation > 0 && q.asked.After(m.moves[generation-1].done.Add(movingTTL+movingSlack)) {
		m.judged++
	}
	if generation == len(m.moves) || q.stale {
		return ""
	}
	if late := q.asked.Sub(m.moves[generation].done.Add(movingTTL + movingSlack)); late > 0 {
		return fmt.Sprintf("%s, %s too late", text, late)
	}
	return ""
}

// settles reports whether there was a time, up to an end, when only the new addresses were
// right.
func (m *moving) settles(end time.Time) bool {
	for i, each := range m.moves {
		next := end
		if i+1 < len(m.moves) {
			next = m.moves[i+1].begun
		}
		if next.Sub(each.done) > movingTTL+movingSlack+500*time.Millisecond {
			return true
		}
	}
	return false
}

// world returns the simulator's world as it is now.
func (s *soak) world() string {
	return s.databases.world(append(lastingEndpoints(), s.moving.endpoints()...)...)
}

// move gives the moving databases other addresses.
func (s *soak) move() {
	next := move{begun: time.Now()}
	s.moving.moves = append(s.moving.moves, next)
	if err := os.WriteFile(s.cloud.world, []byte(s.world()), 0o600); err != nil {
		s.proof.t.Fatal(err)
	}
	us := &reloaded{server: &server{process: s.cloud.process}}
	done := us.said(reloadedLine)
	s.cloud.signal(syscall.SIGHUP)
	for us.said(reloadedLine) == done {
		if pass(5 * time.Millisecond); time.Since(next.begun) > stoppingTime {
			s.proof.t.Fatalf("the simulator did not take its new world:\n%s", s.cloud.output.tail())
		}
	}
	s.moving.moves[len(s.moving.moves)-1].done = time.Now()
}

// askLasting asks for all lasting databases; false where one has no right answer.
func (s *soak) askLasting() bool {
	all := true
	for _, each := range lastingEndpoints() {
		all = s.lasting.ask(each.name()) && all
	}
	return all
}

// keepsLasting has something done while our program has the answers for all lasting
// databases, and counts those that it does not have afterwards.
func (s *soak) keepsLasting(doing func()) {
	for begun := time.Now(); !s.askLasting(); {
		if time.Since(begun) > patience {
			s.proof.t.Errorf("some databases have no right answer for %s", patience)
			return
		}
	}
	asked := s.road.lasting.Load()
	doing()
	if !s.askLasting() {
		s.forgotten++
	}
	s.forgotten += int(s.road.lasting.Load() - asked)
}

// setClock sets the wall clock of our program, and sees that our program reads it so: it
// is in its cookies (RFC 9018 section 4.3).
func (s *soak) setClock(ahead time.Duration) {
	s.clock.set(ahead)
	message := new(dns.Msg).SetQuestion(lastingEndpoints()[0].name(), dns.TypeA).SetEdns0(1232, false)
	message.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"}}
	client := dns.Client{Net: "tcp", Timeout: patience}
	reply, _, err := client.Exchange(message, s.address.String())
	if err != nil {
		s.proof.t.Errorf("asking for a cookie: %v", err)
		return
	}
	for _, option := range reply.IsEdns0().Option {
		if cookie, found := option.(*dns.EDNS0_COOKIE); found && len(cookie.Cookie) == 48 {
			seconds, err := strconv.ParseUint(cookie.Cookie[24:32], 16, 32)
			if wrong := time.Since(time.Unix(int64(seconds), 0)) + ahead; err != nil || wrong.Abs() > patience {
				s.proof.t.Errorf("the wall clock of our program is not set: %s ahead, want %s", ahead-wrong, ahead)
			}
			return
		}
	}
	s.proof.t.Errorf("found no cookie in\n%s", reply)
}

// wallClockSet sets the wall clock of our program while it runs, and sets it right again.
func wallClockSet(ahead time.Duration) func(*soak) func() {
	return func(s *soak) func() {
		s.keepsLasting(func() { s.setClock(ahead) })
		s.move()
		return func() {
			s.keepsLasting(func() { s.setClock(0) })
			s.move()
		}
	}
}

// clockJumps sets the wall clock to and fro.
func (s *soak) clockJumps() func() {
	s.keepsLasting(func() {
		for range 20 {
			s.clock.set(time.Duration(s.random.Int64N(int64(96*time.Hour))) - 48*time.Hour)
			pass(10 * time.Millisecond)
		}
	})
	return wallClockSet(-time.Minute)(s)
}

// stopAhead has our program stopped while its wall clock is wrong, and started when it is
// right again: what it has written is of the future.
func (s *soak) stopAhead() func() {
	s.clock.set(24 * time.Hour)
	start := s.replace(syscall.SIGTERM, 0)
	return func() {
		s.clock.set(0)
		start()
	}
}
