package privatelink

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
)

// Severity is how bad a finding is.
type Severity string

// The severities. A Warning is legal and may be meant; a Fault keeps somebody from an
// answer, or gives a wrong one.
const (
	Fine    Severity = "ok"
	Warning Severity = "warning"
	Fault   Severity = "fault"
)

// Diagnosis is what an explanation comes to.
type Diagnosis struct {
	Severity Severity `json:"severity"`
	// Code names the finding for programs, such as "zone-not-linked".
	Code string `json:"code"`
	// Text is one sentence: what is the matter, and what to do.
	Text string `json:"text"`
}

// diagnosers are tried in this order, the first that knows an answer has the say:
// what policy did, then why there is no answer, then what is wrong with the one there
// is, then what is worth knowing of a good one.
var diagnosers = []func(*service, *explained) *Diagnosis{
	diagnosePolicy, diagnoseRoute, diagnoseFailure, diagnoseOutdated, diagnoseElsewhere,
	diagnoseOutage, diagnoseUnlinked, diagnoseMissing, diagnoseNoResource, diagnoseWithheld, diagnoseNeighbour, diagnoseTwoSites,
	diagnoseOtherType, diagnoseWay, diagnoseSlow, diagnoseSize, diagnoseUncatalogued, diagnoseFine,
}

// diagnoseExplained finds the one sentence that an explanation ends with.
func (s *service) diagnoseExplained(e *explained) Diagnosis {
	for _, diagnose := range diagnosers {
		if found := diagnose(s, e); found != nil {
			return *found
		}
	}
	return Diagnosis{Fine, "answered", "answered as usual"}
}

func fault(code, format string, arguments ...any) *Diagnosis {
	return &Diagnosis{Fault, code, fmt.Sprintf(format, arguments...)}
}

func warning(code, format string, arguments ...any) *Diagnosis {
	return &Diagnosis{Warning, code, fmt.Sprintf(format, arguments...)}
}

// bare is a name as people write it.
func bare(name string) string { return strings.TrimSuffix(name, ".") }

// diagnosePolicy tells of what may not be asked.
func diagnosePolicy(_ *service, e *explained) *Diagnosis {
	o := e.told
	switch rule := e.first.Rule; {
	case rule == policy.ClientNotServed:
		return fault("client-not-served", "client %s is not served here: it is in a network of \"clients deny\", or in none of \"clients allow\"; --client explains another", o.query.client.Addr())
	case rule == policy.DirectLookup && e.first.Action.Rejects():
		return fault("direct-lookup", "this is a direct lookup of a privatelink name, which the service's certificate does not carry: use %s", o.publicName())
	case rule == policy.DirectLookup, rule == policy.Starting, rule == policy.Overflow:
		return warning("direct-lookup", "this is a direct lookup of a privatelink name, which passes this time (rule %s): use %s", rule, o.publicName())
	case o.decision.Rule == policy.UnsupportedOperation:
		return fault("unsupported", "%s is no question for data: this server forwards questions and holds no zones", dns.Type(o.query.qtype))
	case o.override != nil && o.answered():
		return warning("override", "%s; \"privatelink-dns override remove %s\" ends it", o.override.Explanation(o.query.arrived), bare(o.override.Name))
	}
	return nil
}

// diagnoseRoute tells of names that nobody is asked for.
func diagnoseRoute(_ *service, e *explained) *Diagnosis {
	switch o := e.told; {
	case o.decision.Rule == policy.LocallyServed:
		return warning("locally-served", "this server answers for the zone itself, because \"locally-served\" names it and no route but that of the root is for the name; give it a route if somebody knows it")
	case o.route == nil && o.override == nil:
		return fault("no-route", "no route leads anywhere for this name: add \"route . GROUP\" for all the rest, or a route for its suffix")
	}
	return nil
}

// diagnoseFailure tells why upstream gave no answer, whether or not an older one went out.
func diagnoseFailure(_ *service, e *explained) *Diagnosis {
	o := e.now
	if o.failure == nil {
		return nil
	}
	cause := causeOf(e)
	switch {
	case e.told.cacheState == fromStale && e.told.tells():
		cause.Severity, cause.Code = Warning, "stale-"+cause.Code
		age := e.told.entry.Age(e.told.query.arrived).Truncate(time.Second)
		cause.Text = fmt.Sprintf("clients get an expired answer, %s old and of use for %s more, because %s", age, time.Until(e.told.entry.StaleUntil()).Truncate(time.Second), cause.Text)
	case e.told.tells():
		cause.Severity, cause.Code = Warning, "kept-"+cause.Code
		cause.Text = "clients get a kept answer for now, but " + cause.Text
	}
	return cause
}

// causeOf is why no upstream answered.
func causeOf(e *explained) *Diagnosis {
	o := e.now
	held := (*heldError)(nil)
	switch {
	case loopOf(o.failure) != nil:
		looping := loopOf(o.failure)
		return fault("loop", "upstream %s sends questions below %q back to this server: a forwarding loop; take the forwarder for that suffix out of %s, or the route out of here", looping.group, bare(looping.suffix), looping.group)
	case errors.Is(o.failure, upstream.ErrOverBudget):
		return fault("budget", "the budget of upstream %s is spent: more is asked than it takes (privatelink-dns upstreams shows how much, the query log who asks)", o.route.group.Name)
	case errors.As(o.failure, &held):
		return fault("site-silent", "%s", held.Error())
	case e.ipv6 != nil && e.ipv6.answered() && o.query.qtype != dns.TypeA:
		return fault("type-refused", "upstream %s answers A for this name but not %s (%s): some clients take such an error for the whole name; it should say NODATA", o.route.group.Name, dns.Type(o.query.qtype), firstAttempt(o))
	}
	if cause := causeOfSilence(e); cause != nil {
		return cause
	}
	for _, attempt := range o.attempts() {
		if attempt.Err == nil {
			return fault("upstream-rcode", "upstream %s (%s) answers %s: look there", o.route.group.Name, attempt.Server, rcodeName(attempt.Rcode))
		}
	}
	return fault("upstream-silent", "upstream %s does not reply: %s; check that it runs, that this machine may reach it, and that it serves this machine's address", o.route.group.Name, firstAttempt(o))
}

func firstAttempt(o *outcome) string {
	for _, attempt := range o.attempts() {
		return attempt.String()
	}
	return o.failure.Error()
}

// causeOfSilence tells of servers that reply on some ways and not on others.
func causeOfSilence(e *explained) *Diagnosis {
	for _, attempt := range e.now.attempts() {
		for _, reached := range e.reached {
			if reached.Server != attempt.Server || attempt.Err == nil {
				continue
			}
			if cause := reached.cause(e.now.route.group.Name, attempt.Transport == upstream.TCP); cause != nil {
				return cause
			}
		}
	}
	return nil
}

// cause is why a server did not reply, nil where that cannot be told. TooLong says that
// it did over UDP, with an answer that was too long.
func (r Reached) cause(group string, tooLong bool) *Diagnosis {
	switch {
	case tooLong && r.UDP && !r.TCP:
		return fault("tcp-blocked", "upstream %s (%s) replies over UDP but not over TCP, and this answer is too long for UDP: let TCP port %d pass on the way there", group, r.Server, r.Server.Port())
	case r.Plain && !r.UDP:
		return fault("edns-dropped", "upstream %s (%s) replies to questions without EDNS and drops those with it: something on the way, nearly always a firewall, must let EDNS pass", group, r.Server)
	case r.TCP && !r.UDP && !r.Plain:
		return fault("udp-blocked", "upstream %s (%s) replies over TCP but not over UDP: let UDP port %d pass on the way there, and back", group, r.Server, r.Server.Port())
	}
	return nil
}

// diagnoseOutdated tells of a kept answer that is not what upstream says now.
func diagnoseOutdated(_ *service, e *explained) *Diagnosis {
	if e.now == e.told || !e.now.answered() || !e.told.answered() {
		return nil
	}
	kept, fresh := e.told.finding.Verdict, e.now.finding.Verdict
	if kept == fresh {
		return nil
	}
	left := max(time.Until(e.told.entry.Expires()), 0).Truncate(time.Second)
	return warning("kept-differs", "clients are told a kept answer that is %s, for %s more; upstream now says %s: \"privatelink-dns cache flush %s\" forgets the old one, here and not downstream", kept, left, fresh, bare(e.told.query.name))
}

// diagnoseElsewhere tells of another group that knows a private address: two
// authorities, or the wrong route.
func diagnoseElsewhere(s *service, e *explained) *Diagnosis {
	o := e.now
	for _, heard := range e.views {
		if heard.site || heard.finding.Verdict != verdict.Private {
			continue
		}
		written, where := s.routes.written(o.query.name, o.match, o.route)
		if s.routes.catalogued != nil && o.match.Namespace != nil && o.route != s.routes.catalogued && asksGroup(s.routes.catalogued, heard.group) {
			return fault("wrong-route", "the route %s (%s) sends this name to upstream %s, which does not see its private zone; upstream %s does, with %s, and \"route catalog\" would ask it: remove the route", written, where, o.route.group.Name, heard.group.Name, addresses(heard.finding))
		}
		return fault("other-authority", "upstream %s, which the route %s (%s) asks, does not know this private endpoint; upstream %s does, with %s: name both on the route (\"route %s %s %s\")", o.route.group.Name, written, where, heard.group.Name, addresses(heard.finding), written, strings.ReplaceAll(o.route.group.Name, "+", " "), heard.group.Name)
	}
	return nil
}

func asksGroup(way *route, group *upstream.Group) bool { return slices.Contains(way.groups(), group) }

// toldAddresses is how many addresses a sentence names.
const toldAddresses = 4

func addresses(finding verdict.Finding) string {
	var written []string
	for _, address := range finding.Chain.Addresses {
		written = append(written, address.String())
	}
	if more := len(written) - toldAddresses; more > 0 {
		written = append(written[:toldAddresses], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(written, " ")
}
