package upstream

import (
	"reflect"
	"testing"

	"github.com/miekg/dns"
)

// records are replies of all shapes: what unpack reads itself, and what it does not.
func records(tb testing.TB) map[string][]string {
	tb.Helper()
	name := testQuestion.Name
	return map[string][]string{
		"chain":     {name + " 60 CNAME db1.privatelink.database.example.org.", "db1.privatelink.database.example.org. 10 A 10.0.2.4"},
		"addresses": {name + " 60 A 10.0.0.1", name + " 60 A 10.0.0.2", name + " 60 A 10.0.0.3", name + " 60 AAAA 2001:db8::1"},
		"long chain": {
			name + " 1 CNAME a.example.org.", "a.example.org. 2 CNAME b.example.org.", "b.example.org. 3 CNAME c.example.org.",
			"c.example.org. 4 CNAME d.example.org.", "d.example.org. 5 CNAME e.example.com.", "e.example.com. 6 A 192.0.2.1",
		},
		"escaped": {name + ` 60 CNAME a\.b\000.example.org.`, `a\.b\000.example.org. 60 CNAME a\@b.example.org.`, `a\@b.example.org. 60 A 10.0.0.1`},
		"root":    {name + " 60 CNAME .", ". 60 A 10.0.0.1"},
		"others": {
			name + " 60 SRV 0 0 443 target.example.org.", name + ` 60 TXT "a" "b"`, name + " 60 MX 10 mail.example.org.", name + " 60 HTTPS 1 . alpn=h2",
			"example.org. 300 SOA ns.example.org. admin.example.org. 1 2 3 4 5", `*.example.org. 60 TYPE65280 \# 3 abcdef`, name + " 60 CNAME target.example.org.",
		},
	}
}

// compose makes a reply to the test's question, with its records in the section told.
func composeReply(tb testing.TB, lines []string, section int, compress bool) []byte {
	tb.Helper()
	msg := new(dns.Msg).SetQuestion(testQuestion.Name, testQuestion.Type)
	msg.Response, msg.Compress, msg.Authoritative, msg.Zero = true, compress, true, true
	msg.SetEdns0(1232, true)
	msg.IsEdns0().SetExtendedRcode(dns.RcodeBadVers)
	for _, line := range lines {
		record, err := dns.NewRR(line)
		if err != nil {
			tb.Fatal(err)
		}
		sections := []*[]dns.RR{&msg.Answer, &msg.Ns, &msg.Extra}
		*sections[section] = append(*sections[section], record)
	}
	return wireOf(tb, msg, nil)
}

func TestUnpackIsMiekgs(t *testing.T) {
	for name, lines := range records(t) {
		t.Run(name, func(t *testing.T) {
			for section := range 3 {
				for _, compress := range []bool{false, true} {
					sameAsMiekg(t, composeReply(t, lines, section, compress), testQuery(t))
				}
			}
		})
	}
}

// sameAsMiekg checks that a reply is read as miekg/dns does.
func sameAsMiekg(t *testing.T, wire []byte, q *query) {
	t.Helper()
	got, opt, err := unpack(wire, q)
	if truncated(wire) || !whole(wire) {
		return
	}
	want := new(dns.Msg)
	wantErr := want.Unpack(wire) // its spelling is restored by now
	var wantOPT *dns.OPT
	if wantErr == nil {
		wantOPT, wantErr = removeOPT(want)
	}
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("unpack(%x) = %v, want %v", wire, err, wantErr)
	}
	if err != nil {
		return
	}
	want.Question = []dns.Question{{Name: q.asked.Name, Qtype: q.asked.Type, Qclass: q.asked.Class}}
	for _, section := range []*[]dns.RR{&want.Answer, &want.Ns, &want.Extra} {
		if len(*section) == 0 {
			*section = nil
		}
	}
	if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(opt, wantOPT) {
		t.Fatalf("unpack(%x) =\n%v\n%v, want\n%v\n%v", wire, got, opt, want, wantOPT)
	}
}

// removeOPT removes the OPT record, of which there is one at most.
func removeOPT(msg *dns.Msg) (found *dns.OPT, err error) {
	for _, section := range [][]dns.RR{msg.Answer, msg.Ns} {
		for _, record := range section {
			if record.Header().Rrtype == dns.TypeOPT {
				return nil, errOPTOutside
			}
		}
	}
	var kept []dns.RR
	for _, record := range msg.Extra {
		opt, ok := record.(*dns.OPT)
		switch {
		case !ok:
			kept = append(kept, record)
		case found != nil:
			return nil, errTwoOPT
		default:
			found = opt
		}
	}
	msg.Extra = kept
	return found, nil
}

// A question that is not spelled as miekg/dns prints it keeps its spelling, and records
// have miekg/dns's.
func TestUnpackEscapedQuestion(t *testing.T) {
	q, err := newQuery(Question{Name: `\100b1.a\.b.example.org.`, Type: dns.TypeA, Class: dns.ClassINET})
	if err != nil {
		t.Fatal(err)
	}
	msg := new(dns.Msg).SetQuestion(`db1.a\.b.example.org.`, dns.TypeA)
	msg.Response, msg.Compress = true, true
	record, err := dns.NewRR(msg.Question[0].Name + " 60 A 10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	msg.Answer = []dns.RR{record}
	sameAsMiekg(t, wireOf(t, msg, nil), q)
}

// FuzzUnpack holds that whatever miekg/dns reads behind a question is read in the same
// way, and nothing else is.
func FuzzUnpack(f *testing.F) {
	q := testQuery(f)
	start := headerSize + len(q.question)
	add := func(wire []byte) { f.Add(wire[2], wire[3], wire[7]<<4|wire[9], wire[11], wire[start:]) }
	for _, lines := range records(f) {
		for section := range 3 {
			add(composeReply(f, lines, section, true))
		}
	}
	add(wireOf(f, goodReply(), nil))
	f.Fuzz(func(t *testing.T, high, low, counts, additional byte, rest []byte) {
		wire := []byte{0xab, 0xcd, high, low, 0, 1, 0, counts >> 4, 0, counts & 0xf, 0, additional}
		wire = append(append(wire, q.question...), rest...)
		sameAsMiekg(t, wire, q)
	})
}
