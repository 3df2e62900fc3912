package privatelink

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
)

// Who asks for a CNAME itself is answered by it, whatever its target has.
func TestQuestionForTheCNAMEDoesNotCross(t *testing.T) {
	head := answers(t, map[string]func(*dns.Msg){
		"sql.corp.example. CNAME": records("sql.corp.example. 300 IN CNAME db1.database.windows.net."),
		"sql.corp.example. ANY":   records("sql.corp.example. 300 IN CNAME db1.database.windows.net."),
	})
	for _, upstream := range []string{silent(t), answers(t, nil)} {
		handler := newHandler(t, upstream, "upstream corp "+head+"\nroute corp.example corp", longAgo)
		for _, qtype := range []uint16{dns.TypeCNAME, dns.TypeANY} {
			reply := ask(t, handler, "10.30.0.4", "sql.corp.example.", qtype)
			if got := summary(reply.Answer); reply.Rcode != dns.RcodeSuccess || got != "sql.corp.example. CNAME db1.database.windows.net." {
				t.Errorf("%s = %s %q, want NOERROR and the CNAME", dns.TypeToString[qtype], dns.RcodeToString[reply.Rcode], got)
			}
		}
	}
}

// What a tail's fallback brought is the tail's, and the head's route need have none.
func TestTailsFallbackIsKept(t *testing.T) {
	const name = "partner.corp.example."
	const routes = "route catalog azure missing=public\nroute corp.example corp\n"
	other, head := newPublic(t), newChanging(t, records("partner.corp.example. 300 IN CNAME partner1.database.windows.net.", "partner1.database.windows.net. 60 IN A 203.0.113.11"))
	handler := withFallbacks(t, linked(t), other, "upstream corp "+head.address+"\n"+routes)
	for later := range 5 {
		if _, reply := askAt(t, handler, name, time.Duration(later)*time.Second); lastAddress(reply) != "203.0.113.11" {
			t.Fatalf("%s = %v, want 203.0.113.11", name, reply)
		}
	}
	if asked := head.asked.Load(); asked != 1 {
		t.Errorf("the head's upstream was asked %d times in 5 s, want once", asked)
	}
}

func TestReloadThatTakesTheTailsFallbackAway(t *testing.T) {
	const name = "partner.corp.example."
	shared, other := newSlot(), newPublic(t)
	groups := "upstream azure " + linked(t) + "\nupstream public " + other.address + "\nupstream corp " + corp(t) + "\nroute corp.example corp\n"
	first := buildOn(t, shared, groups+"route catalog azure missing=public")
	first.policy.Chains = policy.NewChaseMemory(1, longAgo)
	askAt(t, handlerOf(first), name, 0)
	second := buildOn(t, shared, groups+"route catalog azure")
	second.policy.Chains = policy.NewChaseMemory(1, longAgo)
	if _, reply := askAt(t, handlerOf(second), name, time.Second); reply.Rcode != dns.RcodeNameError {
		t.Errorf("%s = %v, want NXDOMAIN", name, reply)
	}
}

// A stale answer does not wait 1.8 s for a fresh one because its head's upstream is well.
func TestStaleAnswerKnowsOfItsTailsUpstream(t *testing.T) {
	const name = "sql.corp.example."
	azure := serve(t, func(w dns.ResponseWriter, request *dns.Msg) {
		if fill, known := sql[dns.CanonicalName(request.Question[0].Name)+" A"]; known { // and silent to probes
			reply := new(dns.Msg).SetReply(request)
			fill(reply)
			_ = w.WriteMsg(reply)
		}
	})
	built := buildText(t, "upstream azure "+azure+"\nupstream corp "+corp(t)+"\nroute catalog azure\nroute corp.example corp")
	built.policy.Chains = policy.NewChaseMemory(1, longAgo)
	o, _ := askAt(t, handlerOf(built), name, 0)
	if slices.ContainsFunc(built.groupsBehind(o, o.entry), failing) {
		t.Error("an upstream fails already")
	}
	built.routes.catalogued.group.Servers[0].Suspect()
	if !slices.ContainsFunc(built.groupsBehind(o, o.entry), failing) {
		t.Error("the tail's upstream fails, and the answer does not know")
	}
}

// It is the tail's upstream that lacks the record.
func TestTailsUpstreamIsNamed(t *testing.T) {
	handler := withFallbacks(t, linked(t), newPublic(t), "upstream corp "+corp(t)+"\nroute catalog azure missing=public\nroute corp.example corp")
	_, reply := askAt(t, handler, "partner.corp.example.", 0)
	if _, text := extendedError(reply); !strings.Contains(text, "upstream azure has privatelink.database.windows.net but no record") {
		t.Errorf("extended error %q, want it to name upstream azure", text)
	}
}

// A reload that sends a chain's catalogued name elsewhere ends what is kept of the chain,
// stale answers included: the tail may have been public.
func TestReloadThatGivesTheTailAnotherRoute(t *testing.T) {
	const name = "sql.corp.example."
	shared := newSlot()
	groups := "upstream azure " + answers(t, sql) + "\nupstream corp " + corp(t) + "\nupstream other " + linked(t) + "\nroute corp.example corp\n"
	steps := []struct{ routes, want string }{
		{"route . corp", "203.0.113.10"},
		{"route . corp\nroute catalog azure", "10.0.2.4"},
		{"route catalog azure", "10.0.2.4"},
		{"route catalog other", "203.0.113.10"},
	}
	for later, step := range steps {
		built := buildOn(t, shared, groups+step.routes)
		built.policy.Chains = policy.NewChaseMemory(1, longAgo)
		built.made = start.Add(time.Duration(later) * time.Second)
		asked, reply := askAt(t, handlerOf(built), name, time.Duration(later)*time.Second)
		if lastAddress(reply) != step.want {
			t.Errorf("with %q: %s %q, want %q", step.routes, dns.RcodeToString[reply.Rcode], lastAddress(reply), step.want)
		}
		if kept := asked.cacheState == fromCache; kept != (later == 2) {
			t.Errorf("with %q: answered by %s", step.routes, asked.cacheState)
		}
	}
}
