package logreport

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// DefaultQuestions is how many different questions are kept where nothing is said:
// about 60 MB of them.
const DefaultQuestions = 100_000

// Question is one of the different questions of a log.
type Question struct {
	// Name is lower case, with its final dot; Type such as "AAAA" or "TYPE65280".
	Name string
	Type string
	// Client asked last; the zero value where the log does not show it. ClientClass is
	// what it was declared to be.
	Client      netip.Addr
	ClientClass string
	// Queries is how often it was asked: a sampled line counts what it stands for.
	Queries uint64
	// Answer is the last one. A failure is none, unless there was nothing else.
	Answer Answer
}

// Answer is what a log says of an answer.
type Answer struct {
	At time.Time `json:"at,omitzero"`
	// Rcode is what the client was told.
	Rcode string `json:"rcode"`
	// Verdict is empty where nothing was asked upstream.
	Verdict string `json:"verdict,omitempty"`
	// Rule decided, and Action is what it decided.
	Rule   string `json:"rule,omitempty"`
	Action string `json:"action,omitempty"`
	// Chain are the names that CNAMEs led over, Addresses what they led to; the log
	// keeps 64 of each.
	Chain     []string     `json:"chain,omitempty"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Error is why no upstream answered.
	Error string `json:"error,omitempty"`
}

// Rejected reports whether policy kept the answer from the client.
func (a *Answer) Rejected() bool {
	return a.Action == "refuse" || a.Action == "nxdomain" || a.Action == "withhold"
}

// Failed reports whether neither an upstream nor policy answered.
func (a *Answer) Failed() bool {
	return !a.Rejected() && a.Rcode != "NOERROR" && a.Rcode != "NXDOMAIN"
}

// Asking says which questions are told apart, and how they are to be asked.
type Asking struct {
	// Limit is how many different questions are kept; 0 is DefaultQuestions.
	Limit int
	// OneClient: all will be asked by one client. What was decided by who asked is
	// then left out; without it, only where the log does not show who.
	OneClient bool
	// Place appends what of a client changes the answer to its question, so that
	// clients of different places have questions of their own. Nil is nothing. It is
	// called by several goroutines, with a client that is valid.
	Place func(key []byte, client netip.Addr, direct bool) []byte
}

// Questions are the different questions of logs.
type Questions struct {
	// List has those first that were asked most often.
	List []Question
	// Lines are those that are counted in List, PassedOver those outside of what the
	// options choose.
	Lines, PassedOver uint64
	// OverLimit are the lines whose questions were beyond the limit, Overridden those
	// that an operator's override answered, ByClient those that were decided by who
	// asked, and Unasked those that are no questions to be asked: malformed ones,
	// zone transfers, other classes than IN.
	OverLimit, Overridden, ByClient, Unasked uint64
	// Unreadable lines are no records; Mistakes are the first few.
	Unreadable uint64
	Mistakes   []Mistake
}

// ReadQuestions reads logs as Read does, and returns the different questions in
// them, each with its last answer. Of the options, Top and PublicName are not used.
// The result is never nil, and the error as that of Read. Memory is bounded by the
// limit: about 600 bytes a question.
func ReadQuestions(ctx context.Context, sources []Source, options Options, asking Asking) (*Questions, error) {
	if options.Workers <= 0 {
		options.Workers = runtime.GOMAXPROCS(0)
	}
	if asking.Limit <= 0 {
		asking.Limit = DefaultQuestions
	}
	gathered := &gathering{selection: newSelection(options), asking: asking, known: map[string]*Question{}}
	blocks := newBlockReader(options.Workers)
	found := make([]mistakes, options.Workers)
	var working sync.WaitGroup
	for index := range found {
		reader := &questionReader{gathering: gathered, scanner: newScanner()}
		working.Go(func() { blocks.work(&found[index], reader.addLine) })
	}
	errs := blocks.readAll(ctx, sources)
	working.Wait()
	for index := range found {
		blocks.mistakes.merge(&found[index])
	}
	questions := gathered.questions()
	questions.Unreadable, questions.Mistakes = blocks.mistakes.count, blocks.mistakes.first
	return questions, errors.Join(errs...)
}

// gathering is the questions of all workers.
type gathering struct {
	selection selection
	asking    Asking

	mutex sync.Mutex
	// known is by what tells questions apart; counts are those of Questions.
	known  map[string]*Question
	counts Questions
}

func (g *gathering) questions() *Questions {
	questions := g.counts
	for _, question := range g.known {
		questions.List = append(questions.List, *question)
	}
	slices.SortFunc(questions.List, func(a, b Question) int {
		return cmp.Or(cmp.Compare(b.Queries, a.Queries), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type), a.Client.Compare(b.Client))
	})
	return &questions
}

// questionReader is one worker.
type questionReader struct {
	*gathering
	scanner *scanner
	record  record
	key     []byte
}

func (q *questionReader) addLine(line []byte) error {
	r := &q.record
	if err := q.scanner.read(line, r); err != nil {
		return err
	}
	client, _ := netip.ParseAddr(string(r.text[clientIP]))
	left := q.counterFor(r, client.IsValid())
	if left == nil {
		q.keyOf(r, client)
	}
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if left == nil {
		left = q.add(r, client)
	}
	*left++
	return nil
}

// counterFor is the count of the lines that are left out for the reason that this one
// is, nil where there is none.
func (q *questionReader) counterFor(r *record, clientKnown bool) *uint64 {
	rule := string(r.text[policyRule])
	switch {
	case !q.selection.inTime(r) || !q.selection.takes(r):
		return &q.counts.PassedOver
	case !r.isQuestion(rule):
		return &q.counts.Unasked
	case rule == "override":
		return &q.counts.Overridden
	case decidedByClient[rule] && (q.asking.OneClient || !clientKnown):
		return &q.counts.ByClient
	}
	return nil
}

// isQuestion reports whether a line is of a question that can be asked again.
func (r *record) isQuestion(rule string) bool {
	class := string(r.text[qclass])
	return rule != "malformed" && rule != "unsupported-operation" && (class == "" || class == "IN") && len(r.text[qname]) > 0
}

// decidedByClient are the rules by which one client is answered and another is not.
var decidedByClient = map[string]bool{
	"client-not-served": true, "direct-lookup": true, "direct-declared-resolver": true, "chase": true,
	"direct-while-starting": true, "direct-memory-overflow": true,
}

// keyOf sets the key to what tells questions apart. The class that a client had is
// part of it where it decided.
func (q *questionReader) keyOf(r *record, client netip.Addr) {
	q.key = append(q.key[:0], r.text[qname]...)
	q.key = append(append(q.key, separator), r.text[qtype]...)
	q.key = append(q.key, separator)
	if q.asking.OneClient {
		return
	}
	if decidedByClient[string(r.text[policyRule])] {
		q.key = append(q.key, r.text[clientClass]...)
	}
	if q.key = append(q.key, separator); q.asking.Place != nil && client.IsValid() {
		q.key = q.asking.Place(q.key, client, r.direct)
	}
}

// add takes a line in, and returns the count that it belongs to.
func (q *questionReader) add(r *record, client netip.Addr) *uint64 {
	question := q.known[string(q.key)]
	if question == nil {
		if len(q.known) >= q.asking.Limit {
			return &q.counts.OverLimit
		}
		name, qtype := string(r.text[qname]), shared(r.text[qtype])
		question = &Question{Name: name, Type: qtype}
		q.known[string(q.key)] = question
	}
	question.Queries += uint64(r.sample)
	if question.isNewer(r) {
		question.Client, question.ClientClass = client, shared(r.text[clientClass])
		r.answerInto(&question.Answer)
	}
	return &q.counts.Lines
}

// isNewer reports whether a line's answer takes the place of the one that is known:
// any answer that of a failure, and among equals the later.
func (q *Question) isNewer(r *record) bool {
	known := &q.Answer
	if known.Rcode == "" {
		return true
	}
	found := Answer{Rcode: string(r.text[rcode]), Action: string(r.text[policyAction])}
	if known.Failed() != found.Failed() {
		return known.Failed()
	}
	return r.time >= known.At.UnixMicro()
}

// answerInto writes what a line says of its answer, in place of an older one.
func (r *record) answerInto(answer *Answer) {
	*answer = Answer{
		At: time.UnixMicro(r.time).UTC(), Rcode: shared(r.text[rcode]), Verdict: shared(r.text[verdictField]),
		Rule: shared(r.text[policyRule]), Action: shared(r.text[policyAction]), Error: string(r.text[errorField]),
		Chain: textsOf(answer.Chain, r.text[chain]), Addresses: answer.Addresses[:0],
	}
	for rest := r.text[answers]; len(rest) > 0; {
		var text []byte
		text, rest, _ = bytes.Cut(rest, []byte(textBreak))
		if address, err := netip.ParseAddr(string(text)); err == nil {
			answer.Addresses = append(answer.Addresses, address)
		}
	}
}

// textsOf are the texts of a list: the known ones, if they are the same, so that a
// question that is asked often costs no memory each time.
func textsOf(known []string, list []byte) []string {
	if len(list) == 0 {
		return nil
	}
	rest, same := list, 0
	for len(rest) > 0 && same < len(known) {
		text, behind, _ := bytes.Cut(rest, []byte(textBreak))
		if string(text) != known[same] {
			break
		}
		rest, same = behind, same+1
	}
	if len(rest) == 0 && same == len(known) {
		return known
	}
	return strings.Split(string(list), textBreak)
}

// shared is a text of which logs have few: most are those of the protocol, and need
// no memory of their own.
func shared(text []byte) string {
	if known, found := sharedTexts[string(text)]; found {
		return known
	}
	return string(text)
}

var sharedTexts = func() map[string]string {
	texts := map[string]string{}
	for _, text := range []string{
		"A", "AAAA", "HTTPS", "SRV", "PTR", "TXT", "MX", "SOA", "NS", "CNAME", "NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED",
		"private", "public", "unlinked", "missing", "nodata", "other", "none", "chase", "direct-lookup", "direct-other-type",
		"allow", "refuse", "withhold", "audit", "stub", "resolver", "denied",
	} {
		texts[text] = text
	}
	return texts
}()
