package upstream

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// dropping replies as another responder does, to queries without EDNS only.
func dropping(respond responder) responder {
	return func(transport Transport, query []byte, send func([]byte)) {
		if !hasOPT(query) {
			respond(transport, query, send)
		}
	}
}

// offsets are how long after start each query came and whether it had EDNS: "0s+edns 800ms".
func offsets(queries *[]string, start time.Time, respond responder) responder {
	var mu sync.Mutex
	return func(transport Transport, query []byte, send func([]byte)) {
		kind := ""
		if hasOPT(query) {
			kind = "+edns"
		}
		mu.Lock()
		*queries = append(*queries, fmt.Sprint(time.Since(start), kind))
		mu.Unlock()
		respond(transport, query, send)
	}
}

// A server that is silent to EDNS is asked without it, at once the next time; one that
// has replied to EDNS before never is.
func TestSilentToEDNS(t *testing.T) {
	tests := []struct {
		name    string
		before  responder // to the first question, a minute before
		respond responder // to two questions, at 0 s and 60 s
		probed  responder
		want    []string
	}{
		{
			name:    "never heard",
			respond: dropping(always(t, address("10.0.2.4"))), probed: dropping(always(t, nil)),
			want: []string{"0s+edns", "800ms", "1m0s"},
		},
		{
			name:    "never heard, and all probes dropped",
			respond: dropping(always(t, address("10.0.2.4"))), probed: silent,
			want: []string{"0s+edns", "800ms", "1m0s"},
		},
		{
			name:    "lost only",
			respond: fromQuery(2, always(t, address("10.0.2.4"))), probed: always(t, nil),
			want: []string{"0s+edns", "800ms", "1m0s+edns"},
		},
		{
			name:    "slow only",
			respond: after(790*ms, always(t, address("10.0.2.4"))), probed: silent,
			want: []string{"0s+edns", "1m0s+edns"},
		},
		{
			name:    "heard before",
			before:  always(t, nil),
			respond: fromQuery(2, always(t, address("10.0.2.4"))), probed: dropping(always(t, nil)),
			want: []string{"0s+edns", "800ms+edns", "1m0s+edns"},
		},
		{
			name:    "refused before",
			before:  always(t, rcode(dns.RcodeRefused)),
			respond: fromQuery(2, always(t, address("10.0.2.4"))), probed: dropping(always(t, nil)),
			want: []string{"0s+edns", "800ms+edns", "1m0s+edns"},
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, fakes := testGroup(t, tc.before)
				defer closeAll(g)
				if tc.before != nil {
					_, _ = g.Exchange(ctxFor(t, 4*time.Second), testQuestion)
					elapse(time.Minute)
				}
				var got []string
				fakes[0].become(offsets(&got, time.Now(), tc.respond))
				fakes[0].probed = tc.probed
				for range 2 {
					start := time.Now()
					answer, err := g.Exchange(ctxFor(t, 4*time.Second), testQuestion)
					if err != nil || firstAddress(answer) != "10.0.2.4" {
						t.Errorf("Exchange = %v, %v, want an answer", answer, err)
					}
					elapse(start.Add(time.Minute).Sub(time.Now()))
				}
				if fmt.Sprint(got) != fmt.Sprint(tc.want) {
					t.Errorf("asked at %v, want %v", got, tc.want)
				}
				if h := g.Servers[0].Health(); h.Down || h.Suspected {
					t.Errorf("Health() = %+v, want well", h)
				}
			})
		})
	}
}

// A late reply to a query with EDNS shows that the server knows it.
func TestLateReplyWithEDNS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := after(1200*ms, always(t, address("10.0.2.4")))
		quick := dropping(always(t, address("10.0.2.4")))
		g, fakes := testGroup(t, func(transport Transport, query []byte, send func([]byte)) {
			if hasOPT(query) {
				slow(transport, query, send)
				return
			}
			quick(transport, query, send)
		})
		defer closeAll(g)
		fakes[0].probed = silent
		if _, err := g.Exchange(ctxFor(t, 4*time.Second), testQuestion); err != nil {
			t.Fatal(err)
		}
		s := g.Servers[0]
		if !s.edns.unheard() {
			t.Fatal("a query with EDNS has had a reply before it came")
		}
		elapse(2 * time.Second)
		if s.edns.unheard() || s.edns.avoided() {
			t.Errorf("after the late reply EDNS is left out: %v", s.edns.avoided())
		}
	})
}

// While a server is silent to EDNS, it is not taken for down because another one has
// all the answers.
func TestSilentToEDNSBesideAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, fakes := testGroup(t, dropping(always(t, nil)), always(t, nil))
		defer closeAll(g)
		fakes[0].probed = sooner(dropping(always(t, nil)))
		for range 3 {
			if _, err := g.Exchange(ctxFor(t, 4*time.Second), testQuestion); err != nil {
				t.Fatal(err)
			}
			elapse(5 * time.Second)
		}
		s := g.Servers[0]
		if h := s.Health(); h.Down || h.Suspected || !s.edns.avoided() {
			t.Errorf("Health() = %+v, without EDNS: %v; want well and without", h, s.edns.avoided())
		}
	})
}

// Whoever sets the wall clock back does not have queries go without EDNS for as long as
// that: until when they do has a monotonic reading, which Round takes away.
func TestAvoidingEDNSIsNotReadFromTheWallClock(t *testing.T) {
	var known edns
	known.avoid()
	if until := *known.avoidAll.Load(); until == until.Round(0) {
		t.Errorf("EDNS is avoided until %v, want a time with a monotonic reading", until)
	}
	if !known.avoided() {
		t.Error("EDNS is not avoided")
	}
}
