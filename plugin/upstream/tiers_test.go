package upstream

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// A backup is asked when all servers of the tier before have failed or been silent for
// long, and not because one is slow and another has failed.
func TestBackupsAreAReserve(t *testing.T) {
	well, failing := always(t, nil), always(t, rcode(dns.RcodeRefused))
	tests := []struct {
		name          string
		first, second responder
		want          string // when each was asked
	}{
		{"slow", after(300*ms, well), after(350*ms, well), "0s | 20ms | "},
		{"slow and failed", after(300*ms, well), failing, "0s | 20ms | "},
		{"all failed", failing, failing, "0s | 0s | 0s"},
		{"failed, the slow one last", after(300*ms, failing), failing, "0s | 20ms | 300ms"},
		{"failed, the slow one first", failing, after(300*ms, failing), "0s | 0s | 300ms"},
		{"silent and failed", silent, failing, "0s | 20ms | 820ms"},
		{"silent", silent, silent, "0s | 20ms | 820ms"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, fakes := testGroup(t, well, well, well)
				defer closeAll(g)
				g.Servers, g.Backups = g.Servers[:2], [][]*Server{g.Servers[2:]}
				if _, err := g.within4s(t); err != nil { // so that the first is known to be fast
					t.Fatal(err)
				}
				elapse(100 * ms)
				for i, respond := range []responder{tc.first, tc.second, well} {
					fakes[i].become(respond)
				}
				start := time.Now()
				if _, err := g.within4s(t); err != nil {
					t.Fatal(err)
				}
				if got := asked(fakes, start); got != tc.want {
					t.Errorf("asked at %s, want %s", got, tc.want)
				}
			})
		})
	}
}

// The name of probes can be changed while the server is probed.
func TestSetProbeName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := newInMemory(t, "192.0.2.1:53", silent)
		defer s.Close()
		s.Suspect()
		elapse(2 * time.Second)
		if !s.Health().Down || len(m.times(time.Now())) > 0 {
			t.Fatal("not down by probes with the usual name alone")
		}
		if err := s.SetProbeName("hub.example"); !errors.Is(err, ErrQuestion) {
			t.Errorf("SetProbeName(a name without its dot) = %v, want %v", err, ErrQuestion)
		}
		m.become(func(transport Transport, query []byte, send func([]byte)) {
			var msg dns.Msg
			if err := msg.Unpack(query); err != nil || msg.Question[0].Name != "hub.example." {
				t.Errorf("asked %v, %v; want hub.example.", msg.Question, err)
			}
			send(reply(t, query, nil))
		})
		elapse(2 * time.Second)
		if !s.Health().Down {
			t.Error("a name that was refused is in force")
		}
		if err := s.SetProbeName("hub.example."); err != nil {
			t.Fatal(err)
		}
		elapse(2 * time.Second)
		if s.Health().Down {
			t.Error("down after 2 s with the other name, want it found well by that")
		}
	})
}

func TestGroupAll(t *testing.T) {
	servers := unused(4)
	g := &Group{Servers: servers[:2], Backups: [][]*Server{servers[2:3], nil, servers[3:]}}
	for end := range 5 {
		var got []*Server
		for s := range g.All() {
			if len(got) == end {
				break
			}
			got = append(got, s)
		}
		if len(got) != end || end > 0 && got[end-1] != servers[end-1] {
			t.Errorf("the first %d of All() = %v, want %v", end, got, servers[:end])
		}
	}
	if got := testing.AllocsPerRun(100, func() { _ = g.Down() }); got != 0 {
		t.Errorf("Down allocates %v times, want none", got)
	}
}
