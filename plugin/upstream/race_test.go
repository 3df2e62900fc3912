package upstream

import (
	"context"
	"fmt"
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
		query, err := newQuery(testQuestion)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		r := newRace(query, schedule(unknown(g.Servers)))
		r.start(ctx)
		cancel()
		if answer := r.finish(ctx, <-r.finishes); answer != nil || len(r.failed) != 0 || len(r.runs) != 1 {
			t.Errorf("finish = %v, failed %d, runs %d; want nil, 0, 1", answer, len(r.failed), len(r.runs))
		}
	})
}
