package wire

import (
	"errors"
	"testing"

	"github.com/miekg/dns"
)

const (
	asked   = "Db1.Database.Windows.NET."
	lowered = "db1.database.windows.net."
)

// request makes a packed query, changed by the caller.
func request(t testing.TB, change func(*dns.Msg)) []byte {
	t.Helper()
	message := new(dns.Msg)
	message.SetQuestion(asked, dns.TypeA)
	message.Id = 4711
	change(message)
	packed, err := message.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func withEDNS(size uint16, do bool, options ...dns.EDNS0) func(*dns.Msg) {
	return func(m *dns.Msg) {
		m.SetEdns0(size, do)
		m.IsEdns0().Option = options
	}
}

func mustRead(t testing.TB, change func(*dns.Msg)) *Query {
	t.Helper()
	q := new(Query)
	if err := ReadQuery(request(t, change), false, q); err != nil {
		t.Fatalf("ReadQuery = %v, want no error", err)
	}
	return q
}

func unchanged(*dns.Msg) {}

func TestReadQueryReadsWhatTheReplyDependsOn(t *testing.T) {
	q := mustRead(t, func(m *dns.Msg) {
		m.CheckingDisabled, m.AuthenticatedData = true, true
		withEDNS(1000, true, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"}, &dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE})(m)
	})
	if q.ID != 4711 || !q.RD || !q.CD || !q.AD || !q.EDNS || !q.DO || !q.KeepAlive || q.Size != 1000 {
		t.Errorf("query = %+v", q)
	}
	if got := q.Question.Presentation(); got != lowered {
		t.Errorf("Presentation() = %q, want %q", got, lowered)
	}
	if want := "\x03Db1\x08Database\x07Windows\x03NET\x00"; string(q.Spelling()) != want {
		t.Errorf("Spelling() = %q, want %q", q.Spelling(), want)
	}
	if want := "\x01\x02\x03\x04\x05\x06\x07\x08"; string(q.Cookie()) != want {
		t.Errorf("Cookie() = %x, want %x", q.Cookie(), want)
	}
	made, err := NewQuestion(asked, dns.TypeA, dns.ClassINET)
	if err != nil || made != q.Question {
		t.Errorf("NewQuestion(%q) = %q, %v, want the question that was read", asked, made.Name(), err)
	}
}

func TestReadQuerySize(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*dns.Msg)
		overTCP bool
		want    int
	}{
		{"UDP without EDNS", unchanged, false, 512},
		{"UDP, EDNS below the minimum", withEDNS(100, false), false, 512},
		{"UDP, EDNS", withEDNS(800, false), false, 800},
		{"UDP, EDNS above what we send", withEDNS(4096, false), false, 1232},
		{"TCP without EDNS", unchanged, true, 65535},
		{"TCP, EDNS", withEDNS(512, false), true, 65535},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var q Query
			if err := ReadQuery(request(t, tc.change), tc.overTCP, &q); err != nil || q.Size != tc.want {
				t.Errorf("Size = %d, %v, want %d", q.Size, err, tc.want)
			}
		})
	}
}

func TestReadQueryErrors(t *testing.T) {
	opt := func(m *dns.Msg) *dns.OPT { withEDNS(1232, false)(m); return m.IsEdns0() }
	tests := []struct {
		name   string
		packet []byte
		want   error
	}{
		{"nothing", nil, ErrShort},
		{"half a header", make([]byte, 11), ErrShort},
		{"a reply", request(t, func(m *dns.Msg) { m.Response = true }), ErrReply},
		{"an update", request(t, func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }), ErrOpcode},
		{"no question", request(t, func(m *dns.Msg) { m.Question = nil }), ErrQuestions},
		{"two questions", request(t, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), ErrQuestions},
		{"two OPT records", request(t, func(m *dns.Msg) { m.Extra = []dns.RR{opt(m), opt(m)} }), ErrOptions},
		{"EDNS version 1", request(t, func(m *dns.Msg) { opt(m).SetVersion(1) }), ErrVersion},
		{"OPT not of the root", request(t, func(m *dns.Msg) { opt(m).Hdr.Name = "a." }), ErrMalformed},
		{"OPT among the answers", request(t, func(m *dns.Msg) { m.Answer, m.Extra = []dns.RR{opt(m)}, nil }), ErrMalformed},
		{"a cookie too short", request(t, withEDNS(1232, false, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102"})), ErrMalformed},
		{"a cookie between lengths", request(t, withEDNS(1232, false, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "010203040506070809"})), ErrMalformed},
		{"another record", request(t, func(m *dns.Msg) {
			m.Extra = append(m.Extra, &dns.TSIG{Hdr: dns.RR_Header{Name: "k.", Rrtype: dns.TypeTSIG, Class: dns.ClassANY}, Algorithm: dns.HmacSHA256})
		}), ErrUnusual},
		{"a byte behind", append(request(t, unchanged), 0), ErrMalformed},
		{"cut in the question", request(t, unchanged)[:30], ErrMalformed},
		{"cut in the type", request(t, unchanged)[:len(request(t, unchanged))-1], ErrMalformed},
		{"cut in the OPT", request(t, withEDNS(1232, false))[:len(request(t, withEDNS(1232, false)))-1], ErrMalformed},
		{"a pointer in the question", append(append([]byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, 0xc0, 12), 0, 1, 0, 1), ErrMalformed},
		{"a label of 64", append(append([]byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 64}, make([]byte, 64)...), 0, 0, 1, 0, 1), ErrMalformed},
		{"a name of 257", append(append([]byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, longName(4, 63)...), 0, 1, 0, 1), ErrMalformed},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var q Query
			if err := ReadQuery(tc.packet, false, &q); !errors.Is(err, tc.want) {
				t.Errorf("ReadQuery = %v, want %v", err, tc.want)
			}
			message := new(dns.Msg)
			if message.Unpack(tc.packet) != nil || tc.name == "a byte behind" {
				return
			}
			if err := QueryOf(message, false, &q); !errors.Is(err, tc.want) {
				t.Errorf("QueryOf = %v, want %v", err, tc.want)
			}
		})
	}
}

func longName(labels, length int) []byte {
	var name []byte
	for range labels {
		name = append(name, byte(length))
		for range length {
			name = append(name, 'a')
		}
	}
	return append(name, 0)
}

func TestReadQueryTakesTheLongestName(t *testing.T) {
	name := append(longName(3, 63)[:192], longName(1, 61)...)
	packet := append([]byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, name...)
	var q Query
	if err := ReadQuery(append(packet, 0, 1, 0, 1), false, &q); err != nil || len(q.Question.Name()) != 255 {
		t.Fatalf("ReadQuery = %v with a name of %d bytes, want 255", err, len(q.Question.Name()))
	}
	if _, err := NewQuestion(q.Question.Presentation(), 1, 1); err != nil {
		t.Errorf("NewQuestion(%q) = %v, want no error", q.Question.Presentation(), err)
	}
}

func TestNewQuestionRefusesWhatIsNoName(t *testing.T) {
	for _, name := range []string{"", "relative", "a..b.", string(longName(5, 62)) + "."} {
		if _, err := NewQuestion(name, dns.TypeA, dns.ClassINET); !errors.Is(err, ErrName) {
			t.Errorf("NewQuestion(%q) = %v, want %v", name, err, ErrName)
		}
	}
}

// FuzzReadQuery reads any packet, and holds QueryOf to the same reading.
func FuzzReadQuery(f *testing.F) {
	f.Add(request(f, unchanged), false)
	f.Add(request(f, withEDNS(4096, true, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"})), false)
	f.Add(request(f, func(m *dns.Msg) { m.Extra = []dns.RR{&dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}} }), true)
	f.Fuzz(func(t *testing.T, packet []byte, overTCP bool) {
		var q, same Query
		err := ReadQuery(packet, overTCP, &q)
		reply := AppendRcode(nil, &q, dns.RcodeRefused, Presentation{})
		if err := new(dns.Msg).Unpack(reply); err != nil || len(reply) > q.Size {
			t.Fatalf("the refusal of %x has %d bytes, unpacked: %v", packet, len(reply), err)
		}
		if err != nil {
			return
		}
		message := new(dns.Msg)
		if unpacking := message.Unpack(packet); unpacking != nil {
			return // miekg/dns reads the inside of options, which we pass over
		}
		err = QueryOf(message, overTCP, &same)
		if !q.ClientSubnet.IsValid() {
			same.ClientSubnet = q.ClientSubnet // miekg/dns takes addresses of any length
		}
		if err != nil || same != q {
			t.Fatalf("QueryOf = %+v, %v, want what ReadQuery read: %+v", same, err, q)
		}
	})
}
