package querylog

import (
	"testing"

	"github.com/miekg/dns"
)

func TestWithoutOptions(t *testing.T) {
	plain := new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA)
	asked := plain.Copy().SetEdns0(1232, true)
	signed := asked.Copy()
	signed.Extra = append(signed.Extra, &dns.TXT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{"x"}})
	tests := []struct {
		name     string
		in, want []byte
	}{
		{"without OPT", pack(t, plain), pack(t, plain)},
		{"with OPT", pack(t, asked), pack(t, plain)},
		{"OPT is not the last", pack(t, signed), nil},
		{"cut short", pack(t, asked)[:20], nil},
		{"bytes after the end", append(pack(t, plain), 0), nil},
		{"no header", []byte{1, 2}, nil},
		{"empty", nil, nil},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := appendWithoutOptions([]byte("before"), tc.in); string(got) != "before"+string(tc.want) {
				t.Errorf("appendWithoutOptions(%x) = %x, want %x", tc.in, got[len("before"):], tc.want)
			}
		})
	}
}

// Whatever bytes come in, what goes out has no OPT, and a message that the
// library reads stays one that it reads.
func FuzzWithoutOptions(f *testing.F) {
	f.Add(pack(f, new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA).SetEdns0(1232, true)))
	f.Add(exchangedRecord(f).Reply)
	f.Add([]byte("\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"))
	f.Fuzz(func(t *testing.T, message []byte) {
		got := appendWithoutOptions(nil, message)
		if len(got) > len(message) {
			t.Fatalf("%d bytes became %d", len(message), len(got))
		}
		before, after := new(dns.Msg), new(dns.Msg)
		if len(got) == 0 || before.Unpack(message) != nil {
			return
		}
		if err := after.Unpack(got); err != nil || after.IsEdns0() != nil || len(after.Answer) != len(before.Answer) {
			t.Fatalf("%x became %x: %v, %v", message, got, after, err)
		}
	})
}
