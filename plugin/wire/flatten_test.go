package wire

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// flattened asks for a stored answer without CNAMEs and returns its records as
// text, with single spaces.
func flattened(t *testing.T, message []byte, qtype uint16, p Presentation) (answer, authority []string) {
	t.Helper()
	q := mustRead(t, func(m *dns.Msg) { m.Question[0].Qtype = qtype; withEDNS(1232, true)(m) })
	p.Flatten = true
	got := reply(t, message, q, p)
	for i, section := range [][]dns.RR{got.Answer, got.Ns} {
		for _, record := range section {
			text := strings.Join(strings.Fields(record.String()), " ")
			if i == 0 {
				answer = append(answer, text)
			} else {
				authority = append(authority, text)
			}
		}
	}
	if hasCNAME := strings.Contains(strings.Join(answer, " "), "CNAME"); got.AuthenticatedData != hasCNAME {
		t.Errorf("AD = %v in %v", got.AuthenticatedData, got)
	}
	return answer, authority
}

func TestFlatten(t *testing.T) {
	const signature = " 60 IN RRSIG CNAME 8 4 60 20300101000000 20200101000000 1 windows.net. AAAA"
	soaNumbers := " 1 3600 300 2419200 10"
	tests := []struct {
		name                        string
		qtype                       uint16
		rcode                       int
		answer, authority           []string
		p                           Presentation
		wantAnswer, wantAuthorities []string
	}{
		{
			name: "a chain", qtype: dns.TypeA, answer: append([]string{lowered + signature}, chain...),
			p: Presentation{Age: 3 * time.Second}, wantAnswer: []string{asked + " 7 IN A 10.0.2.4"},
		},
		{
			name: "the head is the least", qtype: dns.TypeA,
			answer:     []string{lowered + " 5 IN CNAME a.example.", "a.example. 300 IN A 10.0.0.1", "a.example. 300 IN A 10.0.0.2"},
			wantAnswer: []string{asked + " 5 IN A 10.0.0.1", asked + " 5 IN A 10.0.0.2"},
		},
		{
			name: "stale", qtype: dns.TypeA, answer: chain, p: Presentation{Age: time.Hour, StaleTTL: 30},
			wantAnswer: []string{asked + " 10 IN A 10.0.2.4"},
		},
		{
			name: "service parameters", qtype: dns.TypeHTTPS,
			answer:     []string{lowered + " 60 IN CNAME a.example.", `a.example. 30 IN HTTPS 1 . alpn="h2" ipv4hint="10.0.0.1"`},
			wantAnswer: []string{asked + ` 30 IN HTTPS 1 . alpn="h2" ipv4hint="10.0.0.1"`},
		},
		{
			name: "NODATA, its zone's name kept back", qtype: dns.TypeAAAA, answer: chain[:1], authority: zoneSOA,
			wantAuthorities: []string{"Database.Windows.NET. 10 IN SOA azureprivatedns.net. azureprivatedns-host.microsoft.com." + soaNumbers},
		},
		{
			name: "NXDOMAIN of a zone above", qtype: dns.TypeA, rcode: dns.RcodeNameError, answer: chain[:1],
			authority:       []string{"windows.net. 10 IN SOA ns.windows.net. host.windows.net. 1 3600 300 2419200 10"},
			wantAuthorities: []string{"Windows.NET. 10 IN SOA ns.windows.net. host.windows.net." + soaNumbers},
		},
		{name: "no chain stays", qtype: dns.TypeMX, answer: []string{lowered + " 60 IN CNAME a.example.", "a.example. 60 IN MX 1 a.example."}, wantAnswer: []string{asked + " 60 IN CNAME a.example.", "a.example. 60 IN MX 1 a.example."}},
		{name: "who asks for the CNAME gets it", qtype: dns.TypeCNAME, answer: chain[:1], wantAnswer: []string{asked + " 60 IN CNAME db1.privatelink.database.windows.net."}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			answer, authority := flattened(t, stored(t, tc.qtype, tc.rcode, tc.answer, tc.authority), tc.qtype, tc.p)
			if !slices.EqualFunc(answer, tc.wantAnswer, strings.EqualFold) || !slices.EqualFunc(authority, tc.wantAuthorities, strings.EqualFold) {
				t.Errorf("Flatten = %q, %q, want %q, %q", answer, authority, tc.wantAnswer, tc.wantAuthorities)
			}
		})
	}
}

func TestFlattenMakesRoomToo(t *testing.T) {
	texts := []string{lowered + " 60 IN CNAME a.example."}
	for range 40 {
		texts = append(texts, "a.example. 60 IN A 10.0.0.1")
	}
	got := reply(t, stored(t, dns.TypeA, 0, texts, nil), mustRead(t, unchanged), Presentation{Flatten: true})
	if !got.Truncated || len(got.Answer) != 0 {
		t.Errorf("TC %v with %d records, want TC and none", got.Truncated, len(got.Answer))
	}
}

func TestNothingIsAllocated(t *testing.T) {
	packet := request(t, withEDNS(1232, true, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"}))
	kept, negative := stored(t, dns.TypeA, 0, chain, nil), stored(t, dns.TypeA, dns.RcodeNameError, chain[:1], zoneSOA)
	p := Presentation{Age: time.Second, Error: ExtendedError{Present: true, Text: "unlinked"}}
	buffer := make([]byte, 0, AdvertisedSize)
	var q Query
	allocations := testing.AllocsPerRun(100, func() {
		_ = ReadQuery(packet, false, &q)
		p.Flatten = false
		buffer = AppendReply(buffer[:0], kept, &q, p)
		p.Flatten = true
		buffer = AppendReply(buffer[:0], kept, &q, p)
		buffer = AppendReply(buffer[:0], negative, &q, p)
		buffer = AppendRcode(buffer[:0], &q, dns.RcodeRefused, p)
	})
	if allocations != 0 {
		t.Errorf("reading and composing allocate %v times, want 0", allocations)
	}
}

// FuzzAppendReply composes replies from any stored bytes, and from any message as
// it is stored, for any query.
func FuzzAppendReply(f *testing.F) {
	query := request(f, withEDNS(800, true))
	f.Add(query, stored(f, dns.TypeA, 0, chain, nil), int64(5e9), uint32(0), "text", true)
	f.Add(query, stored(f, dns.TypeA, dns.RcodeNameError, chain[:1], zoneSOA), int64(5e9), uint32(30), "", true)
	f.Add(request(f, unchanged), addresses(f, 60), int64(0), uint32(0), "text", false)
	f.Fuzz(func(t *testing.T, packet, message []byte, age int64, staleTTL uint32, text string, flatten bool) {
		var q Query
		if ReadQuery(packet, false, &q) != nil {
			return
		}
		p := Presentation{Age: time.Duration(age), StaleTTL: staleTTL, Flatten: flatten, Error: ExtendedError{Present: text != "", Code: 3, Text: text}}
		if composed := AppendReply(nil, message, &q, p); len(composed) > q.Size {
			t.Fatalf("the reply has %d bytes, want %d at most", len(composed), q.Size)
		}
		unpacked := new(dns.Msg)
		if unpacked.Unpack(message) != nil {
			return
		}
		unpacked.Question = []dns.Question{{Name: q.Question.Presentation(), Qtype: q.Question.Type, Qclass: q.Question.Class}}
		unpacked.Compress = true
		packed, err := unpacked.Pack()
		if err != nil || !Whole(packed) || new(dns.Msg).Unpack(packed) != nil {
			return
		}
		got := reply(t, packed, &q, p)
		if got.Id != q.ID || len(got.Question) != 1 || !strings.EqualFold(got.Question[0].Name, q.Question.Presentation()) {
			t.Fatalf("reply = %v", got)
		}
	})
}

func BenchmarkReadQuery(b *testing.B) {
	packet := request(b, withEDNS(1232, false))
	var q Query
	b.ReportAllocs()
	for b.Loop() {
		_ = ReadQuery(packet, false, &q)
	}
}

func BenchmarkAppendReply(b *testing.B) {
	message := stored(b, dns.TypeA, 0, chain, nil)
	var q Query
	if err := ReadQuery(request(b, withEDNS(1232, false)), false, &q); err != nil {
		b.Fatal(err)
	}
	for name, flatten := range map[string]bool{"chain": false, "flat": true} {
		b.Run(name, func(b *testing.B) {
			buffer := make([]byte, 0, AdvertisedSize)
			b.ReportAllocs()
			for b.Loop() {
				buffer = AppendReply(buffer[:0], message, &q, Presentation{Age: time.Second, Flatten: flatten})
			}
		})
	}
}
