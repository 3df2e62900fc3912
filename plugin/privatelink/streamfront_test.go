//go:build linux

package privatelink

import (
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	coremetrics "github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/plugin/metrics/vars"
	"github.com/coredns/coredns/plugin/pkg/reuseport"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// fronted is an address that CoreDNS's server listens on, and a front before it.
type fronted struct {
	shared  *slot
	address netip.AddrPort
	name    string
}

// newFronted serves for a handler until the end of the test.
func newFronted(t *testing.T, handler *Handler) *fronted {
	t.Helper()
	listener := listenBoth(t)
	f := &fronted{shared: newSlot(), address: addrPort(listener.Addr())}
	f.name = "dns://" + f.address.String()
	go func() { _ = f.serverOf(t, handler).Serve(listener) }()
	t.Cleanup(func() { _ = listener.Close() })
	f.serveFor(t, handler)
	return f
}

// listenBoth listens on a port that is free for UDP, too.
func listenBoth(t *testing.T) net.Listener {
	t.Helper()
	for range 20 {
		listener, err := reuseport.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		socket, err := net.ListenPacket("udp", listener.Addr().String())
		if err == nil {
			_ = socket.Close()
			return listener
		}
		_ = listener.Close()
	}
	t.Fatal("found no port that is free for TCP and UDP")
	return nil
}

// serverOf is CoreDNS's server of a handler.
func (f *fronted) serverOf(t *testing.T, handler *Handler) *dnsserver.Server {
	t.Helper()
	block := &dnsserver.Config{Zone: ".", Transport: "dns"}
	block.AddPlugin(func(plugin.Handler) plugin.Handler { return handler })
	server, err := dnsserver.NewServer(f.name, []*dnsserver.Config{block})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// serveFor has the front serve for a handler, as from the start of its server on.
func (f *fronted) serveFor(t *testing.T, handler *Handler) {
	t.Helper()
	metrics := coremetrics.New("127.0.0.1:0")
	metrics.AddZone(".")
	way := &serving{handler: handler, server: f.serverOf(t, handler), requests: newRequestMetrics(metrics, f.name)}
	if err := f.shared.serveFront(f.name, f.address, way); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if handler.waiting.empty == nil { // not ended by the test
			f.shared.endFronts(handler)
		}
	})
}

// connect opens a connection to the address.
func (f *fronted) connect(t *testing.T) *dns.Conn {
	t.Helper()
	connection, err := dns.DialTimeout("tcp", f.address.String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return connection
}

// send asks for an address.
func send(t *testing.T, connection *dns.Conn, name string) {
	t.Helper()
	if _, err := connection.Write(packed(t, name, dns.TypeA)); err != nil {
		t.Fatal(err)
	}
}

// receive is the next reply.
func receive(t *testing.T, connection *dns.Conn) *dns.Msg {
	t.Helper()
	reply, err := connection.ReadMsg()
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// slowly is an upstream that answers for slow.example. when it is told to, and at once for
// everything else, always with the same address.
func slowly(t *testing.T, address string, asked, release chan struct{}) string {
	return serve(t, func(w dns.ResponseWriter, request *dns.Msg) {
		reply := new(dns.Msg)
		reply.SetReply(request)
		if dns.CanonicalName(request.Question[0].Name) == "slow.example." {
			asked <- struct{}{}
			<-release
		}
		records(request.Question[0].Name + " 60 IN A " + address)(reply)
		_ = w.WriteMsg(reply)
	})
}

func TestConnectionsAreAnswered(t *testing.T) {
	f := newFronted(t, newHandler(t, answers(t, sql), "", longAgo))
	question := packed(t, "db1.database.windows.net.", dns.TypeA)
	change := func(at int, value byte) []byte {
		changed := slices.Clone(question)
		changed[at] = value
		return changed
	}
	tests := []struct {
		name    string
		message []byte
		rcode   int
		answers int
	}{
		{"a miss", question, dns.RcodeSuccess, 2},
		{"a hit", question, dns.RcodeSuccess, 2},
		{"two questions", change(5, 2), dns.RcodeFormatError, 0},
		{"cut off", question[:20], dns.RcodeFormatError, 0},
		{"bytes behind it", append(slices.Clone(question), 1, 2, 3), dns.RcodeFormatError, 0},
		{"an operation nobody knows", change(2, 7<<3), dns.RcodeNotImplemented, 0},
		{"EDNS version 1", change(len(question)-5, 1), dns.RcodeBadVers, 0},
		{"NOTIFY, which is CoreDNS's to judge", change(2, dns.OpcodeNotify<<3), dns.RcodeRefused, 0},
		{"another class", change(len(question)-12, dns.ClassCHAOS), dns.RcodeRefused, 0},
	}
	connection := f.connect(t)
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := connection.Write(tc.message); err != nil {
				t.Fatal(err)
			}
			got := receive(t, connection)
			if got.Rcode != tc.rcode || len(got.Answer) != tc.answers || got.Id != uint16(question[0])<<8|uint16(question[1]) {
				t.Errorf("reply = %v, want %s and %d records", got, dns.RcodeToString[tc.rcode], tc.answers)
			}
		})
	}
	stats := f.shared.fronts[f.name].streams.Stats()
	if !stats.Steered || stats.Accepted != 1 || stats.Messages != uint64(len(tests)) || stats.InFlight != 0 {
		t.Errorf("Stats() = %+v, want one steered connection with all messages", stats)
	}
	if got := testutil.ToFloat64(vars.RequestCount.WithLabelValues(f.name, ".", "", "tcp", "1", "A")); got != 3 {
		t.Errorf("%v requests for A over TCP are counted, want 3: a query that is malformed behind its question counts", got)
	}
}

func TestAConnectionIsToldHowLongItMayBeIdle(t *testing.T) {
	f := newFronted(t, newHandler(t, answers(t, sql), "", longAgo))
	request := new(dns.Msg)
	request.SetQuestion("db1.database.windows.net.", dns.TypeA)
	request.SetEdns0(1232, false)
	request.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_TCP_KEEPALIVE{}}
	connection := f.connect(t)
	if err := connection.WriteMsg(request); err != nil {
		t.Fatal(err)
	}
	options := receive(t, connection).IsEdns0().Option
	if len(options) != 1 {
		t.Fatalf("options = %v, want edns-tcp-keepalive", options)
	}
	if got, ok := options[0].(*dns.EDNS0_TCP_KEEPALIVE); !ok || got.Timeout != uint16(idleTime/(100*time.Millisecond)) {
		t.Errorf("option = %v, want edns-tcp-keepalive with %s", options[0], idleTime)
	}
}

func TestAQuickQuestionOvertakesASlowOne(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	f := newFronted(t, newHandler(t, slowly(t, "192.0.2.1", asked, release), "", longAgo))
	connection := f.connect(t)
	send(t, connection, "slow.example.")
	<-asked
	send(t, connection, "quick.example.")
	if got := receive(t, connection); got.Question[0].Name != "quick.example." {
		t.Errorf("the first reply = %v, want that to the quick question", got)
	}
	close(release)
	if got := receive(t, connection); got.Question[0].Name != "slow.example." || lastAddress(got) != "192.0.2.1" {
		t.Errorf("the second reply = %v, want that to the slow question", got)
	}
}

func TestAConnectionOutlivesAReload(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	before := newHandler(t, slowly(t, "192.0.2.1", asked, release), "", longAgo)
	after := newHandler(t, slowly(t, "192.0.2.2", nil, nil), "", longAgo)
	f := newFronted(t, before)
	connection := f.connect(t)
	send(t, connection, "slow.example.")
	<-asked

	f.serveFor(t, after)
	var ended atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.shared.endFronts(before) // waits for the slow question
		ended.Store(true)
	}()
	send(t, connection, "quick.example.")
	if got := receive(t, connection); lastAddress(got) != "192.0.2.2" {
		t.Errorf("the reply after the reload = %v, want that of the new configuration", got)
	}
	if ended.Load() {
		t.Error("the configuration before has ended, want it to answer first")
	}
	close(release)
	if got := receive(t, connection); lastAddress(got) != "192.0.2.1" {
		t.Errorf("the reply to the question from before = %v, want that of its configuration", got)
	}
	<-done
	send(t, connection, "another.example.")
	if got := receive(t, connection); lastAddress(got) != "192.0.2.2" {
		t.Errorf("the reply in the end = %v, want that of the new configuration", got)
	}
}

func TestTheEndAnswersWhatHasCome(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	handler := newHandler(t, slowly(t, "192.0.2.1", asked, release), "", longAgo)
	f := newFronted(t, handler)
	connection := f.connect(t)
	send(t, connection, "slow.example.")
	<-asked
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.shared.endFronts(handler)
	}()
	close(release)
	if got := receive(t, connection); lastAddress(got) != "192.0.2.1" {
		t.Errorf("the reply = %v, want the address", got)
	}
	<-done
	if got, err := connection.ReadMsg(); err == nil {
		t.Errorf("a reply after the end = %v, want the connection closed", got)
	}
	// CoreDNS's listener has the address again.
	again := f.connect(t)
	send(t, again, "quick.example.")
	if got := receive(t, again); got.Rcode != dns.RcodeSuccess {
		t.Errorf("CoreDNS's reply = %v, want an answer", got)
	}
}
