//go:build linux

package rfc

import (
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// replyTime is when dig, glibc and Windows have given up.
const replyTime = 4800 * time.Millisecond

// failureChecks are about upstreams that do not answer, or not well.
var failureChecks = []check{
	{name: "a silent upstream is SERVFAIL, not silence", rfc: "9520 2.2, 8914 4.23", level: must, slow: true, servers: 1, run: failing(dead, nil, 12*time.Second)},
	{name: "a silent upstream is SERVFAIL before clients give up", rfc: "1035 7.2, 8767 5", level: should, slow: true, servers: 1, run: failing(dead, nil, replyTime)},
	{name: "an upstream that is silent to one question is SERVFAIL before clients give up", rfc: "1035 7.2, 9520 2.2", level: should, slow: true, servers: 1, run: failing(silent, nil, replyTime)},
	{name: "a failed question is not asked upstream again at once", rfc: "9520 3.2", level: must, slow: true, servers: 1, run: failureKept(silent)},
	{name: "a question that is asked again has another id", rfc: "5452 9.2", level: should, slow: true, servers: 1, run: func(s *session) error {
		if err := served(onFirst(silent, ordinary), asks(nil, addressed))(s); err != nil {
			return err
		}
		list := s.received(s.name("www"))
		return expect(len(list) > 1 && list[0].id != list[1].id, "it was asked %d times, and again with the same id", len(list))
	}},
	{name: "a silent upstream is asked three times at most for a question", rfc: "9520 3.1", level: must, slow: true, servers: 1, run: retries},
	{name: "while an upstream is silent, its failure is kept", rfc: "9520 3.2", level: must, slow: true, servers: 1, run: failureKept(dead)},
	{name: "a failure is answered at once while it is kept", rfc: "9520 3.2", level: should, slow: true, servers: 1, run: failureQuick},
	{name: "a SERVFAIL is kept for a second", rfc: "9520 3.2, 2308 7.1", level: must, servers: 1, run: failureKept(refusing(dns.RcodeServerFailure))},
	{name: "a REFUSED is kept for a second", rfc: "9520 2.1, 3.2", level: should, servers: 1, run: failureKept(refusing(dns.RcodeRefused))},
	{name: "a SERVFAIL is not kept for ten seconds", rfc: "9520 3.2, 2308 7.1", level: should, slow: true, servers: 1, run: failureOver},
	{name: "a failure for one type hides no other", rfc: "9520 3.2, 2308 7.1", level: must, servers: 1, run: func(s *session) error {
		s.serve(func(a *asked) {
			if a.question().qtype == dns.TypeMX {
				a.reply(reply{rcode: dns.RcodeServerFailure})
				return
			}
			ordinary(a)
		})
		if err := asksFor(dns.TypeMX, nil, rcode(dns.RcodeServerFailure))(s); err != nil {
			return err
		}
		return asks(nil, addressed)(s)
	}},
	{name: "a failure for one name hides no other", rfc: "9520 3.2", level: must, servers: 1, run: func(s *session) error {
		s.serve(func(a *asked) {
			if a.question().name.is(s.name("www")) {
				a.reply(reply{rcode: dns.RcodeServerFailure})
				return
			}
			ordinary(a)
		})
		if err := asks(nil, rcode(dns.RcodeServerFailure))(s); err != nil {
			return err
		}
		return s.alive()
	}},
	{name: "a kept failure is SERVFAIL with the question", rfc: "9520 3.2", level: must, both: true, servers: 1, run: served(refusing(dns.RcodeServerFailure), asks(swapped, rcode(dns.RcodeServerFailure), sameQuestion, withOPT, noAnswer))},
	{name: "after SERVFAIL the next upstream is asked", rfc: "1034 5.3.3, 9520 3.1", level: should, servers: 2, run: nextUpstream(refusing(dns.RcodeServerFailure))},
	{name: "after REFUSED the next upstream is asked", rfc: "1034 5.3.3", level: should, servers: 2, run: nextUpstream(refusing(dns.RcodeRefused))},
	{name: "after FORMERR the next upstream is asked", rfc: "1034 5.3.3", level: should, servers: 2, run: nextUpstream(refusing(dns.RcodeFormatError))},
	{name: "after NOTIMP the next upstream is asked", rfc: "1034 5.3.3", level: should, servers: 2, run: nextUpstream(refusing(dns.RcodeNotImplemented))},
	{name: "after two failures the third upstream is asked", rfc: "1034 5.3.3", level: should, servers: 3, run: served(func(a *asked) {
		if len(a.session.received(a.question().name)) < 3 {
			a.reply(reply{rcode: dns.RcodeServerFailure})
			return
		}
		ordinary(a)
	}, asks(nil, addressed))},
	{name: "while an upstream is silent, questions for other names do not wait for long", rfc: "9520 3.1, 8767 5", level: should, slow: true, servers: 1, run: func(s *session) error {
		if err := failing(dead, nil, 12*time.Second)(s); err != nil {
			return err
		}
		pause(time.Second)
		m, err := s.patiently(s.query("other", dns.TypeA), 1500*time.Millisecond)
		if err != nil {
			return err
		}
		return rcode(dns.RcodeServerFailure)(nil, m)
	}},
	{name: "after a reply that cannot be read the next upstream is asked", rfc: "1034 5.3.3", level: should, servers: 2, run: nextUpstream(func(a *asked) {
		a.send(a.packet(reply{answer: []rr{address(self, 300, "192.0.2.66")}, withoutEDNS: true})[:headerSize+len(a.question().raw)+6])
	})},
	{name: "of two upstreams, one silent, the other's answer comes", rfc: "1035 7.2", level: must, slow: true, servers: 2, run: nextUpstream(silent)},
	{name: "of two upstreams, one gone, the other's answer comes", rfc: "1035 7.2", level: must, servers: 2, run: func(s *session) error {
		s.servers[0].closePort()
		for index := range 4 {
			q := s.query(fmt.Sprintf("www%d", index), dns.TypeA)
			m, err := s.send(q)
			if err != nil {
				return err
			}
			if err := addressed(q, m); err != nil {
				return err
			}
		}
		return nil
	}},
	{name: "an upstream that is gone is SERVFAIL soon", rfc: "1122 4.1.3.3, 8767 5", level: should, servers: 1, slow: true, run: func(s *session) error {
		s.servers[0].closePort()
		return failing(silent, nil, 3*time.Second)(s)
	}},
	{name: "NXDOMAIN is an answer: no other upstream is asked", rfc: "1034 4.3.1, 2308 2.1", level: must, servers: 2, run: func(s *session) error {
		s.serve(func(a *asked) {
			if len(a.session.received(a.question().name)) == 1 {
				data()(a)
				return
			}
			ordinary(a)
		})
		return asks(nil, rcode(dns.RcodeNameError))(s)
	}},
	{name: "an upstream that takes a second is waited for", rfc: "1035 7.2", level: should, slow: true, servers: 1, run: served(later(time.Second, ordinary), asks(nil, addressed))},
	{name: "an upstream that takes 2.5 seconds is waited for", rfc: "1035 7.2", level: should, slow: true, servers: 1, run: served(later(2500*time.Millisecond, ordinary), asks(nil, addressed))},
	{name: "a question that is lost once is asked again", rfc: "1035 7.2, 4.2.1", level: must, slow: true, servers: 1, run: served(onFirst(silent, ordinary), asks(nil, addressed))},
	{name: "an upstream that is back is asked again within seconds", rfc: "9520 3.2, 1035 7.2", level: should, slow: true, servers: 1, run: recovers},
	{name: "FORMERR without EDNS: the question is asked again without EDNS", rfc: "6891 7, 6.2.2", level: must, servers: 1, run: withoutEDNS(dns.RcodeFormatError)},
	{name: "NOTIMP without EDNS: the question is asked again without EDNS", rfc: "6891 7", level: should, servers: 1, run: withoutEDNS(dns.RcodeNotImplemented)},
	{name: "FORMERR with only a header: the question is asked again without EDNS", rfc: "6891 7", level: should, servers: 1, run: served(func(a *asked) {
		if a.opt() != nil {
			a.send(appendHeader(nil, a.id, flagQR|dns.RcodeFormatError))
			return
		}
		ordinary(a)
	}, asks(nil, addressed, withOPT))},
	{name: "silence to EDNS: the question is asked again without EDNS", rfc: "6891 6.2.2, 1035 7.2", level: should, slow: true, servers: 1, run: served(func(a *asked) {
		if a.opt() == nil {
			ordinary(a)
		}
	}, asks(nil, addressed))},
	{name: "BADVERS: the question is asked again without EDNS, or is SERVFAIL", rfc: "6891 6.1.3", level: must, servers: 1, run: served(func(a *asked) {
		if a.opt() != nil {
			a.reply(reply{rcode: dns.RcodeBadVers})
			return
		}
		ordinary(a)
	}, asks(nil, rcode(dns.RcodeSuccess, dns.RcodeServerFailure), sameQuestion))},
	{name: "a reply with two OPT records gets a reply that can be read", rfc: "6891 6.1.1", level: must, servers: 1, run: served(func(a *asked) {
		a.reply(reply{answer: []rr{address(self, 300, "192.0.2.1")}, additional: []rr{{root, dns.TypeOPT, 0, nil}}})
	}, asks(nil, rcode(dns.RcodeSuccess, dns.RcodeServerFailure), withOPT, sameQuestion))},
	{name: "a reply whose record is cut off gets no part of it", rfc: "2181 9", level: must, servers: 1, run: served(mangled(func(packet []byte) []byte { return packet[:len(packet)-2] }), asks(nil, rcode(dns.RcodeServerFailure, dns.RcodeSuccess), whole))},
	{name: "a reply that promises more records than it has is no answer", rfc: "1035 4.1", level: should, servers: 1, run: served(mangled(func(packet []byte) []byte { packet[7] = 3; return packet }), asks(nil, rcode(dns.RcodeServerFailure)))},
	{name: "a reply with a loop of pointers is no answer", rfc: "1035 4.1.4", level: must, servers: 1, run: served(func(a *asked) {
		packet := a.packet(reply{withoutEDNS: true})
		packet[7] = 1
		a.send(appendRecord(packet, name([]byte{0xc0, byte(len(packet))}), dns.TypeA, dns.ClassINET, 300, stranger))
	}, asks(nil, rcode(dns.RcodeServerFailure), sameQuestion))},
	{name: "a CNAME with a loop of pointers in its RDATA is no answer", rfc: "1035 4.1.4", level: must, servers: 1, run: served(func(a *asked) {
		packet := a.packet(reply{withoutEDNS: true})
		packet[7] = 1
		at := len(packet) + len(self) + 10
		a.send(appendRecord(packet, self, dns.TypeCNAME, dns.ClassINET, 300, []byte{1, 'x', 0xc0, byte(at)}))
	}, asks(nil, rcode(dns.RcodeServerFailure), sameQuestion))},
	{name: "a CNAME with bytes behind its name is no answer", rfc: "1035 3.3.1", level: should, servers: 1, run: served(answering(rr{self, dns.TypeCNAME, 300, []byte("\x01x\x00\x01\x02")}), asks(nil, rcode(dns.RcodeServerFailure), sameQuestion))},
	{name: "an address of five bytes is no answer", rfc: "1035 3.4.1", level: should, servers: 1, run: served(answering(rr{self, dns.TypeA, 300, []byte{192, 0, 2, 1, 1}}), asks(nil, rcode(dns.RcodeServerFailure), sameQuestion))},
	{name: "an answer of another class is no answer", rfc: "1035 3.2.4, 2181 5", level: should, servers: 1, run: served(func(a *asked) {
		packet := a.packet(reply{withoutEDNS: true})
		packet[7] = 1
		a.send(appendRecord(packet, self, dns.TypeA, dns.ClassCHAOS, 300, stranger))
	}, asks(nil, withoutStranger))},
}

// failing demands SERVFAIL, with the question, within a time.
func failing(do script, change func(*query) *query, limit time.Duration) func(*session) error {
	return func(s *session) error {
		s.serve(do)
		q := s.query("www", dns.TypeA)
		if change != nil {
			q = change(q)
		}
		m, err := s.patiently(q, limit)
		if err != nil {
			return err
		}
		return judged(q, m, sameID, rcode(dns.RcodeServerFailure), sameQuestion)
	}
}

// patiently asks and waits for a given time.
func (s *session) patiently(q *query, wait time.Duration) (*message, error) {
	socket, err := s.socket()
	if err != nil {
		return nil, err
	}
	defer socket.close()
	socket.write(q.packet())
	packet, err := socket.next(wait)
	if err != nil {
		return nil, err
	}
	return read(packet)
}

// retries counts the questions of one client that the upstream gets, by
// transport.
func retries(s *session) error {
	if err := failing(dead, nil, 12*time.Second)(s); err != nil {
		return err
	}
	count := map[bool]int{}
	for _, a := range s.received(s.name("www")) {
		count[a.tcp]++
	}
	return expect(count[false] <= 3 && count[true] <= 3, "upstream was asked %d times over UDP and %d times over TCP, want 3 at most", count[false], count[true])
}

// failureKept demands that a second question within a second stays here.
func failureKept(do script) func(*session) error {
	return func(s *session) error {
		if err := failing(do, nil, 12*time.Second)(s); err != nil {
			return err
		}
		before := len(s.received(s.name("www")))
		if err := failing(do, nil, 12*time.Second)(s); err != nil {
			return err
		}
		got := len(s.received(s.name("www"))) - before
		return expect(got == 0, "the second question went upstream %d times", got)
	}
}

func failureQuick(s *session) error {
	if err := failing(dead, nil, 12*time.Second)(s); err != nil {
		return err
	}
	return failing(dead, nil, 500*time.Millisecond)(s)
}

func failureOver(s *session) error {
	if err := failing(refusing(dns.RcodeServerFailure), nil, patience)(s); err != nil {
		return err
	}
	s.serve(ordinary)
	pause(10 * time.Second)
	return asks(nil, addressed)(s)
}

// nextUpstream makes the first question fail, whichever upstream it goes to, and
// any other succeed at the other upstream only.
func nextUpstream(do script) func(*session) error {
	return func(s *session) error {
		s.serve(func(a *asked) {
			if a.session.received(a.question().name)[0].index == a.index {
				do(a)
				return
			}
			ordinary(a)
		})
		return asks(nil, addressed)(s)
	}
}

// recovers: a name that has not failed is answered soon after the return.
func recovers(s *session) error {
	if err := failing(dead, nil, 12*time.Second)(s); err != nil {
		return err
	}
	s.serve(ordinary)
	pause(2 * time.Second)
	q := s.query("fresh", dns.TypeA)
	m, err := s.send(q)
	if err != nil {
		return err
	}
	return addressed(q, m)
}

// withoutEDNS is an upstream that does not know OPT records.
func withoutEDNS(code int) func(*session) error {
	return served(func(a *asked) {
		if a.opt() != nil {
			a.reply(reply{rcode: code, withoutEDNS: true})
			return
		}
		ordinary(a)
	}, asks(nil, addressed, withOPT))
}

// mangled changes the bytes of an address over UDP and TCP.
func mangled(change func([]byte) []byte) script {
	return func(a *asked) {
		a.send(change(a.packet(reply{answer: []rr{address(self, 300, "192.0.2.1")}, withoutEDNS: true})))
	}
}

// whole demands that an answer, if there is one, is the ordinary one.
func whole(q *query, m *message) error {
	if len(m.sections[answer]) == 0 {
		return sameQuestion(q, m)
	}
	return addressed(q, m)
}
