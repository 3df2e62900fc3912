package upstream

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// wireOf packs a message after an edit of its bytes.
func wireOf(tb testing.TB, msg *dns.Msg, edit func([]byte) []byte) []byte {
	tb.Helper()
	wire, err := msg.Pack()
	if err != nil {
		tb.Fatalf("packing: %v", err)
	}
	if edit != nil {
		wire = edit(wire)
	}
	return wire
}

// testSection is testQuestion's question section.
func testSection(tb testing.TB) []byte {
	tb.Helper()
	return testQuery(tb).question
}

func testQuery(tb testing.TB) *query {
	tb.Helper()
	query, err := newQuery(testQuestion)
	if err != nil {
		tb.Fatal(err)
	}
	return query
}

// goodReply is a reply to testQuestion with one record and an OPT record.
func goodReply() *dns.Msg {
	msg := new(dns.Msg)
	msg.SetQuestion(testQuestion.Name, testQuestion.Type)
	msg.Response = true
	msg.Compress = true
	address("10.0.2.4")(msg)
	msg.SetEdns0(4096, false)
	return msg
}

// bare is a reply of a header only.
func bare(code int) *dns.Msg {
	msg := new(dns.Msg)
	msg.Response, msg.Rcode = true, code
	return msg
}

func TestAccepts(t *testing.T) {
	tests := []struct {
		name string
		edit func(*dns.Msg)
		raw  func([]byte) []byte
		want bool
	}{
		{"the reply", nil, nil, true},
		{"other case", func(m *dns.Msg) { m.Question[0].Name = "DB1.dataBase.example.ORG." }, nil, true},
		{"truncated", func(m *dns.Msg) { m.Truncated = true }, nil, true},
		{"records cut off", nil, func(w []byte) []byte { return w[:len(w)-20] }, true},
		{"garbage behind", nil, func(w []byte) []byte { return append(w, 1, 2, 3) }, true},
		{"a query", func(m *dns.Msg) { m.Response = false }, nil, false},
		{"opcode", func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }, nil, false},
		{"other name", func(m *dns.Msg) { m.Question[0].Name = "db2.database.example.org." }, nil, false},
		{"longer name", func(m *dns.Msg) { m.Question[0].Name = "a." + testQuestion.Name }, nil, false},
		{"parent name", func(m *dns.Msg) { m.Question[0].Name = "database.example.org." }, nil, false},
		{"other type", func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }, nil, false},
		{"type differs by 32", func(m *dns.Msg) { m.Question[0].Qtype = testQuestion.Type + 32 }, nil, false},
		{"other class", func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, nil, false},
		{"no question", func(m *dns.Msg) { m.Question = nil }, nil, false},
		{"two questions", func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, nil, false},
		{"failure with other question", func(m *dns.Msg) { m.Rcode, m.Question[0].Name = dns.RcodeRefused, "." }, nil, false},
		{"bare FORMERR", func(m *dns.Msg) { *m = *bare(dns.RcodeFormatError) }, nil, true},
		{"bare SERVFAIL", func(m *dns.Msg) { *m = *bare(dns.RcodeServerFailure) }, nil, true},
		{"bare NOTIMP", func(m *dns.Msg) { *m = *bare(dns.RcodeNotImplemented) }, nil, true},
		{"bare REFUSED", func(m *dns.Msg) { *m = *bare(dns.RcodeRefused) }, nil, true},
		{"bare NOERROR", func(m *dns.Msg) { *m = *bare(dns.RcodeSuccess) }, nil, false},
		{"bare NXDOMAIN", func(m *dns.Msg) { *m = *bare(dns.RcodeNameError) }, nil, false},
		{"bare REFUSED with a record", func(m *dns.Msg) { m.Rcode, m.Question = dns.RcodeRefused, nil }, nil, false},
		{"header cut off", nil, func(w []byte) []byte { return w[:11] }, false},
		{"question cut off", nil, func(w []byte) []byte { return w[:30] }, false},
		{"compressed question", nil, func(w []byte) []byte { return append(w[:12:12], 0xc0, 12, 0, 1, 0, 1) }, false},
		{"nothing", nil, func([]byte) []byte { return nil }, false},
	}
	query, err := newQuery(testQuestion)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			msg := goodReply()
			if tc.edit != nil {
				tc.edit(msg)
			}
			wire := wireOf(t, msg, tc.raw)
			if got := accepts(wire, query.question); got != tc.want {
				t.Errorf("accepts(%x) = %v, want %v", wire, got, tc.want)
			}
		})
	}
}

func TestUnpack(t *testing.T) {
	opt := func() *dns.OPT { return goodReply().IsEdns0() }
	tests := []struct {
		name  string
		edit  func(*dns.Msg)
		raw   func([]byte) []byte
		rcode int
		opt   bool
		err   error
	}{
		{name: "good", opt: true},
		{name: "no OPT", edit: func(m *dns.Msg) { m.Extra = nil }},
		{name: "extended rcode", edit: func(m *dns.Msg) { m.Rcode = dns.RcodeBadVers }, rcode: dns.RcodeBadVers, opt: true},
		{name: "header only", edit: func(m *dns.Msg) { *m = *bare(dns.RcodeRefused) }, rcode: dns.RcodeRefused},
		{name: "truncated", edit: func(m *dns.Msg) { m.Truncated = true }, err: ErrTruncated},
		{name: "two OPT", edit: func(m *dns.Msg) { m.Extra = append(m.Extra, opt()) }, err: ErrMalformed},
		{name: "OPT in the answer", edit: func(m *dns.Msg) { m.Answer = append(m.Answer, opt()) }, err: ErrMalformed},
		{name: "OPT in the authority", edit: func(m *dns.Msg) { m.Ns = append(m.Ns, opt()) }, err: ErrMalformed},
		{name: "garbage behind", raw: func(w []byte) []byte { return append(w, 0) }, err: ErrMalformed},
		{name: "cut in a record", raw: func(w []byte) []byte { return w[:len(w)-1] }, err: ErrMalformed},
		{name: "cut between records", raw: func(w []byte) []byte { return w[:len(w)-optSize] }, err: ErrMalformed},
		{name: "cut behind the question", raw: func(w []byte) []byte { return w[:headerSize+30] }, err: ErrMalformed},
		{name: "a record too few", raw: func(w []byte) []byte { w[11]--; return w }, err: ErrMalformed},
		{name: "label of an unknown kind", raw: func(w []byte) []byte { w[len(w)-optSize] = 0x80; return w }, err: ErrMalformed},
		{name: "bad record data", raw: func(w []byte) []byte {
			// The A record's length becomes 5 and takes the OPT record's first byte, which
			// leaves a record's fixed part one byte short.
			w[len(w)-optSize-5] = 5
			return w
		}, err: ErrMalformed},
		{name: "pointer to itself", raw: func(w []byte) []byte {
			at := len(w) - optSize - 16
			binary.BigEndian.PutUint16(w[at:], 0xc000|uint16(at))
			return w
		}, err: ErrMalformed},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			msg := goodReply()
			if tc.edit != nil {
				tc.edit(msg)
			}
			wire := wireOf(t, msg, tc.raw)
			got, opt, err := unpack(wire, testQuery(t))
			if !errors.Is(err, tc.err) {
				t.Fatalf("unpack(%x) = %v, want %v", wire, err, tc.err)
			}
			if err != nil {
				return
			}
			if got.Rcode != tc.rcode || (opt != nil) != tc.opt || got.IsEdns0() != nil {
				t.Errorf("unpack(%x) = rcode %d, opt %v, and %v left; want %d, %v, nil", wire, got.Rcode, opt, got.IsEdns0(), tc.rcode, tc.opt)
			}
		})
	}
}

// The question's name has its own spelling wherever it stands as a whole, and other
// names have theirs.
func TestRestore(t *testing.T) {
	const shouted = "DB1.dataBASE.example.ORG."
	owners := []string{shouted, "DB1.database.EXAMPLE.org.", "DB2.dataBASE.example.ORG.", "x." + shouted, "example.ORG.", "."}
	want := []string{testQuestion.Name, testQuestion.Name, "DB2.", "x.", "", "."}
	for _, compress := range []bool{true, false} {
		msg := new(dns.Msg).SetQuestion(shouted, dns.TypeA)
		msg.Response, msg.Compress = true, compress
		for i, owner := range owners {
			record := &dns.CNAME{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeCNAME, Class: dns.ClassINET}, Target: "y." + strings.TrimPrefix(owner, ".")}
			switch i % 3 {
			case 0:
				msg.Answer = append(msg.Answer, record)
			case 1:
				msg.Ns = append(msg.Ns, record)
			default:
				msg.Extra = append(msg.Extra, record)
			}
		}
		wire := wireOf(t, msg, nil)
		got, _, err := unpack(wire, testQuery(t))
		if err != nil {
			t.Fatal(err)
		}
		for i := range owners {
			section := [][]dns.RR{got.Answer, got.Ns, got.Extra}[i%3]
			name := section[i/3].Header().Name
			if !strings.HasPrefix(name, want[i]) || !strings.EqualFold(name, owners[i]) {
				t.Errorf("compressed %v: %s became %s, want it to begin with %q", compress, owners[i], name, want[i])
			}
		}
		if got.Question[0].Name != testQuestion.Name {
			t.Errorf("the question became %s, want %s", got.Question[0].Name, testQuestion.Name)
		}
	}
}

func TestUnpackKeepsOtherRecords(t *testing.T) {
	msg := goodReply()
	first := &dns.TXT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{"first"}}
	last := &dns.TXT{Hdr: first.Hdr, Txt: []string{"last"}}
	msg.Extra = []dns.RR{first, msg.IsEdns0(), last}
	got, _, err := unpack(wireOf(t, msg, nil), testQuery(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Extra) != 2 || got.Extra[0].String() != first.String() || got.Extra[1].String() != last.String() {
		t.Errorf("unpack(…).Extra = %v, want %v", got.Extra, []dns.RR{first, last})
	}
}

// FuzzReply holds that no bytes make the readers of replies fail otherwise than by
// an error, and that whatever they take is a reply to the question.
func FuzzReply(f *testing.F) {
	good := wireOf(f, goodReply(), nil)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append(good[:len(good):len(good)], 0))
	f.Add(wireOf(f, bare(dns.RcodeRefused), nil))
	truncatedReply := goodReply()
	truncatedReply.Truncated = true
	f.Add(wireOf(f, truncatedReply, nil))
	query, err := newQuery(testQuestion)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		before := string(wire)
		accepted := accepts(wire, query.question)
		if string(wire) != before {
			t.Fatalf("accepts modified its message")
		}
		if !accepted {
			return
		}
		msg, _, err := unpack(wire, query)
		switch {
		case err == nil:
			checkReply(t, msg)
			again, _, err := unpack(wire, query)
			if err != nil || again.String() != msg.String() || !strings.EqualFold(string(wire), before) {
				t.Fatalf("restored, %x reads %v, %v; want %v", before, again, err, msg)
			}
		case !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTruncated):
			t.Fatalf("unpack(%x) = %v, neither malformed nor truncated", wire, err)
		}
	})
}

// checkReply checks what holds of every message that was accepted and unpacked.
func checkReply(t *testing.T, msg *dns.Msg) {
	t.Helper()
	if !msg.Response || msg.Opcode != dns.OpcodeQuery || msg.Truncated || msg.IsEdns0() != nil {
		t.Fatalf("%v is no usable reply", msg)
	}
	if len(msg.Question) == 0 {
		if len(msg.Answer)+len(msg.Ns) > 0 {
			t.Fatalf("accepted records without a question: %v", msg)
		}
		return
	}
	got := msg.Question[0]
	got.Name = dns.CanonicalName(got.Name)
	want := dns.Question{Name: testQuestion.Name, Qtype: testQuestion.Type, Qclass: testQuestion.Class}
	if len(msg.Question) != 1 || got != want {
		t.Fatalf("accepted the questions %v, want %v", msg.Question, want)
	}
}
