package privatelink

import (
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/querylog"
)

// record is the outcome as the query log writes it.
func (o *outcome) record(now time.Time) *querylog.Record {
	record := &querylog.Record{
		Time:         o.query.arrived,
		Client:       o.query.client.Addr(),
		ClientPort:   o.query.client.Port(),
		Transport:    o.query.transport,
		ClientClass:  o.decision.Class.String(),
		Name:         o.query.name,
		Type:         dns.Type(o.query.qtype).String(),
		Class:        dns.Class(o.query.qclass).String(),
		Rcode:        rcodeName(o.replyCode()),
		Direct:       o.match.Zone != nil,
		Chase:        o.decision.Chase,
		PolicyRule:   o.decision.Rule.String(),
		PolicyAction: o.decision.Action.String(),
		Seconds:      now.Sub(o.query.arrived).Seconds(),
	}
	if o.match.Namespace != nil {
		record.Namespace = o.match.Namespace.Suffix
	}
	if o.match.Zone != nil {
		record.PrivatelinkZone = strings.TrimSuffix(o.match.ZoneName(o.query.name), ".")
	}
	if o.extendedError.Present {
		record.EDE = &querylog.EDE{Code: o.extendedError.Code, Text: o.extendedError.Text}
	}
	o.recordUpstream(record)
	return record
}

// recordUpstream adds what was learned from an upstream.
func (o *outcome) recordUpstream(record *querylog.Record) {
	if o.route != nil {
		record.Route, record.Group, record.Fallback = o.route.label, o.route.group.Name, string(o.fallback)
	}
	if o.group != nil {
		record.Group = o.group.Name
	}
	record.Cache = string(o.cacheState)
	if o.failure != nil {
		record.Error = o.failure.Error()
	}
	if !o.answered() {
		return
	}
	if o.answer != nil && (o.cacheState == fromUpstream || o.cacheState == fromShared) {
		record.Upstream = o.answer.Server.String()
		record.UpstreamTransport = string(o.answer.Transport)
		record.UpstreamSeconds = o.answer.RTT.Seconds()
	}
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
