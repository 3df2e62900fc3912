package batch

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// replier is a worker that answers with a prefix before what it was sent.
type replier struct {
	prefix string
	answer func(datagram []byte, peer Peer, buffer []byte) []byte // instead, if not nil
	taken  atomic.Int64
	flush  atomic.Int64
}

func (r *replier) Answer(datagram []byte, peer Peer, buffer []byte) []byte {
	r.taken.Add(1)
	if r.answer != nil {
		return r.answer(datagram, peer, buffer)
	}
	return append(append(buffer, r.prefix...), datagram...)
}

func (r *replier) Flush() { r.flush.Add(1) }

// serve starts a group on an address with one worker for all its loops, so only with
// atomic state in it.
func serve(t testing.TB, address string, loops int, worker Worker) *Group {
	t.Helper()
	g, err := Listen(netip.MustParseAddrPort(address), loops)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	g.Serve(func(int) Worker { return worker })
	return g
}

// client returns a socket connected to an address.
func client(t testing.TB, address netip.AddrPort) *net.UDPConn {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// ask sends a datagram and returns the next one that comes back.
func ask(t testing.TB, conn *net.UDPConn, datagram string) string {
	t.Helper()
	if _, err := conn.Write([]byte(datagram)); err != nil {
		t.Fatal(err)
	}
	return hear(t, conn)
}

func hear(t testing.TB, conn *net.UDPConn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 65536)
	n, err := conn.Read(buffer)
	if err != nil {
		t.Fatalf("reading a reply: %v", err)
	}
	return string(buffer[:n])
}

func TestAnswersFromTheAddressThatWasAsked(t *testing.T) {
	tests := []struct{ name, bind, ask, wantLocal string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.1", "127.0.0.1"},
		{"IPv6", "[::1]:0", "::1", "::1"},
		{"wildcard asked over IPv4", "[::]:0", "127.0.0.2", "127.0.0.2"},
		{"wildcard asked over IPv6", "[::]:0", "::1", "::1"},
		{"IPv4 wildcard", "0.0.0.0:0", "127.0.0.3", "127.0.0.3"},
	}
	for _, tc := range tests {
		for _, late := range []bool{false, true} {
			name := tc.name
			if late {
				name += ", late and isolated"
			}
			t.Run(name, func(t *testing.T) { testAnswer(t, tc.bind, netip.MustParseAddr(tc.ask), tc.wantLocal, late) })
		}
	}
}

func testAnswer(t *testing.T, bind string, asked netip.Addr, wantLocal string, late bool) {
	peers := make(chan Peer, 1)
	g := serve(t, bind, 2, &replier{answer: func(datagram []byte, peer Peer, buffer []byte) []byte {
		peers <- peer
		if late {
			return buffer
		}
		return append(buffer, "reply"...)
	}})
	// A connected socket only hears who it is connected to.
	conn := client(t, netip.AddrPortFrom(asked, g.Addr().Port()))
	if _, err := conn.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	peer := <-peers
	if late {
		g.Stop()
		for _, l := range g.loops { // as Close does before the last are answered
			if err := l.isolate(); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Reply(peer, []byte("reply")); err != nil {
			t.Fatal(err)
		}
	}
	if got := hear(t, conn); got != "reply" {
		t.Errorf("got %q, want %q", got, "reply")
	}
	from := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	if want := netip.AddrPortFrom(from.Addr().WithZone(""), from.Port()); peer.Remote != want {
		t.Errorf("peer.Remote = %v, want %v", peer.Remote, want)
	}
	if peer.Local.String() != wantLocal {
		t.Errorf("peer.Local = %v, want %v", peer.Local, wantLocal)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if err := g.Reply(peer, []byte("reply")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Reply after Close = %v, want %v", err, net.ErrClosed)
	}
}

// TestLinkLocal asks over an address that means nothing without its interface.
func TestLinkLocal(t *testing.T) {
	address, ok := linkLocal(t)
	if !ok {
		t.Skip("no interface has a link-local address")
	}
	for _, late := range []bool{false, true} {
		testAnswer(t, "[::]:0", address, address.WithZone("").String(), late)
	}
}

func linkLocal(t *testing.T) (address netip.Addr, ok bool) {
	t.Helper()
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		addresses, err := i.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addresses {
			prefix := netip.MustParsePrefix(a.String())
			if prefix.Addr().Is6() && prefix.Addr().IsLinkLocalUnicast() {
				return prefix.Addr().WithZone(i.Name), true
			}
		}
	}
	return netip.Addr{}, false
}

func TestDatagramsOfEverySize(t *testing.T) {
	g := serve(t, "127.0.0.1:0", 1, &replier{answer: func(datagram []byte, _ Peer, buffer []byte) []byte {
		if len(datagram) == 0 {
			return append(buffer, "empty"...)
		}
		return append(buffer, datagram...)
	}})
	conn := client(t, g.Addr())
	if got := ask(t, conn, ""); got != "empty" {
		t.Errorf("an empty datagram got %q, want %q", got, "empty")
	}
	for _, length := range []int{1, probeSize, 512, MaxDatagram} {
		datagram := strings.Repeat("x", length)
		if got := ask(t, conn, datagram); got != datagram {
			t.Errorf("%d octets came back as %d", length, len(got))
		}
	}
	// One that is too long gets nothing, and the next one is answered.
	if _, err := conn.Write(make([]byte, MaxDatagram+1)); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, conn, "next"); got != "next" {
		t.Errorf("after a datagram that was too long: got %d octets, want %q", len(got), "next")
	}
	if got := g.Stats().Truncated; got != 1 {
		t.Errorf("Stats().Truncated = %d, want 1", got)
	}
}

func TestAReplyMayOutgrowTheBuffer(t *testing.T) {
	long := bytes.Repeat([]byte("long"), 5000)
	g := serve(t, "127.0.0.1:0", 1, &replier{answer: func(_ []byte, _ Peer, buffer []byte) []byte {
		return append(buffer, long...)
	}})
	if got := ask(t, client(t, g.Addr()), "question"); got != string(long) {
		t.Errorf("got %d octets, want %d", len(got), len(long))
	}
}

// TestOneBadReplyCostsNoOther holds the loop until a whole batch is queued, in which some
// replies cannot be sent: they are longer than any datagram.
func TestOneBadReplyCostsNoOther(t *testing.T) {
	impossible := make([]byte, 70000)
	hold := make(chan struct{})
	g := serve(t, "127.0.0.1:0", 1, &replier{answer: func(datagram []byte, _ Peer, buffer []byte) []byte {
		switch datagram[0] {
		case 'h':
			<-hold
		case 'b':
			return impossible
		}
		return append(buffer, datagram...)
	}})
	conn := client(t, g.Addr())
	for _, datagram := range []string{"hold", "bad", "good1", "bad", "bad", "good2", "bad"} {
		if _, err := conn.Write([]byte(datagram)); err != nil {
			t.Fatal(err)
		}
	}
	close(hold)
	for _, want := range []string{"hold", "good1", "good2"} {
		if got := hear(t, conn); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	g.Stop() // after it all is counted
	if s := g.Stats(); s.SendErrors != 4 || s.Sent != 3 || s.Received != 7 {
		t.Errorf("Stats() = %+v, want 7 received, 3 sent and 4 send errors", s)
	}
}

func TestAPanicCostsOneDatagram(t *testing.T) {
	g := serve(t, "127.0.0.1:0", 1, &replier{answer: func(datagram []byte, _ Peer, buffer []byte) []byte {
		if string(datagram) == "bad" {
			panic("cannot read " + string(datagram))
		}
		return append(buffer, datagram...)
	}})
	conn := client(t, g.Addr())
	if _, err := conn.Write([]byte("bad")); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, conn, "good"); got != "good" {
		t.Errorf("got %q, want %q", got, "good")
	}
	s := g.Stats()
	if s.Panics != 1 || !strings.HasPrefix(s.LastPanic, "cannot read bad\n") || !strings.Contains(s.LastPanic, "batch_linux_test.go") {
		t.Errorf("Stats() = %+v, want one panic with its stack", s)
	}
}

func TestASlowCallDelaysItsOwnLoopOnly(t *testing.T) {
	hold := make(chan struct{})
	var held atomic.Int64
	var worker replier
	worker.answer = func(datagram []byte, peer Peer, buffer []byte) []byte {
		if peer.loop == 0 {
			held.Add(1)
			<-hold
		}
		return append(buffer, datagram...)
	}
	g := serve(t, "127.0.0.1:0", 2, &worker)
	defer close(hold)
	conn := client(t, g.Addr())
	for held.Load() == 0 {
		if _, err := conn.Write([]byte("question")); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 { // about half of them land on the loop that runs
		if _, err := conn.Write([]byte("question")); err != nil {
			t.Fatal(err)
		}
	}
	hear(t, conn)
}

func TestFlushFollowsEveryBatch(t *testing.T) {
	var worker replier
	g := serve(t, "127.0.0.1:0", 1, &worker)
	conn := client(t, g.Addr())
	for range 10 {
		ask(t, conn, "question")
	}
	g.Stop()
	if s, got := g.Stats(), worker.flush.Load(); uint64(got) != s.Batches || got == 0 {
		t.Errorf("%d calls of Flush for %d batches", got, s.Batches)
	}
}

func TestListenRefuses(t *testing.T) {
	taken, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}) // without SO_REUSEPORT
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct {
		name    string
		address netip.AddrPort
		loops   int
		want    string
	}{
		{"no loops", netip.MustParseAddrPort("127.0.0.1:0"), 0, "found 0 loops, expected 1 to 1024"},
		{"an address that is taken", taken.LocalAddr().(*net.UDPAddr).AddrPort(), 1, "address already in use"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			g, err := Listen(tc.address, tc.loops)
			if err == nil {
				g.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Listen = %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestReplyToNobody(t *testing.T) {
	g := serve(t, "127.0.0.1:0", 1, &replier{})
	if err := g.Reply(Peer{}, []byte("reply")); err == nil {
		t.Error("Reply to the zero Peer returned no error")
	}
}

func TestTheReceiveBufferIsReported(t *testing.T) {
	g := serve(t, "127.0.0.1:0", 1, &replier{})
	// 212,992 is the kernel's default and also the default limit, which it doubles.
	if got := g.Stats().ReceiveBuffer; got < 2*212992 {
		t.Errorf("Stats().ReceiveBuffer = %d, want more than the default", got)
	}
}
