//go:build linux

package differential

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// question is a packet and who sends it. Its id is set when it is sent.
type question struct {
	packet []byte
	client netip.Addr
}

// scene are questions that are asked one after the other, by one client: about names
// that nobody else asks for, so that it is the same in whatever company it plays.
type scene []question

// weighted is one way among several.
type weighted[T any] struct {
	weight int
	value  T
}

func pick[T any](random *rand.Rand, from []weighted[T]) T {
	sum := 0
	for _, w := range from {
		sum += w.weight
	}
	at := random.IntN(sum)
	for _, w := range from {
		if at -= w.weight; at < 0 {
			return w.value
		}
	}
	panic("unreachable")
}

// author makes scenes at random.
type author struct{ *rand.Rand }

func newAuthor(seed uint64) *author { return &author{rand.New(rand.NewPCG(seed, 0))} }

var scenes = []weighted[func(*author) scene]{
	{60, func(a *author) scene { return scene{a.question(a.request())} }},
	{12, (*author).chase},
	{6, (*author).types},
	{12, (*author).mutation},
	{5, (*author).garbage},
}

// questions makes scenes until they hold so many questions.
func (a *author) questions(number int) (all []scene) {
	for number > 0 {
		next := pick(a.Rand, scenes)(a)
		all = append(all, next)
		number -= len(next)
	}
	return all
}

// clientNetworks are those of the classes: other, stub, resolver, denied.
var clientNetworks = []weighted[byte]{{5, 0}, {2, 1}, {4, 2}, {1, 3}}

func (a *author) client() netip.Addr {
	return netip.AddrFrom4([4]byte{127, 0, pick(a.Rand, clientNetworks), byte(1 + a.IntN(3))})
}

func (a *author) question(r *request) question {
	return question{packet: r.pack(), client: a.client()}
}

// request is a question as a client might ask it, with all that may vary.
func (a *author) request() *request {
	r := &request{name: a.name(), qtype: a.qtype(), qclass: dns.ClassINET, flags: a.flags()}
	if a.IntN(20) == 0 {
		r.qclass = []uint16{dns.ClassCHAOS, dns.ClassHESIOD, dns.ClassNONE, dns.ClassANY, 0, uint16(a.IntN(65536))}[a.IntN(6)]
	}
	if a.IntN(10) < 7 {
		r.edns = a.edns()
	}
	for a.IntN(30) == 0 {
		r.records = append(r.records, a.record())
	}
	return r
}

func (a *author) flags() uint16 {
	var flags uint16
	for _, f := range []struct {
		bit    uint16
		chance int // in 100
	}{{flagRD, 85}, {flagAD, 20}, {flagCD, 20}, {1 << 10, 2}, {1 << 9, 2}, {1 << 7, 2}, {1 << 6, 2}} {
		if a.IntN(100) < f.chance {
			flags |= f.bit
		}
	}
	switch a.IntN(50) {
	case 0:
		flags |= uint16(a.IntN(16)) << 11 // another operation
	case 1:
		flags |= dns.OpcodeNotify << 11
	case 2:
		flags |= dns.OpcodeUpdate << 11
	case 3:
		flags |= uint16(a.IntN(16)) // an rcode
	}
	return flags
}

// commonTypes are those that clients ask for mostly.
var commonTypes = []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeTXT, dns.TypeSRV, dns.TypeMX, dns.TypeNS, dns.TypeSOA, dns.TypePTR, dns.TypeCNAME, dns.TypeANY, dns.TypeDS, dns.TypeDNSKEY, dns.TypeSVCB}

func (a *author) qtype() uint16 {
	switch at := a.IntN(100); {
	case at < 45:
		return dns.TypeA
	case at < 80:
		return commonTypes[a.IntN(len(commonTypes))]
	case at < 92:
		return uint16(a.IntN(300))
	default:
		return uint16(a.IntN(65536))
	}
}

// sizes are the UDP sizes at which something changes.
var sizes = []uint16{0, 1, 511, 512, 513, 600, 1220, 1231, 1232, 1233, 1452, 1480, 1481, 4096, 65535}

func (a *author) edns() *edns {
	e := &edns{owner: []byte{0}, size: uint16(a.IntN(65536))}
	if a.IntN(3) > 0 {
		e.size = sizes[a.IntN(len(sizes))]
	}
	if a.IntN(3) == 0 {
		e.ttl |= flagDO
	}
	switch a.IntN(40) {
	case 0:
		e.ttl |= uint32(a.IntN(256)) << 16 // a version
	case 1:
		e.ttl |= uint32(a.IntN(1 << 15)) // flags that nobody has registered
	case 2:
		e.ttl |= uint32(a.IntN(256)) << 24 // an extended rcode
	case 3:
		e.owner = wireName("odd")
	}
	for a.IntN(5) < 2 {
		e.options = append(e.options, a.option()...)
	}
	return e
}

// options that clients send; those behind are written wrongly, or are none.
var optionMakers = []weighted[func(*author) []byte]{
	{30, func(a *author) []byte { return option(dns.EDNS0COOKIE, a.bytes(8)...) }},
	{10, func(a *author) []byte { return option(dns.EDNS0COOKIE, a.bytes(16+a.IntN(25))...) }},
	{10, func(*author) []byte { return option(dns.EDNS0NSID) }},
	{10, func(a *author) []byte { return option(dns.EDNS0SUBNET, append([]byte{0, 1, 24, 0}, a.bytes(3)...)...) }},
	{3, func(*author) []byte { return option(dns.EDNS0SUBNET, 0, 1, 0, 0) }},
	{3, func(a *author) []byte { return option(dns.EDNS0SUBNET, append([]byte{0, 2, 56, 0}, a.bytes(7)...)...) }},
	{5, func(*author) []byte { return option(dns.EDNS0TCPKEEPALIVE) }},
	{2, func(*author) []byte { return option(dns.EDNS0TCPKEEPALIVE, 0, 100) }},
	{8, func(a *author) []byte { return option(dns.EDNS0PADDING, make([]byte, a.IntN(300))...) }},
	{4, func(*author) []byte { return option(dns.EDNS0EDE, 0, 3, 'x') }},
	{3, func(*author) []byte { return option(dns.EDNS0EXPIRE) }},
	{3, func(*author) []byte { return option(dns.EDNS0DAU, 8, 13) }},
	{8, func(a *author) []byte { return option(uint16(65001+a.IntN(500)), a.bytes(a.IntN(30))...) }},
	{4, func(a *author) []byte { return option(uint16(a.IntN(65536)), a.bytes(a.IntN(12))...) }},
	{6, func(a *author) []byte { return option(dns.EDNS0COOKIE, a.bytes(a.IntN(50))...) }},
	{2, func(a *author) []byte { return option(dns.EDNS0SUBNET, a.bytes(a.IntN(9))...) }},
	{1, func(a *author) []byte { return a.bytes(1 + a.IntN(6)) }},
}

func (a *author) option() []byte { return pick(a.Rand, optionMakers)(a) }

func (a *author) bytes(length int) []byte {
	data := make([]byte, length)
	for i := range data {
		data[i] = byte(a.Uint32())
	}
	return data
}

// record is one that does not belong into a question, or seldom.
func (a *author) record() placed {
	at := placed{section: a.IntN(4)}
	switch a.IntN(4) {
	case 0:
		at.bytes = record(wireName("x"), dns.TypeA, dns.ClassINET, 60, []byte{192, 0, 2, 1})
	case 1:
		at.bytes = a.edns().pack()
	case 2:
		at.bytes = record([]byte{0}, uint16(65280+a.IntN(10)), dns.ClassINET, 0, a.bytes(a.IntN(600)))
	default:
		data := slices.Concat(wireName("hmac-sha256"), []byte{0, 0, 0, 0, 0, 1, 1, 44, 0, 4}, a.bytes(4), []byte{0, 0, 0, 0, 0, 0})
		at.bytes = record(wireName("key"), dns.TypeTSIG, dns.ClassANY, 0, data)
	}
	return at
}

// chase asks for a name and then for what its chain leads to, as resolvers do; at
// times the second alone, which is a direct lookup.
func (a *author) chase() scene {
	n := namespaces[a.IntN(len(namespaces))]
	label := a.unique([]string{"private", "private", "missing", "unlinked", "several", "mixed"}[a.IntN(6)])
	client, size := a.client(), sizes[3+a.IntN(5)]
	ask := func(suffix string, qtype uint16) question {
		name := a.spell(slices.Concat(wireName(label)[:1+len(label)], labelsOf(suffix)))
		r := request{flags: flagRD, name: name, qtype: qtype, qclass: dns.ClassINET, edns: &edns{owner: []byte{0}, size: size}}
		return question{packet: r.pack(), client: client}
	}
	direct := ask(n.zone, []uint16{dns.TypeA, dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeSOA}[a.IntN(6)])
	if a.IntN(3) == 0 {
		return scene{direct}
	}
	return scene{ask(n.public, []uint16{dns.TypeA, dns.TypeA, dns.TypeAAAA}[a.IntN(3)]), direct}
}

// types asks for several types of one name, with and without DO.
func (a *author) types() scene {
	client, name := a.client(), a.name()
	var all scene
	for range 2 + a.IntN(3) {
		r := request{flags: flagRD, name: a.spell(name), qtype: a.qtype(), qclass: dns.ClassINET, edns: a.edns()}
		all = append(all, question{packet: r.pack(), client: client})
	}
	return all
}

// mutation is a question that something has happened to.
func (a *author) mutation() scene {
	q := a.question(a.request())
	for more := true; more; more = a.IntN(3) == 0 {
		q.packet = a.mutate(q.packet)
	}
	return scene{q}
}

func (a *author) mutate(packet []byte) []byte {
	if len(packet) <= 12 {
		return packet
	}
	switch a.IntN(8) {
	case 0:
		return packet[:a.IntN(len(packet))]
	case 1:
		return append(packet, a.bytes(1+a.IntN(20))...)
	case 2: // another number of records
		packet[5+2*a.IntN(4)] = byte(a.IntN(4))
	case 3: // a pointer, or a label of a kind that nobody knows
		packet[12] |= []byte{0xc0, 0x80, 0x40}[a.IntN(3)]
	case 4:
		packet[2+a.IntN(2)] = byte(a.Uint32())
	default:
		at := 2 + a.IntN(len(packet)-2)
		packet[at] ^= 1 << a.IntN(8)
	}
	return packet
}

func (a *author) garbage() scene {
	packet := a.bytes(a.IntN(120))
	if len(packet) > 2 && a.IntN(2) == 0 {
		packet[2] &= 0x01 // or nearly half would be replies
	}
	return scene{{packet: packet, client: a.client()}}
}

func (q question) String() string {
	text := fmt.Sprintf("from %s: %s", q.client, hex.EncodeToString(q.packet))
	var m dns.Msg
	if m.Unpack(q.packet) == nil && len(m.Question) > 0 {
		text += fmt.Sprintf(" (%q)", m.String())
	}
	return text
}
