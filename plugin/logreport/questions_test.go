package logreport

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/querylog"
)

// lineAt is a line so many seconds after the start.
func lineAt(second int, client, name string, set func(r *querylog.Record)) []byte {
	return line(func(r *querylog.Record) {
		r.Time, r.Client, r.Name = start.Add(time.Duration(second)*time.Second), netip.MustParseAddrPort(client+":5353"), name
		r.ClientClass = "other"
		set(r)
	})
}

func answered(verdict string, addresses ...string) func(r *querylog.Record) {
	return func(r *querylog.Record) {
		r.Verdict, r.Chain = verdict, []string{"a.example.", "b.example."}
		for _, address := range addresses {
			r.Answers = append(r.Answers, netip.MustParseAddr(address))
		}
	}
}

func ruled(rule, action string, rcode uint16) func(r *querylog.Record) {
	return func(r *querylog.Record) {
		r.PolicyRule, r.PolicyAction, r.Rcode, r.Direct = rule, action, rcode, strings.HasPrefix(rule, "direct") || rule == "chase"
	}
}

func readQuestions(t testing.TB, asking Asking, lines ...[]byte) *Questions {
	t.Helper()
	found, err := ReadQuestions(context.Background(), []Source{logOf("log", bytes.Join(lines, nil))}, Options{Workers: 2}, asking)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// told is a question in a line.
func told(q Question) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %d %s %s %v %v", q.Name, q.Type, q.Queries, q.Answer.Rcode, q.Answer.Verdict, q.Answer.Chain, q.Answer.Addresses))
}

func TestQuestionsHaveTheirLastAnswer(t *testing.T) {
	failure := func(r *querylog.Record) { r.Rcode, r.Error = dns.RcodeServerFailure, `group "azure": no reply` }
	const name, other = "db1.database.windows.net.", "www.example."
	tests := []struct {
		name  string
		lines [][]byte
		want  []string
	}{
		{"the later", [][]byte{lineAt(2, "10.20.0.7", name, answered("public", "203.0.113.9")), lineAt(1, "10.20.0.8", name, answered("private", "10.0.2.4"))},
			[]string{"db1.database.windows.net. A 2 NOERROR public [a.example. b.example.] [203.0.113.9]"}},
		{"an answer before a failure", [][]byte{lineAt(1, "10.20.0.7", name, answered("private", "10.0.2.4", "10.0.2.5")), lineAt(2, "10.20.0.7", name, failure)},
			[]string{"db1.database.windows.net. A 2 NOERROR private [a.example. b.example.] [10.0.2.4 10.0.2.5]"}},
		{"an answer after a failure", [][]byte{lineAt(1, "10.20.0.7", name, failure), lineAt(2, "10.20.0.7", name, answered("private", "10.0.2.4"))},
			[]string{"db1.database.windows.net. A 2 NOERROR private [a.example. b.example.] [10.0.2.4]"}},
		{"only failures", [][]byte{lineAt(1, "10.20.0.7", name, failure)}, []string{"db1.database.windows.net. A 1 SERVFAIL  [] []"}},
		{"the frequent first", [][]byte{lineAt(1, "10.20.0.7", name, nothingSet), sampled(lineAt(2, "10.20.0.7", other, nothingSet), 5)},
			[]string{"www.example. A 5 NOERROR  [] []", "db1.database.windows.net. A 1 NOERROR  [] []"}},
		{"types", [][]byte{lineAt(1, "10.20.0.7", name, func(r *querylog.Record) { r.Type = 65280 }), lineAt(2, "10.20.0.7", name, func(r *querylog.Record) { r.Type = dns.TypeAAAA })},
			[]string{"db1.database.windows.net. AAAA 1 NOERROR  [] []", "db1.database.windows.net. TYPE65280 1 NOERROR  [] []"}},
		{"a hostile chain", [][]byte{lineAt(1, "10.20.0.7", name, func(r *querylog.Record) { r.Chain = []string{`a\",\"b.example.`, "c.example."} })},
			[]string{`db1.database.windows.net. A 1 NOERROR  [a\034,\034b.example. c.example.] []`}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, question := range readQuestions(t, Asking{}, tc.lines...).List {
				got = append(got, told(question))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("the questions are\n%q, want\n%q", got, tc.want)
			}
		})
	}
}

// Who asked makes a question of its own only where it decided, or where its place
// changes the answer.
func TestQuestionsOfSeveralClients(t *testing.T) {
	const direct = "db1.privatelink.database.windows.net."
	lines := [][]byte{
		lineAt(1, "10.20.0.7", "www.example.", nothingSet), lineAt(2, "10.30.0.4", "www.example.", nothingSet),
		lineAt(3, "10.20.0.7", direct, ruled("direct-lookup", "refuse", dns.RcodeRefused)),
		lineAt(4, "10.30.0.4", direct, func(r *querylog.Record) {
			ruled("direct-declared-resolver", "allow", 0)(r)
			r.ClientClass = "resolver"
		}),
	}
	place := func(key []byte, client netip.Addr, _ bool) []byte { return append(key, client.AsSlice()[1]) }
	for _, tc := range []struct {
		name          string
		asking        Asking
		want          int
		wantLeft      uint64
		wantOverLimit uint64
	}{
		{"the class where it decided", Asking{}, 3, 0, 0},
		{"places", Asking{Place: place}, 4, 0, 0},
		{"one client", Asking{OneClient: true, Place: place}, 1, 2, 0},
		{"a limit", Asking{Limit: 1}, 1, 0, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := readQuestions(t, tc.asking, lines...)
			if len(got.List) != tc.want || got.ByClient != tc.wantLeft || got.OverLimit != tc.wantOverLimit {
				t.Errorf("ReadQuestions = %d questions, %d decided by client, %d over the limit; want %d, %d, %d", len(got.List), got.ByClient, got.OverLimit, tc.want, tc.wantLeft, tc.wantOverLimit)
			}
			if got.Lines+got.ByClient+got.OverLimit != 4 {
				t.Errorf("ReadQuestions accounts for %+v, want 4 lines", got)
			}
		})
	}
}

func TestWhatIsNoQuestionIsCounted(t *testing.T) {
	hidden := bytes.Replace(lineAt(9, "10.20.0.7", "db1.privatelink.database.windows.net.", ruled("chase", "allow", 0)), []byte(`"client_ip":"10.20.0.7",`), nil, 1)
	got := readQuestions(t, Asking{},
		lineAt(1, "10.20.0.7", "x.example.", ruled("malformed", "refuse", dns.RcodeFormatError)),
		lineAt(2, "10.20.0.7", "x.example.", ruled("unsupported-operation", "refuse", dns.RcodeRefused)),
		lineAt(3, "10.20.0.7", "x.example.", func(r *querylog.Record) { r.Class = dns.ClassCHAOS }),
		lineAt(4, "10.20.0.7", "x.example.", ruled("override", "allow", 0)),
		hidden, []byte("nonsense\n"))
	if len(got.List) != 0 || got.Unasked != 3 || got.Overridden != 1 || got.ByClient != 1 || got.Unreadable != 1 || len(got.Mistakes) != 1 {
		t.Errorf("ReadQuestions = %+v, want 3 unasked, 1 overridden, 1 by client, 1 unreadable", got)
	}
	earlier := Options{Until: start.Add(time.Second), Namespaces: []string{"example"}}
	found, err := ReadQuestions(context.Background(), []Source{logOf("log", slices.Concat(lineAt(0, "10.20.0.7", "x.example.", nothingSet), lineAt(1, "10.20.0.7", "y.example.", nothingSet), lineAt(0, "10.20.0.7", "z.test.", nothingSet)))}, earlier, Asking{})
	if err != nil || len(found.List) != 1 || found.PassedOver != 2 {
		t.Errorf("ReadQuestions of a second and a namespace = %+v, %v, want one question and 2 passed over", found, err)
	}
}

// A day of the same questions costs no memory beyond that of the questions.
func TestQuestionsDoNotAllocateAgain(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	reader := &questionReader{gathering: &gathering{selection: newSelection(Options{}), asking: Asking{Limit: DefaultQuestions}, known: map[string]*Question{}}, scanner: newScanner()}
	var content [][]byte
	for len(content) < 500 {
		if written := recordAt(start, random); written.Error == "" && written.EDEText == "" {
			content = append(content, bytes.TrimSpace(querylog.AppendJSON(nil, written)))
		}
	}
	add := func() {
		for _, each := range content {
			if err := reader.addLine(each); err != nil {
				t.Fatal(err)
			}
		}
	}
	add()
	// Routes and hosts of the clients are texts; the addresses of both are parsed.
	if allocations := testing.AllocsPerRun(5, add); allocations > 2*float64(len(content)) {
		t.Errorf("500 lines allocate %v times, want 2 a line at most", allocations)
	}
}

// Whatever a file holds, every line is accounted for.
func FuzzReadQuestions(f *testing.F) {
	f.Add(hubLog(20))
	f.Add([]byte(`{"time":"2026-03-01T03:00:00.000000Z","schema":1,"qname":"a.","chain":["a\",\"b"],"answers":["10.0.0.1","x"]}` + "\n{}\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		found, _ := ReadQuestions(context.Background(), []Source{logOf("fuzz", content)}, Options{Workers: 1}, Asking{Limit: 3})
		counted := found.Lines + found.PassedOver + found.OverLimit + found.Overridden + found.ByClient + found.Unasked + found.Unreadable
		if lines := uint64(bytes.Count(content, []byte("\n")) + 1); !bytes.HasPrefix(content, []byte{0x1f, 0x8b}) && !bytes.HasPrefix(content, []byte{0x28, 0xb5}) && counted > lines {
			t.Errorf("%d lines are accounted for of %d", counted, lines)
		}
		if len(found.List) > 3 {
			t.Errorf("%d questions are kept, want 3 at most", len(found.List))
		}
	})
}
