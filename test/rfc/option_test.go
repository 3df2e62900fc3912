//go:build linux

package rfc

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/miekg/dns"
)

const (
	codeCookie = dns.EDNS0COOKIE
	codeSubnet = dns.EDNS0SUBNET
)

var clientCookie = []byte{1, 2, 3, 4, 5, 6, 7, 8}

// optionChecks are about cookies, client subnets and extended errors.
var optionChecks = slices.Concat(cookieLengths(), []check{
	{name: "a client's cookie gets a server's cookie", rfc: "7873 5.2.3", level: should, both: true, run: func(s *session) error { _, err := s.cookie(clientCookie); return err }},
	{name: "a client's cookie over TCP gets a server's cookie", rfc: "7873 5.2.3", level: should, both: true, run: asks(func(q *query) *query { return q.option(codeCookie, clientCookie...).overTCP() }, addressed, withCookie)},
	{name: "a client's cookie does no harm", rfc: "7873 5.2.3", level: must, both: true, run: asks(func(q *query) *query { return q.option(codeCookie, clientCookie...) }, addressed, ownCookie)},
	{name: "a server's cookie has 16 bytes, version 1", rfc: "9018 4", level: should, run: func(s *session) error {
		whole, err := s.cookie(clientCookie)
		if err != nil {
			return err
		}
		return expect(len(whole) == 24 && whole[8] == 1 && bytes.Equal(whole[9:12], []byte{0, 0, 0}), "got the cookie %x", whole)
	}},
	{name: "a server's cookie that comes back is good", rfc: "7873 5.2.5", level: should, both: true, run: func(s *session) error {
		whole, err := s.cookie(clientCookie)
		if err != nil {
			return err
		}
		return asks(func(q *query) *query { return q.option(codeCookie, whole...) }, addressed, withCookie)(s)
	}},
	{name: "a wrong server's cookie gets an answer or BADCOOKIE, with a good one", rfc: "7873 5.2.4", level: should, both: true,
		run: asks(func(q *query) *query { return q.option(codeCookie, forgedCookie...) }, rcode(dns.RcodeSuccess, dns.RcodeBadCookie), withCookie)},
	{name: "a wrong server's cookie gets a reply", rfc: "7873 5.2.4", level: must, both: true,
		run: asks(func(q *query) *query { return q.option(codeCookie, forgedCookie...) }, rcode(dns.RcodeSuccess, dns.RcodeBadCookie), ownCookie)},
	{name: "a server's cookie differs between clients", rfc: "7873 4.2, 9018 4", level: should, run: func(s *session) error {
		first, err := s.cookie(clientCookie)
		if err != nil {
			return err
		}
		s.source = netip.AddrFrom4([4]byte{127, 0, 0, 2})
		second, err := s.cookie(clientCookie)
		if err != nil {
			return err
		}
		return expect(!bytes.Equal(first[16:], second[16:]), "both clients got %x", first)
	}},
	{name: "a server's cookie differs between cookies of one client", rfc: "7873 4.2, 9018 4", level: should, run: func(s *session) error {
		first, err := s.cookie(clientCookie)
		if err != nil {
			return err
		}
		second, err := s.cookie([]byte{8, 7, 6, 5, 4, 3, 2, 1})
		if err != nil {
			return err
		}
		return expect(!bytes.Equal(first[8:], second[8:]), "both cookies got %x", first[8:])
	}},
	{name: "a cookie comes with an NXDOMAIN", rfc: "7873 5.2.3", level: should, both: true, run: served(data(), asks(func(q *query) *query { return q.option(codeCookie, clientCookie...) }, rcode(dns.RcodeNameError), withCookie))},
	{name: "no cookie without the client's", rfc: "7873 5.2.1", level: must, both: true, run: asks(nil, addressed, withoutOption(codeCookie))},
	{name: "one client's cookie is not another's", rfc: "7873 5.2.3, 9018 3", level: must, run: func(s *session) error {
		if _, err := s.send(s.query("www", dns.TypeA).option(codeCookie, clientCookie...)); err != nil {
			return err
		}
		return asks(func(q *query) *query { return q.option(codeCookie, 8, 7, 6, 5, 4, 3, 2, 1) }, addressed, ownCookie)(s)
	}},
	{name: "a client's cookie is not sent upstream", rfc: "7873 5.1, 9018 3", level: must, run: func(s *session) error {
		if err := asks(func(q *query) *query { return q.option(codeCookie, clientCookie...) }, addressed)(s); err != nil {
			return err
		}
		for _, a := range s.received("") {
			if data, found := a.option(codeCookie); found && bytes.HasPrefix(data, clientCookie) {
				return errors.New("it went upstream")
			}
		}
		return nil
	}},
	{name: "an upstream that knows cookies is sent one", rfc: "7873 5.1", level: should, servers: 1, run: upstreamCookies(func(questions []*asked) error {
		data, found := questions[len(questions)-1].option(codeCookie)
		return expect(found && len(data) >= 8, "got the cookie %x", data)
	})},
	{name: "an upstream's cookie is given back", rfc: "7873 5.1, 5.3", level: should, servers: 1, run: upstreamCookies(func(questions []*asked) error {
		data, _ := questions[len(questions)-1].option(codeCookie)
		return expect(bytes.HasSuffix(data, serverCookie), "got the cookie %x, want it to end in %x", data, serverCookie)
	})},
	{name: "a reply with another client's cookie is not believed", rfc: "7873 5.3", level: should, servers: 1, run: func(s *session) error {
		if err := upstreamCookies(func([]*asked) error { return nil })(s); err != nil {
			return err
		}
		s.serve(func(a *asked) {
			data, found := a.option(codeCookie)
			if !found || a.tcp {
				ordinary(a)
				return
			}
			forgery := append(bytes.Repeat([]byte{66}, 8), serverCookie...)
			a.reply(reply{answer: []rr{{self, dns.TypeA, 300, stranger}}, edns: &edns{size: 1232, options: optionOf(codeCookie, forgery...)}})
			pause(mergeTime)
			withServerCookie(a, data)
		})
		return asks(nil, addressed)(s)
	}},
	{name: "the upstream's cookie is not handed on", rfc: "7873 5.3", level: must, both: true, run: served(func(a *asked) {
		// Whoever has sent a cookie has it back; others have one that they never sent.
		mine := clientCookie
		if data, found := a.option(codeCookie); found {
			mine = data[:8]
		}
		a.reply(reply{answer: []rr{address(self, 300, "192.0.2.1")}, edns: &edns{size: 1232, options: optionOf(codeCookie, append(slices.Clone(mine), "upstream"...)...)}})
	}, asks(nil, addressed, withoutOption(codeCookie)))},
	{name: "a cookie without a question gets a server's cookie", rfc: "7873 5.4", level: should, run: func(s *session) error {
		packet := appendHeader(nil, randomID(), 0, 0, 0, 0, 1)
		reply, err := s.exchange(false, (&edns{size: 1232, options: optionOf(codeCookie, clientCookie...)}).appendTo(packet))
		if err != nil {
			return err
		}
		m, err := read(reply)
		if err != nil {
			return err
		}
		return judged(nil, m, rcode(dns.RcodeSuccess), withCookie)
	}},

	{name: "a client's subnet is not sent upstream", rfc: "7871 7.1.2, 11.1", level: must, run: notUpstream(subnet(1, 24, 0, 192, 0, 2), codeSubnet)},
	{name: "a client's subnet of no bits is not sent upstream with more", rfc: "7871 7.1.2", level: must, run: func(s *session) error {
		if err := asks(subnet(1, 0, 0), addressed)(s); err != nil {
			return err
		}
		for _, a := range s.received("") {
			if data, found := a.option(codeSubnet); found && (len(data) != 4 || data[2] != 0) {
				return fmt.Errorf("subnet %x went upstream", data)
			}
		}
		return nil
	}},
	{name: "a client's subnet is ignored, or repeated as it was", rfc: "7871 7.2.1", level: must, both: true, run: asks(subnet(1, 24, 0, 192, 0, 2), addressed, func(_ *query, m *message) error {
		data, found := m.option(codeSubnet)
		return expect(!found || len(data) >= 4 && bytes.Equal(data[:3], []byte{0, 1, 24}) && bytes.Equal(data[4:], []byte{192, 0, 2}), "got the subnet %x", data)
	})},
	{name: "the answer for one subnet is not another's", rfc: "7871 7.3.1", level: must, run: bySubnet},
	{name: "a subnet that is longer than its address is FORMERR or ignored", rfc: "7871 7.1.2", level: must, both: true, run: asks(subnet(1, 64, 0, 1, 2, 3, 4, 5, 6, 7, 8), rcode(dns.RcodeFormatError, dns.RcodeSuccess))},
	{name: "a subnet of an unknown family does no harm", rfc: "7871 7.1.2", level: must, both: true, run: asks(subnet(77, 8, 0, 1), rcode(dns.RcodeFormatError, dns.RcodeSuccess, dns.RcodeRefused))},
	{name: "a subnet of two bytes does no harm", rfc: "7871 6", level: must, both: true, run: asks(func(q *query) *query { return q.option(codeSubnet, 0, 1) }, rcode(dns.RcodeFormatError, dns.RcodeSuccess))},
	{name: "no subnet without the client's", rfc: "7871 7.2.1", level: must, both: true, run: asks(nil, addressed, withoutOption(codeSubnet))},
	{name: "the upstream's subnet is not handed on", rfc: "7871 7.3, 6891 6.1.1", level: must, both: true, run: served(withUpstreamOption(codeSubnet, 0, 1, 24, 24, 192, 0, 2), asks(nil, addressed, withoutOption(codeSubnet)))},

	{name: "a failure for want of an upstream's reply says so: EDE 22 or 23", rfc: "8914 4.23, 4.24", level: should, slow: true, servers: 1, run: asksWithin(dead, nil, ede(22, 23))},
	{name: "a failure because of the upstream's SERVFAIL has an extended error", rfc: "8914 3", level: should, servers: 1, run: served(refusing(dns.RcodeServerFailure), asks(nil, rcode(dns.RcodeServerFailure), ede(0, 22, 23)))},
	{name: "a kept failure has an extended error", rfc: "8914 4.14", level: should, servers: 1, run: func(s *session) error {
		s.hit = true
		return served(refusing(dns.RcodeServerFailure), asks(nil, rcode(dns.RcodeServerFailure), ede(13, 22, 23)))(s)
	}},
	{name: "extended errors are well formed", rfc: "8914 2", level: must, slow: true, servers: 1, run: asksWithin(dead, nil, wellFormed)},
	{name: "a client without EDNS gets no extended error", rfc: "8914 2, 6891 7", level: must, slow: true, servers: 1, run: asksWithin(dead, (*query).plain, withoutOPT)},
	{name: "the upstream's extended error of a failure is handed on", rfc: "8914 3", level: should, both: true, servers: 1,
		run: served(func(a *asked) {
			a.reply(reply{rcode: dns.RcodeServerFailure, edns: &edns{size: 1232, options: optionOf(codeEDE, 0, 6, 'b', 'o', 'g', 'u', 's')}})
		}, asks(nil, rcode(dns.RcodeServerFailure), ede(6)))},
	{name: "the upstream's extended error of an answer is handed on", rfc: "8914 3", level: should, both: true, run: served(func(a *asked) {
		a.reply(reply{rcode: dns.RcodeNameError, authority: []rr{soa(a.session.zone, 300, 300)}, edns: &edns{size: 1232, options: optionOf(codeEDE, 0, 17)}})
	}, asks(nil, rcode(dns.RcodeNameError), ede(17)))},
	{name: "an extended error never makes a reply too long", rfc: "8914 3, 6891 6.2.3", level: must, slow: true, servers: 1, run: asksWithin(dead, func(q *query) *query { return q.sized(512) }, func(_ *query, m *message) error {
		return expect(len(m.raw) <= 512, "got %d bytes", len(m.raw))
	})},
	{name: "a refused transfer has an extended error", rfc: "8914 3", level: should, run: asksFor(dns.TypeAXFR, (*query).overTCP, ede(18, 20, 21))},
})

var forgedCookie = append(slices.Clone(clientCookie), "\x01\x00\x00\x00\x00\x00\x00\x00forged!!"...)

// cookieLengths: a cookie has 8 bytes, or 16 to 40.
func cookieLengths() []check {
	var list []check
	for _, length := range []int{0, 1, 7, 9, 15, 41} {
		list = append(list, check{name: fmt.Sprintf("a cookie of %d bytes is FORMERR", length), rfc: "7873 5.2.2", level: should, both: true,
			run: asks(func(q *query) *query { return q.option(codeCookie, bytes.Repeat([]byte{9}, length)...) }, rcode(dns.RcodeFormatError))})
	}
	list = append(list, check{name: "a cookie of 9 bytes is FORMERR over TCP", rfc: "7873 5.2.2", level: should, both: true,
		run: asks(func(q *query) *query { return q.option(codeCookie, bytes.Repeat([]byte{9}, 9)...).overTCP() }, rcode(dns.RcodeFormatError))})
	return list
}

// cookie asks with a client's cookie and returns what comes back, both parts.
func (s *session) cookie(mine []byte) ([]byte, error) {
	q := s.query("www", dns.TypeA).option(codeCookie, mine...)
	m, err := s.ask(q)
	if err != nil {
		return nil, err
	}
	data, _ := m.option(codeCookie)
	return data, judged(q, m, addressed, withCookie)
}

var serverCookie = []byte("upstream")

// withServerCookie is an address in a reply of a server that knows cookies.
func withServerCookie(a *asked, cookie []byte) {
	a.reply(reply{answer: []rr{address(self, 300, "192.0.2.1")}, edns: &edns{size: 1232, options: optionOf(codeCookie, append(slices.Clone(cookie[:8]), serverCookie...)...)}})
}

// upstreamCookies asks some questions of an upstream that knows cookies and
// judges what it was sent.
func upstreamCookies(judge func([]*asked) error) func(*session) error {
	return func(s *session) error {
		s.serve(func(a *asked) {
			data, found := a.option(codeCookie)
			if !found || len(data) < 8 {
				ordinary(a)
				return
			}
			withServerCookie(a, data)
		})
		if err := s.series(5); err != nil {
			return err
		}
		return judge(s.received(""))
	}
}

// withCookie demands the client's own cookie and a server's.
func withCookie(q *query, m *message) error {
	data, found := m.option(codeCookie)
	if !found || len(data) < 16 || len(data) > 40 {
		return fmt.Errorf("got the cookie %x, want one of 16 to 40 bytes", data)
	}
	return ownCookie(q, m)
}

// ownCookie demands that a cookie, if there is one, begins with the client's.
func ownCookie(q *query, m *message) error {
	data, found := m.option(codeCookie)
	if !found || q == nil {
		return nil
	}
	return expect(len(data) >= 8 && bytes.HasPrefix(q.edns.options[4:], data[:8]), "got the cookie %x, the client's is %x", data, q.edns.options[4:])
}

// subnet adds an ECS option: family, source and scope prefix, address.
func subnet(family, source, scope byte, address ...byte) func(*query) *query {
	return func(q *query) *query {
		return q.option(codeSubnet, append([]byte{0, family, source, scope}, address...)...)
	}
}

// bySubnet: the upstream answers by subnet, if it learns of one.
func bySubnet(s *session) error {
	s.serve(func(a *asked) {
		data, found := a.option(codeSubnet)
		if !found || len(data) < 7 {
			ordinary(a)
			return
		}
		data = slices.Clone(data)
		data[3] = data[2]
		a.reply(reply{answer: []rr{{self, dns.TypeA, 300, append(slices.Clone(data[4:7]), 200)}}, edns: &edns{size: 1232, options: optionOf(codeSubnet, data...)}})
	})
	for _, net := range []byte{1, 2} {
		m, err := s.send(subnet(1, 24, 0, 198, 51, net)(s.query("www", dns.TypeA)))
		if err != nil {
			return err
		}
		list := m.all(answer, dns.TypeA)
		if len(list) != 1 {
			return fmt.Errorf("got %d addresses", len(list))
		}
		if got := list[0].data; got[3] == 200 && got[2] != net {
			return fmt.Errorf("a client in 198.51.%d.0/24 got %v, another's answer", net, got)
		}
	}
	return nil
}

// asksWithin waits for a failure as long as it takes.
func asksWithin(do script, change func(*query) *query, j judge) func(*session) error {
	return func(s *session) error {
		s.serve(do)
		q := s.query("www", dns.TypeA)
		if change != nil {
			q = change(q)
		}
		m, err := s.patiently(q, 12*time.Second)
		if err != nil {
			return err
		}
		return judged(q, m, j)
	}
}

// wellFormed demands a code, and a text in UTF-8 that does not end in zeros.
func wellFormed(_ *query, m *message) error {
	for _, o := range m.options() {
		if o.code == codeEDE && (len(o.data) < 2 || !utf8.Valid(o.data[2:]) || bytes.HasSuffix(o.data[2:], []byte{0})) {
			return fmt.Errorf("got the extended error %x", o.data)
		}
	}
	return nil
}
