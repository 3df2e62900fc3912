//go:build linux

package differential

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// namespace is a catalogued one.
type namespace struct{ public, zone string }

// namespaces are some that the catalog has; names of the second must be private.
var namespaces = []namespace{
	{"database.windows.net.", "privatelink.database.windows.net."},
	{"vault.azure.net.", "privatelink.vaultcore.azure.net."},
	{"blob.core.windows.net.", "privatelink.blob.core.windows.net."},
}

// ordinary is a zone outside the catalog, and unrouted one that no route covers.
// What is asked below dead goes to an upstream that is not there.
const ordinary, unrouted, dead = "example.org.", "example.com.", "dead.example."

// listen runs a scripted upstream over UDP and TCP at a free port. It says the same
// of a question whoever asks; the public one knows no private zones.
func listen(t *testing.T, public bool) netip.AddrPort {
	t.Helper()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, request *dns.Msg) {
		if err := w.WriteMsg(script(request, public, w.RemoteAddr().Network() == "udp")); err != nil {
			t.Errorf("the upstream could not answer %s: %v", request.Question[0].String(), err)
		}
	})
	for range 20 {
		address := freeAddress(t)
		packets, err := net.ListenPacket("udp", address.String())
		if err != nil {
			continue
		}
		stream, err := net.Listen("tcp", address.String())
		if err != nil {
			_ = packets.Close()
			continue
		}
		for _, s := range []*dns.Server{{PacketConn: packets, Handler: handler, UDPSize: 4096}, {Listener: stream, Handler: handler, MaxTCPQueries: -1}} {
			go func() { _ = s.ActivateAndServe() }()
			t.Cleanup(func() { _ = s.Shutdown() })
		}
		return address
	}
	t.Fatal("found no address for an upstream")
	return netip.AddrPort{}
}

// script is the whole upstream.
func script(request *dns.Msg, public, overUDP bool) *dns.Msg {
	reply := new(dns.Msg).SetReply(request)
	reply.RecursionAvailable = true
	reply.Compress = true
	answer(reply, public)
	if reply.Question[0].Name == "." {
		setTTL(reply, 24*60*60) // all scenes share it, so it must not end in one of them
	}
	size := dns.MinMsgSize
	if options := request.IsEdns0(); options != nil {
		size = int(options.UDPSize())
		reply.SetEdns0(1232, options.Do())
		if kindOf(reply.Question[0].Name) == "told" {
			own := reply.IsEdns0()
			own.Option = append(own.Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeDNSBogus, ExtraText: "as told"})
		}
	}
	if overUDP {
		reply.Truncate(size)
	}
	return reply
}

// kindOf is the part of a name before its first hyphen, and what is answered.
func kindOf(name string) string {
	kind, _, _ := strings.Cut(strings.ToLower(name), "-")
	return kind
}

// answer fills in the records. A name below a namespace leads to the privatelink
// zone, except for those without a private endpoint.
func answer(reply *dns.Msg, public bool) {
	name := reply.Question[0].Name
	if kindOf(name) == "crossing" {
		cross(reply, name, public)
		return
	}
	for _, n := range namespaces {
		if first, below := under(name, n.public); below && linked[kindOf(name)] {
			if _, itself := under(name, n.zone); !itself {
				target := first + "." + n.zone
				reply.Answer = append(reply.Answer, &dns.CNAME{Hdr: header(name, dns.TypeCNAME, 60), Target: target})
				tail(reply, target, public)
				return
			}
		}
	}
	tail(reply, name, public)
}

// cross leads to a name of a namespace, which another route may have.
func cross(reply *dns.Msg, name string, public bool) {
	target := "private-" + strings.Split(strings.ToLower(name), ".")[0] + "." + namespaces[0].public
	reply.Answer = append(reply.Answer, &dns.CNAME{Hdr: header(name, dns.TypeCNAME, 300), Target: target})
	question := reply.Question
	reply.Question = []dns.Question{{Name: target, Qtype: question[0].Qtype, Qclass: question[0].Qclass}}
	answer(reply, public)
	reply.Question = question
}

func under(name, suffix string) (first string, below bool) {
	rest, below := strings.CutSuffix(strings.ToLower(name), "."+suffix)
	return rest, below
}

// linked are the kinds of names that have somebody's private endpoint.
var linked = map[string]bool{"private": true, "missing": true, "unlinked": true, "several": true, "mixed": true}

// tail fills in what a name has that leads nowhere else.
func tail(reply *dns.Msg, name string, public bool) {
	tell, known := tails[kindOf(name)]
	switch {
	case !known && strings.HasPrefix(name, "privatelink."):
		negative(reply, name, dns.RcodeSuccess)
	case !known:
		ordinaryTail(reply, name, public)
	default:
		tell(reply, name, public)
	}
}

// tails are what names have by their kind. The public view is that of the world.
var tails = map[string]func(reply *dns.Msg, name string, public bool){
	"private": endpoint(1),
	"several": endpoint(3),
	"unlinked": func(reply *dns.Msg, name string, _ bool) {
		addresses(reply, name, "203.0.113.%d", 1)
	},
	"mixed": func(reply *dns.Msg, name string, _ bool) {
		addresses(reply, name, "10.0.7.%d", 1)
		addresses(reply, name, "203.0.113.%d", 1)
	},
	"missing": func(reply *dns.Msg, name string, public bool) {
		if public {
			addresses(reply, name, "203.0.113.%d", 1)
			return
		}
		negative(reply, name, dns.RcodeNameError)
	},
	"gone":     func(reply *dns.Msg, name string, _ bool) { negative(reply, name, dns.RcodeNameError) },
	"empty":    func(reply *dns.Msg, name string, _ bool) { negative(reply, name, dns.RcodeSuccess) },
	"bare":     func(*dns.Msg, string, bool) {},
	"failing":  func(reply *dns.Msg, _ string, _ bool) { reply.Rcode = dns.RcodeServerFailure },
	"refusing": func(reply *dns.Msg, _ string, _ bool) { reply.Rcode = dns.RcodeRefused },
	"notauth":  func(reply *dns.Msg, _ string, _ bool) { reply.Rcode = dns.RcodeNotAuth },
	"many":     func(reply *dns.Msg, name string, _ bool) { addresses(reply, name, "203.0.113.%d", 20+hash(name)%80) },
	"large": func(reply *dns.Msg, name string, _ bool) {
		for left := hash(name) % 4000; left >= 0; left -= 200 {
			text := &dns.TXT{Hdr: header(name, dns.TypeTXT, 300), Txt: []string{fmt.Sprint(left, strings.Repeat("x", min(left, 190)))}}
			reply.Answer = append(reply.Answer, text)
		}
	},
	"signed": func(reply *dns.Msg, name string, _ bool) {
		reply.AuthenticatedData = true
		addresses(reply, name, "203.0.113.%d", 2)
		if options := reply.IsEdns0(); options == nil || options.Do() {
			signature := &dns.RRSIG{Hdr: header(name, dns.TypeRRSIG, 300), TypeCovered: dns.TypeA, Algorithm: 13, Labels: 3, OrigTtl: 300, Expiration: 2000000000, Inception: 1, KeyTag: 1, SignerName: ordinary, Signature: "AAAA"}
			reply.Answer = append(reply.Answer, signature)
		}
	},
	"zero": func(reply *dns.Msg, name string, _ bool) { addresses(reply, name, "203.0.113.%d", 2); setTTL(reply, 0) },
	"long": func(reply *dns.Msg, name string, _ bool) {
		addresses(reply, name, "203.0.113.%d", 2)
		setTTL(reply, 1006632960)
	},
	"circle": func(reply *dns.Msg, name string, _ bool) {
		reply.Answer = append(reply.Answer, &dns.CNAME{Hdr: header(name, dns.TypeCNAME, 300), Target: "two." + strings.ToLower(name)},
			&dns.CNAME{Hdr: header("two."+strings.ToLower(name), dns.TypeCNAME, 300), Target: strings.ToLower(name)})
	},
}

// endpoint is a private endpoint with so many addresses, which the world does not
// know of.
func endpoint(number int) func(*dns.Msg, string, bool) {
	return func(reply *dns.Msg, name string, public bool) {
		if public {
			addresses(reply, name, "203.0.113.%d", 1)
			return
		}
		addresses(reply, name, "10.0.2.%d", number)
	}
}

// addresses adds A records, or says that there is nothing else.
func addresses(reply *dns.Msg, name, pattern string, number int) {
	qtype := reply.Question[0].Qtype
	if qtype != dns.TypeA && qtype != dns.TypeANY {
		negative(reply, name, dns.RcodeSuccess)
		return
	}
	for i := range number {
		address := netip.MustParseAddr(fmt.Sprintf(pattern, 1+i))
		reply.Answer = append(reply.Answer, &dns.A{Hdr: header(name, dns.TypeA, 10), A: address.AsSlice()})
	}
}

func negative(reply *dns.Msg, name string, rcode int) {
	reply.Rcode = rcode
	zone, primary := ".", "a.root-servers.net."
	for _, n := range namespaces {
		for _, candidate := range []string{n.public, n.zone} {
			if dns.IsSubDomain(candidate, name) {
				zone, primary = candidate, "azureprivatedns.net."
			}
		}
	}
	reply.Ns = []dns.RR{&dns.SOA{Hdr: header(zone, dns.TypeSOA, 300), Ns: primary, Mbox: "hostmaster.example.org.", Serial: 1, Refresh: 3600, Retry: 300, Expire: 2419200, Minttl: 300}}
}

// ordinaryTail has a record for most types, so that they are all seen in answers.
func ordinaryTail(reply *dns.Msg, name string, public bool) {
	qtype := reply.Question[0].Qtype
	if text, known := recordsByType[qtype]; known {
		record, err := dns.NewRR("owner. 300 IN " + dns.TypeToString[qtype] + " " + text)
		if err != nil {
			panic(err)
		}
		record.Header().Name = name
		reply.Answer = append(reply.Answer, record)
		return
	}
	if _, known := dns.TypeToString[qtype]; known || qtype == 0 {
		addresses(reply, name, "203.0.113.%d", 3)
		return
	}
	data := make([]byte, hash(name)%40)
	for i := range data {
		data[i] = byte(i * hash(name))
	}
	reply.Answer = append(reply.Answer, &dns.RFC3597{Hdr: header(name, qtype, 300), Rdata: hex.EncodeToString(data)})
}

var recordsByType = map[uint16]string{
	dns.TypeAAAA: "2001:db8::1", dns.TypeMX: "10 Mail.example.org.", dns.TypeSRV: "0 5 389 dc1.example.org.",
	dns.TypeTXT: `"some text" "more; of it"`, dns.TypeNS: "ns1.example.org.", dns.TypePTR: "host.example.org.",
	dns.TypeSOA: "ns1.example.org. hostmaster.example.org. 1 2 3 4 5", dns.TypeCAA: `0 issue "ca.example"`,
	dns.TypeHTTPS: "1 . alpn=h2 ipv4hint=203.0.113.1", dns.TypeSVCB: "1 svc.example.org. port=853",
	dns.TypeDS: "1 13 2 00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF", dns.TypeDNSKEY: "257 3 13 AAAA",
	dns.TypeNAPTR: `100 10 "S" "SIP+D2U" "" _sip._udp.example.org.`, dns.TypeTLSA: "3 1 1 0011", dns.TypeSSHFP: "1 1 00112233",
	dns.TypeCNAME: "alias.example.org.", dns.TypeDNAME: "example.net.", dns.TypeHINFO: `"a" "b"`, dns.TypeURI: `10 1 "https://example.org/"`,
	dns.TypeRP: "a.example.org. b.example.org.", dns.TypeAFSDB: "1 afs.example.org.", dns.TypeMINFO: "a.example.org. b.example.org.",
}

func header(name string, rtype uint16, seconds uint32) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rtype, Class: dns.ClassINET, Ttl: seconds}
}

func setTTL(reply *dns.Msg, seconds uint32) {
	for _, record := range append(append([]dns.RR(nil), reply.Answer...), reply.Ns...) {
		record.Header().Ttl = seconds
	}
}

// hash is a number that depends on a name only, whatever its case.
func hash(name string) int {
	digest := fnv.New32a()
	_, _ = digest.Write([]byte(strings.ToLower(name)))
	return int(digest.Sum32() >> 1)
}
