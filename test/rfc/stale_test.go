//go:build linux

package rfc

import (
	"fmt"
	"time"

	"github.com/miekg/dns"
)

const (
	codeEDE = dns.EDNS0EDE
	// expiry is when an answer with a TTL of a second is surely expired.
	expiry = 2100 * time.Millisecond
	// staleTime bounds the wait for a stale answer: 1.8 s are recommended.
	staleTime = 2500 * time.Millisecond
)

// staleChecks are about expired answers while upstreams fail. Each has an
// answer with a TTL of a second that expires first.
var staleChecks = []check{
	{name: "a stale answer is given when the upstream is silent", rfc: "8767 4", level: should, slow: true, servers: 1, run: stale(dead, nil, address1)},
	{name: "a stale answer is given when the upstream is silent to one question", rfc: "8767 4", level: should, slow: true, servers: 1, run: stale(silent, nil, address1)},
	{name: "a stale answer is given when the upstream says SERVFAIL", rfc: "8767 4", level: should, slow: true, servers: 1, run: stale(refusing(dns.RcodeServerFailure), nil, address1)},
	{name: "a stale answer is given when the upstream says REFUSED", rfc: "8767 4", level: should, slow: true, servers: 1, run: stale(refusing(dns.RcodeRefused), nil, address1)},
	{name: "a stale answer is given when the upstream is gone", rfc: "8767 4", level: should, slow: true, servers: 1, run: func(s *session) error {
		return s.expired(answering(address(self, 1, "192.0.2.1")), func() { s.servers[0].closePort() }, nil, address1)
	}},
	{name: "a stale answer has a TTL above 0, 30 at most", rfc: "8767 4, 5", level: should, slow: true, servers: 1, run: stale(dead, nil, ttls(1, 30))},
	{name: "a stale answer says so: EDE 3", rfc: "8914 4.4", level: should, slow: true, servers: 1, run: stale(dead, nil, address1, ede(3))},
	{name: "a stale answer comes within two seconds", rfc: "8767 5", level: should, slow: true, servers: 1, run: func(s *session) error {
		return s.expired(answering(address(self, 1, "192.0.2.1")), func() { s.serve(dead) }, func(q *query) (*message, error) { return s.patiently(q, staleTime) }, address1)
	}},
	{name: "a stale answer over TCP", rfc: "8767 4", level: should, slow: true, servers: 1, run: stale(dead, (*query).overTCP, address1, ede(3))},
	{name: "a stale answer for a client without EDNS has no OPT record", rfc: "8767 4, 6891 7", level: must, slow: true, servers: 1, run: stale(dead, (*query).plain, withoutOPT)},
	{name: "a stale answer has the client's spelling, RA and no AA", rfc: "8767 4, 1035 4.1.1", level: must, slow: true, servers: 1, run: stale(dead, swapped, sameQuestion, flagSet(flagRA), flagClear(flagAA))},
	{name: "a stale chain is whole, with TTLs of 30 at most", rfc: "8767 4", level: should, slow: true, servers: 1, run: func(s *session) error {
		records := []rr{cname(s.name("www"), 1, s.name("target")), address(s.name("target"), 1, "192.0.2.1")}
		return s.expired(data(records...), func() { s.serve(dead) }, nil, answers(records...), ttls(1, 30))
	}},
	{name: "a stale NXDOMAIN is given", rfc: "8767 4", level: should, slow: true, servers: 1, run: staleNegative(dns.RcodeNameError, rcode(dns.RcodeNameError))},
	{name: "a stale NXDOMAIN says so: EDE 19", rfc: "8914 4.20", level: should, slow: true, servers: 1, run: staleNegative(dns.RcodeNameError, rcode(dns.RcodeNameError), ede(19))},
	{name: "a stale NODATA is given", rfc: "8767 4", level: should, slow: true, servers: 1, run: staleNegative(dns.RcodeSuccess, rcode(dns.RcodeSuccess), noAnswer)},
	{name: "a failure does not become an answer where nothing is kept", rfc: "8767 4", level: must, slow: true, servers: 1, run: func(s *session) error {
		return s.expired(answering(address(self, 1, "192.0.2.1")), func() { s.serve(refusing(dns.RcodeServerFailure)) }, func(q *query) (*message, error) {
			return s.send(q.spelled(s.name("other")))
		}, rcode(dns.RcodeServerFailure))
	}},
	{name: "an upstream that answers with something new replaces what is stale", rfc: "8767 4", level: must, slow: true, servers: 1, run: replaced(answering(address(self, 300, "192.0.2.9")), func(q *query, m *message) error {
		return answers(address(q.name, 300, "192.0.2.9"))(q, m)
	})},
	{name: "an upstream that says NXDOMAIN replaces what is stale", rfc: "8767 4", level: must, slow: true, servers: 1, run: replaced(data(), rcode(dns.RcodeNameError))},
	{name: "an upstream that says NODATA replaces what is stale", rfc: "8767 4", level: must, slow: true, servers: 1, run: replaced(func(a *asked) {
		a.reply(reply{authority: []rr{soa(a.session.zone, 300, 300)}})
	}, noAnswer)},
	{name: "an NXDOMAIN that is kept is not made an answer again by a failure", rfc: "8767 4", level: must, slow: true, servers: 1, run: func(s *session) error {
		return s.expired(answering(address(self, 1, "192.0.2.1")), func() { s.serve(always(reply{rcode: dns.RcodeNameError, authority: []rr{soa(s.zone, 1, 1)}})) }, func(q *query) (*message, error) {
			if _, err := s.send(q); err != nil {
				return nil, err
			}
			pause(100 * time.Millisecond)
			s.serve(refusing(dns.RcodeServerFailure))
			pause(expiry)
			return s.send(q.typed(dns.TypeA))
		}, noAnswer)
	}},
	{name: "the upstream is asked while what is stale is given", rfc: "8767 5", level: must, slow: true, servers: 1, run: func(s *session) error {
		err := s.expired(answering(address(self, 1, "192.0.2.1")), func() { s.serve(dead) }, nil, replied)
		return expect(err == nil && len(s.received(s.name("www"))) >= 2, "upstream was asked %d times, want twice at least: %v", len(s.received(s.name("www"))), err)
	}},
	{name: "what is stale is given at once after a failure, and the upstream left alone", rfc: "8767 5, 9520 3.2", level: should, slow: true, servers: 1, run: func(s *session) error {
		before := 0
		return s.expired(answering(address(self, 1, "192.0.2.1")), func() { s.serve(refusing(dns.RcodeServerFailure)) }, func(q *query) (*message, error) {
			if _, err := s.send(q); err != nil {
				return nil, err
			}
			before = len(s.received(q.name))
			for range 4 {
				if _, err := s.patiently(q.typed(dns.TypeA), 300*time.Millisecond); err != nil {
					return nil, err
				}
			}
			return s.send(q.typed(dns.TypeA))
		}, address1, func(q *query, _ *message) error {
			got := len(s.received(q.name)) - before
			return expect(got <= 1, "the upstream was asked %d times more", got)
		})
	}},
	{name: "an upstream that is back is used within seconds", rfc: "8767 5", level: should, slow: true, servers: 1, run: func(s *session) error {
		return s.expired(answering(address(self, 1, "192.0.2.1")), func() { s.serve(dead) }, func(q *query) (*message, error) {
			if _, err := s.send(q); err != nil {
				return nil, err
			}
			s.serve(answering(address(self, 300, "192.0.2.9")))
			pause(3 * time.Second)
			if _, err := s.send(q.typed(dns.TypeA)); err != nil { // it may still be stale, and brings the new one
				return nil, err
			}
			pause(200 * time.Millisecond)
			return s.send(q.typed(dns.TypeA))
		}, func(q *query, m *message) error { return answers(address(q.name, 300, "192.0.2.9"))(q, m) })
	}},
	{name: "a stale answer without signatures serves a client with DO when there is nothing else", rfc: "8767 4", level: should, slow: true, servers: 1, run: stale(dead, (*query).dnssec, address1)},
	{name: "a fresh answer has no extended error", rfc: "8914 3", level: should, both: true, run: asks(nil, addressed, withoutOption(codeEDE))},
	{name: "an answer with a TTL of 0 is never given stale", rfc: "8767 4, 1035 3.2.1", level: should, slow: true, servers: 1, run: func(s *session) error {
		return s.expired(answering(address(self, 0, "192.0.2.1")), func() { s.serve(refusing(dns.RcodeServerFailure)) }, nil, rcode(dns.RcodeServerFailure))
	}},
}

// address1 is the answer that was kept.
func address1(q *query, m *message) error { return answers(address(q.name, 1, "192.0.2.1"))(q, m) }

// expired keeps an answer, lets it expire, changes something, asks again and
// judges the reply.
func (s *session) expired(before script, change func(), ask func(*query) (*message, error), judges ...judge) error {
	s.serve(before)
	q := s.query("www", dns.TypeA)
	if _, err := s.send(q); err != nil {
		return err
	}
	change()
	pause(expiry)
	if ask == nil {
		ask = s.send
	}
	q = q.typed(dns.TypeA)
	m, err := ask(q)
	if err != nil {
		return fmt.Errorf("after the answer has expired: %w", err)
	}
	return judged(q, m, judges...)
}

func stale(failure script, change func(*query) *query, judges ...judge) func(*session) error {
	return func(s *session) error {
		return s.expired(answering(address(self, 1, "192.0.2.1")), func() { s.serve(failure) }, func(q *query) (*message, error) {
			if change != nil {
				*q = *change(q)
			}
			return s.send(q)
		}, judges...)
	}
}

func staleNegative(code int, judges ...judge) func(*session) error {
	return func(s *session) error {
		return s.expired(always(reply{rcode: code, authority: []rr{soa(s.zone, 1, 1)}}), func() { s.serve(dead) }, nil, judges...)
	}
}

// replaced: the upstream works, and so nothing stale is given; where it is given
// first and asked for then, the second reply counts.
func replaced(after script, judges ...judge) func(*session) error {
	return func(s *session) error {
		return s.expired(answering(address(self, 1, "192.0.2.1")), func() { s.serve(after) }, func(q *query) (*message, error) {
			if _, err := s.send(q); err != nil {
				return nil, err
			}
			pause(100 * time.Millisecond)
			q.id++
			return s.send(q)
		}, judges...)
	}
}

// ede demands an extended error of one of some codes.
func ede(codes ...int) judge {
	return func(_ *query, m *message) error {
		for _, o := range m.options() {
			if o.code != codeEDE || len(o.data) < 2 {
				continue
			}
			for _, code := range codes {
				if int(o.data[0])<<8|int(o.data[1]) == code {
					return nil
				}
			}
		}
		return fmt.Errorf("got no extended error of the codes %v: %s", codes, m.opt())
	}
}
