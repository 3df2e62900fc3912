package upstream

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestNewQuery(t *testing.T) {
	tests := []struct {
		name string
		in   Question
	}{
		{"plain", testQuestion},
		{"root", Question{Name: ".", Type: dns.TypeNS, Class: dns.ClassINET}},
		{"dnssec", Question{Name: "example.org.", Type: dns.TypeDS, Class: dns.ClassINET, DO: true}},
		{"unchecked", Question{Name: "example.org.", Type: dns.TypeHTTPS, Class: dns.ClassINET, CD: true}},
		{"other class", Question{Name: "version.bind.", Type: dns.TypeTXT, Class: dns.ClassCHAOS}},
		{"escaped", Question{Name: `a\.b\000.example.org.`, Type: dns.TypeA, Class: dns.ClassINET}},
		{"longest", Question{Name: strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("b", 61) + ".", Type: dns.TypeA, Class: dns.ClassINET}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			plain, edns := packed(t, tc.in)
			got, err := newQuery(tc.in)
			if err != nil {
				t.Fatalf("newQuery(%v): %v", tc.in, err)
			}
			if !bytes.Equal(got.wire, edns) {
				t.Errorf("newQuery(%v) = %x, want %x", tc.in, got.wire, edns)
			}
			if !bytes.Equal(got.plain().wire, plain) {
				t.Errorf("plain() = %x, want %x", got.plain().wire, plain)
			}
			if !bytes.Equal(got.question, plain[headerSize:]) || !bytes.Equal(got.plain().question, plain[headerSize:]) {
				t.Errorf("question = %x, want %x", got.question, plain[headerSize:])
			}
			if id := got.withID(nil, 0xabcd, 2, nil); !bytes.Equal(id, append([]byte{0, 0, 0xab, 0xcd}, edns[2:]...)) {
				t.Errorf("withID(nil, 0xabcd, 2, nil) = %x", id)
			}
			if !got.edns() || got.plain().edns() {
				t.Errorf("edns() = %v, without EDNS %v; want true, false", got.edns(), got.plain().edns())
			}
			if !bytes.Equal(got.wire, edns) {
				t.Errorf("the query was modified: %x, want %x", got.wire, edns)
			}
		})
	}
}

// packed returns the query that miekg/dns makes of a question, without EDNS and with.
func packed(tb testing.TB, q Question) (plain, edns []byte) {
	tb.Helper()
	msg := new(dns.Msg)
	msg.SetQuestion(q.Name, q.Type)
	msg.Question[0].Qclass = q.Class
	msg.Id = 0
	msg.CheckingDisabled, msg.AuthenticatedData = q.CD, true
	plain = wireOf(tb, msg, nil)
	msg.SetEdns0(1232, q.DO)
	return plain, wireOf(tb, msg, nil)
}

func TestNewQueryErrors(t *testing.T) {
	tests := []struct{ name, in string }{
		{"empty", ""},
		{"not fully qualified", "example.org"},
		{"empty label", "a..example.org."},
		{"long label", strings.Repeat("a", 64) + ".example.org."},
		{"long name", strings.Repeat(strings.Repeat("a", 63)+".", 4)},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := newQuery(Question{Name: tc.in, Type: dns.TypeA, Class: dns.ClassINET}); !errors.Is(err, ErrQuestion) {
				t.Errorf("newQuery(%q) = %v, want %v", tc.in, err, ErrQuestion)
			}
		})
	}
}
