package privatelink

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

const (
	sqlZone    = "privatelink.database.windows.net"
	privateSOA = sqlZone + ". 10 IN SOA azureprivatedns.net. azureprivatedns-host.microsoft.com. 1 3600 300 2419200 10"
	publicSOA  = sqlZone + ". 300 IN SOA ns1-01.azure-dns.com. azuredns-hostmaster.microsoft.com. 1 3600 300 2419200 300"
)

// linkStates are what is told of the links now.
func linkStates(run *running) map[zoneLink]bool {
	told := map[zoneLink]bool{}
	run.shared.links.each(time.Now(), func(link zoneLink, linked bool) { told[link] = linked })
	return told
}

func TestCanaryTellsWhetherZonesInUseAreLinked(t *testing.T) {
	var reply atomic.Pointer[func(*dns.Msg)]
	tell := func(fill func(*dns.Msg)) { reply.Store(&fill) }
	address := serve(t, func(w dns.ResponseWriter, request *dns.Msg) {
		message := new(dns.Msg)
		message.SetReply(request)
		if request.Question[0].Qtype == dns.TypeSOA {
			(*reply.Load())(message)
		} else {
			sql["db1.database.windows.net. A"](message)
		}
		_ = w.WriteMsg(message)
	})
	run := newRunning(t, "clients: []\n", "upstream own "+address+"\nroute catalog own")
	if err := run.start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.stop() }()
	run.askLink(t.Context(), time.Now())
	if got := linkStates(run); len(got) != 0 {
		t.Errorf("before any query links = %v, want none", got)
	}
	ask(t, run.handler, "10.30.0.4", "db1.database.windows.net.", dns.TypeA)

	link := zoneLink{sqlZone, "own"}
	steps := []struct {
		name   string
		reply  func(*dns.Msg)
		linked bool
	}{
		{"the private zone's SOA", records(privateSOA), true},
		{"SERVFAIL says nothing", func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }, true},
		{"the public zone's SOA", records(publicSOA), false},
		{"linked again", records(privateSOA), true},
		{"no such zone", func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }, false},
	}
	for _, step := range steps {
		tell(step.reply)
		run.askLink(t.Context(), time.Now())
		if got, told := linkStates(run)[link]; got != step.linked || !told {
			t.Errorf("%s: linked = %v (told: %v), want %v", step.name, got, told, step.linked)
		}
	}
	if got := gathered(t, newStateCollector(run.shared))["zone_linked own "+sqlZone]; got != 0 {
		t.Errorf("zone_linked = %v, want 0", got)
	}
}

// Whoever asks for names in a zone of a made-up region must not crowd out the others.
func TestOnlyChainsPutZonesInUse(t *testing.T) {
	run := newRunning(t, "clients: []\n", "clients resolver 10.30.0.4")
	if err := run.start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.stop() }()
	ask(t, run.handler, "10.30.0.4", direct, dns.TypeA)
	inUse := &run.handler.current.Load().service.inUse
	if got := inUse.list(); len(got) != 0 {
		t.Errorf("after a direct lookup in use = %v, want none", got)
	}
	ask(t, run.handler, "10.30.0.4", "db1.database.windows.net.", dns.TypeA)
	if got := inUse.list(); len(got) != 1 || got[0] != sqlZone {
		t.Errorf("after a chain in use = %v, want %s", got, sqlZone)
	}
}

func TestZonesInUseAreBounded(t *testing.T) {
	var inUse zonesInUse
	for number := range 2 * maxZonesInUse {
		inUse.note(fmt.Sprintf("privatelink.region%d.kusto.windows.net", number))
	}
	if got := len(inUse.list()); got != maxZonesInUse {
		t.Errorf("%d zones are in use, want %d", got, maxZonesInUse)
	}
}

func TestLinksTakeTurnsAndAreForgotten(t *testing.T) {
	all := []canaryQuestion{{link: zoneLink{"a", "azure"}}, {link: zoneLink{"b", "azure"}}, {link: zoneLink{"b", "other"}}}
	var known links
	now := time.Unix(1_700_000_000, 0)
	asked := map[zoneLink]int{}
	for range 2 * len(all) {
		now = now.Add(canaryPace)
		question, _ := known.next(all, now)
		asked[question.link]++
		_, _ = known.learn(question.link, true, now)
	}
	for _, each := range all {
		if asked[each.link] != 2 {
			t.Errorf("%v was asked for %d times, want 2", each.link, asked[each.link])
		}
	}
	now = now.Add(2 * linkLife)
	if _, found := known.next(nil, now); found || len(known.known) != 0 {
		t.Errorf("links that nobody asks for any more are still known: %v", known.known)
	}
}

func TestCanaryKeepsItsPaceAndStops(t *testing.T) {
	run := newRunning(t, "clients: []\n", "")
	defer run.shared.release(run.handler.current.Load().service.lease)
	run.shared.inUse.note(sqlZone)
	asked := func() int {
		run.shared.links.mutex.Lock()
		defer run.shared.links.mutex.Unlock()
		return len(run.shared.links.known)
	}
	synctest.Test(t, func(t *testing.T) {
		// With no server to wait for, its questions fail at once.
		run.handler.current.Load().service.routes.rest.group.Servers = nil
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			run.watchLinks(stop)
			close(stopped)
		}()
		time.Sleep(canaryPace - time.Second) // virtual
		synctest.Wait()
		if asked() != 0 {
			t.Error("the canary asked before its time")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := asked(); got != 1 {
			t.Errorf("after %s %d links were asked for, want 1", canaryPace, got)
		}
		close(stop)
		<-stopped
	})
}

func TestCanaryLeavesOutGroupsThatSendQuestionsBack(t *testing.T) {
	run := newRunning(t, "clients: []\n", "")
	defer run.shared.release(run.handler.current.Load().service.lease)
	s := run.handler.current.Load().service
	run.shared.inUse.note(sqlZone)
	if got := len(s.canaryQuestions(time.Now())); got != 1 {
		t.Fatalf("%d questions, want 1", got)
	}
	way := heldWay{".", "azure"}
	run.shared.loops.send("x.", nonce{way: way, sent: time.Now(), report: nil})
	run.shared.loops.returned("x.", time.Now())
	if got := s.canaryQuestions(time.Now()); len(got) != 0 {
		t.Errorf("questions = %v, want none to a group that sends them back", got)
	}
}
