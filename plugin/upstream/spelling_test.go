package upstream

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

func TestHabit(t *testing.T) {
	now := time.Unix(1000, 0)
	tests := []struct {
		name, replies string // s for the same spelling, o for another
		believed      string // y or n for each
		random        bool
	}{
		{"keeps", "ssss", "yyyy", true},
		{"does not from the start", "o", "y", false},
		{"not proven", "sssssss" + "o", "yyyyyyyy", false},
		{"proven, then one forged", "ssssssss" + "os", "yyyyyyyy" + "ny", true},
		{"proven, then changed", "ssssssss" + "ooo", "yyyyyyyy" + "nny", false},
		{"proven, forged now and then", "ssssssss" + "oosoos", "yyyyyyyy" + "nnynny", true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var s habit
			got := ""
			for _, r := range tc.replies {
				if s.judge(r == 's', now) {
					got += "y"
				} else {
					got += "n"
				}
			}
			if got != tc.believed || s.tested(now) != tc.random {
				t.Errorf("believed %s, random %v; want %s, %v", got, s.tested(now), tc.believed, tc.random)
			}
			if !s.tested(now.Add(tryAgain)) {
				t.Errorf("not tried again after %v", tryAgain)
			}
		})
	}
}

func TestRespell(t *testing.T) {
	query, err := newQuery(Question{Name: `db1.a-very-long-name-of-more-than-64-bytes.database.example.\000.org.`, Type: dns.TypeAAAA, Class: dns.ClassINET})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewChaCha8([32]byte{1})).Uint64
	changed := make([]bool, len(query.question))
	for range 100 {
		question := bytes.Clone(query.question)
		respell(question, random)
		if !startsWithFold(question, query.question) {
			t.Fatalf("respell made %q of %q", question, query.question)
		}
		for i := range question {
			changed[i] = changed[i] || question[i] != query.question[i]
		}
	}
	for i, c := range query.question[:len(query.question)-typeAndClass] {
		if letter := 'a' <= c && c <= 'z'; changed[i] != letter {
			t.Errorf("byte %d, %q, changed: %v", i, c, changed[i])
		}
	}
}

// spelled returns a server that spells at random.
func spelled(t *testing.T, respond responder) (*Server, *inMemory) {
	t.Helper()
	m := &inMemory{respond: respond}
	s, err := open(netip.MustParseAddrPort("192.0.2.1:53"), Options{}, m.dial, rand.New(rand.NewChaCha8([32]byte{1})).Uint64)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, m
}

// Whatever the server does with the spelling, every question is answered, with its own.
func TestSpellingNeverFailsAQuestion(t *testing.T) {
	change := func(how func(string) string) func(*dns.Msg) {
		return func(m *dns.Msg) {
			m.Question[0].Name = how(m.Question[0].Name)
			m.Answer = []dns.RR{&dns.CNAME{
				Hdr:    dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 60},
				Target: "x." + m.Question[0].Name,
			}}
		}
	}
	keep := func(s string) string { return s }
	tests := []struct {
		name   string
		before func(string) string // what the server does with the first 20 questions' names
		after  func(string) string // and with the others
		over   Transport           // of the 21st reply
		random bool                // whether the 30th query is spelled at random
	}{
		{"keeps", keep, keep, UDP, true},
		{"lower case", strings.ToLower, strings.ToLower, UDP, false},
		{"upper case", strings.ToUpper, strings.ToUpper, UDP, false},
		{"changed", keep, strings.ToLower, TCP, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				var last string
				s, _ := spelled(t, func(_ Transport, query []byte, send func([]byte)) {
					how := tc.before
					if asked++; asked > 20 {
						how = tc.after
					}
					last = string(query[headerSize : len(query)-optSize-typeAndClass])
					send(reply(t, query, change(how)))
				})
				for n := range 30 {
					answer, err := s.Exchange(t.Context(), testQuestion)
					if err != nil {
						t.Fatalf("question %d: %v", n, err)
					}
					if got := answer.Msg.Answer[0].Header().Name; got != testQuestion.Name || answer.Msg.Question[0].Name != got {
						t.Fatalf("question %d: the answer has the name %s, want %s", n, got, testQuestion.Name)
					}
					if n == 20 && answer.Transport != tc.over {
						t.Errorf("question 20 was answered over %s, want %s", answer.Transport, tc.over)
					}
				}
				if random := last != strings.ToLower(last); random != tc.random {
					t.Errorf("the last query had %q, random: %v, want %v", last, random, tc.random)
				}
				s.Close()
			})
		})
	}
}

// A server that does not know EDNS is asked without it for a while.
func TestWithoutEDNSIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := func(m *dns.Msg) { m.Rcode, m.Extra = dns.RcodeFormatError, nil }
		s, m := newInMemory(t, "192.0.2.1:53", withoutEDNS(t, refuse))
		start := time.Now()
		for i, pause := range []time.Duration{0, withoutEDNSFor - 1, 1} {
			elapse(pause)
			if _, err := s.Exchange(t.Context(), testQuestion); err != nil {
				t.Fatal(err)
			}
			if got, want := len(m.times(start)), []int{2, 3, 5}[i]; got != want {
				t.Errorf("after question %d the server was asked %d times, want %d", i, got, want)
			}
		}
		// A question that is refused either way says nothing about EDNS.
		m.become(always(t, refuse))
		other, _ := newInMemory(t, "192.0.2.2:53", always(t, refuse))
		if _, err := other.Exchange(t.Context(), testQuestion); err != nil || other.edns.avoided() {
			t.Errorf("Exchange = %v, and EDNS is left out: %v", err, other.edns.avoided())
		}
		other.Close()
		s.Close()
	})
}

// The extended errors of a reply are kept.
func TestExtendedErrors(t *testing.T) {
	s, _ := newLoopback(t, always(t, func(m *dns.Msg) {
		m.Rcode = dns.RcodeServerFailure
		opt := m.IsEdns0()
		opt.Option = append(opt.Option,
			&dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeDNSBogus, ExtraText: "no"},
			&dns.EDNS0_NSID{Code: dns.EDNS0NSID},
			&dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeOther})
	}))
	answer, err := s.Exchange(context.Background(), testQuestion)
	if err != nil {
		t.Fatal(err)
	}
	want := []dns.EDNS0_EDE{{InfoCode: dns.ExtendedErrorCodeDNSBogus, ExtraText: "no"}, {InfoCode: dns.ExtendedErrorCodeOther}}
	if len(answer.EDE) != 2 || answer.EDE[0] != want[0] || answer.EDE[1] != want[1] {
		t.Errorf("EDE = %v, want %v", answer.EDE, want)
	}
}
