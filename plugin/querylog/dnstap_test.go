package querylog

import (
	"context"
	"crypto/tls"
	"net"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	tap "github.com/dnstap/golang-dnstap"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"
)

// tapReader is the library's own reader behind a listener.
type tapReader struct {
	listener net.Listener
	frames   chan []byte
	// connections are closed to play a reader that goes away.
	connections chan net.Conn
}

func newTapReader(t *testing.T, listener net.Listener) *tapReader {
	t.Helper()
	r := &tapReader{listener: listener, frames: make(chan []byte, 10_000), connections: make(chan net.Conn, 10)}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			input, err := tap.NewFrameStreamInputTimeout(connection, true, 10*time.Second)
			if err != nil {
				_ = connection.Close()
				continue
			}
			r.connections <- connection
			go input.ReadInto(r.frames)
		}
	}()
	t.Cleanup(func() { _ = listener.Close() })
	return r
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// next returns the next message.
func (r *tapReader) next(t *testing.T) *tap.Dnstap {
	t.Helper()
	select {
	case frame := <-r.frames:
		message := new(tap.Dnstap)
		if err := proto.Unmarshal(frame, message); err != nil {
			t.Fatalf("the frame %x is no dnstap message: %v", frame, err)
		}
		return message
	case <-time.After(10 * time.Second):
		t.Fatal("waited 10 s for a message")
		return nil
	}
}

func newDnstapLog(t *testing.T, options DnstapOptions, client ClientPrivacy) *Log {
	t.Helper()
	sink, err := NewDnstap(options)
	if err != nil {
		t.Fatal(err)
	}
	sink.(*dnstapSink).grace, sink.(*dnstapSink).retry = time.Second, 10*time.Millisecond
	log, err := New(Destination{Name: "dnstap", Sink: sink, Client: client, PrivacyKey: make([]byte, 16), QueueBytes: minQueueBytes})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// exchangedRecord was asked upstream twice, the first time in vain.
func exchangedRecord(t testing.TB) *Record {
	t.Helper()
	r := fullRecord()
	query := new(dns.Msg).SetQuestion(r.Name, dns.TypeA).SetEdns0(1232, true)
	query.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 32, Address: net.IPv4(10, 40, 3, 7).To4()}}
	r.Query = pack(t, query)
	reply := new(dns.Msg).SetReply(query)
	reply.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: r.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 10}, A: net.IPv4(10, 0, 2, 4)}}
	reply.SetEdns0(1232, true)
	r.Reply = pack(t, reply)
	upstream := netip.MustParseAddrPort("168.63.129.16:53")
	r.Exchanges = []Exchange{
		{Server: upstream, Transport: "udp", Sent: r.Time.Add(time.Millisecond), Query: []byte("query one")},
		{Server: upstream, Transport: "tcp", Sent: r.Time.Add(2 * time.Millisecond), Received: r.Time.Add(12 * time.Millisecond), Query: []byte("query two"), Reply: []byte("reply two")},
	}
	return r
}

func pack(t testing.TB, message *dns.Msg) []byte {
	t.Helper()
	wire, err := message.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

func TestDnstapOverEveryNetwork(t *testing.T) {
	tests := []struct {
		network string
		listen  func() net.Listener
	}{
		{"unix", func() net.Listener { return listen(t, "unix", filepath.Join(t.TempDir(), "tap.sock")) }},
		{"tcp", func() net.Listener { return listen(t, "tcp", "127.0.0.1:0") }},
		{"tls", func() net.Listener {
			server := httptest.NewUnstartedServer(nil)
			server.StartTLS()
			certificates := server.TLS.Certificates
			server.Close()
			return tls.NewListener(listen(t, "tcp", "127.0.0.1:0"), &tls.Config{Certificates: certificates})
		}},
	}
	for _, tc := range tests {
		t.Run(tc.network, func(t *testing.T) {
			reader := newTapReader(t, tc.listen())
			log := newDnstapLog(t, DnstapOptions{
				Network: tc.network, Address: reader.listener.Addr().String(), TLS: &tls.Config{InsecureSkipVerify: true},
				Messages: true, Extra: true, Identity: "hub-a", Version: "privatelink-dns-1.0",
			}, ClientShown)
			if !log.TakesMessages() {
				t.Error("TakesMessages() = false, want true")
			}
			record := exchangedRecord(t)
			log.Log(record)
			mustClose(t, log)
			checkTapped(t, reader, record)
		})
	}
}

// checkTapped holds the messages of one record against what CoreDNS's dnstap
// and forward write.
func checkTapped(t *testing.T, reader *tapReader, record *Record) {
	t.Helper()
	client, server, upstream := record.Client.Addr().AsSlice(), record.Server.Addr().AsSlice(), record.Exchanges[0].Server.Addr().AsSlice()
	start, end := record.Time, record.Time.Add(record.Duration)
	one, two := record.Exchanges[0], record.Exchanges[1]
	wants := []*tap.Message{
		tapMessage(tap.Message_CLIENT_QUERY, tap.SocketProtocol_UDP, client, server, start, time.Time{}, record.Query, nil),
		tapMessage(tap.Message_FORWARDER_QUERY, tap.SocketProtocol_UDP, nil, upstream, one.Sent, time.Time{}, one.Query, nil),
		tapMessage(tap.Message_FORWARDER_QUERY, tap.SocketProtocol_TCP, nil, upstream, two.Sent, time.Time{}, two.Query, nil),
		tapMessage(tap.Message_FORWARDER_RESPONSE, tap.SocketProtocol_TCP, nil, upstream, two.Sent, two.Received, nil, two.Reply),
		tapMessage(tap.Message_CLIENT_RESPONSE, tap.SocketProtocol_UDP, client, server, start, end, nil, record.Reply),
	}
	for index, want := range wants {
		got := reader.next(t)
		if !proto.Equal(got.GetMessage(), want) {
			t.Errorf("message %d is\n%v, want\n%v", index, got.GetMessage(), want)
		}
		if string(got.GetIdentity()) != "hub-a" || string(got.GetVersion()) != "privatelink-dns-1.0" || got.GetType() != tap.Dnstap_MESSAGE {
			t.Errorf("message %d is by %q, %q, type %v", index, got.GetIdentity(), got.GetVersion(), got.GetType())
		}
		if last := index == len(wants)-1; !last {
			if got.GetExtra() != nil {
				t.Errorf("message %d has extra %q, want it on the client response only", index, got.GetExtra())
			}
		} else if line := decodeLine(t, append(got.GetExtra(), '\n')); line.Verdict != "private" {
			t.Errorf("extra is %q, want the record", got.GetExtra())
		}
	}
}

func tapMessage(kind tap.Message_Type, protocol tap.SocketProtocol, from, to []byte, asked, answered time.Time, query, response []byte) *tap.Message {
	m := &tap.Message{
		Type: &kind, SocketProtocol: &protocol, SocketFamily: tap.SocketFamily_INET.Enum(),
		QueryAddress: from, ResponseAddress: to, ResponsePort: proto.Uint32(53),
		QueryTimeSec: proto.Uint64(uint64(asked.Unix())), QueryTimeNsec: proto.Uint32(uint32(asked.Nanosecond())),
		QueryMessage: query, ResponseMessage: response,
	}
	if from != nil {
		m.QueryPort = proto.Uint32(53124)
	}
	if !answered.IsZero() {
		m.ResponseTimeSec, m.ResponseTimeNsec = proto.Uint64(uint64(answered.Unix())), proto.Uint32(uint32(answered.Nanosecond()))
	}
	return m
}

func TestDnstapWithoutMessages(t *testing.T) {
	reader := newTapReader(t, listen(t, "tcp", "127.0.0.1:0"))
	log := newDnstapLog(t, DnstapOptions{Network: "tcp", Address: reader.listener.Addr().String()}, ClientShown)
	if log.TakesMessages() {
		t.Error("TakesMessages() = true, want false")
	}
	log.Log(exchangedRecord(t))
	mustClose(t, log)
	for range 5 {
		if m := reader.next(t).GetMessage(); m.QueryMessage != nil || m.ResponseMessage != nil {
			t.Errorf("%v holds a message, want times and addresses only", m)
		}
	}
}

// What may not be seen in the lines is not in the raw messages either.
func TestDnstapClientPrivacy(t *testing.T) {
	tests := []struct {
		name    string
		mode    ClientPrivacy
		address []byte
	}{
		{"truncated", ClientTruncated, []byte{10, 20, 0, 0}},
		{"hashed", ClientHashed, nil},
		{"hidden", ClientHidden, nil},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			reader := newTapReader(t, listen(t, "tcp", "127.0.0.1:0"))
			log := newDnstapLog(t, DnstapOptions{Network: "tcp", Address: reader.listener.Addr().String(), Messages: true, Extra: true}, tc.mode)
			record := exchangedRecord(t)
			log.Log(record)
			mustClose(t, log)
			for range 5 {
				got := reader.next(t)
				if kind := got.GetMessage().GetType(); kind != tap.Message_CLIENT_QUERY && kind != tap.Message_CLIENT_RESPONSE {
					continue
				}
				if address := got.GetMessage().GetQueryAddress(); !slices.Equal(address, tc.address) {
					t.Errorf("the query's address is %v, want %v", address, tc.address)
				}
				wire := append(got.GetMessage().GetQueryMessage(), got.GetMessage().GetResponseMessage()...)
				message := new(dns.Msg)
				if err := message.Unpack(wire); err != nil || message.IsEdns0() != nil || message.Question[0].Name != record.Name {
					t.Errorf("the raw message is %v, %v, want it without options", message, err)
				}
				if strings.Contains(string(got.GetExtra()), "10.20.0.7") || strings.Contains(string(got.GetExtra()), "10.40.3.7") {
					t.Errorf("extra shows the client: %s", got.GetExtra())
				}
			}
		})
	}
}

// tapNames logs records with numbers for names and returns those that came.
func tapNames(t *testing.T, reader *tapReader, count int) (names []string) {
	t.Helper()
	for len(names) < count {
		got := reader.next(t)
		if got.GetMessage().GetType() == tap.Message_CLIENT_RESPONSE {
			names = append(names, decodeLine(t, append(got.GetExtra(), '\n')).Name)
		}
	}
	return names
}

// A reader that is restarted loses nobody's records.
func TestDnstapReaderIsRestarted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tap.sock")
	reader := newTapReader(t, listen(t, "unix", path))
	log := newDnstapLog(t, DnstapOptions{Network: "unix", Address: path, Extra: true}, ClientShown)
	adder(log.Log).numbered(0, 10)
	expectNumbered(t, tapNames(t, reader, 10), 10)
	_ = reader.listener.Close()
	_ = (<-reader.connections).Close()
	appender := log.Appender()
	adder(appender.Add).numbered(0, 10)
	appender.Flush()
	reader = newTapReader(t, listen(t, "unix", path))
	expectNumbered(t, tapNames(t, reader, 10), 10)
	mustClose(t, log)
	checkTotals(t, log, 20)
	if s := log.Statistics()[0]; s.Dropped() != 0 || s.Err != nil {
		t.Errorf("Statistics() = %+v, want nothing dropped", s)
	}
}

// A reader that is not there costs records, which are counted, and is called
// again by itself.
func TestDnstapReaderComesLate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tap.sock")
	log := newDnstapLog(t, DnstapOptions{Network: "unix", Address: path, Extra: true}, ClientShown)
	adder(log.Log).numbered(0, 5)
	eventually(t, "the records to be given up", func() bool { return log.Statistics()[0].Refused == 5 })
	if err := log.Statistics()[0].Err; err == nil || !strings.Contains(err.Error(), "dnstap reader") {
		t.Errorf("Statistics().Err = %v, want the reader named", err)
	}
	reader := newTapReader(t, listen(t, "unix", path))
	for number := 0; log.Statistics()[0].Err != nil; number++ {
		log.Log(plainRecord(strconv.Itoa(number)))
		eventually(t, "the record's fate", func() bool { s := log.Statistics()[0]; return s.Written+s.Refused == uint64(6+number) })
	}
	tapNames(t, reader, 1)
	mustClose(t, log)
}

// A reader that accepts and then hangs fills the queue, and no more.
func TestDnstapReaderHangs(t *testing.T) {
	listener := listen(t, "unix", filepath.Join(t.TempDir(), "tap.sock"))
	defer listener.Close()
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = tap.NewReader(connection, &tap.ReaderOptions{Bidirectional: true})
		<-t.Context().Done()
		_ = connection.Close()
	}()
	log := newDnstapLog(t, DnstapOptions{Network: "unix", Address: listener.Addr().String(), Extra: true}, ClientShown)
	const count = 5000
	adder(log.Log).numbered(0, count)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := log.Close(ctx); err == nil {
		t.Error("Close() = nil, want the hung sink named")
	}
	if s := log.Statistics()[0]; s.QueueFull == 0 || s.Late == 0 {
		t.Errorf("Statistics() = %+v, want the queue full and the rest late", s)
	}
	checkTotals(t, log, count)
}

func TestDnstapDoesNotAllocate(t *testing.T) {
	sink, err := NewDnstap(DnstapOptions{Network: "unix", Address: "tap.sock", Messages: true, Extra: true, Identity: "hub-a"})
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []ClientPrivacy{ClientShown, ClientTruncated} {
		encode, buffer, record := sink.newEncoder(), make([]byte, 0, blockLength), exchangedRecord(t)
		v := view{privacy: &privacy{mode: mode}, clock: &clock{}}
		if allocations := testing.AllocsPerRun(100, func() { buffer = encode(buffer[:0], record, v) }); allocations != 0 {
			t.Errorf("a record with client privacy %d allocates %v times, want 0", mode, allocations)
		}
	}
}

func TestNewDnstapRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		options DnstapOptions
		want    string
	}{
		"an unknown network":      {DnstapOptions{Network: "udp", Address: "127.0.0.1:53"}, `network "udp"`},
		"no address":              {DnstapOptions{Network: "tcp"}, "no dnstap address"},
		"an identity without end": {DnstapOptions{Network: "tcp", Address: "a:1", Identity: strings.Repeat("a", 256)}, "identity of 256"},
	} {
		if sink, err := NewDnstap(tc.options); sink != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("NewDnstap() of %s = %v, %v, want an error with %q", name, sink, err, tc.want)
		}
	}
}
