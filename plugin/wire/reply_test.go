package wire

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// stored packs an answer to the question in its stored form.
func stored(t testing.TB, qtype uint16, rcode int, answer, authority []string) []byte {
	t.Helper()
	message := new(dns.Msg)
	message.SetQuestion(lowered, qtype)
	message.Rcode, message.Response, message.AuthenticatedData, message.Compress = rcode, true, true, true
	message.Answer, message.Ns = records(t, answer), records(t, authority)
	packed, err := message.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
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

var (
	chain = []string{
		lowered + " 60 IN CNAME db1.privatelink.database.windows.net.",
		"db1.privatelink.database.windows.net. 10 IN A 10.0.2.4",
	}
	zoneSOA = []string{"privatelink.database.windows.net. 10 IN SOA azureprivatedns.net. azureprivatedns-host.microsoft.com. 1 3600 300 2419200 10"}
)

// reply composes and unpacks, and checks what holds for every reply.
func reply(t testing.TB, message []byte, q *Query, p Presentation) *dns.Msg {
	t.Helper()
	before := bytes.Clone(message)
	prefix := []byte("behind this")
	composed := AppendReply(bytes.Clone(prefix), message, q, p)
	if !bytes.Equal(message, before) {
		t.Fatal("the stored message was changed")
	}
	if !bytes.HasPrefix(composed, prefix) {
		t.Fatal("what was in the buffer was changed")
	}
	composed = composed[len(prefix):]
	if len(composed) > q.Size {
		t.Fatalf("the reply has %d bytes, want %d at most", len(composed), q.Size)
	}
	unpacked := new(dns.Msg)
	if err := unpacked.Unpack(composed); err != nil {
		t.Fatalf("the reply cannot be read: %v", err)
	}
	return unpacked
}

func TestAppendReplyHeader(t *testing.T) {
	tests := []struct {
		name   string
		change func(*dns.Msg)
		want   dns.MsgHdr
	}{
		{"plain", unchanged, dns.MsgHdr{RecursionDesired: true}},
		{"no RD", func(m *dns.Msg) { m.RecursionDesired = false }, dns.MsgHdr{}},
		{"CD", func(m *dns.Msg) { m.CheckingDisabled = true }, dns.MsgHdr{RecursionDesired: true, CheckingDisabled: true}},
		{"AD asked for", func(m *dns.Msg) { m.AuthenticatedData = true }, dns.MsgHdr{RecursionDesired: true, AuthenticatedData: true}},
		{"DO asks for AD", withEDNS(1232, true), dns.MsgHdr{RecursionDesired: true, AuthenticatedData: true}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			tc.want.Id, tc.want.Response, tc.want.RecursionAvailable, tc.want.Rcode = 4711, true, true, dns.RcodeNameError
			message := stored(t, dns.TypeA, dns.RcodeNameError, nil, nil)
			message[2] |= 4 // AA
			if got := reply(t, message, mustRead(t, tc.change), Presentation{}); got.MsgHdr != tc.want {
				t.Errorf("header = %+v, want %+v", got.MsgHdr, tc.want)
			}
		})
	}
}

func TestAppendReplyTellsNoADWhenStale(t *testing.T) {
	message := stored(t, dns.TypeA, 0, chain, nil)
	if reply(t, message, mustRead(t, withEDNS(1232, true)), Presentation{StaleTTL: 30}).AuthenticatedData {
		t.Error("a stale answer has AD set")
	}
}

func TestAppendReplyUsesTheClientsSpelling(t *testing.T) {
	got := reply(t, stored(t, dns.TypeA, 0, chain, nil), mustRead(t, unchanged), Presentation{})
	if got.Question[0].Name != asked || got.Answer[0].Header().Name != asked {
		t.Errorf("question %q, owner %q, want both %q", got.Question[0].Name, got.Answer[0].Header().Name, asked)
	}
	if got.IsEdns0() != nil {
		t.Error("the reply to a query without EDNS has an OPT record")
	}
}

func TestAppendReplyTTL(t *testing.T) {
	tests := []struct {
		name        string
		p           Presentation
		cname, tail uint32
	}{
		{"just now", Presentation{}, 60, 10},
		{"before it was stored", Presentation{Age: -time.Hour}, 60, 10},
		{"seconds are whole", Presentation{Age: 3999 * time.Millisecond}, 57, 7},
		{"the last second", Presentation{Age: 9999 * time.Millisecond}, 51, 1},
		{"never 0", Presentation{Age: 10 * time.Second}, 50, 1},
		{"very old", Presentation{Age: 1 << 62}, 1, 1},
		{"stale, never above the record's own", Presentation{Age: time.Hour, StaleTTL: 30}, 30, 10},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := reply(t, stored(t, dns.TypeA, 0, chain, nil), mustRead(t, unchanged), tc.p).Answer
			if got[0].Header().Ttl != tc.cname || got[1].Header().Ttl != tc.tail {
				t.Errorf("TTLs = %d, %d, want %d, %d", got[0].Header().Ttl, got[1].Header().Ttl, tc.cname, tc.tail)
			}
		})
	}
	zero := stored(t, dns.TypeA, 0, []string{lowered + " 0 IN A 10.0.2.4"}, nil)
	if got := reply(t, zero, mustRead(t, unchanged), Presentation{}).Answer[0].Header().Ttl; got != 0 {
		t.Errorf("a record with TTL 0 is told with %d, want 0", got)
	}
}

func TestAppendReplyEDNS(t *testing.T) {
	p := Presentation{Error: ExtendedError{Present: true, Code: 3, Text: "stale"}, Options: []byte{0, 11, 0, 2, 1, 44}}
	got := reply(t, stored(t, dns.TypeA, 0, chain, nil), mustRead(t, withEDNS(1232, true)), p).IsEdns0()
	if got == nil || !got.Do() || got.Version() != 0 || got.UDPSize() != AdvertisedSize || len(got.Option) != 2 {
		t.Fatalf("OPT = %v", got)
	}
	if failure, ok := got.Option[1].(*dns.EDNS0_EDE); !ok || failure.InfoCode != 3 || failure.ExtraText != "stale" {
		t.Errorf("extended error = %v, want 3, stale", got.Option[1])
	}
	p.Error.Text = strings.Repeat("ä", 200)
	failure, _ := reply(t, stored(t, dns.TypeA, 0, chain, nil), mustRead(t, withEDNS(1232, false)), p).IsEdns0().Option[1].(*dns.EDNS0_EDE)
	if failure == nil || failure.ExtraText != strings.Repeat("ä", 127) {
		t.Errorf("a long text is told as %v, want 127 whole characters", failure)
	}
}

// addresses makes an answer of a number of A records, 16 bytes each.
func addresses(t testing.TB, count int) []byte {
	t.Helper()
	texts := make([]string, count)
	for i := range texts {
		texts[i] = fmt.Sprintf("%s 60 IN A 10.0.0.%d", lowered, i)
	}
	return stored(t, dns.TypeA, 0, texts, nil)
}

func TestAppendReplyMakesRoom(t *testing.T) {
	const head, one, bare, code = 12 + 26 + 4, 16, 11, 6
	full := Presentation{Error: ExtendedError{Present: true, Code: 22, Text: "no server replied"}}
	tests := []struct {
		name            string
		size            int
		edns            bool
		wantTC          bool
		wantError, text bool
	}{
		{"all fits", head + 30*one + bare + code + 17, true, false, true, true},
		{"the text goes first", head + 30*one + bare + code + 16, true, false, true, false},
		{"the code goes next", head + 30*one + bare + code - 1, true, false, false, false},
		{"a bare OPT just fits", head + 30*one + bare, true, false, false, false},
		{"then the records go, and the text has room", head + 30*one + bare - 1, true, true, true, true},
		{"without EDNS it just fits", head + 30*one, false, false, false, false},
		{"without EDNS it is cut", head + 30*one - 1, false, true, false, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			q := mustRead(t, unchanged)
			q.EDNS, q.Size = tc.edns, tc.size
			got := reply(t, addresses(t, 30), q, full)
			if got.Truncated != tc.wantTC || (len(got.Answer) == 0) != tc.wantTC {
				t.Errorf("TC %v with %d records, want %v", got.Truncated, len(got.Answer), tc.wantTC)
			}
			var failure *dns.EDNS0_EDE
			if opt := got.IsEdns0(); opt != nil && len(opt.Option) > 0 {
				failure, _ = opt.Option[0].(*dns.EDNS0_EDE)
			}
			if (got.IsEdns0() != nil) != tc.edns || (failure != nil) != tc.wantError || failure != nil && (failure.ExtraText != "") != tc.text {
				t.Errorf("OPT = %v", got.IsEdns0())
			}
		})
	}
}

func TestAppendReplyToWhatIsNotTheQuestions(t *testing.T) {
	whole := stored(t, dns.TypeA, 0, chain, nil)
	other := new(dns.Msg)
	other.SetQuestion("longer.name.database.windows.net.", dns.TypeA)
	packed, err := other.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for name, message := range map[string][]byte{"nothing": nil, "cut off": whole[:len(whole)-1], "longer": append(bytes.Clone(whole), 0), "another name": packed} {
		t.Run(name, func(t *testing.T) {
			for _, flatten := range []bool{false, true} {
				if got := reply(t, message, mustRead(t, unchanged), Presentation{Flatten: flatten}); got.Rcode != dns.RcodeServerFailure || len(got.Answer) > 0 {
					t.Errorf("reply = %v, want SERVFAIL", got)
				}
			}
		})
	}
}

func TestAppendRcode(t *testing.T) {
	tests := []struct {
		name   string
		change func(*dns.Msg)
		rcode  int
		want   int
	}{
		{"refused", unchanged, dns.RcodeRefused, dns.RcodeRefused},
		{"BADVERS with EDNS", withEDNS(1232, false), dns.RcodeBadVers, dns.RcodeBadVers},
		{"BADVERS without EDNS", unchanged, dns.RcodeBadVers, dns.RcodeServerFailure},
		{"no rcode", withEDNS(1232, false), 4096, dns.RcodeServerFailure},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := new(dns.Msg)
			if err := got.Unpack(AppendRcode(nil, mustRead(t, tc.change), tc.rcode, Presentation{})); err != nil {
				t.Fatal(err)
			}
			if got.Rcode != tc.want || got.Question[0].Name != asked || !got.Response || !got.RecursionAvailable {
				t.Errorf("AppendRcode(%d) = %v, want rcode %d", tc.rcode, got, tc.want)
			}
		})
	}
}

func TestAppendTruncated(t *testing.T) {
	q, got := mustRead(t, withEDNS(1232, false)), new(dns.Msg)
	q.ID = 42
	before := []byte("behind this")
	if err := got.Unpack(AppendTruncated(before, q, Presentation{Options: []byte{0, 11, 0, 2, 1, 44}})[len(before):]); err != nil {
		t.Fatal(err)
	}
	if got.Id != 42 || !got.Response || !got.Truncated || got.Rcode != dns.RcodeSuccess || got.Question[0].Name != asked || len(got.Answer)+len(got.Ns) > 0 {
		t.Errorf("AppendTruncated() = %v, want TC and the question alone", got)
	}
	if opt := got.IsEdns0(); opt == nil || len(opt.Option) != 1 {
		t.Errorf("OPT = %v, want the option in it", opt)
	}
	nameless := &Query{Size: MinimumSize}
	if got := AppendTruncated(nil, nameless, Presentation{}); len(got) != headerSize || got[2]&2 == 0 {
		t.Errorf("AppendTruncated() = %x without a question, want a header with TC", got)
	}
}
