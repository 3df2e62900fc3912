package main

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// probe is one question to one address, put straight on a socket: the server's own
// client would hide what is wrong on the way.
type probe struct {
	network string
	name    string
	qtype   uint16
	// edns asks with EDNS and room for offeredSize bytes, do for signatures as well.
	edns, do bool
}

// heard is what came back.
type heard struct {
	reply *dns.Msg
	// size is that of the reply as it came.
	size int
	took time.Duration
	err  error
}

const (
	// probeTime is how long a reply is waited for.
	probeTime = 2 * time.Second
	// offeredSize is what the server offers its upstreams.
	offeredSize = 1232
)

// put asks the question once.
func (p probe) put(ctx context.Context, server netip.AddrPort) heard {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	started := time.Now()
	socket, err := new(net.Dialer).DialContext(ctx, p.network, server.String())
	if err != nil {
		return heard{err: err}
	}
	connection := &dns.Conn{Conn: socket, UDPSize: dns.MaxMsgSize}
	defer func() { _ = connection.Close() }()
	deadline, _ := ctx.Deadline()
	_ = connection.SetDeadline(deadline)
	question := p.question()
	if err := connection.WriteMsg(question); err != nil {
		return heard{err: err}
	}
	for {
		var header dns.Header
		data, err := connection.ReadMsgHeader(&header)
		if err != nil {
			return heard{err: err}
		}
		if header.Id != question.Id {
			continue // late, or forged
		}
		reply := new(dns.Msg)
		if err := reply.Unpack(data); err != nil && binary.BigEndian.Uint16(data[2:])&(1<<9) == 0 {
			return heard{err: err}
		}
		return heard{reply: reply, size: len(data), took: time.Since(started)}
	}
}

func (p probe) question() *dns.Msg {
	question := new(dns.Msg)
	question.SetQuestion(p.name, p.qtype)
	if p.edns {
		question.SetEdns0(offeredSize, p.do)
	}
	return question
}

// silent reports whether nothing came, be it that nobody listens.
func (h heard) silent() bool { return h.err != nil }

// why is why nothing came.
func (h heard) why() string {
	var timeout net.Error
	if errors.As(h.err, &timeout) && timeout.Timeout() {
		return "no reply within " + probeTime.String()
	}
	if errors.Is(h.err, syscall.ECONNREFUSED) {
		return "nothing listens there"
	}
	return h.err.Error()
}

// rcode is the reply's, with its name.
func (h heard) rcode() string { return dns.RcodeToString[h.reply.Rcode] }

// fails reports whether the reply is one that says nothing about the name.
func (h heard) fails() bool {
	return h.reply.Rcode != dns.RcodeSuccess && h.reply.Rcode != dns.RcodeNameError
}
