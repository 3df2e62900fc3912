//go:build linux

package lab

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/miekg/dns"
)

// packet is a query with a fixed identifier and its flags and counts, followed
// by anything.
func packet(flags, questions, additional uint16, rest ...byte) []byte {
	header := make([]byte, 0, 12+len(rest))
	for _, word := range []uint16{malformedID, flags, questions, 0, 0, additional} {
		header = binary.BigEndian.AppendUint16(header, word)
	}
	return append(header, rest...)
}

const malformedID = 0xbad

var (
	// wireName is db1.database.windows.net. on the wire.
	wireName = []byte("\x03db1\x08database\x07windows\x03net\x00")
	typeA    = []byte{0, 1, 0, 1}
)

// unread are the codes for what stops before the end of the question: CoreDNS
// reads it as a question without a name, or without a type, and answers before
// any plugin sees it.
var unread = []int{dns.RcodeFormatError, dns.RcodeServerFailure, dns.RcodeRefused}

// malformed are packets that are no ordinary questions, with the response codes
// of which one must come; none where no reply is owed, or must not be sent.
var malformed = []struct {
	name   string
	packet []byte
	rcodes []int
}{
	{"an empty packet", nil, nil},
	{"one byte", []byte{0x0b}, nil},
	{"a header cut short", packet(0, 1, 0)[:11], nil},
	{"a header alone, no question", packet(0, 0, 0), []int{dns.RcodeFormatError}},
	{"a header that promises a question", packet(0, 1, 0), unread},
	{"a name cut short", packet(0, 1, 0, wireName[:9]...), []int{dns.RcodeFormatError}},
	{"a question without its type", packet(0, 1, 0, wireName...), unread},
	{"a name that points to itself", packet(0, 1, 0, 0xc0, 12, 0, 1, 0, 1), []int{dns.RcodeFormatError}},
	{"a label of an unknown kind", packet(0, 1, 0, 0x41, 'a', 0, 0, 1, 0, 1), []int{dns.RcodeFormatError}},
	{"two questions", packet(0, 2, 0, slices.Concat(wireName, typeA, wireName, typeA)...), []int{dns.RcodeFormatError}},
	{"65535 questions", packet(0, 65535, 0, slices.Concat(wireName, typeA)...), []int{dns.RcodeFormatError}},
	{"a reply", packet(0x8000, 1, 0, slices.Concat(wireName, typeA)...), nil},
	{"opcode STATUS", packet(2<<11, 1, 0, slices.Concat(wireName, typeA)...), []int{dns.RcodeNotImplemented}},
	{"an unknown opcode", packet(7<<11, 1, 0, slices.Concat(wireName, typeA)...), []int{dns.RcodeNotImplemented}},
	{"class CHAOS", packet(0, 1, 0, slices.Concat(wireName, []byte{0, 1, 0, 3})...), []int{dns.RcodeRefused, dns.RcodeNotImplemented}},
	{"an unknown class", packet(0, 1, 0, slices.Concat(wireName, []byte{0, 1, 0xff, 0x10})...), []int{dns.RcodeRefused, dns.RcodeNotImplemented}},
	{"an unknown type", packet(0, 1, 0, slices.Concat(wireName, []byte{0xff, 0x10, 0, 1})...), []int{dns.RcodeSuccess}},
	{"EDNS version 1", packet(0, 1, 1, slices.Concat(wireName, typeA, []byte{0, 0, 41, 4, 208, 0, 1, 0, 0, 0, 0})...), []int{dns.RcodeBadVers}},
	// RFC 6891, section 6.1.1: FORMERR must be returned.
	{"two OPT records", packet(0, 1, 2, slices.Concat(wireName, typeA, []byte{0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0}, []byte{0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0})...), []int{dns.RcodeFormatError}},
	{"an OPT record cut short", packet(0, 1, 1, slices.Concat(wireName, typeA, []byte{0, 0, 41, 4, 208, 0})...), []int{dns.RcodeFormatError}},
}

// TestMalformedPackets: a packet that is no question gets the reply it is owed,
// and never stops the server.
func TestMalformedPackets(t *testing.T) {
	t.Parallel()
	l := New(t)
	startHub(l)
	vm := l.Host("VM in spoke", "10.2.0.10")
	for _, network := range []string{"udp", "tcp"} {
		for _, tc := range malformed {
			t.Run(tc.name+" over "+network, func(t *testing.T) {
				a := newAsker(t, vm, network, hubDNS)
				if err := a.send(tc.packet); err != nil {
					t.Fatal(err)
				}
				checkMalformed(t, a, tc.rcodes)
				if err := newAsker(t, vm, network, hubDNS).askAddress(sqlName, "10.0.2.4"); err != nil {
					t.Errorf("an ordinary question afterwards: %v", err)
				}
			})
		}
	}
}

// checkMalformed waits for a reply where one is owed. Where none is, whatever
// comes first must be the reply to an ordinary question, or, over TCP, the end
// of the connection.
func checkMalformed(t *testing.T, a *asker, rcodes []int) {
	t.Helper()
	if len(rcodes) == 0 {
		ordinary := question(sqlName)
		ordinary.Id = malformedID + 1
		if wire, err := ordinary.Pack(); err != nil || a.send(wire) != nil {
			return // the server has closed the connection
		}
		if reply, err := a.receive(); err == nil && reply.Id != ordinary.Id {
			t.Errorf("got a reply, want none: %v", reply)
		}
		return
	}
	reply, err := a.receive()
	if err != nil {
		t.Fatalf("got %v, want a reply", err)
	}
	if !reply.Response || reply.Id != malformedID || !slices.Contains(rcodes, reply.Rcode) {
		t.Errorf("got %v, want a reply with one of the codes %v", reply, rcodes)
	}
}

// TestGarbage sends random packets, half of them with a header that looks like
// a query's. An ordinary question after every few of them must be answered; it
// also keeps the packets from being lost in a full socket.
func TestGarbage(t *testing.T) {
	t.Parallel()
	l := New(t)
	us := startHub(l)
	vm := l.Host("VM in spoke", "10.2.0.10")
	sender, ordinary := newAsker(t, vm, "udp", hubDNS), newAsker(t, vm, "udp", hubDNS)
	chance := rand.New(rand.NewPCG(1, 2))
	for number := range 2000 {
		if err := sender.send(garbage(chance, number%2 == 0)); err != nil {
			t.Fatal(err)
		}
		if number%20 != 0 {
			continue
		}
		if err := ordinary.askAddress(sqlName, "10.0.2.4"); err != nil {
			t.Fatalf("an ordinary question after %d packets: %v", number+1, err)
		}
	}
	if code := us.Stop(); code != 0 {
		t.Errorf("got exit code %d, want 0; the server wrote:\n%s", code, us.Output(0))
	}
}

// garbage returns a random packet of up to 600 bytes.
func garbage(chance *rand.Rand, withHeader bool) []byte {
	content := make([]byte, chance.IntN(600))
	for index := range content {
		content[index] = byte(chance.Uint32())
	}
	if withHeader && len(content) >= 12 {
		copy(content, packet(0x0100, 1, uint16(chance.IntN(2))))
	}
	return content
}
