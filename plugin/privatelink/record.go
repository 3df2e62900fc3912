package privatelink

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/querylog"
)

// fill writes the outcome into a record of the query log, whose slices it uses again.
// What the record refers to lasts as long as the outcome. Reply is what was sent.
func (o *outcome) fill(record *querylog.Record, reply []byte, now time.Time) {
	q := &o.query
	*record = querylog.Record{
		Time: q.arrived, Client: q.client, Server: q.server, Transport: q.transport,
		ClientClass: o.decision.Class.String(), RealClient: o.realClient(), RealClientID: o.realClientID(),
		ID: q.asked.ID, Name: q.name, Type: q.qtype, Class: q.qclass,
		QueryFlags: queryFlags(q), ReplyFlags: replyFlags(reply, q.key.DO), QuerySize: q.size, ReplySize: len(reply),
		Rcode:  uint16(o.replyCode()),
		HasEDE: o.extendedError.Present, EDECode: o.extendedError.Code, EDEText: o.extendedError.Text,
		Direct: o.match.Zone != nil, Chase: o.decision.Chase,
		PolicyRule: o.decision.Rule.String(), PolicyAction: o.decision.Action.String(),
		Cache: string(o.cacheState), Fallback: string(o.fallback), Duration: now.Sub(q.arrived),
		Chain: record.Chain[:0], Query: q.packet, Reply: reply,
	}
	if o.match.Namespace != nil {
		record.Namespace = o.match.Namespace.Suffix
	}
	if o.match.Zone != nil {
		record.PrivatelinkZone = strings.TrimSuffix(o.match.ZoneName(q.name), ".")
	}
	o.fillUpstream(record)
}

// fillUpstream adds what was learned from an upstream.
func (o *outcome) fillUpstream(record *querylog.Record) {
	if o.route != nil {
		record.Route, record.Group = o.route.label, o.route.group.Name
	}
	if o.group != nil {
		record.Group = o.group.Name
		if o.route != nil && o.route.sites != nil && o.fallback == noFallback {
			record.Site = o.group.Name
		}
	}
	if o.failure != nil {
		record.Error = o.failure.Error()
	}
	if !o.answered() {
		return
	}
	o.fillExchange(record)
	record.Verdict = o.finding.Verdict.String()
	record.Answers = o.finding.Chain.Addresses
	record.UncataloguedPrivatelink = o.finding.Uncatalogued
	for _, link := range o.finding.Chain.Links {
		record.Chain = append(record.Chain, link.Target)
	}
	if o.finding.Zone != nil {
		record.PrivatelinkZone = o.finding.ZoneName
	}
}

// fillExchange adds the question that was asked upstream, if one was.
func (o *outcome) fillExchange(record *querylog.Record) {
	if o.answer == nil || o.cacheState != fromUpstream && o.cacheState != fromShared {
		return
	}
	record.Upstream = o.answer.Server.String()
	record.UpstreamTransport, record.UpstreamDuration = string(o.answer.Transport), o.answer.RTT
}

// fillMessages adds the whole messages between this server and upstreams, of the one
// query among those who share them that they were sent for.
func (o *outcome) fillMessages(record *querylog.Record) {
	if !o.asked() {
		return
	}
	for index := range o.groups {
		asked := &o.groups[index]
		query := asked.packed()
		for _, vain := range asked.vain {
			record.Exchanges = append(record.Exchanges, querylog.Exchange{
				Server: vain.Server, Transport: string(vain.Transport), Sent: asked.received.Add(-vain.Elapsed), Query: query,
			})
		}
		if answer := asked.answer; answer != nil {
			record.Exchanges = append(record.Exchanges, querylog.Exchange{
				Server: answer.Server, Transport: string(answer.Transport),
				Sent: asked.received.Add(-answer.RTT), Received: asked.received, Query: query, Reply: answer.Wire,
			})
		}
	}
}

// realClient is who asked a declared resolver, as that told in EDNS Client Subnet (RFC
// 7871): of anybody else it may be a lie.
func (o *outcome) realClient() netip.Prefix {
	if o.decision.Class.IsResolver() {
		return o.query.asked.ClientSubnet
	}
	return netip.Prefix{}
}

// realClientID is who asked a declared resolver, as that told in the option that the
// configuration names: text as it is, anything else, such as a hardware address, in
// hexadecimal.
func (o *outcome) realClientID() string {
	told := o.query.asked.LocalOption(o.identity)
	for _, each := range told {
		if each < ' ' || each > '~' {
			return hex.EncodeToString(told)
		}
	}
	return string(told)
}

func queryFlags(q *query) querylog.Flags {
	var flags querylog.Flags
	for _, flag := range [...]struct {
		set  bool
		mark querylog.Flags
	}{{q.asked.RD, querylog.FlagRD}, {q.asked.AD, querylog.FlagAD}, {q.key.CD, querylog.FlagCD}, {q.key.DO, querylog.FlagDO}} {
		if flag.set {
			flags |= flag.mark
		}
	}
	return flags
}

// replyFlags are those of the reply's header; DO is that of the query.
func replyFlags(reply []byte, do bool) querylog.Flags {
	if len(reply) < 4 {
		return 0
	}
	header := binary.BigEndian.Uint16(reply[2:])
	var flags querylog.Flags
	for _, flag := range [...]struct {
		bit  uint16
		mark querylog.Flags
	}{{1 << 10, querylog.FlagAA}, {1 << 9, querylog.FlagTC}, {1 << 8, querylog.FlagRD}, {1 << 7, querylog.FlagRA}, {1 << 5, querylog.FlagAD}, {1 << 4, querylog.FlagCD}} {
		if header&flag.bit != 0 {
			flags |= flag.mark
		}
	}
	if do {
		flags |= querylog.FlagDO
	}
	return flags
}

// replyCode is the rcode of the reply.
func (o *outcome) replyCode() int {
	if o.tells() {
		return o.entry.Rcode()
	}
	return o.rcode
}

func rcodeName(rcode int) string {
	if name, known := dns.RcodeToString[rcode]; known {
		return name
	}
	return "RCODE" + strconv.Itoa(rcode)
}
