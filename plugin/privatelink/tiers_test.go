package privatelink

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
)

func TestParseTiers(t *testing.T) {
	parsed, err := parseText(t.TempDir(), "privatelink {\nupstream hub backup=10.0.0.6,[2001:db8::4]:5353 10.0.0.4 10.0.0.5 backup=tls://9.9.9.9%dns.quad9.net probe=Hub.Example\nroute . hub\n}")
	if err != nil {
		t.Fatal(err)
	}
	group := parsed.groups["hub"]
	if !slices.Equal(group.servers, endpoints("10.0.0.4:53", "10.0.0.5:53")) || len(group.backups) != 2 {
		t.Fatalf("servers %v, backups %v; want two servers and two tiers", group.servers, group.backups)
	}
	if want := endpoints("10.0.0.6:53", "[2001:db8::4]:5353"); !slices.Equal(group.backups[0], want) || group.backups[1][0].String() != "tls://9.9.9.9:853%dns.quad9.net" {
		t.Errorf("backups = %v, want %v and tls://9.9.9.9:853%%dns.quad9.net", group.backups, want)
	}
	if group.probe != "hub.example." {
		t.Errorf("probe = %q, want hub.example.", group.probe)
	}
}

// A server can be the backup of one group and the first of another.
func TestAdminTellsGroupsAndTiers(t *testing.T) {
	shared := newSlot()
	buildOn(t, shared, "upstream hub 10.0.0.4 backup=10.0.0.5 backup=10.0.0.6\nupstream edge 10.0.0.5\nroute . hub\nroute corp.example edge")
	states := shared.upstreamStates()
	for server, want := range map[string][]UpstreamGroup{
		"10.0.0.4:53": {{"hub", 1}}, "10.0.0.5:53": {{"edge", 1}, {"hub", 2}}, "10.0.0.6:53": {{"hub", 3}},
	} {
		index := slices.IndexFunc(states, func(state UpstreamState) bool { return state.Server == server })
		if index < 0 || !slices.Equal(states[index].Groups, want) {
			t.Errorf("the groups of %s in %+v, want %v", server, states, want)
		}
	}
}

// Whoever looks at a group's servers sees its backups.
func TestBackupsAreSeen(t *testing.T) {
	const body = "upstream a 10.0.0.4 backup=203.0.113.9 backup=10.0.0.8\nupstream b 10.0.0.5 backup=10.0.0.7 budget=azure\nroute . a b"
	parsed, err := parseText(t.TempDir(), "privatelink {\n"+body+"\n}")
	if err != nil {
		t.Fatal(err)
	}
	stanza := &Stanza{config: parsed}
	if got := stanza.Servers(); len(got) != 5 || got[1].Written != "203.0.113.9:53" || got[4].Budget.PerSecond != 1000 {
		t.Errorf("Servers() = %+v, want five, each with its group's budget", got)
	}
	if parsed.checkOwnAddresses([]string{"10.0.0.8"}, "53", nil) == nil {
		t.Error("a backup that is this server itself is no mistake")
	}
	s := buildText(t, body)
	opened := &Opened{stanza: stanza, service: s}
	if got := opened.RouteOf("db1.example."); len(got.Servers) != 5 {
		t.Errorf("RouteOf = %v, want five servers", got.Servers)
	}
	all := s.routes.rest.group
	if len(all.Servers) != 2 || len(all.Backups) != 2 || len(all.Backups[0]) != 2 || len(all.Backups[1]) != 1 {
		t.Errorf("the sites' tiers = %v and %v, want 2, 2 and 1 servers", all.Servers, all.Backups)
	}
	if !asks(all, netip.MustParseAddr("10.0.0.7")) || s.isNear(all) || !s.isNear(s.routes.rest.sites.groups[1]) {
		t.Error("the backup that is asked, or the one at a public address, is not seen")
	}
	if got := s.lease.endpoints; len(got) != 5 {
		t.Errorf("the lease has %v, want five servers", got)
	}
}

// A route fails when all its tiers do.
func TestFailingWithBackups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		quiet := func(dns.ResponseWriter, *dns.Msg) {}
		s := buildOn(t, n.slot(), "upstream a "+n.serve(quiet)+" backup="+n.serve(quiet)+"\nroute . a")
		group := s.routes.rest.group
		group.Servers[0].Suspect()
		if failing(group) {
			t.Error("failing = true with a backup that is well")
		}
		group.Backups[0][0].Suspect()
		if !failing(group) {
			t.Error("failing = false, want true")
		}
		if got := testing.AllocsPerRun(100, func() { _ = failing(group); _ = returnedSince(group, longAgo) }); got != 0 {
			t.Errorf("looking at a group's servers allocates %v times, want none", got)
		}
	})
}

// counted is a server that counts its questions, probes left out.
type counted struct {
	asked  atomic.Int32
	mutex  sync.Mutex
	handle dns.HandlerFunc
}

func (c *counted) become(handle dns.HandlerFunc) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.asked.Store(0)
	c.handle = handle
}

func (c *counted) serve(w dns.ResponseWriter, request *dns.Msg) {
	if request.Question[0].Name != "localhost." {
		c.asked.Add(1)
	}
	c.mutex.Lock()
	handle := c.handle
	c.mutex.Unlock()
	handle(w, request)
}

func TestBackupIsAskedWhenTheFirstTierFails(t *testing.T) {
	well, quiet := answering(sql), func(dns.ResponseWriter, *dns.Msg) {}
	refusing := func(w dns.ResponseWriter, request *dns.Msg) {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(request, dns.RcodeRefused))
	}
	slow := func(w dns.ResponseWriter, request *dns.Msg) {
		time.AfterFunc(300*time.Millisecond, func() { well(w, request) })
	}
	tests := []struct {
		name          string
		first, second dns.HandlerFunc
		backup        bool
	}{
		{"well", well, well, false},
		{"slow", slow, slow, false},
		{"one of two fails", refusing, slow, false},
		{"one of two is silent", quiet, well, false},
		{"both fail", refusing, refusing, true},
		{"both silent", quiet, quiet, true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n network
				first, second, backup := &counted{handle: well}, &counted{handle: well}, &counted{handle: well}
				s := buildOn(t, n.slot(), "upstream a "+n.serve(first.serve)+" "+n.serve(second.serve)+" backup="+n.serve(backup.serve)+"\nroute . a")
				s.policy.Chains = policy.NewChaseMemory(1, longAgo)
				handler := handlerOf(s)
				ask(t, handler, "10.30.0.4", "db1.database.windows.net.", dns.TypeA)
				first.become(tc.first)
				second.become(tc.second)
				_, _ = s.cache.Flush("db1.database.windows.net.", false)
				reply := ask(t, handler, "10.30.0.4", "db1.database.windows.net.", dns.TypeA)
				if lastAddress(reply) != "10.0.2.4" || (backup.asked.Load() > 0) != tc.backup {
					t.Errorf("reply %v, the backup was asked %d times; want 10.0.2.4, asked %v", reply.Answer, backup.asked.Load(), tc.backup)
				}
			})
		})
	}
}

// A reload that changes the name of probes keeps the server, and with it the budget. The
// name comes in force when the old configuration ends.
func TestReloadChangesTheProbeName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		var last atomic.Value
		address := n.serve(func(w dns.ResponseWriter, request *dns.Msg) {
			last.Store(request.Question[0].Name)
			_ = w.WriteMsg(new(dns.Msg).SetReply(request))
		})
		shared := n.slot()
		old := buildOn(t, shared, "upstream a "+address+" probe=a.example budget=1/1\nroute . a")
		server := old.routes.rest.group.Servers[0]
		probed := func(want string) {
			t.Helper()
			server.Suspect()
			synctest.Wait()
			<-time.After(2 * time.Second) // the budget is one a second
			if got := last.Load(); got != want {
				t.Errorf("probed with %v, want %s", got, want)
			}
		}
		probed("a.example.")
		failed := buildOn(t, shared, "upstream a "+address+" probe=c.example\nroute . a")
		probed("a.example.")
		shared.release(failed.lease)
		next := buildOn(t, shared, "upstream a "+address+" backup=10.0.0.9 probe=b.example budget=1/1\nroute . a")
		if next.routes.rest.group.Servers[0] != server {
			t.Fatal("the server was made anew")
		}
		shared.release(old.lease)
		probed("b.example.")
		buildOn(t, shared, "upstream a "+address+"\nroute . a")
		shared.release(next.lease)
		probed("localhost.")
	})
}
