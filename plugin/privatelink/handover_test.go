package privatelink

import (
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

func endpoints(written ...string) []endpoint {
	var parsed []endpoint
	for _, one := range written {
		parsed = append(parsed, endpoint{address: netip.MustParseAddrPort(one)})
	}
	return parsed
}

// take acquires endpoints that can be opened.
func (s *slot) take(t *testing.T, written ...string) (*lease, map[endpoint]*upstream.Server) {
	t.Helper()
	held, servers, err := s.acquire(endpoints(written...), nil)
	if err != nil {
		t.Fatal(err)
	}
	return held, servers
}

func (s *slot) holds(address string) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.servers[endpoints(address)[0]] != nil
}

func TestReloadKeepsServersThatBothConfigurationsName(t *testing.T) {
	s := newSlot()
	old, servers := s.take(t, "10.0.0.4:53", "10.0.0.5:53")
	s.commit()
	_, again := s.take(t, "10.0.0.5:53", "10.0.0.6:53")
	s.release(old)
	kept := endpoints("10.0.0.5:53")[0]
	if servers[kept] != again[kept] {
		t.Error("the server that both configurations name was made anew, want the same one")
	}
	for address, want := range map[string]bool{"10.0.0.4:53": false, "10.0.0.5:53": true, "10.0.0.6:53": true} {
		if got := s.holds(address); got != want {
			t.Errorf("holds(%s) = %v after the reload, want %v", address, got, want)
		}
	}
}

func TestFailedReloadLeavesTheRunningServersAlone(t *testing.T) {
	s := newSlot()
	s.take(t, "10.0.0.4:53")
	s.commit()
	failing, _ := s.take(t, "10.0.0.4:53", "10.0.0.6:53")
	undone := 0
	s.begin(failing, func() { undone++ })
	s.abandon()
	s.abandon()
	if undone != 1 {
		t.Errorf("what the failed configuration had started was undone %d times, want once", undone)
	}
	if !s.holds("10.0.0.4:53") || s.holds("10.0.0.6:53") {
		t.Errorf("holds: running %v, abandoned %v; want true, false", s.holds("10.0.0.4:53"), s.holds("10.0.0.6:53"))
	}
}

func TestReleasingTwiceCountsOnce(t *testing.T) {
	s := newSlot()
	first, _ := s.take(t, "10.0.0.4:53")
	s.take(t, "10.0.0.4:53")
	s.release(first)
	s.release(first)
	if !s.holds("10.0.0.4:53") {
		t.Error("a server that another configuration holds was closed")
	}
}

func TestFailedReloadLeavesTheServersOfChangedFilesAlone(t *testing.T) {
	s := newSlot()
	s.take(t, "10.0.0.4:53")
	failing, _ := s.take(t, "10.0.0.4:53")
	s.begin(failing, func() {})
	s.take(t, "10.0.0.5:53") // a rules file changed while the reload was starting
	s.abandon()
	if !s.holds("10.0.0.4:53") || !s.holds("10.0.0.5:53") {
		t.Errorf("holds: running %v, of the changed file %v; want both", s.holds("10.0.0.4:53"), s.holds("10.0.0.5:53"))
	}
}

// waits reports whether a service's server would let a second question wait.
func waits(t *testing.T, s *service) bool {
	t.Helper()
	server := s.routes.rest.group.Servers[0]
	_, _ = server.Exchange(t.Context(), upstream.Question{Name: "db1.database.windows.net.", Type: dns.TypeA, Class: dns.ClassINET})
	return server.WouldWait()
}

func TestFailedReloadLeavesBudgetAndCache(t *testing.T) {
	address, shared := answers(t, sql), newSlot()
	running := buildOn(t, shared, "upstream azure "+address+" budget=1/1\nroute . azure\ncache 5000")
	shared.commit()
	next := buildOn(t, shared, "upstream azure "+address+"\nroute . azure\ncache 6000")
	shared.begin(next.lease, func() {})
	shared.abandon() // another stanza had a mistake
	if shared.answersNow() != running.cache {
		t.Error("after a failed reload the admin socket flushes another cache than the one that is used")
	}
	if !waits(t, running) {
		t.Error("after a failed reload the budget of the running configuration is gone")
	}
}

func TestBudgetOfAReloadComesWithTheEndOfTheOldOne(t *testing.T) {
	address, shared := answers(t, sql), newSlot()
	old := buildOn(t, shared, "upstream azure "+address+" budget=1/1\nroute . azure")
	next := buildOn(t, shared, "upstream azure "+address+" budget=500/100\nroute . azure")
	server := shared.servers[next.lease.endpoints[0]]
	if want := (upstream.Budget{PerSecond: 1, Outstanding: 1}); server.budget != want {
		t.Errorf("with both configurations the budget is %+v, want the strictest, %+v", server.budget, want)
	}
	shared.release(old.lease)
	if want := (upstream.Budget{PerSecond: 500, Outstanding: 100}); server.budget != want {
		t.Errorf("after the old configuration the budget is %+v, want %+v", server.budget, want)
	}
}

func TestCacheSizeChangesWhenTheConfigurationStarts(t *testing.T) {
	shared, body := newSlot(), "upstream azure "+answers(t, sql)+"\nroute . azure\n"
	old := buildOn(t, shared, body+"cache 5000")
	old.policy.Chains = policy.NewChaseMemory(1, longAgo)
	ask(t, handlerOf(old), "10.30.0.4", "db1.database.windows.net.", dns.TypeA)
	shared.commit()
	first, second := buildOn(t, shared, body+"cache 6000"), buildOn(t, shared, body+"cache 7000")
	undo := func() {}
	for _, next := range []*service{first, second} {
		shared.begin(next.lease, func() {})
	}
	for index, next := range []*service{first, second} {
		sized, undoThis := shared.sizeCache(next.lease, time.Now())
		if index == 0 {
			undo = undoThis
		}
		if sized == old.cache || sized != shared.answersNow() || shared.entries != 7000 || sized.Len() != 1 {
			t.Errorf("stanza %d has a cache for %d with %d answers, want the one for 7000 with the answer kept before", index+1, shared.entries, sized.Len())
		}
	}
	undo()
	if shared.answersNow() != old.cache || shared.entries != 5000 {
		t.Errorf("after a failed reload the cache is for %d, want the one of the running configuration", shared.entries)
	}
}

func TestGroupWithoutABudgetGoesByAnothers(t *testing.T) {
	address := answers(t, sql)
	for range 12 { // groups have no order
		s := buildText(t, "upstream azure "+address+" budget=1/1\nupstream other "+address+"\nroute . azure\nroute x.example other")
		if !waits(t, s) {
			t.Fatal("the budget that one of two groups names is not in force")
		}
	}
}
