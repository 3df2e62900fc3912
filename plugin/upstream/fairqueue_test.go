package upstream

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// flowNamed is a network and a part of it, of a name such as a1: one letter, one digit.
func flowNamed(name string) flow {
	network := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, name[0], 0, 0}), 24)
	return flow{network: network, part: name[1] - '0'}
}

// standing is a fairQueue with applicants that are told by name: their flow and whatever
// else follows.
type standing struct {
	queue fairQueue
	names map[*applicant]string
}

func newStanding(names string) *standing {
	s := &standing{names: map[*applicant]string{}}
	for name := range strings.FieldsSeq(names) {
		a := &applicant{flow: flowNamed(name)}
		s.queue.put(a)
		s.names[a] = name
	}
	return s
}

func (s *standing) takeAll() string {
	var taken []string
	for s.queue.length > 0 {
		taken = append(taken, s.names[s.queue.take()])
	}
	return strings.Join(taken, " ")
}

func TestFairQueueOrder(t *testing.T) {
	for _, tc := range []struct{ name, put, want string }{
		{"first come, first served in one network", "a0x a0y a0z", "a0x a0y a0z"},
		{"networks take turns", "a0u a0v a0w b0x b0y c0z", "a0u b0x c0z a0v b0y a0w"},
		{"so do the parts of one", "a0u a0v a0w a3x a7y a7z", "a0u a3x a7y a0v a7z a0w"},
		{"many parts are no more than one network", "a0 a1 a2 a3 b0x b0y", "a0 b0x a1 b0y a2 a3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStanding(tc.put)
			if got := s.takeAll(); got != tc.want {
				t.Errorf("takeAll() after %q = %q, want %q", tc.put, got, tc.want)
			}
			if len(s.queue.networks) != 0 || s.queue.turns.Len() != 0 || s.queue.longest != nil {
				t.Errorf("an empty queue still knows %d networks", len(s.queue.networks))
			}
		})
	}
}

// A newcomer is told its place as it is, unless queues differ much in length: then what
// it is told is no better than the truth, for others may come.
func TestFairQueueTurn(t *testing.T) {
	for _, tc := range []struct {
		put, newcomer string
		want          int
	}{
		{"", "a0!", 1},
		{"a0 a0 a0", "a0!", 4},
		{"a0 a0 a0", "b0!", 2},
		{"a0 a0 a0", "a1!", 2},
		{"a0 a0 a0 b0 b0 b0", "c0!", 3},
		{"a0 a0 a0 b0 b0 b0", "b0!", 7},
		{"a0 a0 a0 b0 b0 b0", "b1!", 4},
		{"a0 a0 a0 b0", "a0!", 5},
		{"a0 a1 a2 a3", "a0!", 5},
	} {
		s := newStanding(tc.put)
		if got := s.queue.turn(flowNamed(tc.newcomer)); got != tc.want {
			t.Errorf("turn(%s) behind %q = %d, want %d", tc.newcomer, tc.put, got, tc.want)
		}
		order := strings.Fields(newStanding(tc.put + " " + tc.newcomer).takeAll())
		if really := 1 + slices.Index(order, tc.newcomer); really > tc.want {
			t.Errorf("%s is served as number %d behind %q, and was told %d", tc.newcomer, really, tc.put, tc.want)
		}
	}
}

func TestFairQueueMakesRoom(t *testing.T) {
	for _, tc := range []struct{ name, put, newcomer, want string }{
		{"nobody waits", "", "a0", ""},
		{"one who asks a lot", "a0x a0y a0z", "a0", ""},
		{"another network", "a0x a0y a0z", "b0", "a0z"},
		{"each has one", "a0 b0 c0", "d0", ""},
		{"it would be the longest itself", "a0x a0y b0x b0y", "a0", ""},
		{"it would be as long as the longest", "a0x a0y b0x", "b0", ""},
		{"another part", "a0x a0y a0z", "a1", "a0z"},
		{"the longest part makes room", "a0x a0y a1z", "b0", "a0y"},
		{"the longest now, not once", "a0u a0v a0w b0x b0y", "c0", "a0w"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStanding(tc.put)
			if got := s.names[s.queue.last(flowNamed(tc.newcomer))]; got != tc.want {
				t.Errorf("last(%s) of %q = %q, want %q", tc.newcomer, tc.put, got, tc.want)
			}
		})
	}
}

// Who has become the longest because another has left is found in the next round.
func TestFairQueueFindsTheLongest(t *testing.T) {
	s := newStanding("a0 a0 a0 a0 b0 b0 b0")
	for a, name := range s.names {
		if name == "a0" && s.queue.networks[a.flow.network].length > 1 {
			s.queue.remove(a)
		}
	}
	for range 2 {
		s.queue.take()
	}
	if last := s.queue.last(flowNamed("c0")); s.names[last] != "b0" {
		t.Errorf("last(c0) = %q, want b0", s.names[last])
	}
}

// Children of one name are of one part, whatever the network.
func TestFlowOf(t *testing.T) {
	key := newPacer(Budget{}).key
	network := netip.MustParsePrefix("192.0.2.0/24")
	seen := map[uint8]bool{}
	for i := range 100 {
		zone := fmt.Sprintf("zone%d.example.", i)
		first := flowOf(&Question{Name: "a." + zone, Network: network}, key)
		second := flowOf(&Question{Name: `b\.c.` + zone}, key)
		if first.part != second.part || first.network != network || first.part >= parts {
			t.Fatalf("flowOf children of %s = %v and %v, want one part below %d", zone, first, second, parts)
		}
		seen[first.part] = true
	}
	if len(seen) < parts {
		t.Errorf("100 zones are in %d parts, want %d", len(seen), parts)
	}
	flowOf(&Question{Name: "."}, key)
}

// askedFor is a query for a client of one of 200 networks.
func askedFor(network int, name string) Question {
	q := testQuestion
	q.Name, q.Network = name, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(network), 0}), 24)
	return q
}

// Where no more may wait, the last of whoever has the most makes room, at once.
func TestPacerMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(Budget{PerSecond: 10})
		join := func(name string, network int) {
			q, err := newQuery(askedFor(network, "db1.example."))
			if err != nil {
				t.Fatal(err)
			}
			l.joinFor(t.Context(), name, client, q)
		}
		join("first", 1)
		const most = 38 // in 4 s
		for i := range most {
			join(fmt.Sprintf("a%d", 1+i), 1)
		}
		join("a39", 1)
		join("b1", 2)
		join("b2", 2)
		join("c1", 3)
		if stats := statsOf(l.pacer); stats.Waiting != most || stats.Waited != most+3 || stats.Refused != 4 {
			t.Errorf("%d wait, %d waited, %d are refused, want %d, %d, 4", stats.Waiting, stats.Waited, stats.Refused, most, most+3)
		}
		elapse(600 * time.Millisecond)
		l.want(t, "first@0s", "a39 over budget@0s", "a38 over budget@0s", "a37 over budget@0s", "a36 over budget@0s",
			"a1@105ms", "b1@211ms", "c1@316ms", "a2@421ms", "b2@526ms")
		l.pacer.close()
		l.group.Wait()
	})
}

func statsOf(p *pacer) (stats Stats) {
	p.report(&stats)
	return stats
}

// flooding is a client that asks six times what a server takes, for random names.
func flooding(ctx context.Context, g *Group, group *sync.WaitGroup) {
	for number := 0; ctx.Err() == nil; <-time.After(time.Millisecond) {
		for range 6 {
			number++
			q := askedFor(0, fmt.Sprintf("random%d.example.", number))
			group.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
				defer cancel()
				_, _ = g.Exchange(ctx, q)
			})
		}
	}
}

// A flood of random names from one network holds up nobody else, be it in another
// network or behind the same resolver; and what the server takes is used.
func TestAFloodHoldsUpNobodyElse(t *testing.T) {
	for _, tc := range []struct {
		name     string
		networks int // the others are in; 0 is the flood's own
	}{{"from another network", 20}, {"behind the same resolver", 0}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &strict{latency: 5 * time.Millisecond, respond: always(t, address("10.0.2.4"))}
				g, fakes := testGroup(t, server.serve)
				fakes[0].probed = server.serve
				defer closeAll(g)
				g.Servers[0].SetBudget(Azure())
				ctx, end := context.WithCancel(t.Context())
				var group sync.WaitGroup
				group.Go(func() { flooding(ctx, g, &group) })
				elapse(time.Second) // as many wait as may
				zone := zoneApart(g.Servers[0].pacer)
				for number := range int(min(stormLength, 3*time.Second) / (20 * time.Millisecond)) {
					q := askedFor(0, fmt.Sprintf("n%d.%s", number, zone))
					if tc.networks > 0 {
						q = askedFor(1+number%tc.networks, fmt.Sprintf("n%d.example.", number))
					}
					group.Go(func() { answeredSoon(t, g, q) })
					elapse(20 * time.Millisecond)
				}
				before := g.Servers[0].Stats()
				end()
				group.Wait()
				if before.PerSecond < 900 {
					t.Errorf("%d questions were sent in a second of the flood, want 900 at least", before.PerSecond)
				}
				server.check(t)
			})
		})
	}
}

// zoneApart returns a zone whose names are in another part than those of the flood.
func zoneApart(p *pacer) string {
	flood := flowOf(&Question{Name: "random.example."}, p.key)
	zone := ""
	for number := range 1000 {
		zone = fmt.Sprintf("zone%d.example.", number)
		if flowOf(&Question{Name: "a." + zone}, p.key).part != flood.part {
			break
		}
	}
	return zone
}

func answeredSoon(t *testing.T, g *Group, q Question) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	if _, err := g.Exchange(ctx, q); err != nil || time.Since(start) > 100*time.Millisecond {
		t.Errorf("%s from %v: %v after %v, want an answer within 100ms", q.Name, q.Network, err, time.Since(start))
	}
}
