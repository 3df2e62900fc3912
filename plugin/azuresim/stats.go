package azuresim

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// outcome is what became of a question. Every question has exactly one.
type outcome int

const (
	answered           outcome = iota // with what the world holds
	servfail                          // answered with an injected SERVFAIL
	droppedRate                       // beyond the questions per second
	droppedOutstanding                // beyond the questions outstanding
	lost                              // an injected loss of the packet
	ignored                           // dead, no VNet of the world, or shut down while waiting
	outcomes
)

// String returns the name of the outcome's counter.
func (o outcome) String() string {
	return [outcomes]string{
		"answered", "servfail", "dropped_rate", "dropped_outstanding", "lost", "ignored",
	}[o]
}

// Names that answer about the simulator itself. They are in no zone, and
// questions for them are neither counted nor hindered.
const (
	statsName = "stats.azuresim."
	logName   = "log.azuresim."
)

// maxLog bounds how many questions the log keeps.
const maxLog = 64

// ledger counts questions and remembers the last of them. It may be used by
// goroutines at once.
type ledger struct {
	mu       sync.Mutex
	received uint64
	counts   [outcomes]uint64
	log      [maxLog]entry // a ring; counts of outcomes tell where it starts
	logged   int
}

// entry is one question and what became of it.
type entry struct {
	client   netip.Addr
	vnet     string // "" if the client belongs to none
	question dns.Question
	outcome  outcome
	rcode    int // if something was answered
}

func (l *ledger) receive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.received++
}

func (l *ledger) settle(e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[e.outcome]++
	l.log[l.logged%maxLog] = e
	l.logged++
}

// figures returns the counters as name=value. What is received and has no
// outcome yet is being answered.
func (l *ledger) figures(p peaks) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	figures := []string{"received=" + strconv.FormatUint(l.received, 10)}
	for o, count := range l.counts {
		figures = append(figures, fmt.Sprintf("%s=%d", outcome(o), count))
	}
	return append(figures,
		fmt.Sprintf("peak_per_second=%d", p.perSecond),
		fmt.Sprintf("peak_outstanding=%d", p.outstanding))
}

// last returns the last questions, the oldest first.
func (l *ledger) last() []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var entries []entry
	for i := max(0, l.logged-maxLog); i < l.logged; i++ {
		entries = append(entries, l.log[i%maxLog])
	}
	return entries
}

// String tells an entry in one line: client, VNet, type, name, outcome and,
// if something was answered, the response code.
func (e entry) String() string {
	vnet, result := e.vnet, e.outcome.String()
	if vnet == "" {
		vnet = "-"
	}
	if e.outcome == answered || e.outcome == servfail {
		result += " " + dns.RcodeToString[e.rcode]
	}
	return fmt.Sprintf("%s %s %s %s %s", e.client, vnet, dns.Type(e.question.Qtype), e.question.Name, result)
}

// introspect answers the TXT questions about the simulator itself, or returns
// nil for any other question.
func (s *Simulator) introspect(q dns.Question) *dns.Msg {
	name := dns.CanonicalName(q.Name)
	if q.Qtype != dns.TypeTXT || name != statsName && name != logName {
		return nil
	}
	reply := &dns.Msg{Question: []dns.Question{q}}
	reply.Response, reply.RecursionAvailable = true, true
	header := dns.RR_Header{Name: q.Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}
	if name == statsName {
		reply.Answer = []dns.RR{&dns.TXT{Hdr: header, Txt: s.ledger.figures(s.limiter.peak())}}
		return reply
	}
	for _, e := range s.ledger.last() {
		reply.Answer = append(reply.Answer, &dns.TXT{Hdr: header, Txt: []string{txt(e.String())}})
	}
	return reply
}

// txt cuts text to what one TXT string holds and escapes it, because miekg/dns
// keeps TXT strings in presentation form.
func txt(text string) string {
	text = text[:min(len(text), 255)]
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)
}
