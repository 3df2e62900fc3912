package privatelink

import (
	"context"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
)

// maxCrossings bounds how often one question's chain may change routes.
const maxCrossings = 4

// crossRoutes asks the tail of a chain again, at the first catalogued name that
// another route owns: a corporate server that knows sql.corp.example CNAME
// db1.database.windows.net hands back the public tail, because it does not see
// the private zone. The tail's own fallbacks apply to it.
func (s *service) crossRoutes(ctx context.Context, o *outcome) {
	if o.crossings == maxCrossings || o.fallback != noFallback || o.route.override {
		return
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
		s.askTail(ctx, o, index, &outcome{
			query: o.query.of(link.Target), match: match, route: way, crossings: o.crossings + 1,
			guarded: o.guarded || s.policy.Guard.Protects(o.query.name, o.finding.Chain, s.catalog),
		})
		return
	}
}

// askTail puts the tail that its own route gives in place of what stands behind
// the link with the given index. Where that route has no answer there is none:
// the tail at hand may be public where it must not be.
func (s *service) askTail(ctx context.Context, o *outcome, index int, tail *outcome) {
	s.ask(ctx, tail)
	if tail.answer == nil {
		o.answer, o.finding = nil, verdict.Finding{}
		o.route = tail.route
		o.fail(tail.failure)
		return
	}
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
