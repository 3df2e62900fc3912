package upstream

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// cookieServer is a server that knows cookies: a query with the wrong server cookie is
// answered as strict says.
type cookieServer struct {
	tb     testing.TB
	strict bool
	server string // its cookie, in hexadecimal
	got    []string
	edit   func(*dns.Msg, *dns.EDNS0_COOKIE) // what it does with the reply, nil for nothing
}

func (c *cookieServer) respond(transport Transport, query []byte, send func([]byte)) {
	got := cookieOf(c.tb, query)
	c.got = append(c.got, strings.TrimPrefix(string(transport), "udp")+got)
	send(reply(c.tb, query, func(m *dns.Msg) {
		address("10.0.2.4")(m)
		if got == "" {
			return
		}
		cookie := &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: got[:16] + c.server}
		m.IsEdns0().Option = append(m.IsEdns0().Option, cookie)
		if c.strict && got[16:] != c.server {
			m.Rcode, m.Answer = dns.RcodeBadCookie, nil
		}
		if c.edit != nil {
			c.edit(m, cookie)
		}
	}))
}

// cookieOf returns a query's cookie in hexadecimal, "" for none.
func cookieOf(tb testing.TB, query []byte) string {
	tb.Helper()
	var msg dns.Msg
	if err := msg.Unpack(query); err != nil {
		tb.Fatalf("unpacking: %v", err)
	}
	if opt := msg.IsEdns0(); opt != nil {
		for _, option := range opt.Option {
			if cookie, ok := option.(*dns.EDNS0_COOKIE); ok {
				return cookie.Cookie
			}
		}
	}
	return ""
}

const someServerCookie = "0100000061626364aabbccddeeff0011"

// ours returns the client cookie of the first query.
func (c *cookieServer) ours() string { return c.got[0][:16] }

// A server's cookie is given back to it, and whoever wants one gets it.
func TestCookies(t *testing.T) {
	tests := []struct {
		name   string
		strict bool
		server string
		want   string // what the server gets of three questions, with C for our cookie and S for its
	}{
		{"not asked for", false, someServerCookie, "C CS CS"},
		{"asked for", true, someServerCookie, "C CS CS CS"},
		{"no server cookie", false, "", "C C C"},
		{"server cookie too short", false, "01020304", "C C C"},
		{"never satisfied", true, strings.Repeat("ab", 33), "C C tcp C C tcp C C tcp"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &cookieServer{tb: t, strict: tc.strict, server: tc.server}
				s, _ := spelled(t, server.respond)
				defer s.Close()
				for range 3 {
					answer, err := s.Exchange(t.Context(), testQuestion)
					if err != nil || firstAddress(answer) != "10.0.2.4" {
						t.Fatalf("Exchange = %v, %v, want an answer", answer, err)
					}
				}
				got := strings.NewReplacer(server.ours(), "C", someServerCookie, "S").Replace(strings.Join(server.got, " "))
				if got != tc.want {
					t.Errorf("the server got %s, want %s", got, tc.want)
				}
			})
		})
	}
}

// What comes without our cookie, from a server that gives it back, may be forged.
func TestForgedCookies(t *testing.T) {
	none := func(m *dns.Msg, _ *dns.EDNS0_COOKIE) { m.IsEdns0().Option = nil }
	tests := []struct {
		name   string
		before int // replies with our cookie
		edit   func(*dns.Msg, *dns.EDNS0_COOKIE)
		over   Transport // of the next one's answer; "" for none
		next   bool      // whether the one after it is sent with a cookie
	}{
		{"another client's", 1, func(_ *dns.Msg, c *dns.EDNS0_COOKIE) { c.Cookie = strings.Repeat("ab", 16) }, "", true},
		{"too short", 1, func(_ *dns.Msg, c *dns.EDNS0_COOKIE) { c.Cookie = "abab" }, "", true},
		{"none, from the start", 0, none, UDP, false},
		{"none, not proven", proven - 1, none, UDP, false},
		{"none, proven", proven, none, TCP, true},
		{"FORMERR for the cookie", 0, func(m *dns.Msg, c *dns.EDNS0_COOKIE) { none(m, c); m.Rcode = dns.RcodeFormatError }, TCP, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &cookieServer{tb: t, server: someServerCookie}
				s, m := spelled(t, server.respond)
				m.probed = always(t, nil)
				defer s.Close()
				for range tc.before {
					if err := askFor(t, s, time.Second); err != nil {
						t.Fatal(err)
					}
				}
				server.edit = tc.edit
				answer, err := s.Exchange(ctxFor(t, time.Second), testQuestion)
				switch {
				case tc.over == "" && err == nil:
					t.Errorf("Exchange = %v, want no answer", answer)
				case tc.over != "" && (err != nil || answer.Transport != tc.over || answer.Msg.Rcode != 0):
					t.Errorf("Exchange = %v, %v, want an answer over %s", answer, err, tc.over)
				}
				server.edit, server.got = nil, nil
				if err := askFor(t, s, time.Second); err != nil || (server.got[0] != "") != tc.next {
					t.Errorf("the next query's cookie was %q, %v; want one: %v", server.got, err, tc.next)
				}
			})
		})
	}
}

// Where queries with a cookie are dropped on the way, from the start or one day, few
// questions are lost.
func TestDroppedCookies(t *testing.T) {
	for _, known := range []int{0, 1, 20} {
		t.Run(fmt.Sprint(known), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &cookieServer{tb: t, server: someServerCookie}
				s, m := spelled(t, server.respond)
				m.probed = always(t, nil)
				defer s.Close()
				for range known {
					if err := askFor(t, s, time.Second); err != nil {
						t.Fatal(err)
					}
				}
				m.become(func(transport Transport, query []byte, send func([]byte)) {
					if cookieOf(t, query) == "" {
						server.respond(transport, query, send)
					}
				})
				lost := 0
				for range 10 {
					if err := askFor(t, s, abandonedFor); err != nil {
						lost++
					}
				}
				if want := 1 + 2*(known/proven); lost == 0 || lost > want {
					t.Errorf("%d questions were lost, want one at least and %d at most", lost, want)
				}
			})
		})
	}
}

// A client cookie tells nobody that we are the same as at another address, or as long
// ago, and a new one starts without the server's.
func TestCookieRotates(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)).Uint64
	here, there := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	start := time.Unix(1000, 0)
	c := cookies{on: true}
	first := c.optionFrom(here, start, random)
	msg := goodReply()
	msg.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: hex.EncodeToString(first[optionHeader:]) + someServerCookie}}
	answered := wireOf(t, msg, nil)
	if ours, believed := c.judge(answered, first, start); !ours || !believed {
		t.Fatalf("judge = %v, %v, want true, true", ours, believed)
	}
	tests := []struct {
		name   string
		source netip.Addr
		at     time.Time
		same   bool
	}{
		{"later", here, start.Add(cookieLife - 1), true},
		{"a day later", here, start.Add(cookieLife), false},
		{"elsewhere", there, start, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := c
			got := c.optionFrom(tc.source, tc.at, random)
			same := string(got[optionHeader:optionHeader+clientCookie]) == string(first[optionHeader:])
			if same != tc.same || (len(got) == optionHeader+clientCookie+len(someServerCookie)/2) != tc.same {
				t.Errorf("the option is %x after %x, want the same with the server's: %v", got, first, tc.same)
			}
			before := string(c.option)
			if ours, _ := c.judge(answered, first, tc.at); !ours || string(c.option) != before {
				t.Errorf("a reply to an older cookie is ours: %v, and left %x of %x", ours, c.option, before)
			}
		})
	}
	conn, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := sourceOf(conn); got != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("sourceOf = %v, want 127.0.0.1", got)
	}
}

// How long an idle connection is kept is for the server to say, within reason.
func TestKeepalive(t *testing.T) {
	tests := []struct {
		name    string
		timeout uint16 // units of 100 ms
		pause   time.Duration
		want    int // connections for two questions
	}{
		{"longer", 300, 26 * time.Second, 1},
		{"longer, and over", 300, 27 * time.Second, 2},
		{"shorter", 20, 1900 * ms, 2},
		{"none", 0, 0, 2},
		{"too long", 36000, mostIdle - 1, 1},
		{"too long, and over", 36000, mostIdle, 2},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, m := overTCP(t, always(t, func(m *dns.Msg) {
					data := binary.BigEndian.AppendUint16(nil, tc.timeout)
					m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: dns.EDNS0TCPKEEPALIVE, Data: data}}
				}))
				defer s.Close()
				for range 2 {
					if err := askFor(t, s, time.Second); err != nil {
						t.Fatal(err)
					}
					elapse(tc.pause)
				}
				if got := m.connected(); got != tc.want {
					t.Errorf("%d connections, want %d", got, tc.want)
				}
			})
		})
	}
}

// FuzzFindOption: what is found is what miekg/dns finds, where it can read the message.
func FuzzFindOption(f *testing.F) {
	msg := goodReply()
	msg.IsEdns0().Option = []dns.EDNS0{
		&dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE, Timeout: 30},
		&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: someServerCookie},
	}
	wire := wireOf(f, msg, nil)
	f.Add(wire)
	f.Add(wire[:len(wire)-1])
	f.Add(wireOf(f, goodReply(), nil))
	query := testQuery(f)
	f.Fuzz(func(t *testing.T, wire []byte) {
		got, found := findOption(wire, dns.EDNS0COOKIE)
		if len(got) > 0 && !found {
			t.Fatalf("findOption(%x) = %x, false", wire, got)
		}
		if len(wire) < headerSize || !accepts(wire, query.question) {
			return
		}
		read, opt, err := unpack(wire, query)
		if err != nil || opt == nil || read == nil {
			return
		}
		want := ""
		for _, option := range opt.Option {
			if cookie, ok := option.(*dns.EDNS0_COOKIE); ok {
				want = cookie.Cookie
				break
			}
		}
		if hex.EncodeToString(got) != want && opt.Hdr.Name == "." {
			t.Fatalf("findOption(%x) = %x, want %s", wire, got, want)
		}
	})
}

func ctxFor(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
