package privatelink

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/batch"
	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// newReadLoop returns a loop in front of a handler, without a socket.
func newReadLoop(handler *Handler) *datagramLoop {
	f := &front{}
	f.serving.Store(&serving{handler: handler})
	return newDatagramLoop(f)
}

// packed is a question with EDNS as it comes off the wire.
func packed(t testing.TB, name string, qtype uint16) []byte {
	t.Helper()
	request := new(dns.Msg)
	request.SetQuestion(name, qtype)
	request.SetEdns0(1232, false)
	datagram, err := request.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return datagram
}

var clientPeer = batch.Peer{Remote: netip.MustParseAddrPort("10.30.0.4:5353")}

// warm asks a question once, so that its answer is kept.
func warm(t testing.TB, handler *Handler, name string) {
	t.Helper()
	request := new(dns.Msg)
	request.SetQuestion(name, dns.TypeA)
	exchange(t, handler, "10.30.0.4", request)
}

func TestReadLoopAnswersAHitWithoutAllocating(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "", longAgo)
	warm(t, handler, "db1.database.windows.net.")
	loop, datagram, buffer := newReadLoop(handler), packed(t, "DB1.database.windows.net.", dns.TypeA), make([]byte, 0, wire.AdvertisedSize)
	reply := new(dns.Msg)
	if err := reply.Unpack(loop.Answer(datagram, clientPeer, buffer)); err != nil {
		t.Fatal(err)
	}
	if lastAddress(reply) != "10.0.2.4" || reply.Question[0].Name != "DB1.database.windows.net." {
		t.Errorf("Answer() = %v, want 10.0.2.4 in the client's spelling", reply)
	}
	if got := testing.AllocsPerRun(100, func() { loop.Answer(datagram, clientPeer, buffer) }); got != 0 {
		t.Errorf("Answer() of a kept answer allocates %v times, want 0", got)
	}
}

func TestReadLoopAnswersWhatIsNoQuestion(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "", longAgo)
	question := packed(t, "db1.database.windows.net.", dns.TypeA)
	change := func(at int, value byte) []byte {
		changed := append([]byte{}, question...)
		changed[at] = value
		return changed
	}
	answer := []byte{0, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0} // TXT of the root, empty
	withAnswers := slices.Concat(change(7, 2)[:len(question)-11], answer, answer, question[len(question)-11:])
	tests := []struct {
		name     string
		datagram []byte
		rcode    int // -1 for no reply
	}{
		{"nothing", nil, -1},
		{"a reply", change(2, 0x80), -1},
		{"two questions", change(5, 2), dns.RcodeFormatError},
		{"cut off", question[:20], dns.RcodeFormatError},
		{"an operation nobody knows", change(2, 7<<3), dns.RcodeNotImplemented},
		{"EDNS version 1", change(len(question)-5, 1), dns.RcodeBadVers},
		{"an UPDATE that cannot be read", append(change(2, dns.OpcodeUpdate<<3), 1)[:len(question)-3], dns.RcodeFormatError},
		{"more answers than a query has", withAnswers, dns.RcodeFormatError},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := newReadLoop(handler).Answer(tc.datagram, clientPeer, nil)
			if tc.rcode < 0 {
				if len(got) > 0 {
					t.Errorf("Answer() = %x, want no reply", got)
				}
				return
			}
			reply := new(dns.Msg)
			if err := reply.Unpack(got); err != nil || reply.Rcode != tc.rcode || reply.Id != 0 && reply.Id != uint16(question[0])<<8|uint16(question[1]) {
				t.Errorf("Answer() = %v (%v), want %s", reply, err, dns.RcodeToString[tc.rcode])
			}
		})
	}
}

// TestReadLoopRefusesAMalformedOptionInTheLine, which counts and logs it: a cookie of a
// length that none has.
func TestReadLoopRefusesAMalformedOptionInTheLine(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "", longAgo)
	request := new(dns.Msg)
	request.SetQuestion("db1.database.windows.net.", dns.TypeA)
	request.SetEdns0(1232, false)
	request.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "00"}}
	datagram, err := request.Pack()
	if err != nil {
		t.Fatal(err)
	}
	loop, reply := newReadLoop(handler), new(dns.Msg)
	if err := reply.Unpack(loop.Answer(datagram, clientPeer, nil)); err != nil {
		t.Fatal(err)
	}
	if reply.Rcode != dns.RcodeFormatError || loop.outcome.decision.Rule != policy.Malformed {
		t.Errorf("Answer() = %v by rule %s, want FORMERR by rule %s", reply, loop.outcome.decision.Rule, policy.Malformed)
	}
}

// TestReadLoopLosesNothingToAReload passes on a query of another class when the handler
// that it was read for takes no more.
func TestReadLoopLosesNothingToAReload(t *testing.T) {
	handler := newHandler(t, answers(t, sql), "", longAgo)
	handler.waiting.end()
	datagram := packed(t, "db1.database.windows.net.", dns.TypeA)
	datagram[len(datagram)-11-1] = dns.ClassCHAOS // before an OPT record of 11 octets
	reply := new(dns.Msg)
	if err := reply.Unpack(newReadLoop(handler).Answer(datagram, clientPeer, nil)); err != nil {
		t.Fatalf("Answer() of a query that nobody can take: %v, want SERVFAIL", err)
	}
	if reply.Rcode != dns.RcodeServerFailure {
		t.Errorf("Answer() = %v, want SERVFAIL", reply)
	}
}

func BenchmarkReadLoop(b *testing.B) {
	handler := newHandler(b, answers(b, sql), "", longAgo)
	warm(b, handler, "db1.database.windows.net.")
	loop, datagram, buffer := newReadLoop(handler), packed(b, "db1.database.windows.net.", dns.TypeA), make([]byte, 0, wire.AdvertisedSize)
	b.ReportAllocs()
	for b.Loop() {
		loop.Answer(datagram, clientPeer, buffer)
	}
}
