package privatelink

import (
	"context"
	"encoding/hex"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/batch"
	"github.com/privatelink-dns/privatelink-dns/plugin/ratelimit"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// letterOf says what became of a query: answered, truncated, or dropped.
func letterOf(t *testing.T, reply *dns.Msg) byte {
	t.Helper()
	switch {
	case reply == nil:
		return 'd'
	case !reply.Truncated:
		return 'a'
	case len(reply.Answer)+len(reply.Ns) > 0 || reply.Rcode != dns.RcodeSuccess || len(reply.Question) != 1 || reply.IsEdns0() == nil:
		t.Errorf("a truncated reply = %v, want the question and OPT alone", reply)
	}
	return 't'
}

// overTCP makes of a datagram's sender one who came by TCP.
type overTCP struct{ datagramAsker }

func (overTCP) transport() string { return "tcp" }

// ways are the two ways of a query: both must treat it alike.
var ways = map[string]func(t *testing.T, handler *Handler, client, transport string, request *dns.Msg) *dns.Msg{
	"in place": inPlace, "CoreDNS": throughCoreDNS,
}

// inPlace returns nil where nothing is replied in place.
func inPlace(t *testing.T, handler *Handler, client, transport string, request *dns.Msg) *dns.Msg {
	t.Helper()
	datagram, err := request.Pack()
	if err != nil {
		t.Fatal(err)
	}
	loop := newReadLoop(handler)
	from := datagramAsker{front: loop.front, peer: batch.Peer{Remote: netip.AddrPortFrom(netip.MustParseAddr(client), 5353)}}
	var composed []byte
	if transport == "tcp" {
		composed = loop.answerMessage(datagram, &overTCP{from}, nil)
	} else {
		composed = loop.answerMessage(datagram, &from, nil)
	}
	if len(composed) == 0 {
		return nil
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(composed); err != nil {
		t.Fatal(err)
	}
	return reply
}

func throughCoreDNS(t *testing.T, handler *Handler, client, transport string, request *dns.Msg) *dns.Msg {
	t.Helper()
	recorder := dnstest.NewRecorder(&test.ResponseWriter{RemoteIP: client, TCP: transport == "tcp"})
	if rcode, err := handler.ServeDNS(t.Context(), recorder, request); err != nil || rcode != dns.RcodeSuccess {
		t.Fatalf("ServeDNS() = %d, %v, want 0: it has replied, or will not", rcode, err)
	}
	return recorder.Msg
}

// withCookie is a question with a COOKIE option, in hexadecimal.
func withCookie(cookie string) *dns.Msg {
	request := new(dns.Msg).SetQuestion("db1.database.windows.net.", dns.TypeA)
	request.SetEdns0(1232, false)
	request.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie}}
	return request
}

func cookieOf(reply *dns.Msg) string {
	for _, option := range reply.IsEdns0().Option {
		if cookie, ok := option.(*dns.EDNS0_COOKIE); ok {
			return cookie.Cookie
		}
	}
	return ""
}

func TestLimitsAreTheSameOnBothWays(t *testing.T) {
	type draw struct{ client, transport, want string }
	tests := []struct {
		name, body string
		draws      []draw
	}{
		{"off until configured", "", []draw{{"10.20.0.4", "udp", "aaaaaaaaaaaaaaaa"}}},
		{"a client", "ratelimit 3", []draw{{"10.20.0.4", "udp", "aaatdtd"}, {"10.20.0.5", "udp", "aaat"}}},
		{"its network", "ratelimit 2 per-network=3", []draw{{"10.20.0.4", "udp", "aat"}, {"10.20.0.5", "udp", "att"}, {"10.20.1.5", "udp", "aa"}}},
		{"a network of ten clients", "ratelimit 1", []draw{{"10.20.0.1", "udp", "a"}, {"10.20.0.2", "udp", "a"}, {"10.20.0.3", "udp", "a"}, {"10.20.0.4", "udp", "a"},
			{"10.20.0.5", "udp", "a"}, {"10.20.0.6", "udp", "a"}, {"10.20.0.7", "udp", "a"}, {"10.20.0.8", "udp", "a"}, {"10.20.0.9", "udp", "a"}, {"10.20.0.10", "udp", "a"}, {"10.20.0.11", "udp", "t"}}},
		{"not over TCP", "ratelimit 1", []draw{{"10.20.0.4", "udp", "at"}, {"10.20.0.4", "tcp", "aaaa"}}},
		{"not a declared resolver", "ratelimit 1\nclients resolver 10.20.0.4", []draw{{"10.20.0.4", "udp", "aaaa"}, {"10.20.0.5", "udp", "at"}}},
		{"but a declared stub", "ratelimit 1\nclients stub 10.20.0.0/16", []draw{{"10.20.0.4", "udp", "at"}}},
		{"not the load balancer's probes", "ratelimit 1", []draw{{"168.63.129.16", "udp", "aaaa"}}},
	}
	address := answers(t, sql)
	for _, tc := range tests {
		for name, send := range ways {
			t.Run(tc.name+", "+name, func(t *testing.T) {
				handler := newHandler(t, address, tc.body, longAgo)
				warm(t, handler, "db1.database.windows.net.")
				freeze(handler)
				for _, d := range tc.draws {
					got := ""
					for range d.want {
						got += string(letterOf(t, send(t, handler, d.client, d.transport, withCookie("0102030405060708"))))
					}
					if got != d.want {
						t.Errorf("%s over %s: %q, want %q", d.client, d.transport, got, d.want)
					}
				}
			})
		}
	}
}

// freeze stops the clock of a service, and returns what sets it forward.
func freeze(handler *Handler) (forward func(time.Duration)) {
	now := time.Now()
	handler.current.Load().service.now = func() time.Time { return now }
	return func(by time.Duration) { now = now.Add(by) }
}

func TestACookieLiftsTheNetworksLimit(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "ratelimit 3 per-network=3", longAgo)
	warm(t, handler, "db1.database.windows.net.")
	forward := freeze(handler)
	const client, other = "10.20.0.4", "10.20.0.5"
	for range 3 {
		inPlace(t, handler, other, "udp", withCookie("0102030405060708"))
	}
	truncated := inPlace(t, handler, client, "udp", withCookie("0102030405060708"))
	if letterOf(t, truncated) != 't' {
		t.Fatalf("a client of a network beyond its limit = %v, want TC", truncated)
	}
	given := cookieOf(truncated)
	if len(given) != 48 {
		t.Fatalf("cookie %q with a truncated reply: %v", given, truncated)
	}
	for step, tc := range []struct {
		client, cookie string
		want           byte
	}{
		{other, given, 't'}, // it has spent its own
		{client, given, 'a'},
		{client, given[:46] + "00", 'd'}, // the network's turn: the first was truncated
		{client, given, 't'},             // its own limit holds
	} {
		if got := letterOf(t, inPlace(t, handler, tc.client, "udp", withCookie(tc.cookie))); got != tc.want {
			t.Errorf("step %d: %s with cookie %s = %c, want %c", step, tc.client, tc.cookie, got, tc.want)
		}
	}
	forward(time.Second)
	if got := letterOf(t, inPlace(t, handler, client, "udp", withCookie(given))); got != 'a' {
		t.Errorf("a second later = %c, want an answer", got)
	}
}

func TestAQueryIsCountedOnce(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "ratelimit 1", longAgo)
	freeze(handler)
	quic := &dnsserver.Server{Addr: "quic://:853"}
	plain := &dnsserver.Server{Addr: "dns://:53"}
	contexts := []struct {
		name    string
		context context.Context
		limited bool
	}{
		{"the first", t.Context(), false},
		{"one that a front has counted", context.WithValue(t.Context(), countedKey{}, true), false},
		{"one over QUIC", context.WithValue(t.Context(), dnsserver.Key{}, quic), false},
		{"one more", context.WithValue(t.Context(), dnsserver.Key{}, plain), true},
	}
	for _, tc := range contexts {
		q := readQuery(&test.ResponseWriter{}, withCookie("0102030405060708"), "", time.Now())
		limited, err := handler.current.Load().service.limitQuery(tc.context, &test.ResponseWriter{}, &q)
		if limited != tc.limited || err != nil {
			t.Errorf("%s is limited: %v, %v; want %v", tc.name, limited, err, tc.limited)
		}
	}
}

func TestMalformedDatagramsAreLimited(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "ratelimit 1", longAgo)
	freeze(handler)
	loop, broken := newReadLoop(handler), packed(t, "db1.database.windows.net.", dns.TypeA)[:20]
	if got := loop.Answer(broken, clientPeer, nil); len(got) < 12 || got[3]&0xf != dns.RcodeFormatError {
		t.Errorf("the first = %x, want FORMERR", got)
	}
	if got := loop.Answer(broken, clientPeer, nil); len(got) != 12 || got[2]&2 == 0 {
		t.Errorf("the second = %x, want a header with TC", got)
	}
	if got := loop.Answer(broken, clientPeer, nil); len(got) != 0 {
		t.Errorf("the third = %x, want nothing", got)
	}
}

func TestLimitingAllocatesNothing(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "ratelimit 1 per-network=1000000", longAgo)
	warm(t, handler, "db1.database.windows.net.")
	loop, buffer := newReadLoop(handler), make([]byte, 0, wire.AdvertisedSize)
	datagram, err := withCookie("0102030405060708").Pack()
	if err != nil {
		t.Fatal(err)
	}
	peer := clientPeer
	for name, next := range map[string]func(){"limited": func() {}, "within the limit": func() { peer.Remote = netip.AddrPortFrom(peer.Remote.Addr().Next(), 53) }} {
		if got := testing.AllocsPerRun(200, func() { next(); loop.Answer(datagram, peer, buffer) }); got != 0 {
			t.Errorf("Answer() of a query that is %s allocates %v times, want 0", name, got)
		}
	}
}

func TestNetworksBeyondALimitAreNoticed(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "ratelimit 1", longAgo)
	forward, service := freeze(handler), handler.current.Load().service
	client := netip.MustParseAddr("10.20.0.4")
	drawn := func(times int) {
		for range times {
			service.limit(new(wire.Query), client)
		}
	}
	drawn(5)
	if got := <-service.limiting.notices; got.network.String() != "10.20.0.0/24" || got.limits != (ratelimit.Limits{PerClient: 1, PerNetwork: 10}) || len(service.limiting.notices) > 0 {
		t.Errorf("noticed %+v and %d more, want 10.20.0.0/24 once", got, len(service.limiting.notices))
	}
	forward(time.Minute)
	for network := range maxNotices + 3 {
		client = netip.AddrFrom4([4]byte{10, 20, byte(network), 4})
		drawn(2)
	}
	if got, untold := len(service.limiting.notices), service.limiting.untold.Load(); got != maxNotices || untold != 3 {
		t.Errorf("%d networks are noticed and %d are not, want %d and 3", got, untold, maxNotices)
	}
	run := &running{handler: handler}
	run.tellLimited()
	if len(service.limiting.notices) > 0 || service.limiting.untold.Load() > 0 {
		t.Error("what was told is still there")
	}
}

func TestACookieFileRollsOver(t *testing.T) {
	const first, second = "e5e973e5a6b2a43f48e7dc849e37bfcf", "445536bcd2513298075a5d379663c962"
	path := filepath.Join(t.TempDir(), "cookies")
	writeFile(t, path, "# of both\n"+first+"\n")
	run := newRunning(t, "clients: []\n", "cookies "+path)
	if err := run.start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.stop() }()
	given := func(cookie string) string {
		return cookieOf(inPlace(t, run.handler, "10.20.0.4", "udp", withCookie(cookie)))
	}
	valid := func(cookie string) bool {
		q := new(wire.Query)
		if err := wire.QueryOf(withCookie(cookie), false, q); err != nil {
			t.Fatal(err)
		}
		return run.handler.current.Load().service.cookies.Valid(q, netip.MustParseAddr("10.20.0.4"), time.Now())
	}
	warm(t, run.handler, "db1.database.windows.net.")
	made, peer := given("0102030405060708"), &wire.Cookies{Secret: [16]byte(mustDecode(t, first))}
	query := new(wire.Query)
	if err := wire.QueryOf(withCookie(made), false, query); err != nil || !peer.Valid(query, netip.MustParseAddr("10.20.0.4"), time.Now()) {
		t.Errorf("a server with the same secret does not know the cookie %s (%v)", made, err)
	}
	writeFile(t, path, second+"\n"+first+" # to be removed\n")
	run.reloadChangedFiles()
	newer := given("0102030405060708")
	if !valid(made) || !valid(newer) {
		t.Errorf("with both secrets: valid %v and %v, want both", valid(made), valid(newer))
	}
	writeFile(t, path, second)
	run.reloadChangedFiles()
	if valid(made) || !valid(newer) {
		t.Errorf("without the first secret: valid %v and %v, want only the second", valid(made), valid(newer))
	}
	writeFile(t, path, "secret")
	run.reloadChangedFiles()
	if !valid(newer) {
		t.Error("a file with a mistake put the secret out of force")
	}
}

func mustDecode(t *testing.T, text string) []byte {
	t.Helper()
	octets, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return octets
}

func TestLimitsReportMistakes(t *testing.T) {
	directory := t.TempDir()
	writeFile(t, filepath.Join(directory, "short"), "\n  e5e973 # not all of it\n")
	writeFile(t, filepath.Join(directory, "three"), strings.Repeat("e5e973e5a6b2a43f48e7dc849e37bfcf\n", 3))
	writeFile(t, filepath.Join(directory, "equal"), strings.Repeat("e5e973e5a6b2a43f48e7dc849e37bfcf\n", 2))
	writeFile(t, filepath.Join(directory, "none"), "# later\n")
	writeFile(t, filepath.Join(directory, "long"), strings.Repeat("\n", maxSecretFile+1))
	tests := []struct{ body, want string }{
		{"ratelimit fast", "Corefile:2: found ratelimit fast, expected questions a second from one client, 1 to 1000000"},
		{"ratelimit 0", "found ratelimit 0, expected"},
		{"ratelimit 10 20", `found "20", expected per-network=`},
		{"ratelimit 10 per-network=5", `found "per-network=5", expected per-network= and questions a second from a /24 or an IPv6 /56, 10 to 1000000`},
		{"cookies nowhere", "Corefile:2: reading the secrets of cookies: open"},
		{"cookies short three", "Corefile:2: found 2 arguments to cookies, expected one"},
		{"cookies short", "short:2: found 6 characters, expected a secret of 32 hexadecimal digits"},
		{"cookies three", "three: found 3 secrets, expected"},
		{"cookies equal", "equal: found two equal secrets, expected"},
		{"cookies short\ncookies none", "Corefile:3: found a second cookies, expected one"},
		{"cookies none", "none: found no secret"},
		{"cookies long", "found more than 65536 bytes"},
	}
	for _, tc := range tests {
		t.Run(tc.body, func(t *testing.T) {
			_, err := parseText(directory, "privatelink {\n"+tc.body+"\n}\n")
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "e5e973") {
				t.Errorf("parse(%q) = %v, want it to contain %q and no secret", tc.body, err, tc.want)
			}
		})
	}
}

func FuzzReadSecrets(f *testing.F) {
	f.Add("e5e973e5a6b2a43f48e7dc849e37bfcf\n445536bcd2513298075a5d379663c962 # before\n")
	f.Add("# nothing\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		cookies, err := readSecrets("file", text)
		if (cookies == nil) != (err != nil) {
			t.Errorf("readSecrets(%q) = %v, %v, want one of the two", text, cookies, err)
		}
	})
}

func BenchmarkReadLoopWithLimits(b *testing.B) {
	handler := newHandler(b, answers(b, sql), "ratelimit 1000000", longAgo)
	warm(b, handler, "db1.database.windows.net.")
	loop, datagram, buffer := newReadLoop(handler), packed(b, "db1.database.windows.net.", dns.TypeA), make([]byte, 0, wire.AdvertisedSize)
	b.ReportAllocs()
	for b.Loop() {
		loop.Answer(datagram, clientPeer, buffer)
	}
}
