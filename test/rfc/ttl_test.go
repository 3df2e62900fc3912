//go:build linux

package rfc

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// ttlChecks are about how long answers are kept, and what is told of it.
var ttlChecks = []check{
	{name: "an answer is kept: upstream is asked once", rfc: "1034 5.3.1", level: must, run: func(s *session) error {
		return s.countUpstream(1, s.query("www", dns.TypeA), s.query("www", dns.TypeA), s.query("www", dns.TypeA))
	}},
	{name: "an answer that came over UDP is kept for TCP", rfc: "7766 5", level: should, run: func(s *session) error {
		return s.countUpstream(1, s.query("www", dns.TypeA), s.query("www", dns.TypeA).overTCP(), s.query("www", dns.TypeA).plain())
	}},
	{name: "the upstream's TTL is told", rfc: "1035 3.2.1", level: must, run: asks(nil, addressed, ttls(290, 300))},
	{name: "a TTL is never longer on a hit than it was", rfc: "1034 3.6, 2181 8", level: must, both: true, run: asks(nil, addressed, ttls(290, 300))},
	{name: "TTLs count down while an answer is kept", rfc: "1034 5.3.3, 1035 3.2.1", level: must, slow: true, run: countsDown(nil)},
	{name: "TTLs count down over TCP", rfc: "1035 3.2.1", level: must, slow: true, run: countsDown((*query).overTCP)},
	{name: "TTLs of all sections count down", rfc: "1035 3.2.1", level: should, slow: true, run: allSectionsCountDown},
	{name: "an answer is asked for again when its TTL is over", rfc: "1035 3.2.1", level: must, slow: true, run: func(s *session) error {
		s.serve(onFirst(answering(address(self, 1, "192.0.2.1")), answering(address(self, 1, "192.0.2.2"))))
		return s.inTurn(
			step{0, answers(address(s.name("www"), 1, "192.0.2.1"))},
			step{2100 * time.Millisecond, answers(address(s.name("www"), 1, "192.0.2.2"))})
	}},
	{name: "a short TTL is not made longer", rfc: "1035 3.2.1, 2181 8", level: must, run: func(s *session) error {
		s.serve(answering(address(self, 2, "192.0.2.1")))
		return asks(nil, addressed, ttls(1, 2))(s)
	}},
	{name: "a TTL of 0 is told as 0", rfc: "1035 3.2.1", level: should, run: served(answering(address(self, 0, "192.0.2.1")), asks(nil, addressed, ttls(0, 0)))},
	{name: "an answer with a TTL of 0 is not kept", rfc: "1035 3.2.1", level: must, run: func(s *session) error {
		s.serve(answering(address(self, 0, "192.0.2.1")))
		return s.countAtLeast(2, s.query("www", dns.TypeA), s.query("www", dns.TypeA))
	}},
	{name: "a chain with a CNAME of TTL 0 is not kept", rfc: "1035 3.2.1", level: should, run: func(s *session) error {
		s.serve(data(cname(s.name("www"), 0, s.name("target")), address(s.name("target"), 300, "192.0.2.1")))
		return s.countAtLeast(2, s.query("www", dns.TypeA), s.query("www", dns.TypeA))
	}},
	{name: "a TTL with its first bit set is told as 31 bits at most", rfc: "2181 8, 8767 4", level: must, both: true, run: served(answering(address(self, 1<<31+5, "192.0.2.1")), asks(nil, addressed, ttls(0, math.MaxInt32)))},
	{name: "a TTL of all bits is told as 31 bits at most", rfc: "2181 8, 8767 4", level: must, both: true, run: served(answering(address(self, math.MaxUint32, "192.0.2.1")), asks(nil, addressed, ttls(0, math.MaxInt32)))},
	{name: "a TTL of years is capped to a week or so", rfc: "8767 4", level: should, both: true, run: served(answering(address(self, math.MaxInt32, "192.0.2.1")), asks(nil, addressed, ttls(1, 30*24*3600)))},
	{name: "the records of a set have one TTL, the least", rfc: "2181 5.2", level: should, both: true, run: served(answering(address(self, 300, "192.0.2.1"), address(self, 100, "192.0.2.2"), address(self, 200, "192.0.2.3")), asks(nil, ttls(90, 100)))},
	{name: "the records of a set expire together, with the first", rfc: "2181 5.2", level: must, slow: true, run: func(s *session) error {
		s.serve(answering(address(self, 300, "192.0.2.1"), address(self, 1, "192.0.2.2")))
		return s.expires(2)
	}},
	{name: "a chain is kept no longer than its CNAME", rfc: "1034 3.6.2, 2181 5.2", level: must, slow: true, run: func(s *session) error {
		s.serve(data(cname(s.name("www"), 1, s.name("target")), address(s.name("target"), 300, "192.0.2.1")))
		return s.expires(2)
	}},
	{name: "a chain is kept no longer than its end", rfc: "1034 3.6.2", level: must, slow: true, run: func(s *session) error {
		target := s.name("target")
		s.serve(data(cname(s.name("www"), 300, target), address(target, 1, "192.0.2.1")))
		q := s.query("www", dns.TypeA)
		if _, err := s.send(q); err != nil {
			return err
		}
		pause(2100 * time.Millisecond)
		s.serve(data(cname(s.name("www"), 300, target), address(target, 1, "192.0.2.2")))
		m, err := s.send(q.typed(dns.TypeA))
		if err != nil {
			return err
		}
		return answers(cname(s.name("www"), 300, target), address(target, 1, "192.0.2.2"))(q, m)
	}},
	{name: "the TTLs of a chain are each record's own", rfc: "2181 5.2", level: must, both: true, run: func(s *session) error {
		s.serve(data(cname(s.name("www"), 300, s.name("target")), address(s.name("target"), 60, "192.0.2.1")))
		return asks(nil, func(_ *query, m *message) error {
			for _, r := range m.sections[answer] {
				if limit := map[uint16]uint32{dns.TypeCNAME: 300, dns.TypeA: 60}[r.rtype]; r.ttl > limit || r.ttl == 0 {
					return fmt.Errorf("got the TTL %d for %s, want 1 to %d", r.ttl, dns.Type(r.rtype), limit)
				}
			}
			return nil
		})(s)
	}},
	{name: "TTLs of an answer that is about to expire are not 0 and not large", rfc: "1035 3.2.1, 2181 8", level: must, slow: true, run: func(s *session) error {
		s.serve(answering(address(self, 2, "192.0.2.1")))
		return s.inTurn(step{0, ttls(1, 2)}, step{900 * time.Millisecond, ttls(0, 2)}, step{600 * time.Millisecond, ttls(0, 2)}, step{400 * time.Millisecond, ttls(0, 2)}, step{400 * time.Millisecond, ttls(0, 2)})
	}},
	{name: "a client with a TTL that counts down does not see it grow before its end", rfc: "1035 3.2.1", level: must, slow: true, run: func(s *session) error {
		s.serve(onFirst(answering(address(self, 60, "192.0.2.1")), answering(address(self, 600, "192.0.2.1"))))
		return s.inTurn(step{0, ttls(50, 60)}, step{1200 * time.Millisecond, ttls(40, 59)}, step{1200 * time.Millisecond, ttls(40, 58)})
	}},
}

// ttls demands bounds for the TTLs of the answer section, all the same.
func ttls(least, most uint32) judge {
	return func(_ *query, m *message) error {
		if len(m.sections[answer]) == 0 {
			return fmt.Errorf("got no answer")
		}
		for _, r := range m.sections[answer] {
			if r.ttl < least || r.ttl > most {
				return fmt.Errorf("got the TTL %d for %s, want %d to %d", r.ttl, r.owner, least, most)
			}
		}
		return nil
	}
}

// countUpstream asks in turn and demands how often upstream is asked.
func (s *session) countUpstream(want int, questions ...*query) error {
	got, err := s.askCounting(questions)
	if err != nil {
		return err
	}
	return expect(got == want, "upstream was asked %d times, want %d", got, want)
}

// countAtLeast is countUpstream for what may be asked for once more.
func (s *session) countAtLeast(want int, questions ...*query) error {
	got, err := s.askCounting(questions)
	if err != nil {
		return err
	}
	return expect(got >= want, "upstream was asked %d times, want %d", got, want)
}

func (s *session) askCounting(questions []*query) (int, error) {
	for _, q := range questions {
		m, err := s.send(q)
		if err != nil {
			return 0, err
		}
		if m.rcode() == dns.RcodeServerFailure {
			return 0, errors.New("got SERVFAIL")
		}
	}
	return len(s.received(questions[0].name)), nil
}

// step is a question for the address of www some time after the one before.
type step struct {
	after time.Duration
	judge judge
}

// inTurn takes steps.
func (s *session) inTurn(steps ...step) error {
	for number, next := range steps {
		pause(next.after)
		q := s.query("www", dns.TypeA)
		m, err := s.send(q)
		if err == nil {
			err = next.judge(q, m)
		}
		if err != nil {
			return fmt.Errorf("question %d: %w", number+1, err)
		}
	}
	return nil
}

// expires demands that what has a TTL of a second is asked for again after it.
func (s *session) expires(want int) error {
	if err := s.inTurn(step{0, rcode(dns.RcodeSuccess)}, step{2100 * time.Millisecond, rcode(dns.RcodeSuccess)}); err != nil {
		return err
	}
	// What is served first and asked for then is late, but no fault.
	pause(100 * time.Millisecond)
	got := len(s.received(s.name("www")))
	return expect(got >= want, "upstream was asked %d times, want %d", got, want)
}

func countsDown(change func(*query) *query) func(*session) error {
	return func(s *session) error {
		q := s.query("www", dns.TypeA)
		if change != nil {
			q = change(q)
		}
		var seen []uint32
		for range 2 {
			m, err := s.send(q.typed(dns.TypeA))
			if err != nil {
				return err
			}
			if err := judged(q, m, addressed); err != nil {
				return err
			}
			seen = append(seen, m.sections[answer][0].ttl)
			pause(1300 * time.Millisecond)
		}
		return expect(seen[0] <= 300 && seen[1] < seen[0] && seen[1] > 280, "got the TTLs %v with 1.3 s between, want 300 and 299", seen)
	}
}

func allSectionsCountDown(s *session) error {
	s.serve(always(reply{
		answer:     []rr{{self, dns.TypeMX, 300, append([]byte{0, 10}, s.name("mail")...)}},
		authority:  []rr{{s.zone, dns.TypeNS, 300, []byte(s.name("ns"))}},
		additional: []rr{address(s.name("mail"), 300, "192.0.2.25")},
	}))
	q := s.query("www", dns.TypeMX)
	if _, err := s.send(q); err != nil {
		return err
	}
	pause(1300 * time.Millisecond)
	m, err := s.send(q.typed(dns.TypeMX))
	if err != nil {
		return err
	}
	for _, r := range slices.Concat(m.sections[:]...) {
		if r.rtype != dns.TypeOPT && r.ttl > 299 {
			return fmt.Errorf("got %s after 1.3 s, want a TTL of 299 at most", r)
		}
	}
	return nil
}
