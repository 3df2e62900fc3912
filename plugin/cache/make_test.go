package cache

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

var (
	start    = time.Unix(1_800_000_000, 0)
	generous = Lifetimes{MaxTTL: 24 * time.Hour, MaxNegativeTTL: time.Hour, MaxStale: time.Hour, FailureTTL: 5 * time.Second, RefreshHold: 30 * time.Second}
)

func keyOf(t testing.TB, name string, qtype uint16) *Key {
	t.Helper()
	question, err := wire.NewQuestion(name, qtype, dns.ClassINET)
	if err != nil {
		t.Fatal(err)
	}
	return &Key{Question: question}
}

func replyOf(t testing.TB, rcode int, answer, authority []string) *dns.Msg {
	t.Helper()
	reply := new(dns.Msg)
	reply.Rcode, reply.Response, reply.Authoritative = rcode, true, true
	reply.Answer, reply.Ns = records(t, answer), records(t, authority)
	return reply
}

func records(t testing.TB, texts []string) []dns.RR {
	t.Helper()
	var parsed []dns.RR
	for _, text := range texts {
		record, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, record)
	}
	return parsed
}

// contents returns a stored message's records as text, with single spaces.
func contents(t testing.TB, entry Entry) (answer, authority []string) {
	t.Helper()
	message := new(dns.Msg)
	if err := message.Unpack(entry.Message()); err != nil {
		t.Fatal(err)
	}
	if message.Authoritative || len(message.Extra) > 0 {
		t.Errorf("AA is %v with %d additional records, want neither", message.Authoritative, len(message.Extra))
	}
	text := func(section []dns.RR) (texts []string) {
		for _, record := range section {
			texts = append(texts, strings.Join(strings.Fields(record.String()), " "))
		}
		return texts
	}
	return text(message.Answer), text(message.Ns)
}

const (
	db1     = "db1.database.windows.net."
	private = "db1.privatelink.database.windows.net."
	toLink  = db1 + " 60 IN CNAME " + private
	atLink  = private + " 10 IN A 10.0.2.4"
	soaTail = " IN SOA azureprivatedns.net. host.microsoft.com. 1 3600 300 2419200 "
	linkSOA = "privatelink.database.windows.net. 300" + soaTail + "10"
)

// making is a reply and what is to be kept of it.
type making struct {
	name              string
	qtype             uint16
	rcode             int
	answer, authority []string
	lifetimes         Lifetimes
	wantKind          Kind
	wantTTL           time.Duration // 0: not kept
	wantAnswer        []string
	wantAuthority     []string
}

func TestMakeOfPositiveAnswers(t *testing.T) {
	tests := []making{
		{
			name: "a chain lives as long as its shortest part", answer: []string{toLink, atLink},
			wantTTL: 10 * time.Second, wantAnswer: []string{toLink, atLink},
		},
		{
			name: "in any order, with nothing nobody asked for", authority: []string{"windows.net. 60 IN NS ns.windows.net."},
			answer:  []string{"other.windows.net. 5 IN A 10.0.0.1", atLink, private + " 5 IN TXT x", toLink},
			wantTTL: 10 * time.Second, wantAnswer: []string{toLink, atLink},
		},
		{
			name: "in lower case", answer: []string{"DB1.Database.windows.NET. 60 IN CNAME db1.PrivateLink.database.windows.net.", "DB1.privatelink.database.windows.net. 10 IN A 10.0.2.4"},
			wantTTL: 10 * time.Second, wantAnswer: []string{toLink, atLink},
		},
		{
			name: "a very long TTL is bounded", answer: []string{db1 + " 1006632960 IN A 10.0.0.1"}, lifetimes: Lifetimes{MaxTTL: time.Hour},
			wantTTL: time.Hour, wantAnswer: []string{db1 + " 3600 IN A 10.0.0.1"},
		},
		{
			name: "a TTL of 2^31 is 0", answer: []string{db1 + " 2147483648 IN A 10.0.0.1"},
			wantAnswer: []string{db1 + " 0 IN A 10.0.0.1"},
		},
		{
			name: "a set has one TTL", answer: []string{db1 + " 60 IN A 10.0.0.1", db1 + " 30 IN A 10.0.0.2"}, wantTTL: 30 * time.Second,
			wantAnswer: []string{db1 + " 30 IN A 10.0.0.1", db1 + " 30 IN A 10.0.0.2"},
		},
		{name: "TTL 0 is told only", answer: []string{db1 + " 0 IN A 10.0.0.1"}, wantAnswer: []string{db1 + " 0 IN A 10.0.0.1"}},
		{
			name: "the CNAME itself", qtype: dns.TypeCNAME, answer: []string{toLink, atLink},
			wantTTL: time.Minute, wantAnswer: []string{toLink},
		},
		{
			name: "ANY", qtype: dns.TypeANY, answer: []string{db1 + " 60 IN A 10.0.0.1", db1 + " 30 IN TXT x", "x. 1 IN A 10.0.0.1"},
			wantTTL: 30 * time.Second, wantAnswer: []string{db1 + " 60 IN A 10.0.0.1", db1 + ` 30 IN TXT "x"`},
		},
		{
			name:    "a DNAME stays before the CNAME it made",
			answer:  []string{"database.windows.net. 40 IN DNAME example.", db1 + " 60 IN CNAME db1.example.", "db1.example. 60 IN A 10.0.0.1"},
			wantTTL: 40 * time.Second, wantAnswer: []string{"database.windows.net. 40 IN DNAME example.", db1 + " 60 IN CNAME db1.example.", "db1.example. 60 IN A 10.0.0.1"},
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, tc.run)
	}
}

func TestMakeOfNegativeAnswers(t *testing.T) {
	tests := []making{
		{
			name: "a loop has no end", answer: []string{db1 + " 60 IN CNAME a.example.", "a.example. 60 IN CNAME " + db1}, authority: []string{linkSOA},
			wantKind: NoData, wantAnswer: []string{db1 + " 60 IN CNAME a.example.", "a.example. 60 IN CNAME " + db1},
		},
		{name: "nothing about the chain's end", answer: []string{toLink}, wantKind: NoData, wantAnswer: []string{toLink}},
		{
			name: "NODATA behind a chain", qtype: dns.TypeAAAA, answer: []string{toLink}, authority: []string{linkSOA},
			wantKind: NoData, wantTTL: 10 * time.Second, wantAnswer: []string{toLink},
			wantAuthority: []string{"privatelink.database.windows.net. 10" + soaTail + "10"},
		},
		{
			name: "NXDOMAIN behind a chain that lives shortest", rcode: dns.RcodeNameError,
			answer: []string{db1 + " 5 IN CNAME " + private}, authority: []string{linkSOA, "windows.net. 60 IN NS ns.windows.net."},
			wantKind: NXDomain, wantTTL: 5 * time.Second, wantAnswer: []string{db1 + " 5 IN CNAME " + private},
			wantAuthority: []string{"privatelink.database.windows.net. 5" + soaTail + "10"},
		},
		{
			name: "NXDOMAIN, the SOA's own TTL is less than MINIMUM", rcode: dns.RcodeNameError, authority: []string{"windows.net. 7" + soaTail + "900"},
			wantKind: NXDomain, wantTTL: 7 * time.Second, wantAuthority: []string{"windows.net. 7" + soaTail + "900"},
		},
		{
			name: "NXDOMAIN is bounded, and so is the SOA", rcode: dns.RcodeNameError, authority: []string{"windows.net. 900" + soaTail + "900"},
			lifetimes: Lifetimes{MaxTTL: time.Hour, MaxNegativeTTL: 30 * time.Second},
			wantKind:  NXDomain, wantTTL: 30 * time.Second, wantAuthority: []string{"windows.net. 30" + soaTail + "900"},
		},
		{name: "NXDOMAIN without SOA", rcode: dns.RcodeNameError, wantKind: NXDomain},
		{name: "the SOA of another zone", authority: []string{"example. 60" + soaTail + "60"}, wantKind: NoData},
		{name: "a failure", rcode: dns.RcodeRefused, answer: []string{toLink}, wantKind: Failure, wantTTL: 5 * time.Second},
	}
	for _, tc := range tests {
		t.Run(tc.name, tc.run)
	}
}

func (tc making) run(t *testing.T) {
	if tc.qtype == 0 {
		tc.qtype = dns.TypeA
	}
	if tc.lifetimes == (Lifetimes{}) {
		tc.lifetimes = generous
	}
	reply := replyOf(t, tc.rcode, tc.answer, tc.authority)
	reply.SetEdns0(1232, true)
	before := reply.String()
	entry, err := Make(keyOf(t, db1, tc.qtype), reply, Meta{}, tc.lifetimes, start)
	if err != nil {
		t.Fatal(err)
	}
	if reply.String() != before {
		t.Errorf("the reply was changed to %v", reply)
	}
	if entry.Kind() != tc.wantKind || entry.Rcode() != tc.rcode || entry.TTL() != tc.wantTTL || entry.Kept() != (tc.wantTTL > 0) {
		t.Errorf("%v with rcode %d, TTL %v, kept %v, want %v with TTL %v", entry.Kind(), entry.Rcode(), entry.TTL(), entry.Kept(), tc.wantKind, tc.wantTTL)
	}
	answer, authority := contents(t, entry)
	if !slices.Equal(answer, tc.wantAnswer) || !slices.Equal(authority, tc.wantAuthority) {
		t.Errorf("contents = %q, %q, want %q, %q", answer, authority, tc.wantAnswer, tc.wantAuthority)
	}
}

func TestMakeKeepsProofsForDO(t *testing.T) {
	const signature = " 8 4 60 20300101000000 20200101000000 1 windows.net. AAAA"
	answer := []string{toLink, db1 + " 50 IN RRSIG CNAME" + signature, db1 + " 50 IN RRSIG TXT" + signature, atLink, private + " 9 IN RRSIG A" + signature}
	authority := []string{"a.windows.net. 8 IN NSEC b.windows.net. A", "a.windows.net. 8 IN RRSIG NSEC" + signature, "windows.net. 60 IN NS ns.windows.net."}
	tests := []struct {
		name                      string
		do                        bool
		wantAnswer, wantAuthority int
		wantTTL                   time.Duration
	}{
		{"with DO", true, 4, 2, 8 * time.Second},
		{"without", false, 2, 0, 10 * time.Second},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			key := keyOf(t, db1, dns.TypeA)
			key.DO = tc.do
			entry, err := Make(key, replyOf(t, 0, answer, authority), Meta{}, generous, start)
			if err != nil {
				t.Fatal(err)
			}
			answer, authority := contents(t, entry)
			if len(answer) != tc.wantAnswer || len(authority) != tc.wantAuthority || entry.TTL() != tc.wantTTL {
				t.Errorf("contents = %q, %q with TTL %v, want %d and %d with TTL %v", answer, authority, entry.TTL(), tc.wantAnswer, tc.wantAuthority, tc.wantTTL)
			}
		})
	}
}

func TestEntryTellsWhatItWasMadeWith(t *testing.T) {
	key := keyOf(t, "DB1.Database.Windows.net.", dns.TypeA)
	key.DO, key.CD, key.View = true, true, "inside"
	meta := Meta{Verdict: 1, Flags: 2, ExtendedError: 3, Group: 1 << 31, Site: 5}
	entry, err := Make(key, replyOf(t, 0, []string{toLink, atLink}, nil), meta, generous, start)
	if err != nil {
		t.Fatal(err)
	}
	if entry.Key() != *key || entry.Meta() != meta {
		t.Errorf("Key() = %v, Meta() = %v, want %v, %v", entry.Key(), entry.Meta(), *key, meta)
	}
	if !entry.Stored().Equal(start) || !entry.Expires().Equal(start.Add(10*time.Second)) || !entry.StaleUntil().Equal(start.Add(time.Hour+10*time.Second)) {
		t.Errorf("times = %v, %v, %v", entry.Stored(), entry.Expires(), entry.StaleUntil())
	}
	if age := entry.Age(start.Add(time.Second)); age != time.Second {
		t.Errorf("Age = %v, want 1s", age)
	}
	if age := entry.Age(start.Add(-time.Second)); age != 0 {
		t.Errorf("Age before it was stored = %v, want 0", age)
	}
	// The owner must be a pointer to the question, to take a client's spelling.
	if owner := entry.Message()[headerSize+len(key.Question.Name())+4:][:2]; owner[0] != 0xc0 || owner[1] != headerSize {
		t.Errorf("the first owner is %x, want a pointer to %d", owner, headerSize)
	}
}

func TestMakeErrors(t *testing.T) {
	if _, err := Make(new(Key), replyOf(t, 0, nil, nil), Meta{}, generous, start); !errors.Is(err, ErrReply) {
		t.Errorf("Make without a name = %v, want %v", err, ErrReply)
	}
	huge := replyOf(t, 0, nil, nil)
	for range 70 {
		huge.Answer = append(huge.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: db1, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 1}, Txt: slices.Repeat([]string{strings.Repeat("x", 255)}, 4)})
	}
	if _, err := Make(keyOf(t, db1, dns.TypeTXT), huge, Meta{}, generous, start); !errors.Is(err, ErrReply) {
		t.Errorf("Make of 70 KB = %v, want %v", err, ErrReply)
	}
}
