package privatelink

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
)

// fakeSite is Azure-provided DNS in one virtual network.
type fakeSite struct {
	address string
	// zone maps names of databases to their private addresses; unlinked, there is none.
	mutex    sync.Mutex
	zone     map[string]string
	unlinked atomic.Bool
	asked    atomic.Int32
	// delay is how long its replies take, in nanoseconds; below 0 there are none.
	delay atomic.Int64
}

const never = time.Duration(-1)

// newSite starts a site whose private zone is linked and holds the databases given as
// "db1=10.0.2.4".
func newSite(t *testing.T, delay time.Duration, databases ...string) *fakeSite {
	t.Helper()
	s := linkedSite(delay, databases...)
	s.address = serve(t, s.handle)
	return s
}

// linkedSite is such a site that is not served yet.
func linkedSite(delay time.Duration, databases ...string) *fakeSite {
	s := &fakeSite{zone: map[string]string{}}
	for _, database := range databases {
		name, address, _ := strings.Cut(database, "=")
		s.zone[name] = address
	}
	s.delay.Store(int64(delay))
	return s
}

// unlinkedSite is one without a private zone.
func unlinkedSite(delay time.Duration) *fakeSite {
	s := linkedSite(delay)
	s.unlinked.Store(true)
	return s
}

func (s *fakeSite) handle(w dns.ResponseWriter, request *dns.Msg) {
	s.asked.Add(1)
	if delay := time.Duration(s.delay.Load()); delay >= 0 {
		time.AfterFunc(delay, func() { _ = w.WriteMsg(s.answer(request)) })
	}
}

func (s *fakeSite) find(name string) (address string, found bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	address, found = s.zone[name]
	return address, found
}

// move gives a database another address, none for the empty one.
func (s *fakeSite) move(name, address string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if delete(s.zone, name); address != "" {
		s.zone[name] = address
	}
}

// answer is what Azure would say. A name that begins with "web" has no private
// endpoint, one outside database.windows.net a private address where the zone has it.
func (s *fakeSite) answer(request *dns.Msg) *dns.Msg {
	reply := new(dns.Msg)
	reply.SetReply(request)
	question := request.Question[0]
	question.Name = dns.CanonicalName(question.Name)
	name, _, _ := strings.Cut(question.Name, ".")
	address, private := s.find(name)
	catalogued := dns.IsSubDomain("database.windows.net.", question.Name)
	end := question.Name
	if catalogued && !strings.HasPrefix(name, "web") {
		end = name + ".privatelink.database.windows.net."
		records(question.Name + " 60 IN CNAME " + end)(reply)
		if !private && !s.unlinked.Load() {
			reply.Rcode = dns.RcodeNameError
		}
	}
	if !private {
		address = "203.0.113.10"
	}
	switch {
	case reply.Rcode == dns.RcodeNameError || private && question.Qtype != dns.TypeA:
		reply.Ns = []dns.RR{ownSOA("privatelink.database.windows.net.", 10)}
	case question.Qtype == dns.TypeAAAA:
		records(end + " 60 IN AAAA 2001:db8::10")(reply)
	default:
		records(fmt.Sprintf("%s 10 IN A %s", end, address))(reply)
	}
	return reply
}

// withSites returns a handler with the sites a and b on the route of all names.
func withSites(t *testing.T, a, b, body string) *Handler {
	t.Helper()
	return withSitesIn(t, newSlot(), a, b, body)
}

// withSitesIn is withSites in a process.
func withSitesIn(t *testing.T, shared *slot, a, b, body string) *Handler {
	t.Helper()
	if !strings.Contains(body, "route .") {
		body += "\nroute . a b"
	}
	if !strings.Contains(body, "upstream a ") {
		body += "\nupstream a " + a
	}
	if !strings.Contains(body, "upstream b ") {
		body += "\nupstream b " + b
	}
	built := buildOn(t, shared, body)
	built.policy.Chains = policy.NewChaseMemory(1, longAgo)
	return handlerOf(built)
}

func TestSites(t *testing.T) {
	const db1, db2, web1, www = "db1.database.windows.net.", "db2.database.windows.net.", "web1.database.windows.net.", "www.example.org."
	const slow = 600 * time.Millisecond
	tests := []struct {
		name       string
		a, b       *fakeSite
		question   string
		qtype      uint16
		want       string
		took       time.Duration
		wantFields string
	}{
		{"the first site's name", linkedSite(0, "db1=10.0.1.4"), linkedSite(0, "db2=10.0.2.4"), db1, dns.TypeA, "10.0.1.4", 0, ""},
		{"the second site's name", linkedSite(0, "db1=10.0.1.4"), linkedSite(0, "db2=10.0.2.4"), db2, dns.TypeA, "10.0.2.4", 0, ""},
		{"beside an unlinked site", unlinkedSite(0), linkedSite(0, "db2=10.0.2.4"), db2, dns.TypeA, "10.0.2.4", 0, ""},
		{"its AAAA is NODATA, not NXDOMAIN", linkedSite(0), linkedSite(0, "db2=10.0.2.4"), db2, dns.TypeAAAA, "NOERROR", 0, ""},
		{"its AAAA is NODATA, not public", unlinkedSite(0), linkedSite(0, "db2=10.0.2.4"), db2, dns.TypeAAAA, "NOERROR", 0, ""},
		{"the owner is slow", linkedSite(0), linkedSite(slow, "db2=10.0.2.4"), db2, dns.TypeA, "10.0.2.4", slow, ""},
		{"the owner is slow beside an unlinked site", unlinkedSite(0), linkedSite(slow, "db2=10.0.2.4"), db2, dns.TypeA, "10.0.2.4", slow, ""},
		{"the other is slow, and comes later in order", linkedSite(0, "db1=10.0.1.4"), linkedSite(slow), db1, dns.TypeA, "10.0.1.4", 0, ""},
		{"the other is slow, and comes first in order", linkedSite(slow), linkedSite(0, "db2=10.0.2.4"), db2, dns.TypeA, "10.0.2.4", settleTime, ""},
		{"the other is silent", linkedSite(never), linkedSite(0, "db2=10.0.2.4"), db2, dns.TypeA, "10.0.2.4", settleTime, ""},
		{"AAAA while the other is silent", linkedSite(never), linkedSite(0, "db2=10.0.2.4"), db2, dns.TypeAAAA, "NOERROR", settleTime, ""},
		{"the owner is silent: never the other's NXDOMAIN", linkedSite(0), linkedSite(never, "db2=10.0.2.4"), db2, dns.TypeA, "SERVFAIL", siteTime, `"b" may know a private one`},
		{"the owner is silent: never public", unlinkedSite(0), linkedSite(never, "db2=10.0.2.4"), db2, dns.TypeA, "SERVFAIL", siteTime, `"b" may know a private one`},
		{"AAAA of a silent owner: never public", unlinkedSite(0), linkedSite(never, "db2=10.0.2.4"), db2, dns.TypeAAAA, "SERVFAIL", siteTime, `"b" may know a private one`},
		{"a name without a private endpoint", linkedSite(0), linkedSite(0), web1, dns.TypeA, "203.0.113.10", 0, ""},
		{"the same while a site is silent", linkedSite(0), linkedSite(never), web1, dns.TypeA, "203.0.113.10", settleTime, ""},
		{"a name outside the catalog while a site is silent", linkedSite(0), linkedSite(never), www, dns.TypeA, "203.0.113.10", siteTime, ""},
		{"a private one outside the catalog", linkedSite(0), linkedSite(slow, "www=10.0.2.80"), www, dns.TypeA, "10.0.2.80", slow, ""},
		{"nobody's name", linkedSite(0), linkedSite(0), db1, dns.TypeA, "NXDOMAIN", 0, ""},
		{"a linked zone has the say", unlinkedSite(0), linkedSite(0), db1, dns.TypeA, "NXDOMAIN", 0, ""},
		{"no zone is linked", unlinkedSite(0), unlinkedSite(0), db1, dns.TypeA, "203.0.113.10", 0, "unlinked"},
		{"two private answers", linkedSite(50*time.Millisecond, "db1=10.0.1.4"), linkedSite(0, "db1=10.0.2.4"), db1, dns.TypeA, "10.0.1.4", 50 * time.Millisecond, ""},
		{"two private answers, the first too slow", linkedSite(slow, "db1=10.0.1.4"), linkedSite(0, "db1=10.0.2.4"), db1, dns.TypeA, "10.0.2.4", settleTime, ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n network
				handler := withSitesIn(t, n.slot(), n.site(tc.a).address, n.site(tc.b).address, "")
				asked := time.Now()
				reply := ask(t, handler, "10.30.0.4", tc.question, tc.qtype)
				took := time.Since(asked)
				_, text := extendedError(reply)
				if got := addressOrRcode(reply); got != tc.want || !strings.Contains(text, tc.wantFields) {
					t.Errorf("%s %s = %s, EDE %q; want %s, EDE with %q", tc.question, dns.TypeToString[tc.qtype], got, text, tc.want, tc.wantFields)
				}
				if took != tc.took {
					t.Errorf("it took %s, want %s", took, tc.took)
				}
			})
		})
	}
}

// addressOrRcode is the address at a reply's end, or its rcode where there is none.
func addressOrRcode(reply *dns.Msg) string {
	for _, record := range reply.Answer {
		switch record := record.(type) {
		case *dns.A:
			return record.A.String()
		case *dns.AAAA:
			return record.AAAA.String()
		}
	}
	return dns.RcodeToString[reply.Rcode]
}

// A site whose servers are gone answers for its own names from what is kept, and
// does not delay those of the other.
func TestDeadSite(t *testing.T) {
	const dead = "10.0.9.99"
	tests := []struct{ name, question, want string }{
		{"the other site's name", "db1.database.windows.net.", "10.0.1.4"},
		{"a name that may be its own", "db2.database.windows.net.", "SERVFAIL"},
		{"a name without a private endpoint", "web1.database.windows.net.", "203.0.113.10"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n network
				handler := withSitesIn(t, n.slot(), n.site(linkedSite(0, "db1=10.0.1.4")).address, dead, "")
				asked := time.Now()
				got := addressOrRcode(ask(t, handler, "10.30.0.4", tc.question, dns.TypeA))
				if took := time.Since(asked); got != tc.want || took != 0 {
					t.Errorf("%s = %s after %s, want %s at once", tc.question, got, took, tc.want)
				}
			})
		})
	}
}

func TestSilentOwnerIsAnsweredForStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		const name = "db2.database.windows.net."
		a, b := n.site(linkedSite(0)), n.site(linkedSite(0, "db2=10.0.2.4"))
		handler := withSitesIn(t, n.slot(), a.address, b.address, "")
		if _, reply := askAt(t, handler, name, 0); addressOrRcode(reply) != "10.0.2.4" {
			t.Fatalf("at first = %s, want 10.0.2.4", addressOrRcode(reply))
		}
		b.delay.Store(int64(never))
		o, reply := askAt(t, handler, name, time.Minute)
		if got, code := addressOrRcode(reply), o.extendedError.Code; got != "10.0.2.4" || code != dns.ExtendedErrorCodeStaleAnswer {
			t.Errorf("while the owner is silent = %s, EDE %d; want 10.0.2.4, EDE 3", got, code)
		}
		if o.group.Name != "b" {
			t.Errorf("group = %s, want b: the site is kept with the answer", o.group.Name)
		}
	})
}

func TestOwnerIsAskedAlone(t *testing.T) {
	const name = "db2.database.windows.net."
	a, b := linkedSite(time.Millisecond), linkedSite(time.Millisecond, "db2=10.0.2.4", "db3=10.0.2.5")
	steps := []struct {
		name         string
		before       func()
		later        time.Duration
		want         string
		askedA, both int32
	}{
		{"unknown: both are asked", func() {}, 0, "10.0.2.4", 1, 2},
		{"known: one is asked", func() {}, time.Minute, "10.0.2.4", 0, 1},
		{"after a while: both are asked", func() {}, 11 * time.Minute, "10.0.2.4", 1, 2},
		{"it moved: the owner first, then both", func() { b.move("db2", ""); a.move("db2", "10.0.1.9") }, 12 * time.Minute, "10.0.1.9", 1, 2},
		{"the new owner is known", func() {}, 13 * time.Minute, "10.0.1.9", 1, 1},
		{"it is gone: both are asked", func() { a.move("db2", "") }, 14 * time.Minute, "NXDOMAIN", 1, 2},
		{"and nobody is known", func() { a.move("db2", "10.0.1.9") }, 15 * time.Minute, "10.0.1.9", 1, 2},
	}
	synctest.Test(t, func(t *testing.T) {
		var n network
		handler := withSitesIn(t, n.slot(), n.site(a).address, n.site(b).address, "")
		for _, step := range steps {
			step.before()
			a.asked.Store(0)
			b.asked.Store(0)
			_, reply := askAt(t, handler, name, step.later)
			if got := addressOrRcode(reply); got != step.want {
				t.Errorf("%s: %s, want %s", step.name, got, step.want)
			}
			if got, both := a.asked.Load(), a.asked.Load()+b.asked.Load(); got != step.askedA || both != step.both {
				t.Errorf("%s: asked a %d times, both %d; want %d, %d", step.name, got, both, step.askedA, step.both)
			}
		}
	})
}

// The owner of a name that falls silent is not waited for where another site knows
// the name as well.
func TestOwnerThatFallsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		const name = "db1.database.windows.net."
		a, b := n.site(linkedSite(0, "db1=10.0.1.4")), n.site(linkedSite(0, "db1=10.0.2.4"))
		handler := withSitesIn(t, n.slot(), a.address, b.address, "route . a b stale=1s")
		if _, reply := askAt(t, handler, name, 0); addressOrRcode(reply) != "10.0.1.4" {
			t.Fatalf("at first = %s, want 10.0.1.4", addressOrRcode(reply))
		}
		a.delay.Store(int64(never))
		asked := time.Now()
		_, reply := askAt(t, handler, name, time.Minute)
		if got, took := addressOrRcode(reply), time.Since(asked); got != "10.0.2.4" || took != settleTime {
			t.Errorf("while the owner is silent = %s after %s, want 10.0.2.4 after %s", got, took, settleTime)
		}
	})
}

func TestClientNetworksPreferTheirSite(t *testing.T) {
	const name = "db1.database.windows.net."
	tests := []struct{ name, client, question, want string }{
		{"a network of a", "10.1.0.9", name, "10.0.1.4"},
		{"a longer network of b", "10.2.0.9", name, "10.0.2.4"},
		{"another of b", "10.3.0.9", name, "10.0.2.4"},
		{"nobody's network: the route's order", "192.0.2.9", name, "10.0.1.4"},
		{"a name that the own site does not know", "10.1.0.9", "db2.database.windows.net.", "10.0.2.5"},
	}
	synctest.Test(t, func(t *testing.T) {
		var n network
		a, b := n.site(linkedSite(0, "db1=10.0.1.4")), n.site(linkedSite(0, "db1=10.0.2.4", "db2=10.0.2.5"))
		handler := withSitesIn(t, n.slot(), a.address, b.address,
			"upstream a "+a.address+" clients=10.0.0.0/8\nupstream b "+b.address+" clients=10.2.0.0/16,10.3.0.0/16")
		for _, when := range []string{"from the sites", "kept"} {
			for _, tc := range tests {
				if got := addressOrRcode(ask(t, handler, tc.client, tc.question, dns.TypeA)); got != tc.want {
					t.Errorf("%s, %s: %s asked by %s = %s, want %s", tc.name, when, tc.question, tc.client, got, tc.want)
				}
			}
		}
	})
}

func TestFallbacksOfSites(t *testing.T) {
	tests := []struct {
		name, question string
		a, b           time.Duration
		unlinked       bool
		want           string
		wantAsked      bool
	}{
		{"missing in both sites", "partner1.database.windows.net.", 0, 0, false, "203.0.113.11", true},
		{"missing in the linked one", "partner1.database.windows.net.", 0, 0, true, "203.0.113.11", true},
		{"one site may know it", "partner1.database.windows.net.", 0, never, false, "SERVFAIL", false},
		{"every site is silent", "web1.database.windows.net.", never, never, false, "203.0.113.10", true},
		{"one site is silent", "web1.database.windows.net.", 0, never, false, "203.0.113.10", false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n network
				other, a, b := new(public), linkedSite(tc.a), linkedSite(tc.b)
				b.unlinked.Store(tc.unlinked)
				handler := withSitesIn(t, n.slot(), n.site(a).address, n.site(b).address, "upstream public "+n.serve(other.handle)+"\nroute . a b missing=public outage=public")
				if got := addressOrRcode(ask(t, handler, "10.30.0.4", tc.question, dns.TypeA)); got != tc.want {
					t.Errorf("%s = %s, want %s", tc.question, got, tc.want)
				}
				if got := other.wasAsked(tc.question); got != tc.wantAsked {
					t.Errorf("public DNS was asked for %s: %v, want %v", tc.question, got, tc.wantAsked)
				}
			})
		})
	}
}

// A name of a corporate server whose chain leads to a name of the sites.
func TestChainThatCrossesToSites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		a, b := n.site(linkedSite(0)), n.site(linkedSite(0, "db1=10.0.2.4"))
		handler := withSitesIn(t, n.slot(), a.address, b.address, "upstream corp "+n.serve(answering(corporate))+"\nroute catalog a b\nroute . corp")
		if got := addressOrRcode(ask(t, handler, "10.30.0.4", "sql.corp.example.", dns.TypeA)); got != "10.0.2.4" {
			t.Errorf("sql.corp.example. = %s, want 10.0.2.4", got)
		}
	})
}

func TestSitesThatCannotBeReached(t *testing.T) {
	handler := withSites(t, silent(t), silent(t), "")
	reply := ask(t, handler, "10.30.0.4", "db1.database.windows.net.", dns.TypeA)
	code, text := extendedError(reply)
	if reply.Rcode != dns.RcodeServerFailure || code != dns.ExtendedErrorCodeNoReachableAuthority || !strings.Contains(text, `"a+b"`) {
		t.Errorf("reply = %s, EDE %d %q; want SERVFAIL, EDE 22 that names both groups", dns.RcodeToString[reply.Rcode], code, text)
	}
}

func TestRouteKeepsItsSitesApart(t *testing.T) {
	of := func(routes string) *route { return routesOf(t, routes).routes.rest }
	one, other := of("route . a b"), of("route . b a")
	if one.id == other.id {
		t.Error("routes with sites in another order share an id: kept answers would name the wrong site")
	}
	if got := one.siteOf(one.sites.groups[1]); got != 2 {
		t.Errorf("siteOf(b) = %d, want 2", got)
	}
	if got := one.siteOf(one.group); got != 0 {
		t.Errorf("siteOf(no site) = %d, want 0", got)
	}
	if len(one.group.Servers) != 2 {
		t.Errorf("the servers of all sites = %v, want two", one.group.Servers)
	}
}
