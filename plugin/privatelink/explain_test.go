package privatelink

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
)

// explainFor explains a question of 10.20.0.9.
func explainFor(t *testing.T, handler *Handler, name, qtype string) *Explanation {
	t.Helper()
	explanation, err := handler.current.Load().service.explain(t.Context(), ExplainRequest{Name: name, Type: qtype, Client: netip.MustParseAddr("10.20.0.9")})
	if err != nil {
		t.Fatal(err)
	}
	return explanation
}

func TestExplainLeavesNoTrace(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "", longAgo)
	service := handler.current.Load().service
	explanation := explainFor(t, handler, "DB1.database.windows.net", "")
	if explanation.Told.Verdict != "private" || explanation.Told.Cache != "miss" {
		t.Errorf("explain = %+v, want a private answer from upstream", explanation.Told)
	}
	if kept := service.cache.Len(); kept != 0 {
		t.Errorf("%d answers are kept, want none", kept)
	}
	if stats := service.cache.Stats(); stats.Missed+stats.Fresh != 0 {
		t.Errorf("the cache counted %+v, want nothing", stats)
	}
	client := netip.MustParseAddr("10.20.0.9")
	if memory := service.policy.Chains.Remembers(client, "db1.privatelink.database.windows.net.", time.Now()); memory != policy.NotGiven {
		t.Errorf("a chase is remembered (%v), want none", memory)
	}
	if len(service.flights.pending) != 0 {
		t.Error("a question is in flight for others to join, want none")
	}
}

func TestExplainTellsWhatTheServerTells(t *testing.T) {
	const name = "db1.database.windows.net."
	changing := newChanging(t, sql[name+" A"])
	handler := newHandler(t, changing.address, "", longAgo)
	ask(t, handler, "10.20.0.9", name, dns.TypeA)
	changing.answerWith(records(name+" 60 IN CNAME db1.privatelink.database.windows.net.", "db1.privatelink.database.windows.net. 60 IN A 203.0.113.9"))

	explanation := explainFor(t, handler, name, "A")
	if explanation.Told.Cache != "hit" || explanation.Told.Verdict != "private" || len(explanation.Reply.Records) != 2 {
		t.Errorf("told %+v, want the kept private answer", explanation.Told)
	}
	if explanation.Now == nil || explanation.Now.Verdict != "unlinked" || explanation.Diagnosis.Code != "kept-differs" {
		t.Errorf("now %+v, diagnosis %+v; want an unlinked answer that differs", explanation.Now, explanation.Diagnosis)
	}
	if reply := ask(t, handler, "10.20.0.9", name, dns.TypeA); lastAddress(reply) != "10.0.2.4" {
		t.Errorf("after explaining, clients get %v, want the kept answer still", reply.Answer)
	}
}

func TestExplainRefusesWhatIsNoQuestion(t *testing.T) {
	handler := newHandler(t, "127.0.0.1:9", "", longAgo)
	for _, tc := range []struct{ name, qtype, want string }{
		{"", "A", "expected a domain name"},
		{"two words.example", "A", "expected a domain name"},
		{strings.Repeat("a", 64) + ".example", "A", "expected a domain name"},
		{"db1.example", "ADDRESS", `found type "ADDRESS"`},
		{newNonce("example."), "TXT", "look for loops"},
	} {
		_, err := handler.current.Load().service.explain(t.Context(), ExplainRequest{Name: tc.name, Type: tc.qtype})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("explain(%q, %q) = %v, want %q", tc.name, tc.qtype, err, tc.want)
		}
	}
}

// FuzzExplainRequest: whatever a person or a program asks to have explained is refused,
// or is a question with a canonical name.
func FuzzExplainRequest(f *testing.F) {
	for _, name := range []string{"db1.database.windows.net", ".", "", "a..b", `\000.example`, `a\.b.example.`, `a\032\\.example`, "*.example", "É.example", strings.Repeat("a.", 130)} {
		f.Add(name, "A")
		f.Add(name, "type65280")
	}
	f.Fuzz(func(t *testing.T, name, qtype string) {
		request := ExplainRequest{Name: name, Type: qtype}
		q, err := request.query(start)
		if err != nil {
			return
		}
		again := ExplainRequest{Name: q.name, Type: qtype}
		if same, err := again.query(start); err != nil || same.name != q.name || same.key != q.key || q.key.Question.Presentation() != q.name {
			t.Errorf("query(%q) has the name %q and the key %q, and that again %q, %v; want one name", name, q.name, q.key.Question.Presentation(), same.name, err)
		}
	})
}
