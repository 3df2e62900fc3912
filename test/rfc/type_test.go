//go:build linux

package rfc

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// typed are RDATA that must arrive as they left, whoever knows their type.
var typed = []struct {
	title string
	rtype uint16
	data  string
	rfc   string
}{
	{"AAAA", dns.TypeAAAA, "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07", "3596 2"},
	{"NS", dns.TypeNS, "\x02ns\x07example\x00", "1035 3.3.11"},
	{"PTR", dns.TypePTR, "\x04host\x07example\x00", "1035 3.3.12"},
	{"MX", dns.TypeMX, "\x00\x0a\x04mail\x07example\x00", "1035 3.3.9"},
	{"SOA", dns.TypeSOA, "\x02ns\x00\x05admin\x00\x00\x00\x00\x01\x00\x00\x0e\x10\x00\x00\x02\x58\x00\x01\x51\x80\x00\x00\x01\x2c", "1035 3.3.13"},
	{"TXT of several strings, one of them empty", dns.TypeTXT, "\x01a\x00\x04\x00\xff\"\\", "1035 3.3.14"},
	{"HINFO", dns.TypeHINFO, "\x03CPU\x02OS", "1035 3.3.2"},
	{"NULL", 10, "\x00\x01\xc0\x0c", "1035 3.3.10"},
	{"RP", dns.TypeRP, "\x01a\x00\x01b\x00", "1183 2.2"},
	{"SRV", dns.TypeSRV, "\x00\x00\x00\x05\x01\x85\x02dc\x07example\x00", "2782"},
	{"NAPTR", dns.TypeNAPTR, "\x00\x0a\x00\x14\x01u\x03sip\x00\x01r\x00", "3403 4"},
	{"LOC", dns.TypeLOC, "\x00\x12\x16\x13\x8b\x0d\x2c\x8c\x7f\xf8\xfc\xa5\x00\x98\x96\x80", "1876 2"},
	{"APL", dns.TypeAPL, "\x00\x01\x18\x03\xc0\x00\x02", "3123 4"},
	{"DS", dns.TypeDS, "\x12\x34\x0d\x02\x01\x02\x03\x04\x05\x06\x07\x08\x01\x02\x03\x04\x05\x06\x07\x08\x01\x02\x03\x04\x05\x06\x07\x08\x01\x02\x03\x04\x05\x06\x07\x08", "4034 5"},
	{"DNSKEY", dns.TypeDNSKEY, "\x01\x01\x03\x0d\x01\x02\x03\x04\x05\x06\x07\x08", "4034 2"},
	{"RRSIG", dns.TypeRRSIG, "\x00\x01\x0d\x03\x00\x00\x01\x2c\x70\x00\x00\x00\x60\x00\x00\x00\x12\x34\x07example\x00\x01\x02\x03\x04", "4034 3"},
	{"NSEC", dns.TypeNSEC, "\x04next\x07example\x00\x00\x06\x40\x01\x00\x00\x00\x03", "4034 4"},
	{"NSEC3PARAM", dns.TypeNSEC3PARAM, "\x01\x00\x00\x00\x00", "5155 4"},
	{"CDS", dns.TypeCDS, "\x00\x00\x00\x00\x00", "8078 4"},
	{"TLSA", dns.TypeTLSA, "\x03\x01\x01\xab\xcd\xef", "6698 2.1"},
	{"SSHFP", dns.TypeSSHFP, "\x04\x02" + "\xab\xcd0123456789abcdef0123456789abcd", "4255 3.1"},
	{"CAA", dns.TypeCAA, "\x80\x05issueca.example", "8659 4.1"},
	{"URI", dns.TypeURI, "\x00\x0a\x00\x01https://www.example/", "7553 4"},
	{"SVCB with an unknown key", dns.TypeSVCB, "\x00\x01\x03svc\x07example\x00\x00\x01\x00\x03\x02h2\xff\x00\x00\x02ab", "9460 2.2"},
	{"HTTPS", dns.TypeHTTPS, "\x00\x01\x00\x00\x01\x00\x06\x02h2\x02h3\x00\x04\x00\x04\xc0\x00\x02\x01", "9460 9"},
	{"HTTPS alias", dns.TypeHTTPS, "\x00\x00\x03svc\x07example\x00", "9460 2.4.2"},
	{"OPENPGPKEY", dns.TypeOPENPGPKEY, "\x99\x01\x02\x03", "7929 2.3"},
	{"EUI48", dns.TypeEUI48, "\x00\x01\x02\x03\x04\x05", "7043 3.1"},
	{"CERT", dns.TypeCERT, "\x00\x01\x00\x02\x08\x01\x02\x03", "4398 2"},
	{"an unknown type", 65280, "\x01\x02\x03\x00\xff", "3597 3"},
	{"an unknown type that looks compressed", 65281, "\x03www\xc0\x0c\xc0\xff", "3597 4"},
	{"an unknown type without data", 65282, "", "3597 3"},
	{"an unknown type from the range of data types", 20000, "\x07", "3597 3"},
}

// typeChecks are about types of records.
var typeChecks = slices.Concat(knownTypes(), metaTypes(), []check{
	{name: "a canonical name that is asked for itself", rfc: "1034 3.6.2", level: must, both: true, run: func(s *session) error {
		s.serve(data(cname(s.name("www"), 300, s.name("target")), address(s.name("target"), 300, "192.0.2.7")))
		return asksFor(dns.TypeCNAME, nil, answers(cname(s.name("www"), 300, s.name("target"))))(s)
	}},
	{name: "several records of one type arrive all", rfc: "2181 5", level: must, both: true, run: func(s *session) error {
		var list []rr
		for index := range 20 {
			list = append(list, address(s.name("www"), 300, fmt.Sprintf("192.0.2.%d", index)))
		}
		s.serve(data(list...))
		return asks(nil, answers(list...))(s)
	}},
	{name: "a record that the upstream sends twice arrives once", rfc: "2181 5", level: should, both: true, run: func(s *session) error {
		s.serve(answering(address(self, 300, "192.0.2.1"), address(self, 300, "192.0.2.2"), address(self, 300, "192.0.2.1")))
		return asks(nil, answers(address(s.name("www"), 300, "192.0.2.1"), address(s.name("www"), 300, "192.0.2.2")))(s)
	}},
	{name: "compressed names in MX records are understood", rfc: "1035 4.1.4", level: must, both: true, run: compressed(dns.TypeMX, "\x00\x0a\x04mail\xc0\x0c", func(s *session) string { return "\x00\x0a" + string(s.name("mail", "www")) })},
	{name: "compressed names in SOA records are understood", rfc: "1035 4.1.4", level: must, both: true, run: compressed(dns.TypeSOA, "\xc0\x0c\x05admin\xc0\x0c12345678901234567890", func(s *session) string {
		return string(s.name("www")) + string(s.name("admin", "www")) + "12345678901234567890"
	})},
	{name: "compressed names in SRV records are understood", rfc: "3597 4", level: should, both: true, run: compressed(dns.TypeSRV, "\x00\x00\x00\x05\x01\x85\x02dc\xc0\x0c", func(s *session) string {
		return "\x00\x00\x00\x05\x01\x85" + string(s.name("dc", "www"))
	})},
	{name: "names in SRV records are not compressed", rfc: "2782, 3597 4", level: should, both: true, run: func(s *session) error {
		data := append([]byte{0, 0, 0, 5, 1, 0x85}, s.name("www")...)
		s.serve(answering(rr{self, dns.TypeSRV, 300, data}))
		return asksFor(dns.TypeSRV, nil, func(_ *query, m *message) error {
			list := m.all(answer, dns.TypeSRV)
			return expect(len(list) == 1 && bytes.Equal(list[0].data, data), "got %s", describe(m.raw))
		})(s)
	}},
	{name: "names in SVCB records are not compressed", rfc: "9460 2.2, 3597 4", level: must, both: true, run: func(s *session) error {
		data := append([]byte{0, 1}, s.name("www")...)
		s.serve(answering(rr{self, dns.TypeSVCB, 300, data}))
		return asksFor(dns.TypeSVCB, nil, func(_ *query, m *message) error {
			list := m.all(answer, dns.TypeSVCB)
			return expect(len(list) == 1 && bytes.Equal(list[0].data, data), "got %s", describe(m.raw))
		})(s)
	}},
	{name: "an unknown type of 60000 bytes arrives over TCP", rfc: "3597 3, 1035 4.2.2", level: must, both: true, run: func(s *session) error {
		big := bytes.Repeat([]byte{0xc0, 0x0c, 1, 2, 3}, 12000)
		s.serve(answering(rr{self, 65280, 300, big}))
		return asksFor(65280, (*query).overTCP, answers(rr{s.name("www"), 65280, 300, big}))(s)
	}},
	{name: "types are kept apart", rfc: "1034 3.6", level: must, run: func(s *session) error {
		for range 2 {
			for _, r := range []rr{address(s.name("www"), 300, "192.0.2.1"), address(s.name("www"), 300, "2001:db8::1"), text(s.name("www"), 300, 40)} {
				q := s.query("www", r.rtype)
				m, err := s.send(q)
				if err != nil {
					return err
				}
				if err := judged(q, m, answers(r)); err != nil {
					return err
				}
			}
		}
		return nil
	}},
})

func knownTypes() []check {
	var list []check
	for _, tc := range typed {
		list = append(list, check{name: "a record arrives as it left: " + tc.title, rfc: tc.rfc + ", 3597 3", level: must, both: true, run: func(s *session) error {
			s.serve(answering(rr{self, tc.rtype, 300, []byte(tc.data)}))
			return asksFor(tc.rtype, nil, answers(rr{s.name("www"), tc.rtype, 300, []byte(tc.data)}), sameQuestion)(s)
		}})
	}
	return list
}

// metaTypes are types of questions that no record has, or that are no questions.
func metaTypes() []check {
	refusals := rcode(dns.RcodeRefused, dns.RcodeNotImplemented, dns.RcodeFormatError, dns.RcodeNotAuth, dns.RcodeServerFailure)
	list := []check{
		{name: "ANY gets a reply that is no failure", rfc: "8482 4", level: must, both: true, run: asksFor(dns.TypeANY, nil, rcode(dns.RcodeSuccess, dns.RcodeNotImplemented, dns.RcodeRefused), sameQuestion)},
		{name: "ANY over TCP gets a reply that is no failure", rfc: "8482 4.4", level: must, both: true, run: asksFor(dns.TypeANY, (*query).overTCP, rcode(dns.RcodeSuccess, dns.RcodeNotImplemented, dns.RcodeRefused), sameQuestion)},
		{name: "ANY over UDP gets little: HINFO, or what fits into 512 bytes", rfc: "8482 4", level: should, run: func(s *session) error {
			s.serve(answering(address(self, 300, "192.0.2.1"), text(self, 300, 700)))
			return asksFor(dns.TypeANY, nil, func(_ *query, m *message) error { return expect(len(m.raw) <= 512, "got %d bytes", len(m.raw)) })(s)
		}},
		{name: "what ANY brought is not all there is of a type", rfc: "8482 4.2", level: must, run: func(s *session) error {
			s.serve(func(a *asked) {
				if a.question().qtype == dns.TypeANY {
					a.reply(reply{answer: []rr{{self, dns.TypeHINFO, 300, []byte("\x07RFC8482\x00")}}})
					return
				}
				ordinary(a)
			})
			if err := asksFor(dns.TypeANY, nil, replied)(s); err != nil {
				return err
			}
			return asks(nil, addressed)(s)
		}},
	}
	for _, tc := range []struct {
		title string
		qtype uint16
	}{{"AXFR", dns.TypeAXFR}, {"IXFR", dns.TypeIXFR}} {
		list = append(list,
			check{name: tc.title + " is refused", rfc: "5936 2.2.1", level: must, run: asksFor(tc.qtype, (*query).plain, refusals)},
			check{name: tc.title + " over TCP is refused", rfc: "5936 2.2.1", level: must, run: asksFor(tc.qtype, (*query).overTCP, refusals)},
			check{name: tc.title + " is not asked upstream", rfc: "5936 4", level: should, run: func(s *session) error {
				if err := asksFor(tc.qtype, (*query).overTCP, replied)(s); err != nil {
					return err
				}
				return expect(len(s.received("")) == 0, "%d questions went upstream", len(s.received("")))
			}})
	}
	for _, tc := range []struct {
		title string
		qtype uint16
	}{{"type 0", 0}, {"OPT", dns.TypeOPT}, {"TKEY", dns.TypeTKEY}, {"TSIG", dns.TypeTSIG}, {"MAILA", dns.TypeMAILA}, {"MAILB", dns.TypeMAILB}, {"type 128", 128}, {"type 65535", 65535}} {
		list = append(list, check{name: "a question for " + tc.title + " gets a reply", rfc: "8906 3.1.1, 6895 3.1", level: should, run: asksFor(tc.qtype, nil, replied)})
	}
	return append(list, check{name: "a question for OPT is not answered", rfc: "6891 6.1.1", level: should, run: asksFor(dns.TypeOPT, (*query).plain, refusals)})
}

// compressed replies with RDATA whose names point to the question's.
func compressed(rtype uint16, sent string, want func(*session) string) func(*session) error {
	return func(s *session) error {
		s.serve(answering(rr{self, rtype, 300, []byte(sent)}))
		q := s.query("www", rtype)
		m, err := s.ask(q)
		if err != nil {
			return err
		}
		list := m.all(answer, rtype)
		if len(list) != 1 {
			return fmt.Errorf("got %d records", len(list))
		}
		got := name(list[0].full)
		return expect(got.folded() == name(want(s)).folded(), "got RDATA %x, want %x", list[0].full, want(s))
	}
}
