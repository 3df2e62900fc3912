package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

// examineUpstreams asks every upstream server, all at the same time.
func (c *checkup) examineUpstreams(ctx context.Context) {
	servers := c.stanza.Servers()
	patients := make([]patient, len(servers))
	var asking sync.WaitGroup
	for index, server := range servers {
		patients[index] = patient{server: server, opened: c.opened}
		asking.Go(func() { patients[index].examine(ctx) })
	}
	asking.Wait()
	for _, patient := range patients {
		c.findings = append(c.findings, patient.findings...)
	}
}

// patient is one upstream server under examination.
type patient struct {
	server   privatelink.UpstreamServer
	opened   *privatelink.Opened
	findings []finding
}

// add notes a finding. What is wrong with a server that routes only fall back to is
// no fault yet.
func (p *patient) add(severity privatelink.Severity, text, next string) {
	if p.server.Fallback && severity == privatelink.Fault {
		severity = privatelink.Warning
	}
	subject := p.server.Group + " " + p.server.Written
	p.findings = append(p.findings, finding{Check: "upstreams", Subject: subject, Severity: severity, Text: text, Next: next})
}

// slowLatency is above what a server in the same cloud or over ExpressRoute takes.
const (
	slowLatency = 100 * time.Millisecond
	badLatency  = 500 * time.Millisecond
)

func (p *patient) examine(ctx context.Context) {
	if p.server.Transport == upstream.TLS || p.server.Transport == upstream.HTTPS {
		p.examineEncrypted(ctx)
		return
	}
	var udp, plain, tcp heard
	var asking sync.WaitGroup
	asking.Go(func() { udp = p.ask(ctx, probe{network: "udp", name: "localhost.", qtype: dns.TypeA, edns: true}) })
	asking.Go(func() { plain = p.ask(ctx, probe{network: "udp", name: "localhost.", qtype: dns.TypeA}) })
	asking.Go(func() { tcp = p.ask(ctx, probe{network: "tcp", name: "localhost.", qtype: dns.TypeA, edns: true}) })
	asking.Wait()
	if p.reachable(udp, plain, tcp) {
		p.examineRcodes(ctx, udp)
		p.examineLatency(ctx, udp)
		p.examineLongAnswers(ctx)
	}
}

// ask puts a question, and once more where no reply came: a single loss is no fault.
func (p *patient) ask(ctx context.Context, question probe) heard {
	first := question.put(ctx, p.server.Address)
	if first.silent() {
		return question.put(ctx, p.server.Address)
	}
	return first
}

// reachable tells on which ways the server replies, and whether there is more to ask.
func (p *patient) reachable(udp, plain, tcp heard) bool {
	port := p.server.Address.Port()
	switch {
	case udp.silent() && plain.silent() && tcp.silent():
		p.add(privatelink.Fault, "replies neither over UDP nor over TCP: "+udp.why(), "see that the server runs, that firewalls and network security groups let port "+fmt.Sprint(port)+" pass, and that it serves this machine's address")
		return false
	case udp.silent() && !plain.silent():
		p.add(privatelink.Fault, "replies to questions without EDNS and drops those with it", "let EDNS pass: a firewall on the way, nearly always, or a very old server, drops it")
	case udp.silent():
		p.add(privatelink.Fault, "replies over TCP but not over UDP: "+udp.why(), fmt.Sprintf("let UDP port %d pass on the way there, and back", port))
	}
	if tcp.silent() {
		p.add(privatelink.Fault, "replies over UDP but not over TCP: "+tcp.why(), fmt.Sprintf("let TCP port %d pass: answers that are too long for UDP are lost otherwise", port))
	}
	return !udp.silent() && !tcp.silent()
}

// examineRcodes tells of a server that replies with errors.
func (p *patient) examineRcodes(ctx context.Context, localhost heard) {
	soa := p.ask(ctx, probe{network: "udp", name: p.server.Suffix, qtype: dns.TypeSOA, edns: true})
	if !soa.silent() && soa.fails() && localhost.fails() {
		p.add(privatelink.Fault, fmt.Sprintf("answers %s for the SOA of %s and %s for localhost", soa.rcode(), bareName(p.server.Suffix), localhost.rcode()), "look at that server's log: it fails by itself, or does not serve this machine's address")
		return
	}
	aaaa := p.ask(ctx, probe{network: "udp", name: "localhost.", qtype: dns.TypeAAAA, edns: true})
	if !aaaa.silent() && aaaa.fails() && !localhost.fails() {
		p.add(privatelink.Fault, "answers A but says "+aaaa.rcode()+" to AAAA", "have it answer NODATA: some clients take such an error for the whole name")
	}
}

func (p *patient) examineLatency(ctx context.Context, first heard) {
	took := []time.Duration{first.took}
	for range 2 {
		if again := (probe{network: "udp", name: "localhost.", qtype: dns.TypeA, edns: true}).put(ctx, p.server.Address); !again.silent() {
			took = append(took, again.took)
		}
	}
	slices.Sort(took)
	p.tellLatency(took[len(took)/2], "over UDP and TCP")
}

func (p *patient) tellLatency(took time.Duration, ways string) {
	text := fmt.Sprintf("replies %s, in %.1f ms", ways, float64(took)/float64(time.Millisecond))
	switch {
	case took >= badLatency:
		p.add(privatelink.Fault, text+": very slow", "look at the way there and at its load; clients wait as long for every new name")
	case took >= slowLatency:
		p.add(privatelink.Warning, text+": slow", "look at the way there and at its load")
	default:
		p.add(privatelink.Fine, text, "")
	}
}

// longQuestions have long answers in public DNS.
var longQuestions = []probe{
	{network: "tcp", name: ".", qtype: dns.TypeDNSKEY, edns: true, do: true},
	{network: "tcp", name: "microsoft.com.", qtype: dns.TypeTXT, edns: true},
}

// examineLongAnswers sees whether a long answer arrives.
func (p *patient) examineLongAnswers(ctx context.Context) {
	for _, question := range longQuestions {
		whole := question.put(ctx, p.server.Address)
		if whole.silent() || whole.size <= dns.MinMsgSize {
			continue
		}
		question.network = "udp"
		p.tellLongAnswer(whole, p.ask(ctx, question))
		return
	}
	p.add(skipped, "no answer above 512 bytes is at hand to see whether such ones arrive", "")
}

func (p *patient) tellLongAnswer(whole, udp heard) {
	switch fits := whole.size <= offeredSize; {
	case udp.silent():
		p.add(privatelink.Fault, fmt.Sprintf("an answer of %d bytes gets lost over UDP", whole.size), "let long datagrams pass: a firewall or tunnel on the way drops them")
	case udp.reply.Truncated && fits:
		p.add(privatelink.Warning, fmt.Sprintf("an answer of %d bytes is cut over UDP, though %d are offered: EDNS is taken out on the way", whole.size, offeredSize), "let EDNS pass: such answers come over TCP now, and later than they could")
	case udp.reply.Truncated:
		p.add(privatelink.Fine, fmt.Sprintf("an answer of %d bytes comes over TCP", whole.size), "")
	default:
		p.add(privatelink.Fine, fmt.Sprintf("an answer of %d bytes comes over UDP", udp.size), "")
	}
}

// examineEncrypted asks a server over TLS or HTTPS, whose certificate is checked then.
func (p *patient) examineEncrypted(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*probeTime)
	defer cancel()
	question := upstream.Question{Name: "localhost.", Type: dns.TypeA, Class: dns.ClassINET}
	if _, err := p.opened.Ask(ctx, p.server.Written, question); err != nil {
		p.add(privatelink.Fault, err.Error(), fmt.Sprintf("see that TCP port %d passes, and that the certificate carries the name", p.server.Address.Port()))
		return
	}
	// The second question does not pay for the connection.
	answer, err := p.opened.Ask(ctx, p.server.Written, question)
	if err != nil {
		p.add(privatelink.Fault, err.Error(), "")
		return
	}
	p.tellLatency(answer.RTT, "over "+string(p.server.Transport))
}
