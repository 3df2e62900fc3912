package upstream

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

func TestRunAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := unused(1)[0]
		started := time.Now()
		elapse(time.Second)
		replied := &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeRefused}}
		tests := []struct {
			name string
			run  *run
			want string
		}{
			{"pending", &run{}, "10.0.0.4:53/udp no reply (1s)"},
			{"rcode", &run{ended: true, result: result{msg: replied, transport: TCP}, elapsed: 7}, "10.0.0.4:53/tcp REFUSED (7ns)"},
			{"error", &run{ended: true, result: result{err: ErrBusy, transport: UDP}}, "10.0.0.4:53/udp too many questions pending (0s)"},
			{"ended by the deadline", &run{ended: true, result: result{err: context.DeadlineExceeded, transport: UDP}, elapsed: 7}, "10.0.0.4:53/udp no reply (7ns)"},
			{"timeout", &run{ended: true, result: result{err: fmt.Errorf("dialling: %w", context.DeadlineExceeded), transport: TCP}}, "10.0.0.4:53/tcp no reply (0s)"},
		}
		for _, tc := range tests {
			tc.run.server, tc.run.started = server, started
			if got := told([]Attempt{tc.run.attempt()}); got != tc.want {
				t.Errorf("%s: attempt() = %s, want %s", tc.name, got, tc.want)
			}
		}
	})
}

// What the end of the context ends has not failed, and nobody else is asked for it.
func TestRaceFinishAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := testGroup(t, silent, silent)
		defer closeAll(g)
		ctx, cancel := context.WithCancel(t.Context())
		r := newRace()
		if err := r.query.compose(testQuestion); err != nil {
			t.Fatal(err)
		}
		r.plan = schedule(nil, unknown(g.Servers))
		r.start(ctx)
		cancel()
		if answer := r.finish(ctx, <-r.finishes); answer != nil || len(r.failed) != 0 || len(r.runs) != 1 {
			t.Errorf("finish = %v, failed %d, runs %d; want nil, 0, 1", answer, len(r.failed), len(r.runs))
		}
	})
}

// Races are used again. None has anything of the question before it: not its answer,
// its attempts or its runs, however it ended.
func TestRacesAreUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// What the first server does with every fourth name.
		how := []responder{after(5*ms, echoing(t)), silent, always(t, rcode(dns.RcodeServerFailure)), after(900*ms, echoing(t))}
		g, fakes := testGroup(t, func(transport Transport, query []byte, send func([]byte)) {
			how[numberOf(t, query)%len(how)](transport, query, send)
		}, after(7*ms, echoing(t)))
		defer closeAll(g)
		for _, m := range fakes {
			m.probed = always(t, nil)
		}
		var group sync.WaitGroup
		for worker := range 8 {
			group.Go(func() {
				for round := range 40 {
					n := 40*worker + round
					q, want := numbered(n)
					answer, err := g.Exchange(ctxFor(t, 4*time.Second), q)
					if err != nil || firstAddress(answer) != want || answer.Msg.Question[0].Name != q.Name {
						t.Errorf("Exchange(%s) = %v, %v, want %s", q.Name, answer, err, want)
						continue
					}
					for _, a := range answer.Attempts {
						if refused := a.Err == nil; refused != (n%len(how) == 2 && a.Server == g.Servers[0].Addr()) {
							t.Errorf("%s had the attempt %v", q.Name, a)
						}
					}
				}
			})
		}
		group.Wait()
		elapse(abandonedFor)
		for _, s := range g.Servers {
			if got := s.Stats(); got.Pending != 0 || got.Waiting != 0 {
				t.Errorf("%v: Stats() = %+v, want nothing pending", s.Addr(), got)
			}
		}
	})
}

// numberOf is the n of a question that numbered has made.
func numberOf(t *testing.T, query []byte) (n int) {
	t.Helper()
	var msg dns.Msg
	if err := msg.Unpack(query); err != nil {
		t.Errorf("unpacking: %v", err)
	} else if _, err := fmt.Sscanf(msg.Question[0].Name, "n%d.", &n); err != nil {
		t.Errorf("reading %q: %v", msg.Question[0].Name, err)
	}
	return n
}

// echoing answers each numbered question with its own address.
func echoing(t *testing.T) responder {
	return func(_ Transport, query []byte, send func([]byte)) {
		_, answer := numbered(numberOf(t, query))
		send(reply(t, query, address(answer)))
	}
}
