package privatelink

import (
	"context"
	"slices"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
)

// maxCrossings bounds how often one question's chain may change routes.
const maxCrossings = 4

// crossRoutes asks the tail of a chain again, at the first catalogued name that
// another route owns: a corporate server that knows sql.corp.example CNAME
// db1.database.windows.net hands back the public tail, because it does not see
// the private zone. The tail's own fallbacks apply to it, and those of the head do not:
// it reports whether the answer is now that of a tail.
func (s *service) crossRoutes(ctx context.Context, o *outcome) (crossed bool) {
	if o.crossings == maxCrossings || o.fallback != noFallback || o.route.override || wantsCNAME(o.query.qtype) {
		return false
	}
	for index, link := range o.finding.Chain.Links {
		match := s.catalog.Match(link.Target)
		if match.Namespace == nil {
			continue
		}
		way := s.routes.find(link.Target, match)
		if way == nil || way.group == o.route.group {
			continue
		}
		s.askTail(ctx, o, index, s.tailOf(o, link.Target, match, way))
		return true
	}
	return s.finishChain(ctx, o)
}

// wantsCNAME reports whether a question is answered by a CNAME itself, and so not by
// what its target has (RFC 1034 section 3.6.2).
func wantsCNAME(qtype uint16) bool { return qtype == dns.TypeCNAME || qtype == dns.TypeANY }

// tailOf is the question for the tail of an outcome's chain.
func (s *service) tailOf(o *outcome, name string, match catalog.Match, way *route) *outcome {
	return &outcome{
		query: o.query.of(name), match: match, route: way, crossings: o.crossings + 1,
		guarded: o.guarded || s.policy.Guard.Protects(o.query.name, o.finding.Chain, s.catalog),
	}
}

// finishChain asks for the end of a chain that a server broke off without a word
// about its last name: one that does not recurse, for a zone of its own (RFC 1034
// section 5.3.3). Where nothing comes, what is there is told, and it reports false.
func (s *service) finishChain(ctx context.Context, o *outcome) (finished bool) {
	links := o.finding.Chain.Links
	last := len(links) - 1
	if last < 0 || !brokenOff(o) {
		return false
	}
	target := links[last].Target
	match := s.catalog.Match(target)
	way := s.routes.find(target, match)
	if way == nil {
		return false
	}
	tail := s.tailOf(o, target, match, way)
	s.ask(ctx, tail)
	o.groups = append(o.groups, tail.groups...)
	if tail.answer == nil {
		return false
	}
	s.appendAnswer(o, last, tail)
	return true
}

// brokenOff reports whether a chain ends without records and without an SOA record,
// which would say that there are none.
func brokenOff(o *outcome) bool {
	if o.finding.Verdict != verdict.NoData {
		return false
	}
	return !slices.ContainsFunc(o.answer.Msg.Ns, func(record dns.RR) bool { return record.Header().Rrtype == dns.TypeSOA })
}

// askTail puts the tail that its own route gives in place of what stands behind
// the link with the given index. Where that route has no answer there is none:
// the tail at hand may be public where it must not be.
func (s *service) askTail(ctx context.Context, o *outcome, index int, tail *outcome) {
	s.ask(ctx, tail)
	o.groups = append(o.groups, tail.groups...)
	if tail.answer == nil {
		o.answer, o.finding = nil, verdict.Finding{}
		o.route = tail.route
		o.fail(tail.failure)
		return
	}
	s.appendAnswer(o, index, tail)
}

// appendAnswer puts a tail's answer behind the link with the given index.
func (s *service) appendAnswer(o *outcome, index int, tail *outcome) {
	head := headOf(o.answer.Msg.Answer, o.query.name, index)
	message := tail.answer.Msg
	o.answer.Msg.Rcode = message.Rcode
	o.answer.Msg.AuthenticatedData = o.answer.Msg.AuthenticatedData && message.AuthenticatedData
	o.answer.Msg.Answer = append(head, message.Answer...)
	o.answer.Msg.Ns, o.answer.Msg.Extra = message.Ns, message.Extra
	o.answer.Attempts = append(o.answer.Attempts, tail.answer.Attempts...)
	o.fallback = tail.fallback
	o.finding = s.findingOf(&o.query, o.answer.Msg)
}

// tailRoutes are the other routes that a kept answer came by: those of the catalogued
// names of its chain.
func (s *service) tailRoutes(o *outcome, entry cache.Entry) []*route {
	var reader verdict.Reader
	return s.tailsOf(o.route, o.query.qtype, reader.Of(o.query.name, o.query.qtype, entry.Message(), s.catalog, s.private).Chain.Links)
}

func (s *service) tailsOf(way *route, qtype uint16, links []verdict.Link) []*route {
	if way.override || wantsCNAME(qtype) {
		return nil
	}
	var tails []*route
	for _, link := range links {
		match := s.catalog.Match(link.Target)
		if match.Namespace == nil {
			continue
		}
		if tail := s.routes.find(link.Target, match); tail != nil && tail.group != way.group && !slices.Contains(tails, tail) {
			tails = append(tails, tail)
		}
	}
	return tails
}

// tailMark is the same for tails that came by the same routes, 0 where there are none.
func tailMark(tails []*route) uint32 {
	mark := uint32(0)
	for _, tail := range tails {
		mark = mark*31 + tail.id
	}
	return mark
}

// groupsBehind are the groups that an answer in place of a kept one has to come from: one
// of them that fails or would wait is enough for it to be late.
func (s *service) groupsBehind(o *outcome, entry cache.Entry) []*upstream.Group {
	groups := []*upstream.Group{o.route.groupOf(entry)}
	for _, tail := range s.tailRoutes(o, entry) {
		groups = append(groups, tail.group)
	}
	return groups
}

// owns reports whether a kept answer came by the routes that its names have now. What a
// fallback brought behind a crossing is for the tail's route to have. An answer that came
// in since this configuration was made needs no look at its chain.
func (s *service) owns(o *outcome, entry cache.Entry) bool {
	if !entry.Exists() {
		return true
	}
	meta, since := entry.Meta(), !entry.Stored().Before(s.made)
	came := fallbackOf(meta.Flags)
	if own := meta.Group == o.route.id; !own || since && o.route.has(came) {
		return own
	}
	tails := s.tailRoutes(o, entry)
	if o.route.sites == nil && tailMark(tails) != meta.Site {
		return false
	}
	return o.route.has(came) || slices.ContainsFunc(tails, func(tail *route) bool { return tail.has(came) })
}

// headOf keeps the CNAMEs from name up to and with the link of the index, in
// the order of the chain, and the signatures of each.
func headOf(answer []dns.RR, name string, index int) []dns.RR {
	var head []dns.RR
	owner := name
	for range index + 1 {
		next := owner
		for _, record := range answer {
			if dns.CanonicalName(record.Header().Name) != owner {
				continue
			}
			switch record := record.(type) {
			case *dns.CNAME:
				next = dns.CanonicalName(record.Target)
				head = append(head, record)
			case *dns.RRSIG:
				head = append(head, record)
			}
		}
		owner = next
	}
	return head
}
