package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

// byTransport answers each transport in its own way.
func byTransport(udp, tcp responder) responder {
	return func(transport Transport, query []byte, send func([]byte)) {
		if transport == UDP {
			udp(transport, query, send)
		} else {
			tcp(transport, query, send)
		}
	}
}

// edited sends replies after an edit of their bytes.
func edited(tb testing.TB, edit func(*dns.Msg), raw func([]byte) []byte) responder {
	return func(_ Transport, query []byte, send func([]byte)) { send(raw(reply(tb, query, edit))) }
}

// hasEDNS reports whether a query has an OPT record.
func hasEDNS(query []byte) bool { return binary.BigEndian.Uint16(query[10:]) == 1 }

// withoutEDNS refuses queries with EDNS in one way and answers the others.
func withoutEDNS(tb testing.TB, refuse func(*dns.Msg)) responder {
	return func(_ Transport, query []byte, send func([]byte)) {
		if hasEDNS(query) {
			send(reply(tb, query, refuse))
			return
		}
		send(reply(tb, query, address("10.0.2.4")))
	}
}

// long is an answer of n records, 16 bytes each.
func long(n int) func(*dns.Msg) {
	return func(m *dns.Msg) {
		m.Compress = true
		for i := range n {
			address(fmt.Sprintf("10.1.%d.%d", i/256, i%256))(m)
		}
	}
}

func TestServerExchange(t *testing.T) {
	cutOff := func(wire []byte) []byte { return wire[:512] }
	trailing := func(wire []byte) []byte { return append(wire, 0xff) }
	truncate := func(m *dns.Msg) { m.Truncated = true }
	noOPT := func(code int) func(*dns.Msg) {
		return func(m *dns.Msg) { m.Rcode, m.Extra = code, nil }
	}
	tests := []struct {
		name    string
		respond responder
		records int
		rcode   int
		over    Transport
		err     error
		asked   int // queries over UDP
	}{
		{name: "answer", respond: always(t, address("10.0.2.4")), records: 1, over: UDP, asked: 1},
		{name: "nodata", respond: always(t, nil), over: UDP, asked: 1},
		{name: "nxdomain", respond: always(t, rcode(dns.RcodeNameError)), rcode: dns.RcodeNameError, over: UDP, asked: 1},
		{name: "servfail", respond: always(t, rcode(dns.RcodeServerFailure)), rcode: dns.RcodeServerFailure, over: UDP, asked: 1},
		{name: "extended rcode", respond: always(t, rcode(dns.RcodeBadCookie)), rcode: dns.RcodeBadCookie, over: UDP, asked: 1},
		{name: "larger than offered", respond: always(t, long(200)), records: 200, over: UDP, asked: 1},
		{name: "as large as servers send", respond: always(t, long(252)), records: 252, over: UDP, asked: 1},
		{name: "larger than servers send", respond: always(t, long(253)), records: 253, over: TCP, asked: 1},
		{name: "largest datagram", respond: always(t, long(4080)), records: 4080, over: TCP, asked: 1},
		{name: "truncated", respond: byTransport(always(t, truncate), always(t, long(2000))), records: 2000, over: TCP, asked: 1},
		{name: "cut off without TC", respond: byTransport(edited(t, long(100), cutOff), always(t, long(100))), records: 100, over: TCP, asked: 1},
		{name: "garbage behind", respond: byTransport(edited(t, nil, trailing), always(t, long(3))), records: 3, over: TCP, asked: 1},
		{name: "malformed twice", respond: edited(t, nil, trailing), over: TCP, err: ErrMalformed, asked: 1},
		{name: "truncated twice", respond: always(t, truncate), over: TCP, err: ErrTruncated, asked: 1},
		{name: "no EDNS, FORMERR", respond: withoutEDNS(t, noOPT(dns.RcodeFormatError)), records: 1, over: UDP, asked: 2},
		{name: "no EDNS, bare FORMERR", respond: withoutEDNS(t, func(m *dns.Msg) { m.Rcode, m.Extra, m.Question = dns.RcodeFormatError, nil, nil }), records: 1, over: UDP, asked: 2},
		{name: "BADVERS", respond: withoutEDNS(t, rcode(dns.RcodeBadVers)), records: 1, over: UDP, asked: 2},
		{name: "no EDNS, NOTIMP", respond: withoutEDNS(t, noOPT(dns.RcodeNotImplemented)), records: 1, over: UDP, asked: 2},
		{name: "NOTIMP with EDNS", respond: always(t, rcode(dns.RcodeNotImplemented)), rcode: dns.RcodeNotImplemented, over: UDP, asked: 1},
		{name: "FORMERR with EDNS", respond: always(t, rcode(dns.RcodeFormatError)), rcode: dns.RcodeFormatError, over: UDP, asked: 1},
		{name: "FORMERR always", respond: always(t, noOPT(dns.RcodeFormatError)), rcode: dns.RcodeFormatError, over: UDP, asked: 2},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			s, l := newLoopback(t, tc.respond)
			answer, err := s.Exchange(within(t), testQuestion)
			if !errors.Is(err, tc.err) {
				t.Fatalf("Exchange = %v, want %v", err, tc.err)
			}
			if got := len(l.sightings()); got != tc.asked {
				t.Errorf("asked %d times, want %d", got, tc.asked)
			}
			if err != nil {
				return
			}
			if len(answer.Msg.Answer) != tc.records || answer.Msg.Rcode != tc.rcode || answer.Transport != tc.over {
				t.Errorf("Exchange = %d records, rcode %d, over %s; want %d, %d, %s", len(answer.Msg.Answer), answer.Msg.Rcode, answer.Transport, tc.records, tc.rcode, tc.over)
			}
			checkAnswer(t, s, answer)
		})
	}
}

// checkAnswer checks what every answer promises.
func checkAnswer(t *testing.T, s *Server, answer *Answer) {
	t.Helper()
	if answer.Msg.Id != 0 || answer.Msg.IsEdns0() != nil {
		t.Errorf("the answer has id %d and OPT %v, want 0 and nil", answer.Msg.Id, answer.Msg.IsEdns0())
	}
	want := dns.Question{Name: testQuestion.Name, Qtype: testQuestion.Type, Qclass: testQuestion.Class}
	if len(answer.Msg.Question) != 1 || answer.Msg.Question[0] != want {
		t.Errorf("the answer's question is %v, want %v", answer.Msg.Question, want)
	}
	var read dns.Msg
	if err := read.Unpack(answer.Wire); err != nil || read.Id != 0 || len(read.Answer) != len(answer.Msg.Answer) {
		t.Errorf("Wire = %v, %v, want the message %v", &read, err, answer.Msg)
	}
	if len(read.Question) > 0 && read.Question[0] != want {
		t.Errorf("the question on the wire is %v, want %v", read.Question, want)
	}
	if answer.Server != s.Addr() || answer.RTT <= 0 || answer.Attempts != nil {
		t.Errorf("the answer is from %v after %v and %v, want %v, more than 0, nil", answer.Server, answer.RTT, answer.Attempts, s.Addr())
	}
}

func TestServerExchangeQuestion(t *testing.T) {
	var mu sync.Mutex
	var got []dns.Msg
	s, _ := newLoopback(t, func(transport Transport, query []byte, send func([]byte)) {
		var msg dns.Msg
		if err := msg.Unpack(query); err != nil {
			t.Errorf("unpacking: %v", err)
		}
		mu.Lock()
		got = append(got, msg)
		mu.Unlock()
		send(reply(t, query, func(m *dns.Msg) {
			m.Question[0].Name = strings.ToUpper(m.Question[0].Name)
			m.Truncated = transport == UDP
		}))
	})
	q := testQuestion
	q.DO, q.CD = true, true
	answer, err := s.Exchange(within(t), q)
	if err != nil {
		t.Fatal(err)
	}
	checkAnswer(t, s, answer)
	if len(got) != 2 {
		t.Fatalf("asked %d times, want once over each transport", len(got))
	}
	for i, msg := range got {
		if msg.MsgHdr != (dns.MsgHdr{Id: msg.Id, RecursionDesired: true, AuthenticatedData: true, CheckingDisabled: true}) {
			t.Errorf("header = %v, want RD, AD and CD only", msg.MsgHdr)
		}
		want := `
;; OPT PSEUDOSECTION:
; EDNS: version 0; flags: do; udp: 1232`
		if i == 1 {
			want += "\n; KEEPALIVE: use tcp keep-alive, timeout omitted"
		}
		if opt := msg.IsEdns0(); opt == nil || opt.String() != want {
			t.Errorf("OPT = %v, want %s", opt, want)
		}
	}
}

// A question is a value that goes to several goroutines; the race detector watches.
func TestServerExchangeShared(t *testing.T) {
	s, _ := newLoopback(t, always(t, address("10.0.2.4")))
	ctx := within(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				answer, err := s.Exchange(ctx, testQuestion)
				if got := firstAddress(answer); err != nil || got != "10.0.2.4" {
					t.Errorf("Exchange = %q, %v", got, err)
				}
			}
		})
	}
	group.Wait()
}

func TestServerExchangeErrors(t *testing.T) {
	t.Run("name", func(t *testing.T) {
		s, l := newLoopback(t, always(t, nil))
		if _, err := s.Exchange(within(t), Question{Name: "example.org", Type: 1, Class: 1}); !errors.Is(err, ErrQuestion) {
			t.Errorf("Exchange = %v, want %v", err, ErrQuestion)
		}
		if got := len(l.sightings()); got != 0 {
			t.Errorf("asked %d times, want none", got)
		}
	})
	t.Run("dead port", func(t *testing.T) {
		s, l := newLoopback(t, silent)
		l.udp.Close()
		if _, err := s.Exchange(within(t), testQuestion); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Exchange = %v, want %v", err, syscall.ECONNREFUSED)
		}
	})
	t.Run("dead TCP port", func(t *testing.T) {
		s, l := newLoopback(t, always(t, func(m *dns.Msg) { m.Truncated = true }))
		l.tcp.Close()
		if _, err := s.Exchange(within(t), testQuestion); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Exchange = %v, want %v", err, syscall.ECONNREFUSED)
		}
	})
	t.Run("TCP closed without a reply", func(t *testing.T) {
		truncate := always(t, func(m *dns.Msg) { m.Truncated = true })
		s, _ := newInMemory(t, "192.0.2.1:53", byTransport(truncate, hangUp))
		if _, err := s.Exchange(within(t), testQuestion); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Exchange = %v, want %v", err, io.ErrUnexpectedEOF)
		}
	})
	t.Run("context cancelled during TCP", func(t *testing.T) {
		ctx, cancel := context.WithCancel(within(t))
		truncate := always(t, func(m *dns.Msg) { m.Truncated = true })
		s, _ := newLoopback(t, byTransport(truncate, func(Transport, []byte, func([]byte)) { cancel() }))
		if _, err := s.Exchange(ctx, testQuestion); !errors.Is(err, context.Canceled) {
			t.Errorf("Exchange = %v, want %v", err, context.Canceled)
		}
	})
	t.Run("context done before", func(t *testing.T) {
		s, l := newLoopback(t, always(t, nil))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Exchange(ctx, testQuestion); !errors.Is(err, context.Canceled) {
			t.Errorf("Exchange = %v, want %v", err, context.Canceled)
		}
		if got := len(l.sightings()); got != 0 {
			t.Errorf("asked %d times, want none", got)
		}
	})
}

func TestReadMessageCutOff(t *testing.T) {
	tests := []struct {
		name string
		in   string
	}{
		{"nothing", ""},
		{"half a length", "\x00"},
		{"no message", "\x00\x0c"},
		{"half a message", "\x00\x0cabc"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := readMessage(strings.NewReader(tc.in)); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("readMessage(%q) = %v, want %v", tc.in, err, io.ErrUnexpectedEOF)
			}
		})
	}
}
