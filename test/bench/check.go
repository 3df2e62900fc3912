//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// samples is how many answers are looked at before a server is measured.
const samples = 50

// check waits until the server answers, and then fails unless it answers as it
// should: a server that says SERVFAIL is quick, and no peer.
func (c *cell) check(name func(int) string) error {
	var err error
	for deadline := time.Now().Add(startingTime); time.Now().Before(deadline); pause(20 * time.Millisecond) {
		if c.hasEnded() {
			return errors.New("it ended")
		}
		if err = c.checkAnswer(name(0)); err == nil {
			break
		}
	}
	for n := 0; err == nil && n < samples; n++ {
		err = c.checkAnswer(name(n))
	}
	return err
}

// checkAnswer asks for the address of a name and judges the answer.
func (c *cell) checkAnswer(name string) error {
	reply, err := ask(c.client, c.place.address, new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA), time.Second)
	if err != nil {
		return err
	}
	return c.judge(name, reply)
}

// judge says what is wrong with a reply, if anything.
func (c *cell) judge(name string, reply *dns.Msg) error {
	if rcode := dns.RcodeToString[reply.Rcode]; rcode != c.rcode {
		return fmt.Errorf("asked for %s it answers %s, expected %s", name, rcode, c.rcode)
	}
	if reply.Rcode != dns.RcodeSuccess {
		return nil
	}
	label, _, _ := strings.Cut(name, ".")
	expected := addressOf(label)
	if len(reply.Answer) == 2 && reply.Answer[0].Header().Rrtype == dns.TypeCNAME {
		if a, ok := reply.Answer[1].(*dns.A); ok && a.A.Equal(net.IP(expected.AsSlice())) {
			return nil
		}
	}
	return fmt.Errorf("asked for %s it answers %v, expected a CNAME and %s", name, reply.Answer, expected)
}

// ask sends a query from an address and returns the reply.
func ask(client netip.Addr, server netip.AddrPort, query *dns.Msg, patience time.Duration) (*dns.Msg, error) {
	exchange := dns.Client{Timeout: patience, Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: client.AsSlice()}}}
	reply, _, err := exchange.Exchange(query, server.String())
	return reply, err
}

// asked is how many questions for an address the upstream has had.
func (b *bench) asked() (int, error) {
	query := new(dns.Msg).SetQuestion(dns.Fqdn(countName), dns.TypeTXT)
	reply, err := ask(netip.MustParseAddr("127.0.0.1"), b.address, query, 5*time.Second)
	if err != nil {
		return 0, fmt.Errorf("asking the upstream for its count: %w", err)
	}
	if len(reply.Answer) == 1 {
		if text, ok := reply.Answer[0].(*dns.TXT); ok {
			return strconv.Atoi(strings.Join(text.Txt, ""))
		}
	}
	return 0, fmt.Errorf("asking the upstream for its count: found %v", reply.Answer)
}
