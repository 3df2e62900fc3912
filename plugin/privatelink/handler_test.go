package privatelink

import (
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
)

// answers is a DNS server on loopback that knows some names and says SERVFAIL
// to all others.
func answers(t testing.TB, replies map[string]func(*dns.Msg)) string {
	t.Helper()
	return serve(t, answering(replies))
}

// answering is what it does with a question.
func answering(replies map[string]func(*dns.Msg)) dns.HandlerFunc {
	return func(w dns.ResponseWriter, request *dns.Msg) {
		reply := new(dns.Msg)
		reply.SetReply(request)
		question := request.Question[0]
		if fill, known := replies[dns.CanonicalName(question.Name)+" "+dns.TypeToString[question.Qtype]]; known {
			fill(reply)
		} else {
			reply.Rcode = dns.RcodeServerFailure
		}
		_ = w.WriteMsg(reply)
	}
}

// serve answers on a free port of loopback, over UDP, until the end of the test.
func serve(t testing.TB, handler dns.HandlerFunc) string {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	server := &dns.Server{PacketConn: socket, Handler: handler, NotifyStartedFunc: func() { close(started) }}
	go func() { _ = server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = server.Shutdown() })
	return socket.LocalAddr().String()
}

func records(written ...string) func(*dns.Msg) {
	return func(reply *dns.Msg) {
		for _, one := range written {
			record, err := dns.NewRR(one)
			if err != nil {
				panic(err)
			}
			reply.Answer = append(reply.Answer, record)
		}
	}
}

// sql is an upstream that knows db1 and its private endpoint.
var sql = map[string]func(*dns.Msg){
	"db1.database.windows.net. A": records(
		"db1.database.windows.net. 60 IN CNAME db1.privatelink.database.windows.net.",
		"db1.privatelink.database.windows.net. 10 IN A 10.0.2.4"),
	"db1.privatelink.database.windows.net. A":    records("db1.privatelink.database.windows.net. 10 IN A 10.0.2.4"),
	"db1.privatelink.database.windows.net. AAAA": func(*dns.Msg) {},
	"v1.privatelink.vaultcore.azure.net. A":      records("v1.privatelink.vaultcore.azure.net. 10 IN A 10.0.2.5"),
}

// newHandler returns a handler whose memory of chases started at a time, with
// the properties of body beside an upstream "azure" and a route for all.
func newHandler(t testing.TB, upstream, body string, started time.Time) *Handler {
	t.Helper()
	built := buildText(t, "upstream azure "+upstream+"\nroute . azure\n"+body)
	built.policy.Chains = policy.NewChaseMemory(1, started)
	return handlerOf(built)
}

// buildText builds the service of a stanza's lines, until the end of the test.
func buildText(t testing.TB, body string) *service {
	t.Helper()
	return buildOn(t, newSlot(), body)
}

// buildOn is buildText in a process that has other configurations.
func buildOn(t testing.TB, shared *slot, body string) *service {
	t.Helper()
	parsed, err := parseText(t.TempDir(), "privatelink {\n"+body+"\n}")
	if err != nil {
		t.Fatal(err)
	}
	built, err := build(parsed, shared)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shared.release(built.lease) })
	return built
}

// handlerOf puts a service in force, with metrics of its own.
func handlerOf(built *service) *Handler {
	handler := &Handler{}
	handler.put(built, newCollectors(prometheus.NewRegistry()))
	return handler
}

var longAgo = time.Now().Add(-time.Hour)

// ask sends a question with EDNS from a client and returns the reply.
func ask(t *testing.T, handler *Handler, client, name string, qtype uint16) *dns.Msg {
	t.Helper()
	request := new(dns.Msg)
	request.SetQuestion(name, qtype)
	request.SetEdns0(1232, false)
	return exchange(t, handler, client, request)
}

func exchange(t testing.TB, handler *Handler, client string, request *dns.Msg) *dns.Msg {
	t.Helper()
	recorder := dnstest.NewRecorder(&test.ResponseWriter{RemoteIP: client})
	if _, err := handler.ServeDNS(t.Context(), recorder, request); err != nil {
		t.Fatal(err)
	}
	if recorder.Msg == nil {
		t.Fatal("no reply was written")
	}
	return recorder.Msg
}

// extendedError returns the EDE of a reply; code 0 and no text if there is none.
func extendedError(reply *dns.Msg) (code uint16, text string) {
	if options := reply.IsEdns0(); options != nil {
		for _, option := range options.Option {
			if ede, ok := option.(*dns.EDNS0_EDE); ok {
				return ede.InfoCode, ede.ExtraText
			}
		}
	}
	return 0, ""
}

func TestServeDNS(t *testing.T) {
	upstream := answers(t, sql)
	tests := []struct {
		name, body, client, question string
		qtype                        uint16
		wantRcode                    int
		wantEDE                      uint16
		wantText                     string
	}{
		{"a public name", "", "10.20.0.9", "db1.database.windows.net.", dns.TypeA, dns.RcodeSuccess, 0, ""},
		{"a direct lookup out of the blue", "", "10.20.0.9", "db1.privatelink.database.windows.net.", dns.TypeA, dns.RcodeRefused, 15, "db1.database.windows.net"},
		{"a direct lookup of Key Vault", "", "10.20.0.9", "v1.privatelink.vaultcore.azure.net.", dns.TypeA, dns.RcodeRefused, 15, "ask for v1.vault.azure.net"},
		{"a direct lookup by a stub", "clients stub 10.20.0.0/16", "10.20.0.9", "db1.privatelink.database.windows.net.", dns.TypeA, dns.RcodeRefused, 15, "db1.database.windows.net"},
		{"a direct lookup by a resolver", "clients resolver 10.30.0.4", "10.30.0.4", "db1.privatelink.database.windows.net.", dns.TypeA, dns.RcodeSuccess, 0, ""},
		{"a direct lookup for AAAA", "", "10.20.0.9", "db1.privatelink.database.windows.net.", dns.TypeAAAA, dns.RcodeSuccess, 0, ""},
		{"nxdomain by policy", "direct other nxdomain", "10.20.0.9", "db1.privatelink.database.windows.net.", dns.TypeA, dns.RcodeNameError, 15, "db1.database.windows.net"},
		{"audit by policy", "direct other audit", "10.20.0.9", "db1.privatelink.database.windows.net.", dns.TypeA, dns.RcodeSuccess, 0, ""},
		{"a client that is denied", "clients deny 10.20.0.0/16", "10.20.0.9", "db1.database.windows.net.", dns.TypeA, dns.RcodeRefused, 18, "not served"},
		{"a client that is not allowed", "clients allow 10.30.0.0/16", "10.20.0.9", "db1.database.windows.net.", dns.TypeA, dns.RcodeRefused, 18, "not served"},
		{"a load balancer's probe", "clients allow 10.30.0.0/16", "168.63.129.16", "db1.database.windows.net.", dns.TypeA, dns.RcodeSuccess, 0, ""},
		{"a zone transfer", "", "10.20.0.9", "database.windows.net.", dns.TypeAXFR, dns.RcodeRefused, 21, "AXFR"},
		{"a failing upstream", "", "10.20.0.9", "other.database.windows.net.", dns.TypeA, dns.RcodeServerFailure, 23, "SERVFAIL"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			reply := ask(t, newHandler(t, upstream, tc.body, longAgo), tc.client, tc.question, tc.qtype)
			code, text := extendedError(reply)
			if reply.Rcode != tc.wantRcode || code != tc.wantEDE || !strings.Contains(text, tc.wantText) {
				t.Errorf("%s %s = %s, EDE %d %q; want %s, EDE %d %q", tc.question, dns.TypeToString[tc.qtype],
					dns.RcodeToString[reply.Rcode], code, text, dns.RcodeToString[tc.wantRcode], tc.wantEDE, tc.wantText)
			}
			if !reply.RecursionAvailable || reply.Authoritative {
				t.Errorf("RA %v, AA %v; want true, false", reply.RecursionAvailable, reply.Authoritative)
			}
		})
	}
}

func TestChaseIsAnsweredAndAnotherClientIsNot(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "clients stub 10.20.0.0/16", longAgo)
	ask(t, handler, "10.30.0.4", "db1.database.windows.net.", dns.TypeA)
	if got := ask(t, handler, "10.30.0.4", "db1.privatelink.database.windows.net.", dns.TypeA).Rcode; got != dns.RcodeSuccess {
		t.Errorf("the chase = %s, want NOERROR", dns.RcodeToString[got])
	}
	for _, client := range []string{"10.30.0.5", "10.20.0.9"} {
		if got := ask(t, handler, client, "db1.privatelink.database.windows.net.", dns.TypeA).Rcode; got != dns.RcodeRefused {
			t.Errorf("%s without a chain = %s, want REFUSED", client, dns.RcodeToString[got])
		}
	}
}

// A grant for a chase lives as long as the CNAME that the client was told, and nobody has
// one who was told none.
func TestGrantFollowsWhatWasTold(t *testing.T) {
	const name, private = "web1.database.windows.net.", "web1.privatelink.database.windows.net."
	upstream := answers(t, map[string]func(*dns.Msg){name + " A": records(name+" 3600 IN CNAME "+private, private+" 3600 IN A 203.0.113.10")})
	tests := []struct {
		name      string
		flattened bool
		after     time.Duration
		want      policy.Memory
	}{
		{"while the CNAME lives", false, 50 * time.Second, policy.Remembered},
		{"not as long as the upstream said", false, 2 * time.Minute, policy.NotGiven},
		{"no CNAME was told", true, 0, policy.NotGiven},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			handler := newHandler(t, upstream, "", longAgo)
			if tc.flattened {
				addOverride(t, handler, name, "resolve", "azure")
			}
			ask(t, handler, "10.30.0.4", name, dns.TypeA)
			chains := handler.current.Load().service.policy.Chains
			if got := chains.Remembers(netip.MustParseAddr("10.30.0.4"), private, time.Now().Add(tc.after)); got != tc.want {
				t.Errorf("Remembers(%s) = %v, want %v", private, got, tc.want)
			}
		})
	}
}

func TestStubIsRefusedWhatItWasGiven(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "clients stub 10.20.0.0/16", longAgo)
	ask(t, handler, "10.20.0.9", "db1.database.windows.net.", dns.TypeA)
	if got := ask(t, handler, "10.20.0.9", "db1.privatelink.database.windows.net.", dns.TypeA).Rcode; got != dns.RcodeRefused {
		t.Errorf("a stub's direct lookup after the chain = %s, want REFUSED", dns.RcodeToString[got])
	}
}

func TestDirectLookupIsAnsweredInDoubt(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "", time.Now())
	if got := ask(t, handler, "10.30.0.4", "db1.privatelink.database.windows.net.", dns.TypeA).Rcode; got != dns.RcodeSuccess {
		t.Errorf("a direct lookup in the first minute = %s, want NOERROR", dns.RcodeToString[got])
	}
}

func TestReplyKeepsTheClientsSpelling(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "", longAgo)
	reply := ask(t, handler, "10.20.0.9", "DB1.Database.windows.NET.", dns.TypeA)
	if got, want := reply.Question[0].Name, "DB1.Database.windows.NET."; got != want {
		t.Errorf("question = %q, want %q", got, want)
	}
	if got, want := reply.Answer[0].Header().Name, "DB1.Database.windows.NET."; got != want {
		t.Errorf("owner of the first record = %q, want %q", got, want)
	}
}

func TestReplyWithoutEDNSHasNone(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "", longAgo)
	request := new(dns.Msg)
	request.SetQuestion("db1.privatelink.database.windows.net.", dns.TypeA)
	if reply := exchange(t, handler, "10.20.0.9", request); reply.IsEdns0() != nil {
		t.Error("the reply to a question without EDNS has an OPT record, want none")
	}
}

func TestUpdateAndNotifyAreRefused(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "", longAgo)
	for _, opcode := range []int{dns.OpcodeUpdate, dns.OpcodeNotify} {
		request := new(dns.Msg)
		request.SetQuestion("database.windows.net.", dns.TypeSOA)
		request.Opcode = opcode
		reply := exchange(t, handler, "10.20.0.9", request)
		if reply.Rcode != dns.RcodeRefused || reply.Opcode != opcode {
			t.Errorf("%s = %s with opcode %s, want REFUSED with its own", dns.OpcodeToString[opcode],
				dns.RcodeToString[reply.Rcode], dns.OpcodeToString[reply.Opcode])
		}
	}
}

func TestUpstreamThatIsThisServer(t *testing.T) {
	interfaces := []netip.Addr{netip.MustParseAddr("10.1.0.4")}
	tests := []struct {
		name, upstream, port string
		hosts                []string
		wantMistake          bool
	}{
		{"the bound address", "10.1.0.4", "53", []string{"10.1.0.4"}, true},
		{"another port", "10.1.0.4:5353", "53", []string{"10.1.0.4"}, false},
		{"another address", "168.63.129.16", "53", []string{"10.1.0.4"}, false},
		{"every address, one of ours", "10.1.0.4", "53", []string{""}, true},
		{"every address, loopback", "127.0.0.1", "53", []string{"0.0.0.0"}, true},
		{"every address, not ours", "10.1.0.5", "53", []string{"::"}, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			parsed, err := parseText(t.TempDir(), "privatelink {\nupstream azure "+tc.upstream+"\nroute . azure\n}")
			if err != nil {
				t.Fatal(err)
			}
			err = parsed.checkOwnAddresses(tc.hosts, tc.port, interfaces)
			if (err != nil) != tc.wantMistake {
				t.Errorf("checkOwnAddresses(%v, %s) = %v, want a mistake: %v", tc.hosts, tc.port, err, tc.wantMistake)
			}
			if err != nil && !strings.Contains(err.Error(), filepath.Base("Corefile")+":2") {
				t.Errorf("checkOwnAddresses = %v, want the line named", err)
			}
		})
	}
}
