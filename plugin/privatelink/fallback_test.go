package privatelink

import (
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
)

// public is a resolver on the internet that remembers what it was asked.
type public struct {
	address string
	mutex   sync.Mutex
	asked   []string
}

func newPublic(t *testing.T) *public {
	t.Helper()
	p := new(public)
	p.address = serve(t, p.handle)
	return p
}

func (p *public) handle(w dns.ResponseWriter, request *dns.Msg) {
	name := dns.CanonicalName(request.Question[0].Name)
	p.mutex.Lock()
	p.asked = append(p.asked, name)
	p.mutex.Unlock()
	reply := new(dns.Msg)
	reply.SetReply(request)
	if fill, known := publicly[name]; known {
		fill(reply)
	} else {
		reply.Rcode = dns.RcodeNameError
	}
	_ = w.WriteMsg(reply)
}

var publicly = map[string]func(*dns.Msg){
	"web1.database.windows.net.":                 records("web1.database.windows.net. 60 IN A 203.0.113.10"),
	"db1.database.windows.net.":                  records("db1.database.windows.net. 60 IN CNAME db1.privatelink.database.windows.net.", "db1.privatelink.database.windows.net. 60 IN A 203.0.113.10"),
	"partner1.database.windows.net.":             records("partner1.database.windows.net. 60 IN CNAME partner1.privatelink.database.windows.net.", "partner1.privatelink.database.windows.net. 60 IN A 203.0.113.11"),
	"partner1.privatelink.database.windows.net.": records("partner1.privatelink.database.windows.net. 60 IN A 203.0.113.11"),
	"sql.example.org.":                           records("sql.example.org. 60 IN CNAME db9.database.windows.net.", "db9.database.windows.net. 60 IN A 203.0.113.12"),
}

func (p *public) wasAsked(name string) bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return slices.Contains(p.asked, name)
}

// withFallbacks returns a handler that asks upstream first and then public.
func withFallbacks(t *testing.T, upstream string, other *public, body string) *Handler {
	t.Helper()
	built := buildText(t, "upstream azure "+upstream+"\nupstream public "+other.address+"\n"+body)
	built.policy.Chains = policy.NewChaseMemory(1, longAgo)
	return handlerOf(built)
}

// linked is an upstream whose private zone holds no record for partner1.
func linked(t *testing.T) string {
	t.Helper()
	missing := func(links ...string) func(*dns.Msg) {
		return func(reply *dns.Msg) {
			records(links...)(reply)
			reply.Rcode = dns.RcodeNameError
			reply.Ns = []dns.RR{ownSOA("privatelink.database.windows.net.", 10)}
		}
	}
	return answers(t, map[string]func(*dns.Msg){
		"partner1.database.windows.net. A":             missing("partner1.database.windows.net. 60 IN CNAME partner1.privatelink.database.windows.net."),
		"partner1.privatelink.database.windows.net. A": missing(),
		"partner1.database.windows.net. AAAA":          records("partner1.database.windows.net. 60 IN CNAME partner1.privatelink.database.windows.net."),
		"nobody.database.windows.net. A":               missing("nobody.database.windows.net. 60 IN CNAME nobody.privatelink.database.windows.net."),
		"typo.database.windows.net. A":                 missing(),
		"db1.database.windows.net. A":                  records("db1.database.windows.net. 60 IN A 203.0.113.10"),
		"sql.corp.example. A":                          records("sql.corp.example. 60 IN CNAME db1.database.windows.net.", "db1.database.windows.net. 60 IN A 203.0.113.10"),
	})
}

// silent is an address where nothing answers, and says so at once.
func silent(t *testing.T) string {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	return socket.LocalAddr().String()
}

func TestFallbackAfterMissing(t *testing.T) {
	tests := []struct {
		name, body, question string
		qtype                uint16
		wantRcode            int
		wantAddress          string
		wantAsked            bool
	}{
		{"a partner's resource", "route . azure missing=public", "partner1.database.windows.net.", dns.TypeA, dns.RcodeSuccess, "203.0.113.11", true},
		{"its chase", "route . azure missing=public\nclients resolver 10.30.0.4", "partner1.privatelink.database.windows.net.", dns.TypeA, dns.RcodeSuccess, "203.0.113.11", true},
		{"no fallback unless written", "route . azure", "partner1.database.windows.net.", dns.TypeA, dns.RcodeNameError, "", false},
		{"NODATA is not missing", "route . azure missing=public", "partner1.database.windows.net.", dns.TypeAAAA, dns.RcodeSuccess, "", false},
		{"a name without a hop", "route . azure missing=public", "typo.database.windows.net.", dns.TypeA, dns.RcodeNameError, "", false},
		{"a name that public DNS does not know", "route . azure missing=public", "nobody.database.windows.net.", dns.TypeA, dns.RcodeNameError, "", true},
		{"a name that must be private", "route . azure missing=public\nmust-private partner1.database.windows.net", "partner1.database.windows.net.", dns.TypeA, dns.RcodeNameError, "", false},
		{"the chase of one", "route . azure missing=public\nclients resolver 10.30.0.4\nmust-private =partner1.database.windows.net", "partner1.privatelink.database.windows.net.", dns.TypeA, dns.RcodeNameError, "", false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			other := newPublic(t)
			reply := ask(t, withFallbacks(t, linked(t), other, tc.body), "10.30.0.4", tc.question, tc.qtype)
			if got := lastAddress(reply); reply.Rcode != tc.wantRcode || got != tc.wantAddress {
				t.Errorf("%s = %s %q, want %s %q", tc.question, dns.RcodeToString[reply.Rcode], got, dns.RcodeToString[tc.wantRcode], tc.wantAddress)
			}
			if got := other.wasAsked(tc.question); got != tc.wantAsked {
				t.Errorf("public DNS was asked for %s: %v, want %v", tc.question, got, tc.wantAsked)
			}
		})
	}
}

func lastAddress(reply *dns.Msg) string {
	if len(reply.Answer) == 0 {
		return ""
	}
	if address, ok := reply.Answer[len(reply.Answer)-1].(*dns.A); ok {
		return address.A.String()
	}
	return ""
}

func TestFallbackAfterOutage(t *testing.T) {
	tests := []struct {
		name, body, question string
		wantRcode            int
		wantAddress          string
		wantAsked            bool
	}{
		{"a resource without a private endpoint", "route . azure outage=public", "web1.database.windows.net.", dns.RcodeSuccess, "203.0.113.10", true},
		{"no fallback unless written", "route . azure missing=public", "web1.database.windows.net.", dns.RcodeServerFailure, "", false},
		{"a resource with a private endpoint", "route . azure outage=public", "db1.database.windows.net.", dns.RcodeServerFailure, "", true},
		{"a name that must be private", "route . azure outage=public\nmust-private web1.database.windows.net", "web1.database.windows.net.", dns.RcodeSuccess, "", false},
		{"a chain that leads to one", "route . azure outage=public\nmust-private db9.database.windows.net", "sql.example.org.", dns.RcodeServerFailure, "", true},
		{"a chase", "route . azure outage=public\nclients resolver 10.30.0.4", "partner1.privatelink.database.windows.net.", dns.RcodeServerFailure, "", false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			other := newPublic(t)
			reply := ask(t, withFallbacks(t, silent(t), other, tc.body), "10.30.0.4", tc.question, dns.TypeA)
			if got := lastAddress(reply); reply.Rcode != tc.wantRcode || got != tc.wantAddress {
				t.Errorf("%s = %s %q, want %s %q", tc.question, dns.RcodeToString[reply.Rcode], got, dns.RcodeToString[tc.wantRcode], tc.wantAddress)
			}
			if got := other.wasAsked(tc.question); got != tc.wantAsked {
				t.Errorf("public DNS was asked for %s: %v, want %v", tc.question, got, tc.wantAsked)
			}
		})
	}
}

func TestServfailIsNoOutage(t *testing.T) {
	other := newPublic(t)
	reply := ask(t, withFallbacks(t, answers(t, nil), other, "route . azure outage=public"), "10.30.0.4", "web1.database.windows.net.", dns.TypeA)
	if reply.Rcode != dns.RcodeServerFailure || other.wasAsked("web1.database.windows.net.") {
		t.Errorf("one broken name = %s, public DNS asked: %v; want SERVFAIL and not asked", dns.RcodeToString[reply.Rcode], other.wasAsked("web1.database.windows.net."))
	}
}

func TestWithheldAnswers(t *testing.T) {
	tests := []struct {
		name, body, question string
		wantRcode            int
		wantSOA              bool
	}{
		{"NODATA by default", "must-private db1.database.windows.net", "db1.database.windows.net.", dns.RcodeSuccess, true},
		{"SERVFAIL where asked for", "must-private db1.database.windows.net withhold=servfail", "db1.database.windows.net.", dns.RcodeServerFailure, false},
		{"whatever name of the chain matches", "must-private =db1.database.windows.net", "sql.corp.example.", dns.RcodeSuccess, true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			reply := ask(t, newHandler(t, linked(t), tc.body, longAgo), "10.30.0.4", tc.question, dns.TypeA)
			code, _ := extendedError(reply)
			hasSOA := len(reply.Ns) == 1 && reply.Ns[0].Header().Rrtype == dns.TypeSOA
			if len(reply.Answer) != 0 || reply.Rcode != tc.wantRcode || code != 17 || hasSOA != tc.wantSOA {
				t.Errorf("%s = %s with %d answers, EDE %d, SOA %v; want %s without, EDE 17, SOA %v", tc.question,
					dns.RcodeToString[reply.Rcode], len(reply.Answer), code, hasSOA, dns.RcodeToString[tc.wantRcode], tc.wantSOA)
			}
		})
	}
}

func TestOutageAsksNothingPubliclyThatIsKept(t *testing.T) {
	const name = "sql.corp.example."
	other := newPublic(t)
	handler := withFallbacks(t, silent(t), other, "route . azure outage=public\nmust-private db1.database.windows.net")
	keepChain(t, handler, name)
	_, reply := askAt(t, handler, name, time.Minute)
	if got := lastAddress(reply); got != "10.0.2.4" || other.wasAsked(name) {
		t.Errorf("stale answer %q, public DNS asked: %v; want 10.0.2.4 and not asked", got, other.wasAsked(name))
	}
}

// keepChain keeps an A answer that leads from a name to one that must be private.
func keepChain(t *testing.T, handler *Handler, name string) {
	t.Helper()
	keepChainIn(t, handler, name, "")
}

// keepChainIn is keepChain for the clients of a view.
func keepChainIn(t *testing.T, handler *Handler, name, view string) {
	t.Helper()
	s := handler.current.Load().service
	kept := new(dns.Msg)
	records(name+" 60 IN CNAME db1.database.windows.net.", "db1.database.windows.net. 10 IN A 10.0.2.4")(kept)
	key := keyFor(t, name, dns.TypeA)
	key.View = view
	entry, err := cache.Make(key, kept, cache.Meta{Group: s.routes.rest.id}, cache.Lifetimes{MaxTTL: time.Minute, MaxStale: time.Hour}, start)
	if err != nil {
		t.Fatal(err)
	}
	s.cache.Put(entry)
}

// What a kept answer to A tells of a chain holds for all types.
func TestOutageOfAnotherTypeIsNotAskedPublicly(t *testing.T) {
	const name = "sql.corp.example."
	for _, qtype := range []uint16{dns.TypeAAAA, dns.TypeHTTPS} {
		t.Run(dns.TypeToString[qtype], func(t *testing.T) {
			other := newPublic(t)
			handler := withFallbacks(t, silent(t), other, "route . azure outage=public\nmust-private db1.database.windows.net")
			keepChain(t, handler, name)
			ask(t, handler, "10.30.0.4", name, qtype)
			if other.wasAsked(name) {
				t.Error("a name whose chain is known to hold one that must be private was asked publicly")
			}
		})
	}
}

// What clients of another site or view were told of a chain holds for all.
func TestOutageInAnotherViewIsNotAskedPublicly(t *testing.T) {
	const name = "sql.corp.example."
	for _, view := range []string{siteMark + "azure", siteMark + "far" + siteBreak + "azure", "inside", "inside" + siteMark + "azure"} {
		t.Run(view, func(t *testing.T) {
			other := newPublic(t)
			handler := withFallbacks(t, silent(t), other, "upstream far "+silent(t)+" clients=10.40.0.0/16\nroute . azure far outage=public\nmust-private db1.database.windows.net")
			keepChainIn(t, handler, name, view)
			ask(t, handler, "10.30.0.4", name, dns.TypeA)
			if other.wasAsked(name) {
				t.Error("a name whose chain is known to hold one that must be private was asked publicly")
			}
		})
	}
}

// A name that a chain leads to may itself be known to lead to one that must be private.
func TestOutageBehindAChainIsNotAskedPublicly(t *testing.T) {
	const head, name = "app.corp.example.", "sql.other.example."
	corp := answers(t, map[string]func(*dns.Msg){head + " A": records(head + " 60 IN CNAME " + name)})
	other := newPublic(t)
	handler := withFallbacks(t, silent(t), other, "upstream corp "+corp+"\nroute corp.example corp\nroute . azure outage=public\nmust-private db1.database.windows.net")
	keepChain(t, handler, name)
	ask(t, handler, "10.30.0.4", head, dns.TypeA)
	if other.wasAsked(name) {
		t.Error("a name whose chain is known to hold one that must be private was asked publicly")
	}
}

// The public name behind a chase may be unknown, and one that must be private.
func TestChaseOfAnUnderivableNameIsNotAskedPublicly(t *testing.T) {
	const name = "es-1.privatelink.blob.core.windows.net."
	azure := answers(t, map[string]func(*dns.Msg){name + " A": func(reply *dns.Msg) {
		reply.Rcode = dns.RcodeNameError
		reply.Ns = []dns.RR{ownSOA("privatelink.blob.core.windows.net.", 10)}
	}})
	for _, entry := range []string{"blob.storage.azure.net", "=disk1.z20.blob.storage.azure.net"} {
		t.Run(entry, func(t *testing.T) {
			other := newPublic(t)
			handler := withFallbacks(t, azure, other, "route . azure missing=public\nclients resolver 10.30.0.4\nmust-private "+entry)
			ask(t, handler, "10.30.0.4", name, dns.TypeA)
			if other.wasAsked(name) {
				t.Errorf("%s was asked publicly", name)
			}
		})
	}
}
