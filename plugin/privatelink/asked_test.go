package privatelink

import (
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/privatelink-dns/privatelink-dns/plugin/querylog"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

// failuresOf are the failed attempts at a server, by reason.
func failuresOf(handler *Handler, server string) map[string]float64 {
	reasons := map[string]float64{}
	for _, reason := range []string{"silence", "network", "rcode", "unsent"} {
		reasons[reason] = testutil.ToFloat64(handler.current.Load().metrics.collectors.failures.WithLabelValues(server, reason))
	}
	return reasons
}

// What is asked upstream counts for the network of the client, along the whole chain.
func TestQuestionsCountForTheClientsNetwork(t *testing.T) {
	for client, want := range map[string]string{"10.1.2.3:5353": "10.1.2.0/24", "[2001:db8:1:2ff::1]:5353": "2001:db8:1:200::/56"} {
		q := query{name: "db1.database.windows.net.", client: netip.MustParseAddrPort(client)}
		tail := q.of("db1.privatelink.database.windows.net.")
		if got := tail.question().Network.String(); got != want {
			t.Errorf("a question for %s counts for %s, want %s", client, got, want)
		}
	}
	if network := (&query{}).question().Network; network.IsValid() {
		t.Errorf("our own question counts for %v, want nobody", network)
	}
}

// The answer came from the fallback; that the route's own server failed is no less true.
func TestFailuresBehindAFallbackAreCounted(t *testing.T) {
	own := silent(t)
	handler := withFallbacks(t, own, newPublic(t), "route . azure outage=public")
	if got := lastAddress(ask(t, handler, "10.30.0.4", "web1.database.windows.net.", dns.TypeA)); got != "203.0.113.10" {
		t.Fatalf("the fallback's answer = %q, want 203.0.113.10", got)
	}
	if got := failuresOf(handler, own); got["network"] == 0 || got["rcode"] != 0 {
		t.Errorf("failures of the route's own server = %v, want some of the network", got)
	}
	c := handler.current.Load().metrics.collectors
	if got := testutil.ToFloat64(c.queries.WithLabelValues("database.windows.net", "public", "outage")); got != 1 {
		t.Errorf("public answers after an outage = %v, want 1", got)
	}
}

// A partner's resource is told apart from a zone that is not linked.
func TestVerdictOfAFallbackNamesTheFallback(t *testing.T) {
	own := linked(t)
	handler := withFallbacks(t, own, newPublic(t), "route . azure missing=public")
	ask(t, handler, "10.30.0.4", "partner1.database.windows.net.", dns.TypeA)
	ask(t, handler, "10.30.0.4", "nobody.database.windows.net.", dns.TypeA)
	c := handler.current.Load().metrics.collectors
	for _, tc := range []struct {
		verdict, fallback string
		want              float64
	}{{"unlinked", "missing", 1}, {"unlinked", none, 0}, {"missing", none, 1}} {
		if got := testutil.ToFloat64(c.queries.WithLabelValues("database.windows.net", tc.verdict, tc.fallback)); got != tc.want {
			t.Errorf("%s from fallback %s = %v, want %v", tc.verdict, tc.fallback, got, tc.want)
		}
	}
}

// The flight is counted when it lands, whoever waits for it: here nobody does.
func TestAnswersThatAreAskedForAgainAreCounted(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "", longAgo)
	service, counted := handler.current.Load().service, make(chan struct{}, 2)
	count := service.asked
	service.asked = func(groups []askedGroup) { count(groups); counted <- struct{}{} }
	name := "db1.database.windows.net."
	if o, _ := askAt(t, handler, name, 0); o.cacheState != fromUpstream {
		t.Fatalf("the first answer is a %s", o.cacheState)
	}
	for _, step := range []struct {
		after time.Duration
		state cacheState
	}{{4 * time.Second, fromCache}, {9500 * time.Millisecond, fromPrefetch}} {
		if o, _ := askAt(t, handler, name, step.after); o.cacheState != step.state {
			t.Fatalf("after %s the answer is a %q, want a %q", step.after, o.cacheState, step.state)
		}
	}
	<-counted
	<-counted
	registry := prometheus.NewRegistry()
	registry.MustRegister(handler.current.Load().metrics.collectors.roundTrips)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	answers := uint64(0)
	for _, metric := range families[0].GetMetric() {
		answers += metric.GetHistogram().GetSampleCount()
		if len(metric.GetHistogram().GetPositiveSpan()) == 0 && metric.GetHistogram().GetSampleCount() > 0 {
			t.Error("the round trips are no native histogram")
		}
	}
	if answers != 2 {
		t.Errorf("%d round trips are counted, want 2", answers)
	}
}

func TestTransportsAtOneAddressAreToldApart(t *testing.T) {
	built := buildText(t, "upstream plain 192.0.2.1:853\nupstream secure tls://192.0.2.1:853%dns.example\nroute . plain secure")
	handler := handlerOf(built)
	address := netip.MustParseAddrPort("192.0.2.1:853")
	handler.current.Load().metrics.countAsked([]askedGroup{
		{vain: []upstream.Attempt{{Server: address, Transport: upstream.TLS, Err: upstream.ErrSilent}}},
		{vain: []upstream.Attempt{{Server: address, Transport: upstream.TCP, Err: errors.New("refused")}, {Server: address, Transport: upstream.UDP, Err: upstream.ErrOverBudget}}},
		{answer: &upstream.Answer{Server: address, Transport: upstream.TLS}},
	})
	if got := failuresOf(handler, "192.0.2.1:853"); got["network"] != 1 || got["unsent"] != 1 || got["silence"] != 0 {
		t.Errorf("failures of plain DNS = %v, want one of the network and one unsent", got)
	}
	if got := failuresOf(handler, "tls://192.0.2.1:853%dns.example"); got["silence"] != 1 || got["network"] != 0 {
		t.Errorf("failures of DNS over TLS = %v, want one silence", got)
	}
}

// What a declared resolver tells of its client goes into the log, and nowhere else.
func TestWhoReallyAskedIsLoggedAndGoesNoFurther(t *testing.T) {
	passedOn := make(chan int, 8)
	own := serve(t, func(w dns.ResponseWriter, request *dns.Msg) {
		if options := request.IsEdns0(); options != nil {
			for _, option := range options.Option {
				if option.Option() == dns.EDNS0SUBNET || option.Option() >= 65001 {
					passedOn <- int(option.Option())
				}
			}
		}
		reply := new(dns.Msg).SetReply(request)
		sql["db1.database.windows.net. A"](reply)
		_ = w.WriteMsg(reply)
	})
	run := newRunning(t, "clients: []\n", "upstream own "+own+"\nroute catalog own\nclients resolver 10.30.0.0/24 identity=65001\nquerylog query.log")
	if err := run.start(); err != nil {
		t.Fatal(err)
	}
	request := new(dns.Msg).SetQuestion("db1.database.windows.net.", dns.TypeA)
	for _, each := range []struct {
		client string
		id     []byte
	}{{"10.30.0.4", []byte("laptop-7")}, {"10.30.0.5", []byte{0, 0x16, 0x3e, 1, 2, 3}}, {"10.40.0.4", []byte("a lie")}} {
		request.Extra = []dns.RR{&dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Class: 1232}, Option: []dns.EDNS0{
			&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: net.IPv4(10, 99, 7, 0)},
			&dns.EDNS0_LOCAL{Code: 65002, Data: []byte("another")}, &dns.EDNS0_LOCAL{Code: 65001, Data: each.id},
		}}}
		exchange(t, run.handler, each.client, request)
	}
	if err := run.stop(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(readFile(t, filepath.Join(run.config.directory, "query.log")), "\n")
	const network = `"real_client":"10.99.7.0/24",`
	for index, want := range []string{network + `"real_client_id":"laptop-7"`, network + `"real_client_id":"00163e010203"`} {
		if !strings.Contains(lines[index], want) {
			t.Errorf("line %d = %s, want it to contain %s", index+1, lines[index], want)
		}
	}
	if strings.Contains(lines[2], "real_client") {
		t.Errorf("a client that is no declared resolver tells who asked, and is believed: %s", lines[2])
	}
	if len(passedOn) > 0 {
		t.Errorf("EDNS option %d was passed on to the upstream", <-passedOn)
	}
}

func TestMessagesBetweenServersAreLogged(t *testing.T) {
	handler := withFallbacks(t, linked(t), newPublic(t), "route . azure missing=public")
	o, _ := askAt(t, handler, "partner1.database.windows.net.", 0)
	var record querylog.Record
	o.fill(&record, nil, time.Now())
	o.fillMessages(&record)
	if len(record.Exchanges) != 2 {
		t.Fatalf("%d exchanges, want those with the route's server and with the fallback's", len(record.Exchanges))
	}
	for index, exchange := range record.Exchanges {
		query, reply := new(dns.Msg), new(dns.Msg)
		if query.Unpack(exchange.Query) != nil || reply.Unpack(exchange.Reply) != nil || query.Question[0] != reply.Question[0] {
			t.Errorf("exchange %d is %v and %v, want a query and its reply", index, query, reply)
		}
		if !exchange.Received.After(exchange.Sent) {
			t.Errorf("exchange %d: sent %v, received %v", index, exchange.Sent, exchange.Received)
		}
	}
	kept, _ := askAt(t, handler, "partner1.database.windows.net.", time.Second)
	if kept.fill(&record, nil, time.Now()); record.Group != "public" || record.Cache != "hit" || len(kept.groups) != 0 {
		t.Errorf("kept from group %q, %s, with %d exchanges; want public, hit, none", record.Group, record.Cache, len(kept.groups))
	}
}
