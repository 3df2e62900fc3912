package explain

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// cloud is a name server that answers as Azure-provided DNS does in one VNet, and the
// faults that it can have. Its fields must not be changed once it serves.
type cloud struct {
	// resources are public names with the privatelink names they lead to.
	resources map[string]string
	// public are names without a private endpoint.
	public map[string]string
	// redirect: what a linked zone lacks is looked up in public DNS (NxDomainRedirect).
	redirect bool
	// zones are the private zones that are linked, with the addresses in them.
	zones map[string]map[string][]string

	// rcode is the answer to everything, where it is not 0; aaaa that to AAAA alone.
	rcode, aaaa int
	// delay is how late every reply comes.
	delay time.Duration
	// noTCP, noEDNS and cut are what happens on the way: TCP is blocked, questions with
	// EDNS or all over UDP are dropped, or EDNS is taken out so that replies end at 512
	// bytes.
	noTCP, noEDNS, noUDP, cut bool
	// noSOA: no question for a SOA record is answered but with SERVFAIL.
	noSOA bool
	// dead replies to nothing.
	dead bool
	// back is a server that every question is sent to in place of an answer; nil for none.
	back atomic.Pointer[string]
}

// sendTo has every question sent to a server from now on.
func (c *cloud) sendTo(server string) { c.back.Store(&server) }

// azure is a cloud without a fault. Db1 has a private endpoint, and so have v1 and
// many, whose answer is longer than 512 bytes, and more, which no datagram can hold;
// partner1 is somebody else's.
func azure() *cloud {
	return &cloud{
		resources: map[string]string{
			"db1.database.windows.net.":      "db1.privatelink.database.windows.net.",
			"partner1.database.windows.net.": "partner1.privatelink.database.windows.net.",
			"many.database.windows.net.":     "many.privatelink.database.windows.net.",
			"more.database.windows.net.":     "more.privatelink.database.windows.net.",
			"v1.vault.azure.net.":            "v1.privatelink.vaultcore.azure.net.",
		},
		public: map[string]string{"web1.database.windows.net.": "203.0.113.11"},
		zones: map[string]map[string][]string{
			"privatelink.database.windows.net.": {
				"db1.privatelink.database.windows.net.":  {"10.0.2.4"},
				"many.privatelink.database.windows.net.": addresses(40),
				"more.privatelink.database.windows.net.": addresses(200),
			},
			"privatelink.vaultcore.azure.net.": {"v1.privatelink.vaultcore.azure.net.": {"10.0.2.5"}},
		},
	}
}

func addresses(count int) []string {
	var all []string
	for index := range count {
		all = append(all, fmt.Sprintf("10.0.9.%d", index+1))
	}
	return all
}

// serve answers on a port of loopback over UDP and TCP, and returns its address.
func (c *cloud) serve(t *testing.T) string {
	t.Helper()
	socket, listener := listenBoth(t)
	started := make(chan struct{}, 2)
	servers := []*dns.Server{{PacketConn: socket, Handler: c}, {Listener: listener, Handler: c}}
	if c.noTCP {
		_ = listener.Close()
		servers = servers[:1]
	}
	for _, server := range servers {
		server.NotifyStartedFunc = func() { started <- struct{}{} }
		go func() { _ = server.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = server.Shutdown() })
	}
	return socket.LocalAddr().String()
}

// listenBoth opens a port that is free for UDP and for TCP.
func listenBoth(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		socket, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("tcp", socket.LocalAddr().String())
		if err == nil {
			return socket, listener
		}
		_ = socket.Close()
	}
	t.Fatal("found no port that is free for UDP and TCP")
	return nil, nil
}

// ServeDNS answers a question, or does what is wrong with the cloud.
func (c *cloud) ServeDNS(w dns.ResponseWriter, request *dns.Msg) {
	options := request.IsEdns0()
	overUDP := w.RemoteAddr().Network() == "udp"
	if c.dead || overUDP && (c.noUDP || c.noEDNS && options != nil) {
		return
	}
	if c.delay > 0 {
		<-time.After(c.delay)
	}
	reply := new(dns.Msg)
	if back := c.back.Load(); back != nil {
		if forwarded, err := dns.Exchange(request, *back); err == nil {
			_ = w.WriteMsg(forwarded)
		}
		return
	}
	reply.SetReply(request)
	reply.RecursionAvailable, reply.Compress = true, true
	c.fill(reply, strings.ToLower(request.Question[0].Name), request.Question[0].Qtype)
	size := dns.MinMsgSize
	if options != nil && !c.cut {
		reply.SetEdns0(1232, false)
		size = int(options.UDPSize())
	}
	if overUDP {
		reply.Truncate(size)
	}
	_ = w.WriteMsg(reply)
}

func (c *cloud) fill(reply *dns.Msg, name string, qtype uint16) {
	switch {
	case c.rcode != 0:
		reply.Rcode = c.rcode
	case c.aaaa != 0 && qtype == dns.TypeAAAA:
		reply.Rcode = c.aaaa
	case qtype == dns.TypeSOA && c.noSOA:
		reply.Rcode = dns.RcodeServerFailure
	case qtype == dns.TypeSOA:
		reply.Answer = []dns.RR{c.soa(name)}
	case name == "microsoft.com." && qtype == dns.TypeTXT:
		for range 8 {
			reply.Answer = append(reply.Answer, record(name+" 60 TXT "+strings.Repeat("v", 100)))
		}
	case c.public[name] != "" && qtype == dns.TypeA:
		reply.Answer = []dns.RR{record(name + " 60 A " + c.public[name])}
	case c.public[name] != "":
		reply.Ns = []dns.RR{c.soa(".")}
	case c.resources[name] != "":
		reply.Answer = append(reply.Answer, record(name+" 60 CNAME "+c.resources[name]))
		c.fillPrivate(reply, c.resources[name], qtype)
	case strings.Contains(name, "privatelink."):
		c.fillPrivate(reply, name, qtype)
	default:
		reply.Rcode = dns.RcodeNameError
		reply.Ns = []dns.RR{c.soa(".")}
	}
}

// fillPrivate answers for a name in a privatelink zone: by the zone where it is linked,
// by public DNS where not.
func (c *cloud) fillPrivate(reply *dns.Msg, name string, qtype uint16) {
	_, zone, _ := strings.Cut(name, ".")
	held, linked := c.zones[zone]
	linked = linked && (held[name] != nil || !c.redirect)
	switch {
	case !linked && qtype == dns.TypeA:
		reply.Answer = append(reply.Answer, record(name+" 60 CNAME slice6.example."), record("slice6.example. 60 A 203.0.113.10"))
	case !linked, qtype != dns.TypeA && held[name] != nil:
		reply.Ns = []dns.RR{c.soa(zone)}
	case held[name] == nil:
		reply.Rcode = dns.RcodeNameError
		reply.Ns = []dns.RR{c.soa(zone)}
	}
	if qtype == dns.TypeA {
		for _, address := range held[name] {
			reply.Answer = append(reply.Answer, record(name+" 1 A "+address))
		}
	}
}

// soa is the record of a zone, or of the public zone that stands in for one that is
// not linked.
func (c *cloud) soa(zone string) dns.RR {
	if _, linked := c.zones[zone]; linked {
		return record(zone + " 10 SOA azureprivatedns.net. azureprivatedns-host.microsoft.com. 1 3600 300 2419200 10")
	}
	return record(zone + " 10 SOA ns1-01.azure-dns.com. msnhst.microsoft.com. 1 3600 300 2419200 10")
}

func record(text string) dns.RR {
	parsed, err := dns.NewRR(text)
	if err != nil {
		panic(err)
	}
	return parsed
}
