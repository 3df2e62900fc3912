package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// Everything that is not the reply is passed over, on both transports, and the wait
// goes on until the reply comes.
func TestIgnored(t *testing.T) {
	wrongID := func(wire []byte) []byte { wire[0] ^= 0xff; return wire }
	asIs := func(wire []byte) []byte { return wire }
	forged := address("192.0.2.66")
	tests := []struct {
		name string
		edit func(*dns.Msg)
		raw  func([]byte) []byte
	}{
		{"wrong id", forged, wrongID},
		{"wrong name", func(m *dns.Msg) { forged(m); m.Question[0].Name = "db2.database.example.org." }, asIs},
		{"wrong type", func(m *dns.Msg) { forged(m); m.Question[0].Qtype = dns.TypeAAAA }, asIs},
		{"wrong class", func(m *dns.Msg) { forged(m); m.Question[0].Qclass = dns.ClassANY }, asIs},
		{"no question", func(m *dns.Msg) { forged(m); m.Question = nil }, asIs},
		{"a query", func(m *dns.Msg) { forged(m); m.Response = false }, asIs},
		{"opcode", func(m *dns.Msg) { forged(m); m.Opcode = dns.OpcodeUpdate }, asIs},
		{"bare NXDOMAIN", func(m *dns.Msg) { *m = dns.Msg{MsgHdr: m.MsgHdr}; m.Rcode = dns.RcodeNameError }, asIs},
		{"bare SERVFAIL of another id", func(m *dns.Msg) { *m = dns.Msg{MsgHdr: m.MsgHdr}; m.Rcode = dns.RcodeServerFailure }, wrongID},
		{"truncated of another id", func(m *dns.Msg) { m.Truncated = true }, wrongID},
		{"short", forged, func(wire []byte) []byte { return wire[:7] }},
		{"empty", forged, func([]byte) []byte { return []byte{} }},
	}
	for _, first := range []Transport{UDP, TCP} {
		for _, tc := range tests {
			t.Run(string(first)+" "+tc.name, func(t *testing.T) {
				s, _ := newLoopback(t, func(transport Transport, query []byte, send func([]byte)) {
					if transport != first {
						send(reply(t, query, func(m *dns.Msg) { m.Truncated = true }))
						return
					}
					send(tc.raw(reply(t, query, tc.edit)))
					send(reply(t, query, address("10.0.2.4")))
				})
				answer, err := s.Exchange(within(t), testQuestion)
				if err != nil {
					t.Fatal(err)
				}
				if got := firstAddress(answer); got != "10.0.2.4" || answer.Transport != first {
					t.Errorf("Exchange = %q over %s, want 10.0.2.4 over %s", got, answer.Transport, first)
				}
				if got := s.Stats(); got.Ignored != 1 || got.Pending != 0 {
					t.Errorf("Stats() = %+v, want 1 ignored, 0 pending", got)
				}
			})
		}
	}
}

// A reply that is right in all but its source never reaches us.
func TestWrongSource(t *testing.T) {
	forger, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer forger.Close()
	server := make(chan *loopback, 1)
	s, l := newLoopback(t, func(_ Transport, query []byte, send func([]byte)) {
		seen := (<-server).sightings()
		if _, err := forger.WriteToUDPAddrPort(reply(t, query, address("192.0.2.66")), seen[len(seen)-1].from); err != nil {
			t.Errorf("forging: %v", err)
		}
		send(reply(t, query, address("10.0.2.4")))
	})
	server <- l
	answer, err := s.Exchange(within(t), testQuestion)
	if got := firstAddress(answer); err != nil || got != "10.0.2.4" {
		t.Errorf("Exchange = %q, %v, want 10.0.2.4", got, err)
	}
}

func TestLateReplyIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newInMemory(t, "192.0.2.1:53", after(2*time.Second, always(t, address("10.0.2.4"))))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := s.Exchange(ctx, testQuestion); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Exchange = %v, want %v", err, context.DeadlineExceeded)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("Exchange took %v, want 1s", took)
		}
		if got := s.Stats(); got.Pending != 0 {
			t.Errorf("Stats() = %+v, want nothing pending", got)
		}
		elapse(1500 * time.Millisecond)
		if got := s.Stats(); got.Ignored != 1 {
			t.Errorf("Stats() = %+v, want 1 ignored", got)
		}
		s.Close()
	})
}

// elapse lets fake time pass.
func elapse(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// Ports and ids must be unpredictable: questions leave from a new port nearly every
// time, and an id says nothing about the next one.
func TestPortsAndIDsSpread(t *testing.T) {
	const questions = 64
	s, l := newLoopback(t, always(t, nil))
	ctx := within(t)
	for range questions {
		if _, err := s.Exchange(ctx, testQuestion); err != nil {
			t.Fatal(err)
		}
	}
	if different, successors := idsOf(l.sightings()); different < questions-10 || successors > 5 {
		t.Errorf("%d questions had %d different ids, %d of them next to the one before", questions, different, successors)
	}
	ports := portsOf(l.sightings())
	if len(ports) < 36 { // 50 are expected; one in a million has fewer
		t.Errorf("%d questions used %d ports, want 36 at least", questions, len(ports))
	}
}

// idsOf counts the different ids, and those that equal the one before or follow it.
func idsOf(seen []sighting) (different, successors int) {
	ids := make(map[uint16]bool)
	for i, q := range seen {
		ids[q.id] = true
		if i > 0 && q.id-seen[i-1].id <= 1 {
			successors++
		}
	}
	return len(ids), successors
}

// portsOf counts the queries from each port.
func portsOf(seen []sighting) map[uint16]int {
	ports := make(map[uint16]int)
	for _, q := range seen {
		ports[q.from.Port()]++
	}
	return ports
}

// numbered is a question of its own for every n, and its answer.
func numbered(n int) (q Question, answer string) {
	q = testQuestion
	q.Name = fmt.Sprintf("n%d.example.org.", n)
	return q, fmt.Sprintf("10.9.%d.%d", n/256, n%256)
}

// holding returns a responder that keeps its answers until all questions are there,
// and signals each.
func holding(t *testing.T, questions int, received chan<- struct{}) responder {
	var held []func()
	return func(_ Transport, query []byte, send func([]byte)) {
		if isProbe(query) { // a slow machine seems to be a silent server
			send(reply(t, query, nil))
			return
		}
		_, answer := numbered(numberOf(t, query))
		held = append(held, func() { send(reply(t, query, address(answer))) })
		received <- struct{}{}
		if len(held) == questions {
			for _, release := range held {
				release()
			}
		}
	}
}

// Many questions share few sockets, and each gets its own reply.
func TestManyInFlight(t *testing.T) {
	const questions = 500
	received := make(chan struct{})
	s, l := newLoopback(t, holding(t, questions, received))
	ctx := within(t)
	var group sync.WaitGroup
	for n := range questions {
		group.Go(func() {
			q, want := numbered(n)
			if answer, err := s.Exchange(ctx, q); err != nil || firstAddress(answer) != want {
				t.Errorf("Exchange(%s) = %q, %v, want %s", q.Name, firstAddress(answer), err, want)
			}
		})
		<-received // one by one, or the server's socket buffer would overflow
	}
	group.Wait()
	if got := len(portsOf(l.sightings())); got > poolSize {
		t.Errorf("%d questions used %d sockets, want at most %d", questions, got, poolSize)
	}
	if got := s.Stats(); got.Pending != 0 || got.Sockets > poolSize {
		t.Errorf("Stats() = %+v, want 0 pending and at most %d sockets", got, poolSize)
	}
}

func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newInMemory(t, "192.0.2.1:53", silent)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for range poolSize * maxPending {
			group.Go(func() {
				if _, err := s.Exchange(ctx, testQuestion); !errors.Is(err, context.Canceled) {
					t.Errorf("Exchange = %v, want %v", err, context.Canceled)
				}
			})
		}
		synctest.Wait()
		if _, err := s.Exchange(ctx, testQuestion); !errors.Is(err, ErrBusy) {
			t.Errorf("Exchange = %v, want %v", err, ErrBusy)
		}
		if got := s.Stats(); got.Pending != poolSize*maxPending {
			t.Errorf("Stats() = %+v, want %d pending", got, poolSize*maxPending)
		}
		cancel()
		group.Wait()
		if got := s.Stats(); got.Pending != 0 {
			t.Errorf("Stats() = %+v, want nothing pending", got)
		}
		s.Close()
	})
}

func TestClose(t *testing.T) {
	truncate := always(t, func(m *dns.Msg) { m.Truncated = true })
	tests := []struct {
		name    string
		respond responder
	}{
		{"pending over UDP", silent},
		{"pending over TCP", byTransport(truncate, silent)},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			// The bubble ends only when every goroutine has: a leak is a deadlock here.
			synctest.Test(t, func(t *testing.T) {
				s, _ := newInMemory(t, "192.0.2.1:53", tc.respond)
				var group sync.WaitGroup
				for range 20 {
					group.Go(func() {
						if _, err := s.Exchange(t.Context(), testQuestion); !errors.Is(err, ErrClosed) {
							t.Errorf("Exchange = %v, want %v", err, ErrClosed)
						}
					})
				}
				synctest.Wait()
				start := time.Now()
				s.Close()
				group.Wait()
				s.Close()
				if took := time.Since(start); took != 0 {
					t.Errorf("Close took %v, want no time", took)
				}
				if got := s.Stats(); got.Sockets != 0 || got.Pending != 0 {
					t.Errorf("Stats() = %+v, want no socket, nothing pending", got)
				}
				if _, err := s.Exchange(t.Context(), testQuestion); !errors.Is(err, ErrClosed) {
					t.Errorf("Exchange after Close = %v, want %v", err, ErrClosed)
				}
			})
		})
	}
}

// Replies, cancelled contexts and Close meet in every order; the race detector
// watches.
func TestChurn(t *testing.T) {
	s, _ := newLoopback(t, always(t, address("10.0.2.4")))
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for n := range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				if n%2 == 0 {
					go cancel()
				}
				_, err := s.Exchange(ctx, testQuestion)
				cancel()
				if expected := []error{nil, context.Canceled, ErrClosed}; !slices.Contains(expected, err) {
					t.Errorf("Exchange = %v, want one of %v", err, expected)
				}
				if worker == 0 && n == 150 {
					s.Close()
				}
			}
		})
	}
	group.Wait()
	if got := s.Stats(); got.Sockets != 0 || got.Pending != 0 {
		t.Errorf("Stats() = %+v, want no socket, nothing pending", got)
	}
}

func TestCloseUnused(t *testing.T) {
	s := NewServer(netip.MustParseAddrPort("192.0.2.1:53"))
	s.Close()
	if _, err := s.Exchange(t.Context(), testQuestion); !errors.Is(err, ErrClosed) {
		t.Errorf("Exchange = %v, want %v", err, ErrClosed)
	}
}

func TestCancelFreesItsSlotOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newInMemory(t, "192.0.2.1:53", after(3*time.Second, always(t, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := s.Exchange(ctx, testQuestion); !errors.Is(err, context.Canceled) {
				t.Errorf("Exchange = %v, want %v", err, context.Canceled)
			}
		})
		group.Go(func() {
			if _, err := s.Exchange(t.Context(), testQuestion); err != nil {
				t.Errorf("Exchange = %v, want an answer", err)
			}
		})
		synctest.Wait()
		start := time.Now()
		cancel()
		synctest.Wait()
		if got := s.Stats(); got.Pending != 1 || time.Since(start) != 0 {
			t.Errorf("Stats() = %+v after %v, want 1 pending at once", got, time.Since(start))
		}
		group.Wait()
		s.Close()
	})
}

// The id that goes out is the one the question is pending under, and never one that
// is taken.
func TestFreeID(t *testing.T) {
	numbers := []uint64{5, 5, 6}
	u := newUDP("", nil, func() uint64 { n := numbers[0]; numbers = numbers[1:]; return n }, nil)
	s := &socket{pending: map[uint16]*waiter{5: {}}}
	if got := u.freeID(s); got != 6 {
		t.Errorf("freeID with 5 pending = %d, want 6", got)
	}
	query, err := newQuery(testQuestion)
	if err != nil {
		t.Fatal(err)
	}
	if got := binary.BigEndian.Uint16(query.withID(nil, 6, 0, nil)); got != 6 {
		t.Errorf("withID(6) has id %d", got)
	}
}
