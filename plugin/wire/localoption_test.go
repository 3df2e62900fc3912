package wire

import (
	"bytes"
	"testing"

	"github.com/miekg/dns"
)

func TestLocalOptions(t *testing.T) {
	long := bytes.Repeat([]byte("x"), localOptionsRoom)
	tests := []struct {
		name    string
		options []dns.EDNS0
		want    string
	}{
		{"none", nil, ""},
		{"one", []dns.EDNS0{&dns.EDNS0_LOCAL{Code: 65001, Data: []byte("laptop")}}, "laptop"},
		{"behind another", []dns.EDNS0{&dns.EDNS0_LOCAL{Code: 65534, Data: []byte("other")}, &dns.EDNS0_LOCAL{Code: 65001, Data: []byte("laptop")}}, "laptop"},
		{"twice", []dns.EDNS0{&dns.EDNS0_LOCAL{Code: 65001, Data: []byte("first")}, &dns.EDNS0_LOCAL{Code: 65001, Data: []byte("second")}}, "first"},
		{"too long", []dns.EDNS0{&dns.EDNS0_LOCAL{Code: 65001, Data: long}}, ""},
		{"behind one that is too long", []dns.EDNS0{&dns.EDNS0_LOCAL{Code: 65002, Data: long}, &dns.EDNS0_LOCAL{Code: 65001, Data: []byte("laptop")}}, "laptop"},
		{"as long as there is room", []dns.EDNS0{&dns.EDNS0_LOCAL{Code: 65001, Data: long[optionFixed:]}}, string(long[optionFixed:])},
		{"not for local use", []dns.EDNS0{&dns.EDNS0_LOCAL{Code: 65000, Data: []byte("laptop")}}, ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			message := new(dns.Msg).SetQuestion("db1.database.windows.net.", dns.TypeA).SetEdns0(1232, false)
			message.IsEdns0().Option = tc.options
			packet, err := message.Pack()
			if err != nil {
				t.Fatal(err)
			}
			var read, taken Query
			if err := ReadQuery(packet, false, &read); err != nil {
				t.Fatal(err)
			}
			if err := QueryOf(message, false, &taken); err != nil {
				t.Fatal(err)
			}
			if got := string(read.LocalOption(65001)); got != tc.want {
				t.Errorf("ReadQuery: LocalOption(65001) = %q, want %q", got, tc.want)
			}
			if got := string(taken.LocalOption(65001)); got != tc.want {
				t.Errorf("QueryOf: LocalOption(65001) = %q, want %q", got, tc.want)
			}
		})
	}
}
