package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// testGroup makes a group of in-memory servers 10.0.0.4, 10.0.0.5, …
func testGroup(tb testing.TB, responders ...responder) (*Group, []*inMemory) {
	tb.Helper()
	g := &Group{Name: "corp"}
	var fakes []*inMemory
	for i, respond := range responders {
		s, m := newInMemory(tb, fmt.Sprintf("10.0.0.%d:53", 4+i), respond)
		g.Servers, fakes = append(g.Servers, s), append(fakes, m)
	}
	return g, fakes
}

// closeAll closes a group's servers: within a bubble, before it ends.
func closeAll(g *Group) {
	for s := range g.All() {
		s.Close()
	}
}

// asked tells when each server was asked: "0s,1.6s | 800ms".
func asked(fakes []*inMemory, start time.Time) string {
	var servers []string
	for _, m := range fakes {
		var times []string
		for _, d := range m.times(start) {
			times = append(times, d.String())
		}
		servers = append(servers, strings.Join(times, ","))
	}
	return strings.Join(servers, " | ")
}

// told is what a test expects of attempts: "10.0.0.4:53/udp SERVFAIL (5ms)".
func told(attempts []Attempt) string {
	list := make([]string, len(attempts))
	for i, a := range attempts {
		list[i] = fmt.Sprintf("%v (%v)", a, a.Elapsed)
	}
	return strings.Join(list, "; ")
}

// fromQuery loses all queries before the n-th, counted from 1.
func fromQuery(n int, respond responder) responder {
	var mu sync.Mutex
	return func(transport Transport, query []byte, send func([]byte)) {
		mu.Lock()
		n--
		lost := n > 0
		mu.Unlock()
		if !lost {
			respond(transport, query, send)
		}
	}
}

// story is what servers do and what comes of it.
type story struct {
	name     string
	servers  []responder
	want     string // the server that answered
	rcode    int
	took     time.Duration
	asked    string
	attempts string
}

func stories(tb testing.TB) []story {
	good, second := always(tb, address("10.0.2.4")), always(tb, address("10.0.2.5"))
	servfail, refused := always(tb, rcode(dns.RcodeServerFailure)), always(tb, rcode(dns.RcodeRefused))
	truncate := always(tb, func(m *dns.Msg) { m.Truncated = true })
	return []story{
		{name: "first", servers: []responder{good, second}, want: "10.0.0.4:53", asked: "0s | "},
		{name: "nxdomain is an answer", servers: []responder{always(tb, rcode(dns.RcodeNameError)), good}, want: "10.0.0.4:53", rcode: dns.RcodeNameError, asked: "0s | "},
		{name: "nodata is an answer", servers: []responder{always(tb, nil), good}, want: "10.0.0.4:53", asked: "0s | "},
		{name: "yxdomain is an answer", servers: []responder{always(tb, rcode(dns.RcodeYXDomain)), good}, want: "10.0.0.4:53", rcode: dns.RcodeYXDomain, asked: "0s | "},
		{name: "servfail", servers: []responder{servfail, second}, want: "10.0.0.5:53", asked: "0s | 0s", attempts: "10.0.0.4:53/udp SERVFAIL (0s)"},
		{name: "refused", servers: []responder{refused, second}, want: "10.0.0.5:53", asked: "0s | 0s", attempts: "10.0.0.4:53/udp REFUSED (0s)"},
		{name: "notimp", servers: []responder{always(tb, rcode(dns.RcodeNotImplemented)), second}, want: "10.0.0.5:53", asked: "0s | 0s", attempts: "10.0.0.4:53/udp NOTIMP (0s)"},
		{name: "formerr, without EDNS too", servers: []responder{always(tb, func(m *dns.Msg) { m.Rcode, m.Extra = dns.RcodeFormatError, nil }), second},
			want: "10.0.0.5:53", asked: "0s,0s | 0s", attempts: "10.0.0.4:53/udp FORMERR (0s)"},
		{name: "other rcode", servers: []responder{always(tb, rcode(dns.RcodeNotAuth)), second}, want: "10.0.0.5:53", asked: "0s | 0s", attempts: "10.0.0.4:53/udp NOTAUTH (0s)"},
		{name: "malformed", servers: []responder{edited(tb, nil, func(w []byte) []byte { return append(w, 0) }), second},
			want: "10.0.0.5:53", asked: "0s,0s | 0s", attempts: "10.0.0.4:53/tcp malformed reply (0s)"},
		{name: "failure on failure", servers: []responder{servfail, refused, good}, want: "10.0.0.6:53", asked: "0s | 0s | 0s",
			attempts: "10.0.0.4:53/udp SERVFAIL (0s); 10.0.0.5:53/udp REFUSED (0s)"},
		{name: "late failure", servers: []responder{after(300*time.Millisecond, servfail), second}, want: "10.0.0.5:53", took: 300 * time.Millisecond,
			asked: "0s | 300ms", attempts: "10.0.0.4:53/udp SERVFAIL (300ms)"},
		{name: "silence", servers: []responder{silent, second}, want: "10.0.0.5:53", took: 800 * time.Millisecond,
			asked: "0s | 800ms", attempts: "10.0.0.4:53/udp no reply (800ms)"},
		{name: "silence over TCP", servers: []responder{byTransport(truncate, silent), second}, want: "10.0.0.5:53", took: 800 * time.Millisecond,
			asked: "0s,0s | 800ms", attempts: "10.0.0.4:53/udp no reply (800ms)"},
		{name: "slow, but first", servers: []responder{after(900*time.Millisecond, good), after(time.Second, second)}, want: "10.0.0.4:53", took: 900 * time.Millisecond,
			asked: "0s | 800ms", attempts: "10.0.0.5:53/udp no reply (100ms)"},
		{name: "failure while an older one is pending", servers: []responder{after(900*time.Millisecond, good), servfail}, want: "10.0.0.4:53", took: 900 * time.Millisecond,
			asked: "0s,800ms | 800ms", attempts: "10.0.0.5:53/udp SERVFAIL (0s); 10.0.0.4:53/udp no reply (100ms)"},
		{name: "old failure does not hurry", servers: []responder{after(900*time.Millisecond, servfail), after(500*time.Millisecond, second), good}, want: "10.0.0.5:53", took: 1300 * time.Millisecond,
			asked: "0s | 800ms | ", attempts: "10.0.0.4:53/udp SERVFAIL (900ms)"},
		{name: "lost datagram", servers: []responder{fromQuery(2, good)}, want: "10.0.0.4:53", took: 800 * time.Millisecond,
			asked: "0s,800ms", attempts: "10.0.0.4:53/udp no reply (800ms)"},
		{name: "second round", servers: []responder{silent, fromQuery(2, second)}, want: "10.0.0.5:53", took: 2400 * time.Millisecond,
			asked: "0s,1.6s | 800ms,2.4s", attempts: "10.0.0.4:53/udp no reply (2.4s); 10.0.0.5:53/udp no reply (1.6s); 10.0.0.4:53/udp no reply (800ms)"},
		{name: "shorter pauses", servers: []responder{silent, silent, silent, silent, good}, want: "10.0.0.8:53", took: 2400 * time.Millisecond,
			asked: "0s | 600ms | 1.2s | 1.8s | 2.4s", attempts: "10.0.0.4:53/udp no reply (2.4s); 10.0.0.5:53/udp no reply (1.8s); 10.0.0.6:53/udp no reply (1.2s); 10.0.0.7:53/udp no reply (600ms)"},
		{name: "second round without the failed", servers: []responder{refused, fromQuery(2, second), servfail}, want: "10.0.0.5:53", took: 800 * time.Millisecond,
			asked: "0s | 0s,800ms | 800ms", attempts: "10.0.0.4:53/udp REFUSED (0s); 10.0.0.5:53/udp no reply (800ms); 10.0.0.6:53/udp SERVFAIL (0s)"},
	}
}

func TestGroupExchange(t *testing.T) {
	for _, tc := range stories(t) {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tc.tell(t) })
		})
	}
}

// tell runs a story in a bubble.
func (tc story) tell(t *testing.T) {
	t.Helper()
	g, fakes := testGroup(t, tc.servers...)
	defer closeAll(g)
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	answer, err := g.Exchange(ctx, testQuestion)
	if err != nil {
		t.Fatalf("Exchange = %v", err)
	}
	if took := time.Since(start); took != tc.took {
		t.Errorf("Exchange took %v, want %v", took, tc.took)
	}
	if answer.Server.String() != tc.want || answer.Msg.Rcode != tc.rcode {
		t.Errorf("Exchange = rcode %d from %v, want %d from %s", answer.Msg.Rcode, answer.Server, tc.rcode, tc.want)
	}
	if got := told(answer.Attempts); got != tc.attempts {
		t.Errorf("attempts = %s\nwant %s", got, tc.attempts)
	}
	synctest.Wait()
	if got := asked(fakes, start); got != tc.asked {
		t.Errorf("asked at %s, want %s", got, tc.asked)
	}
	checkNothingPending(t, g)
}

// checkNothingPending checks that the losers' slots are free.
func checkNothingPending(t *testing.T, g *Group) {
	t.Helper()
	for _, s := range g.Servers {
		if got := s.Stats(); got.Pending != 0 {
			t.Errorf("%v: Stats() = %+v, want nothing pending", s.Addr(), got)
		}
	}
}

func TestGroupExchangeFails(t *testing.T) {
	servfail, refused := always(t, rcode(dns.RcodeServerFailure)), always(t, rcode(dns.RcodeRefused))
	tests := []struct {
		name    string
		servers []responder
		took    time.Duration
		silence bool
		want    string
	}{
		{"all fail", []responder{servfail, refused}, 0, false, `group "corp": 10.0.0.4:53/udp SERVFAIL; 10.0.0.5:53/udp REFUSED`},
		{"one fails", []responder{servfail}, 0, false, `group "corp": 10.0.0.4:53/udp SERVFAIL`},
		{"unknown rcode", []responder{always(t, rcode(3841))}, 0, false, `group "corp": 10.0.0.4:53/udp RCODE3841`},
		{"silence", []responder{silent}, 4 * time.Second, true, `group "corp": 10.0.0.4:53/udp no reply; 10.0.0.4:53/udp no reply`},
		{"silence and failure", []responder{silent, servfail}, 4 * time.Second, true,
			`group "corp": 10.0.0.4:53/udp no reply; 10.0.0.5:53/udp SERVFAIL; 10.0.0.4:53/udp no reply`},
		{"fails on the second question", []responder{fromQuery(2, servfail)}, 800 * time.Millisecond, true,
			`group "corp": 10.0.0.4:53/udp no reply; 10.0.0.4:53/udp SERVFAIL`},
		{"fails while asked again", []responder{after(time.Second, servfail), after(3*time.Second, refused)}, 3800 * time.Millisecond, true,
			`group "corp": 10.0.0.4:53/udp SERVFAIL; 10.0.0.5:53/udp REFUSED; 10.0.0.5:53/udp no reply`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, _ := testGroup(t, tc.servers...)
				defer closeAll(g)
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
				defer cancel()
				answer, err := g.Exchange(ctx, testQuestion)
				failed, ok := errors.AsType[*FailedError](err)
				if !ok || answer != nil {
					t.Fatalf("Exchange = %v, %v, want a FailedError", answer, err)
				}
				if got := failed.Error(); got != tc.want || failed.Group != "corp" {
					t.Errorf("Exchange = %s\nwant %s", got, tc.want)
				}
				if took := time.Since(start); took != tc.took {
					t.Errorf("Exchange took %v, want %v", took, tc.took)
				}
				if got := errors.Is(err, context.DeadlineExceeded); got != tc.silence {
					t.Errorf("errors.Is(%v, DeadlineExceeded) = %v, want %v", err, got, tc.silence)
				}
				synctest.Wait()
				checkNothingPending(t, g)
			})
		})
	}
}

func TestGroupExchangeRefusedPort(t *testing.T) {
	dead, l := newLoopback(t, silent)
	l.udp.Close()
	alive, _ := newLoopback(t, always(t, address("10.0.2.4")))
	g := &Group{Name: "corp", Servers: []*Server{dead, alive}}
	answer, err := g.Exchange(within(t), testQuestion)
	if err != nil {
		t.Fatal(err)
	}
	// Asked after silence, the first server would have been ErrSilent.
	if answer.Server != alive.Addr() || len(answer.Attempts) != 1 || !errors.Is(answer.Attempts[0].Err, syscall.ECONNREFUSED) {
		t.Errorf("Exchange = %v after %v, want %v after %v", answer.Server, answer.Attempts, alive.Addr(), syscall.ECONNREFUSED)
	}
	g.Servers = g.Servers[:1]
	if _, err := g.Exchange(within(t), testQuestion); !errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Exchange = %v, want %v", err, syscall.ECONNREFUSED)
	}
}

func TestGroupExchangeContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, fakes := testGroup(t, silent, silent)
		defer closeAll(g)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(1234*time.Millisecond, cancel)
		start := time.Now()
		_, err := g.Exchange(ctx, testQuestion)
		if err != context.Canceled || time.Since(start) != 1234*time.Millisecond {
			t.Errorf("Exchange = %v after %v, want %v after 1.234s", err, time.Since(start), context.Canceled)
		}
		if _, err := g.Exchange(ctx, testQuestion); err != context.Canceled {
			t.Errorf("Exchange = %v, want %v", err, context.Canceled)
		}
		synctest.Wait()
		checkNothingPending(t, g)
		if got, want := asked(fakes, start), "0s | 800ms"; got != want {
			t.Errorf("asked at %s, want %s", got, want)
		}
	})
}

func TestGroupExchangeNothingToAsk(t *testing.T) {
	g := &Group{Name: "corp"}
	if _, err := g.Exchange(t.Context(), testQuestion); !errors.Is(err, ErrNoServers) {
		t.Errorf("Exchange without servers = %v, want %v", err, ErrNoServers)
	}
	g.Servers = unused(1)
	if _, err := g.Exchange(t.Context(), Question{}); !errors.Is(err, ErrQuestion) {
		t.Errorf("Exchange without a name = %v, want %v", err, ErrQuestion)
	}
	g.Servers[0].Close()
	if _, err := g.Exchange(t.Context(), testQuestion); !errors.Is(err, ErrClosed) {
		t.Errorf("Exchange with a closed server = %v, want %v", err, ErrClosed)
	}
}

// One question goes to two servers and twice through one group at once; the race
// detector watches.
func TestGroupExchangeShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := testGroup(t, after(2*time.Second, always(t, address("10.0.2.4"))), after(2*time.Second, always(t, address("10.0.2.5"))))
		defer closeAll(g)
		before := testQuestion
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				answer, err := g.Exchange(t.Context(), testQuestion)
				if err != nil || firstAddress(answer) != "10.0.2.4" {
					t.Errorf("Exchange = %v, %v, want 10.0.2.4", firstAddress(answer), err)
					return
				}
				answer.Msg.Question[0].Name = "changed." // the message is the caller's
			})
		}
		group.Wait()
		if testQuestion != before {
			t.Errorf("the question became %v, want %v", testQuestion, before)
		}
	})
}

func TestFailedErrorUnwrap(t *testing.T) {
	addr := netip.MustParseAddrPort("10.0.0.4:53")
	err := &FailedError{Group: "corp", Attempts: []Attempt{
		{Server: addr, Transport: UDP, Rcode: dns.RcodeRefused},
		{Server: addr, Transport: TCP, Err: fmt.Errorf("dialling: %w", syscall.ECONNREFUSED)},
		{Server: addr, Transport: UDP, Err: ErrSilent},
	}}
	if got, want := err.Error(), `group "corp": 10.0.0.4:53/udp REFUSED; 10.0.0.4:53/tcp dialling: connection refused; 10.0.0.4:53/udp no reply`; got != want {
		t.Errorf("Error() = %s, want %s", got, want)
	}
	for _, target := range []error{syscall.ECONNREFUSED, ErrSilent, context.DeadlineExceeded} {
		if !errors.Is(err, target) {
			t.Errorf("errors.Is(%v, %v) = false, want true", err, target)
		}
	}
	for _, target := range []error{ErrClosed, context.Canceled} {
		if errors.Is(err, target) {
			t.Errorf("errors.Is(%v, %v) = true, want false", err, target)
		}
	}
	if got := err.Unwrap(); len(got) != 2 || slices.Contains(got, nil) {
		t.Errorf("Unwrap() = %v, want the two errors", got)
	}
}
