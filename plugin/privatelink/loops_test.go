package privatelink

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// forwarder is a company's DNS server: it sends every question on to another server,
// or answers it where there is none.
type forwarder struct {
	address string
	target  atomic.Pointer[string]
	// asked is what came last.
	asked atomic.Pointer[dns.Question]
}

func newForwarder(t *testing.T, target string) *forwarder {
	t.Helper()
	f := &forwarder{}
	f.sendTo(target)
	f.address = serve(t, func(w dns.ResponseWriter, request *dns.Msg) {
		question := request.Question[0]
		f.asked.Store(&question)
		reply := new(dns.Msg)
		reply.SetReply(request)
		if target := *f.target.Load(); target != "" {
			client := dns.Client{Timeout: 5 * time.Second}
			answer, _, err := client.Exchange(request, target)
			if reply.Rcode = dns.RcodeServerFailure; err == nil && answer.Rcode != dns.RcodeRefused {
				reply = answer
			}
		} else {
			records(question.Name + " 60 IN A 10.10.0.80")(reply)
		}
		_ = w.WriteMsg(reply)
	})
	return f
}

// sendTo makes it send questions on to an address, to nobody for "".
func (f *forwarder) sendTo(target string) { f.target.Store(&target) }

// listen serves what a handler answers, as it is then, and returns the address.
func listen(t *testing.T) (address string, handler *atomic.Pointer[Handler]) {
	t.Helper()
	handler = &atomic.Pointer[Handler]{}
	address = serve(t, func(w dns.ResponseWriter, request *dns.Msg) {
		if serving := handler.Load(); serving != nil {
			_, _ = serving.ServeDNS(context.Background(), w, request)
		}
	})
	return address, handler
}

// startProbing starts a stanza with the properties of body and lets it probe.
func startProbing(t *testing.T, handler *atomic.Pointer[Handler], body string) *running {
	t.Helper()
	run := newRunning(t, "clients: []\n", body)
	run.listening = make(chan struct{}, 1)
	if err := run.start(); err != nil {
		t.Fatal(err)
	}
	handler.Store(run.handler)
	t.Cleanup(func() { _ = run.stop() })
	run.listens()
	return run
}

// waitForLoops waits until so many routes are held back.
func waitForLoops(t *testing.T, run *running, want int) {
	t.Helper()
	if !soon(func() bool { return run.shared.loops.count() == want }) {
		t.Fatalf("%d routes are held back, want %d", run.shared.loops.count(), want)
	}
}

// soon waits until something is true that happens in a moment, on a machine that may be
// very busy. It reports false where it never is.
func soon(happens func() bool) bool {
	deadline, tick := time.After(20*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !happens() {
		select {
		case <-tick.C:
		case <-deadline:
			return happens()
		}
	}
	return true
}

const inCorp = "www.corp.example."

// expectHeld asks a name of a route that leads back: it must fail at once, and say why.
func expectHeld(t *testing.T, run *running, name string) {
	t.Helper()
	asked := time.Now()
	reply := ask(t, run.handler, "10.30.0.4", name, dns.TypeA)
	_, text := extendedError(reply)
	if took := time.Since(asked); reply.Rcode != dns.RcodeServerFailure || !strings.Contains(text, "forwarding loop") || took > replyTime*3/4 {
		t.Errorf("%s = %s, EDE %q after %s; want SERVFAIL at once that tells of the loop", name, dns.RcodeToString[reply.Rcode], text, took)
	}
}

func TestRouteThatLeadsBackIsHeldBack(t *testing.T) {
	address, handler := listen(t)
	company := newForwarder(t, address)
	run := startProbing(t, handler, "upstream corp "+company.address+"\nroute corp.example corp")
	waitForLoops(t, run, 1)
	expectHeld(t, run, inCorp)
	if got := addressOrRcode(ask(t, run.handler, "10.30.0.4", "db1.database.windows.net.", dns.TypeA)); got != "10.0.2.4" {
		t.Errorf("a name of another route = %s, want 10.0.2.4", got)
	}
	gauge := run.handler.current.Load().metrics.collectors.looping
	if got := testutil.ToFloat64(gauge); got != 1 {
		t.Errorf("route_loops = %v, want 1", got)
	}

	company.sendTo("")
	run.listens()
	waitForLoops(t, run, 0)
	if got := addressOrRcode(ask(t, run.handler, "10.30.0.4", inCorp, dns.TypeA)); got != "10.10.0.80" {
		t.Errorf("a name of the repaired route = %s, want 10.10.0.80", got)
	}
}

// A loop that comes up later is found when its questions fail: they wait for
// themselves, but not for ever.
func TestLoopThatComesUpLater(t *testing.T) {
	t.Parallel()
	address, handler := listen(t)
	company := newForwarder(t, "")
	run := startProbing(t, handler, "upstream corp "+company.address+"\nroute corp.example corp")
	if got := addressOrRcode(ask(t, run.handler, "10.30.0.4", inCorp, dns.TypeA)); got != "10.10.0.80" {
		t.Fatalf("%s = %s, want 10.10.0.80", inCorp, got)
	}
	company.sendTo(address)
	asked := time.Now()
	if got := addressOrRcode(ask(t, run.handler, "10.30.0.4", "web.corp.example.", dns.TypeA)); got != "SERVFAIL" {
		t.Errorf("a name that comes back = %s, want SERVFAIL", got)
	}
	if took := time.Since(asked); took > 2*replyTime {
		t.Errorf("it took %s, want %s at most", took, replyTime)
	}
	waitForLoops(t, run, 1)
	expectHeld(t, run, "db.corp.example.")
}

// Questions that wait for themselves end as soon as the loop is known.
func TestQuestionsThatWaitForThemselves(t *testing.T) {
	const upstream = "10.10.0.4"
	built := buildText(t, "upstream corp "+upstream+"\nroute corp.example corp")
	handler := handlerOf(built)
	waiting := func() *outcome {
		return &outcome{route: built.routes.find(inCorp, built.catalog.Match(inCorp)), query: query{name: inCorp, client: netip.MustParseAddrPort(upstream + ":5353")}}
	}
	pending, _ := new(flights[int, *outcome]).join(1, func() (*outcome, error) { <-t.Context().Done(); return nil, nil })
	ended := make(chan error)
	go func() {
		_, err := built.waitFor(t.Context(), waiting(), pending, time.Minute)
		ended <- err
	}()
	built.suspectAsker(waiting())
	if suffix := <-built.suspects; suffix != "corp.example." {
		t.Errorf("suspected = %s, want corp.example.", suffix)
	}
	name := newNonce("corp.example.")
	built.loops.send(name, nonce{way: heldWay{"corp.example.", "corp"}, sent: time.Now(), report: func(netip.Addr) {}})
	if got := ask(t, handler, upstream, name, dns.TypeTXT).Rcode; got != dns.RcodeRefused {
		t.Errorf("our own question = %s, want REFUSED", dns.RcodeToString[got])
	}
	if _, isLoop := errors.AsType[*loopError](<-ended); !isLoop {
		t.Error("who waited was not told of the loop")
	}
	if _, err := built.waitFor(t.Context(), waiting(), pending, time.Minute); err == nil {
		t.Error("who comes later waits, want to be told of the loop at once")
	}
}

func TestTwoServersThatForwardToEachOther(t *testing.T) {
	addressA, handlerA := listen(t)
	addressB, handlerB := listen(t)
	a := startProbing(t, handlerA, "upstream corp "+addressB+"\nroute corp.example corp")
	b := startProbing(t, handlerB, "upstream corp "+addressA+"\nroute corp.example corp")
	for _, name := range []string{inCorp, "web.corp.example."} { // the questions that look for the loop still pass
		for _, run := range []*running{a, b} {
			run.listens()
			waitForLoops(t, run, 1)
			expectHeld(t, run, name)
		}
	}
}

// A site that leads back is as good as silent: the others serve.
func TestSiteThatLeadsBack(t *testing.T) {
	address, handler := listen(t)
	site, company := newSite(t, 0, "db2=10.0.2.5"), newForwarder(t, address)
	run := startProbing(t, handler, "upstream corp "+company.address+"\nupstream test "+site.address+"\nroute database.windows.net corp test")
	waitForLoops(t, run, 1)
	if got := addressOrRcode(ask(t, run.handler, "10.30.0.4", "db2.database.windows.net.", dns.TypeA)); got != "10.0.2.5" {
		t.Errorf("a name of the other site = %s, want 10.0.2.5", got)
	}
	if got := addressOrRcode(ask(t, run.handler, "10.30.0.4", "db3.database.windows.net.", dns.TypeA)); got != "SERVFAIL" {
		t.Errorf("a name that the site may know = %s, want SERVFAIL", got)
	}
}

func TestProbeOfAnHonestServer(t *testing.T) {
	_, handler := listen(t)
	company := newForwarder(t, "")
	run := startProbing(t, handler, "upstream corp "+company.address+"\nroute corp.example corp")
	service := run.handler.current.Load().service
	for index, each := range service.probes("") {
		each.run(t.Context(), service, func(*probe, netip.Addr) { t.Errorf("probe %d found a loop", index) })
	}
	asked := company.asked.Load()
	name := dns.CanonicalName(asked.Name)
	if !isNonce(name) || !dns.IsSubDomain("corp.example.", name) || asked.Qtype != dns.TypeTXT {
		t.Errorf("the server was asked %s %s, want TXT of a name below corp.example. that nobody can guess", asked.Name, dns.TypeToString[asked.Qtype])
	}
	if got := run.shared.loops.count(); got != 0 {
		t.Errorf("%d routes are held back, want none", got)
	}
}

// What another server asks to find its loops passes, and leaves nothing behind.
func TestProbeOfAnotherServer(t *testing.T) {
	company := newForwarder(t, "")
	built := buildText(t, "upstream corp "+company.address+"\nroute . corp")
	name := newNonce("corp.example.")
	if got := addressOrRcode(ask(t, handlerOf(built), "10.30.0.4", name, dns.TypeA)); got != "10.10.0.80" {
		t.Errorf("%s = %s, want 10.10.0.80", name, got)
	}
	if got := built.cache.Len(); got != 0 {
		t.Errorf("%d answers are kept, want none", got)
	}
}

func TestIsNonce(t *testing.T) {
	tests := []struct {
		name, in string
		want     bool
	}{
		{"below a suffix", "0123456789abcdef.privatelink-dns-loop.corp.example.", true},
		{"below the root", "0123456789abcdef.privatelink-dns-loop.", true},
		{"without the first label", "privatelink-dns-loop.corp.example.", false},
		{"a longer first label", "0123456789abcdef0.privatelink-dns-loop.corp.example.", false},
		{"another second label", "0123456789abcdef.privatelink-dns-loops.corp.example.", false},
		{"short", "a.", false},
		{"the root", ".", false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := isNonce(tc.in); got != tc.want {
				t.Errorf("isNonce(%q) = %v, want %v", tc.in, got, tc.want)
			}
		})
	}
	if name := newNonce("."); !isNonce(name) {
		t.Errorf("isNonce(%q) = false, want true for a new one", name)
	}
}

func TestLoopsForget(t *testing.T) {
	way, from := heldWay{"corp.example.", "corp"}, netip.MustParseAddr("10.10.0.4")
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	reports := 0
	l := &loops{}
	send := func(when time.Time) string {
		name := newNonce(way.suffix)
		l.send(name, nonce{way: way, sent: when, report: func(netip.Addr) { reports++ }})
		return name
	}
	first := send(at(0))
	send(at(200))
	if l.caught(first, from, at(200)) {
		t.Error("a question that came back after minutes was known, want it forgotten")
	}
	for range 2 {
		if !l.caught(send(at(200)), from, at(201)) {
			t.Error("a question that came back was not known")
		}
	}
	if reports != 1 {
		t.Errorf("the loop was reported %d times, want once", reports)
	}
	if !l.holds(way, at(700)) || l.holds(heldWay{way.suffix, "other"}, at(700)) {
		t.Error("held back is another group than the one that leads back")
	}
	if l.holds(way, at(802)) || l.count() != 0 {
		t.Error("a loop that nothing was heard of for ten minutes is still believed")
	}
	second := send(at(900))
	l.caught(second, from, at(900))
	if l.landed(second) {
		t.Error("the reply to a question that came back lifted the route")
	}
	if !l.landed(send(at(901))) || l.count() != 0 {
		t.Error("the reply to a question that did not come back did not lift the route")
	}
}

func TestProbes(t *testing.T) {
	s := routesOf(t, "route corp.example a missing=e outage=e\nroute =db9.database.windows.net c\nroute catalog b\nroute prod.example a d\nroute . a")
	var got []string
	for _, each := range s.probes("") {
		got = append(got, each.suffix+" "+each.group.Name)
	}
	want := []string{"corp.example. a", "db9.database.windows.net. c", "prod.example. a", "prod.example. d", ". a"}
	if !slices.Equal(got[:len(want)], want) {
		t.Errorf("probes = %v, want first %v", got[:len(want)], want)
	}
	if !slices.Contains(got[len(want):], "database.windows.net. b") || slices.ContainsFunc(got, func(each string) bool { return strings.HasSuffix(each, " e") }) {
		t.Errorf("probes = %v, want the suffixes of the catalog and no fallback group", got)
	}
	tests := []struct{ name, in, want string }{
		{"a suffix", "www.corp.example.", "corp.example."},
		{"an exact name", "db9.database.windows.net.", "db9.database.windows.net."},
		{"its chase", "db9.privatelink.database.windows.net.", "db9.database.windows.net."},
		{"the catalog", "db1.database.windows.net.", "database.windows.net."},
		{"a chase", "v1.privatelink.vaultcore.azure.net.", "vault.azure.net."},
		{"a namespace with a placeholder", "c1.eastus.kusto.windows.net.", "kusto.windows.net."},
		{"the root", "www.example.org.", "."},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			match := s.catalog.Match(tc.in)
			suffix, way := s.routes.suffixOf(tc.in, match), s.routes.find(tc.in, match)
			if suffix != tc.want {
				t.Errorf("suffixOf(%q) = %s, want %s", tc.in, suffix, tc.want)
			}
			if !slices.Contains(got, suffix+" "+way.group.Name) {
				t.Errorf("no probe goes to %s below %s", way.group.Name, suffix)
			}
		})
	}
}
