package privatelink

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// start is when a story begins: its later times are passed in, not waited for.
var start = time.Now()

// changing is an upstream whose answer for db1 can be changed, and that counts
// its questions.
type changing struct {
	address string
	asked   atomic.Int32
	reply   atomic.Pointer[func(*dns.Msg)]
}

func newChanging(t *testing.T, reply func(*dns.Msg)) *changing {
	t.Helper()
	c := &changing{}
	c.reply.Store(&reply)
	c.address = serve(t, func(w dns.ResponseWriter, request *dns.Msg) {
		c.asked.Add(1)
		message := new(dns.Msg)
		message.SetReply(request)
		(*c.reply.Load())(message)
		_ = w.WriteMsg(message)
	})
	return c
}

func (c *changing) answerWith(reply func(*dns.Msg)) { c.reply.Store(&reply) }

func servfail(reply *dns.Msg) { reply.Rcode = dns.RcodeServerFailure }

// askAt asks as if it were so much later than the start.
func askAt(t *testing.T, handler *Handler, name string, later time.Duration) (*outcome, *dns.Msg) {
	t.Helper()
	return askSignedAt(t, handler, name, later, false)
}

// askSignedAt is askAt with the DO bit set or not.
func askSignedAt(t *testing.T, handler *Handler, name string, later time.Duration, signed bool) (*outcome, *dns.Msg) {
	t.Helper()
	now := start.Add(later)
	request := new(dns.Msg)
	request.SetQuestion(name, dns.TypeA)
	request.SetEdns0(1232, signed)
	asked := new(wire.Query)
	if err := wire.QueryOf(request, false, asked); err != nil {
		t.Fatal(err)
	}
	service := handler.current.Load().service
	service.now = func() time.Time { return now }
	o := service.resolve(t.Context(), query{
		asked: asked, key: cache.KeyOf(asked, ""), name: name, qtype: dns.TypeA, qclass: dns.ClassINET,
		client: netip.MustParseAddrPort("10.30.0.4:5353"), arrived: now,
	})
	reply := new(dns.Msg)
	if err := reply.Unpack(service.appendReply(nil, o, now)); err != nil {
		t.Fatal(err)
	}
	return o, reply
}

func TestAnswerIsKeptForItsTTLAndUsedStale(t *testing.T) {
	const name = "db1.database.windows.net."
	upstream := newChanging(t, sql[name+" A"])
	handler := newHandler(t, upstream.address, "", longAgo)
	steps := []struct {
		name      string
		before    func()
		later     time.Duration
		wantState cacheState
		wantAsked int32
		wantTTL   uint32
		wantEDE   uint16
	}{
		{"the first time", nil, 0, fromUpstream, 1, 10, 0},
		{"from the cache, aged", nil, 4 * time.Second, fromCache, 1, 6, 0},
		{"stale while the upstream fails", func() { upstream.answerWith(servfail) }, 11 * time.Second, fromStale, 2, 10, 3},
		{"stale at once, the failure is remembered", nil, 12 * time.Second, fromStale, 2, 10, 3},
		{"asked again after the hold", nil, 60 * time.Second, fromStale, 3, 10, 3},
		{"fresh again", func() { upstream.answerWith(sql[name+" A"]) }, 120 * time.Second, fromUpstream, 4, 10, 0},
	}
	for _, step := range steps {
		if step.before != nil {
			step.before()
		}
		o, reply := askAt(t, handler, name, step.later)
		code, _ := extendedError(reply)
		if o.cacheState != step.wantState || upstream.asked.Load() != step.wantAsked || code != step.wantEDE {
			t.Errorf("%s: state %q, asked %d, EDE %d; want %q, %d, %d", step.name, o.cacheState, upstream.asked.Load(), code, step.wantState, step.wantAsked, step.wantEDE)
		}
		if got := lastAddress(reply); got != "10.0.2.4" {
			t.Fatalf("%s: address %q, want 10.0.2.4", step.name, got)
		}
		if ttl := reply.Answer[1].Header().Ttl; ttl != step.wantTTL {
			t.Errorf("%s: TTL %d, want %d", step.name, ttl, step.wantTTL)
		}
	}
}

// A query that was read a moment before an answer came, looked for it a moment too soon,
// and joined when nobody waited any more, is answered with it.
func TestAnswerThatCameBetweenLookingAndJoining(t *testing.T) {
	const name = "db1.database.windows.net."
	upstream := newChanging(t, sql[name+" A"])
	handler := newHandler(t, upstream.address, "", longAgo)
	first, _ := askAt(t, handler, name, 0)
	second := &outcome{query: first.query, match: first.match, route: first.route}
	second.query.arrived = start.Add(time.Millisecond)
	handler.current.Load().service.fetch(t.Context(), second, time.Minute)
	if asked := upstream.asked.Load(); asked != 1 || second.cacheState != fromShared || second.failure != nil {
		t.Errorf("asked upstream %d times, outcome %q, failure %v; want one question, shared", asked, second.cacheState, second.failure)
	}
}

// Who asks for what is being refreshed for nobody makes it urgent: the refresh would wait
// behind everybody's questions, and he with it.
func TestRefreshThatSomebodyWaitsForIsUrgent(t *testing.T) {
	const name = "db1.database.windows.net."
	handler := newHandler(t, newChanging(t, sql[name+" A"]).address, "", longAgo)
	asked, _ := askAt(t, handler, name, 0)
	service := handler.current.Load().service
	urgent := make(chan struct{})
	service.flights.board(keyOfFlight(asked.query.name, asked, service.cache.Epoch()), urgent)
	for range 2 {
		again := &outcome{query: asked.query, match: asked.match, route: asked.route}
		service.fetch(t.Context(), again, 0)
	}
	select {
	case <-urgent:
	default:
		t.Error("the refresh was not told that somebody waits")
	}
}

func TestStaleEndsAfterAnHourForPrivateAnswers(t *testing.T) {
	const name = "db1.database.windows.net."
	upstream := newChanging(t, sql[name+" A"])
	handler := newHandler(t, upstream.address, "", longAgo)
	askAt(t, handler, name, 0)
	upstream.answerWith(servfail)
	if _, reply := askAt(t, handler, name, time.Hour); lastAddress(reply) != "10.0.2.4" {
		t.Errorf("within the hour: %v, want the stale address", reply)
	}
	if _, reply := askAt(t, handler, name, 2*time.Hour); reply.Rcode != dns.RcodeServerFailure {
		t.Errorf("after the hour: %s, want SERVFAIL", dns.RcodeToString[reply.Rcode])
	}
}

func TestFailedWithin(t *testing.T) {
	question, err := wire.NewQuestion("db1.database.windows.net.", dns.TypeA, dns.ClassINET)
	if err != nil {
		t.Fatal(err)
	}
	failure, err := cache.Make(&cache.Key{Question: question}, &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}, cache.Meta{}, cache.Lifetimes{FailureTTL: 5 * time.Second}, start)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		reason string
		after  time.Duration
		want   string
	}{
		{"10.0.0.4:53/udp no reply", 420 * time.Millisecond, "failed in the last 0.5 s: 10.0.0.4:53/udp no reply"},
		{"", 12 * time.Second, "failed in the last 12.0 s"},
		{"", time.Millisecond, "failed in the last 0.1 s"},
	} {
		if got := failedWithin(failure.WithReason(tc.reason), start.Add(tc.after)); got != tc.want {
			t.Errorf("failedWithin(%q) after %s = %q, want %q", tc.reason, tc.after, got, tc.want)
		}
	}
}

func TestFailureIsRememberedForASecond(t *testing.T) {
	upstream := newChanging(t, servfail)
	handler := newHandler(t, upstream.address, "", longAgo)
	askAt(t, handler, "db1.database.windows.net.", 0)
	asked := upstream.asked.Load()
	o, reply := askAt(t, handler, "db1.database.windows.net.", failureHold-time.Millisecond)
	code, text := extendedError(reply)
	if o.cacheState != fromFailure || code != 13 || upstream.asked.Load() != asked {
		t.Errorf("state %q, EDE %d, asked %d times more; want %q, 13, none", o.cacheState, code, upstream.asked.Load()-asked, fromFailure)
	}
	if when, why, _ := strings.Cut(text, " s: "); !strings.HasPrefix(when, "failed in the last ") || !strings.HasPrefix(why, `group "azure": `+upstream.address+"/udp SERVFAIL") {
		t.Errorf("the extended error says %q, want when and why it failed", text)
	}
	upstream.answerWith(sql["db1.database.windows.net. A"])
	if _, reply := askAt(t, handler, "db1.database.windows.net.", failureHold); lastAddress(reply) != "10.0.2.4" {
		t.Errorf("after that: %v, want the answer", reply)
	}
}

func TestNXDomainEndsTheOldAnswer(t *testing.T) {
	const name = "db1.database.windows.net."
	upstream := newChanging(t, sql[name+" A"])
	handler := newHandler(t, upstream.address, "", longAgo)
	askAt(t, handler, name, 0)
	upstream.answerWith(func(reply *dns.Msg) {
		reply.Rcode = dns.RcodeNameError
		reply.Ns = []dns.RR{ownSOA("database.windows.net.", 10)}
	})
	askAt(t, handler, name, 20*time.Second)
	upstream.answerWith(servfail)
	if _, reply := askAt(t, handler, name, 60*time.Second); lastAddress(reply) != "" {
		t.Errorf("after an NXDOMAIN: %v, want no old address", reply)
	}
}

func TestMissingIsKeptWithItsChain(t *testing.T) {
	const name = "partner1.database.windows.net."
	upstream := newChanging(t, func(reply *dns.Msg) {
		records(name + " 60 IN CNAME partner1.privatelink.database.windows.net.")(reply)
		reply.Rcode = dns.RcodeNameError
		reply.Ns = []dns.RR{ownSOA("privatelink.database.windows.net.", 10)}
	})
	handler := newHandler(t, upstream.address, "", longAgo)
	askAt(t, handler, name, 0)
	o, reply := askAt(t, handler, name, 5*time.Second)
	if o.cacheState != fromCache || reply.Rcode != dns.RcodeNameError || len(reply.Answer) != 1 || upstream.asked.Load() != 1 {
		t.Errorf("state %q, %s with %d records, asked %d; want %q, NXDOMAIN with its CNAME, once", o.cacheState, dns.RcodeToString[reply.Rcode], len(reply.Answer), upstream.asked.Load(), fromCache)
	}
}

func TestAnswerOfAnotherRouteIsNotUsed(t *testing.T) {
	const name = "db1.database.windows.net."
	upstream := newChanging(t, sql[name+" A"])
	handler := newHandler(t, upstream.address, "", longAgo)
	askAt(t, handler, name, 0)
	handler.current.Load().service.routes.rest.id++ // as after a reload that names other servers
	if o, _ := askAt(t, handler, name, time.Second); o.cacheState != fromUpstream {
		t.Errorf("state %q after the route changed, want %q", o.cacheState, fromUpstream)
	}
}

func TestRecordsNobodyAskedForAreNotHandedOn(t *testing.T) {
	const name = "db1.database.windows.net."
	upstream := newChanging(t, records(
		name+" 60 IN CNAME db1.privatelink.database.windows.net.",
		name+" 60 IN A 203.0.113.99",
		"db1.privatelink.database.windows.net. 10 IN A 10.0.2.4",
		"www.example.org. 60 IN A 203.0.113.98"))
	_, reply := askAt(t, newHandler(t, upstream.address, "", longAgo), name, 0)
	if got, want := summary(reply.Answer), name+" CNAME db1.privatelink.database.windows.net. | db1.privatelink.database.windows.net. A 10.0.2.4"; got != want {
		t.Errorf("answer = %s, want %s", got, want)
	}
}

func TestAnswerWithoutSignaturesIsBetterThanNone(t *testing.T) {
	const name = "db1.database.windows.net."
	upstream := newChanging(t, sql[name+" A"])
	handler := newHandler(t, upstream.address, "", longAgo)
	askAt(t, handler, name, 0)
	upstream.answerWith(servfail)
	_, reply := askSignedAt(t, handler, name, 20*time.Second, true)
	if code, _ := extendedError(reply); lastAddress(reply) != "10.0.2.4" || code != 3 || !reply.IsEdns0().Do() {
		t.Errorf("with DO while the upstream fails: %v, want the kept address with EDE 3", reply)
	}
}

// It does not take 4 s to find out that there is no better one where the upstream fails.
func TestAnswerWithoutSignaturesIsToldSoon(t *testing.T) {
	const name = "db1.database.windows.net."
	upstream := serve(t, func(w dns.ResponseWriter, request *dns.Msg) {
		if opt := request.IsEdns0(); request.Question[0].Name == "localhost." || opt != nil && opt.Do() {
			return
		}
		reply := new(dns.Msg).SetReply(request)
		sql[name+" A"](reply)
		_ = w.WriteMsg(reply)
	})
	handler := newHandler(t, upstream, "", longAgo)
	askAt(t, handler, name, 0)
	handler.current.Load().service.routes.rest.group.Servers[0].Suspect()
	asked := time.Now()
	if _, reply := askSignedAt(t, handler, name, time.Second, true); lastAddress(reply) != "10.0.2.4" {
		t.Errorf("with DO while the upstream is silent: %v, want the kept address", reply)
	}
	if took := time.Since(asked); took > replyTime/2 {
		t.Errorf("it took %s, want little more than %s", took, patienceWhileFailing)
	}
}
