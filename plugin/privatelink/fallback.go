package privatelink

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// fallback is the other way an answer came, if it did.
type fallback string

// The fallbacks, as the query log and the metrics write them.
const (
	noFallback fallback = ""
	// afterMissing: the private zone has no record, so public DNS was asked.
	afterMissing fallback = "missing"
	// afterOutage: no upstream of the route replied, so public DNS was asked.
	afterOutage fallback = "outage"
)

// flag is the fallback as it is kept with an answer.
func (f fallback) flag() uint8 {
	return uint8(slices.Index(keptFallbacks, f))
}

func fallbackOf(flag uint8) fallback {
	flag &^= toldError
	if int(flag) >= len(keptFallbacks) {
		return noFallback
	}
	return keptFallbacks[flag]
}

// keptFallbacks are written to snapshots by their index.
var keptFallbacks = []fallback{noFallback, afterMissing, afterOutage}

// outageShare is how long a route with a fallback waits for its own upstreams:
// it leaves the fallback time within replyTime.
const outageShare = replyTime * 5 / 8

// patienceWhileDown is how long a question for which nothing is kept waits for servers
// that are all known to be down: the prober notices within a second that one is back.
// A client that waited longer for nothing would ask again, and its own clients too.
const patienceWhileDown = time.Second

// fallbackGroup is the group that a fallback asks; nil for none, and where it is that of
// the chain's tail on another route, or of a configuration that is gone.
func (r *route) fallbackGroup(way fallback) *upstream.Group {
	switch way {
	case afterMissing:
		return r.missing
	case afterOutage:
		return r.outage
	}
	return nil
}

// share is how long the route's own upstreams are waited for; 0 for as long as there
// is time.
func (r *route) share() time.Duration {
	switch down := r.group.Down(); {
	case down && r.outage != nil:
		return patienceWhileFailing
	case down:
		return patienceWhileDown
	case r.outage != nil:
		return outageShare
	}
	return 0
}

// ask puts the question to the route's group and, where the route says so, to
// another. It fills in the answer and its finding, or why there is none.
func (s *service) ask(ctx context.Context, o *outcome) {
	own, cancel := ctx, context.CancelFunc(func() {})
	if share := o.route.share(); share > 0 {
		own, cancel = context.WithTimeout(ctx, share)
	}
	answer, group, err := s.askRoute(own, o)
	cancel()
	if err != nil {
		s.suspect(o)
		s.askAfterOutage(ctx, o, err)
		return
	}
	s.take(o, answer, group)
	if crossed := s.crossRoutes(ctx, o); crossed {
		return // what is missing behind a crossing is for the tail's route to say, and it did
	}
	if o.finding.Verdict == verdict.Missing {
		s.askAfterMissing(ctx, o)
	}
}

// take makes an answer the outcome's.
func (s *service) take(o *outcome, answer *upstream.Answer, group *upstream.Group) {
	o.answer, o.group = answer, group
	o.finding = s.findingOf(&o.query, answer.Msg)
}

// findingOf says what a reply to a query means.
func (s *service) findingOf(q *query, reply *dns.Msg) verdict.Finding {
	return verdict.Of(q.name, q.qtype, reply, s.catalog, s.private)
}

// askAfterOutage asks public DNS when every upstream of the route is silent,
// and takes the answer only if its chain has no catalogued privatelink hop: a
// resource with a private endpoint always has that hop in public DNS, so a
// chain without it proves that there is no private address to be missed. One
// broken name, for which a server says SERVFAIL, is no outage.
func (s *service) askAfterOutage(ctx context.Context, o *outcome, failure error) {
	if !s.mayAskPublicly(o) || !isOutage(failure) || !confirmedDown(ctx, o.route.group) {
		o.fail(failure)
		return
	}
	answer, err := o.exchange(ctx, o.route.outage)
	if err != nil {
		o.fail(errors.Join(failure, err))
		return
	}
	finding := s.findingOf(&o.query, answer.Msg)
	if finding.Zone != nil || s.policy.Guard.Protects(o.query.name, finding.Chain, s.catalog) {
		o.fail(failure)
		return
	}
	s.take(o, answer, o.route.outage)
	o.fallback = afterOutage
}

// mayAskPublicly reports whether the route has a fallback for outages, and the name
// nothing that forbids to ask it.
func (s *service) mayAskPublicly(o *outcome) bool {
	return o.route.outage != nil && o.match.Zone == nil && !o.guarded && !s.keeps(o) &&
		!s.policy.Guard.Protects(o.query.name, verdict.Chain{}, s.catalog)
}

// keeps reports whether there is an answer that can be used instead of asking
// publicly, be it stale, or one of which the question's own name tells nothing:
// that its chain leads to a name which must be private. The chain is the same for
// every type and all flags, and who was told it, in whatever view, does not matter.
func (s *service) keeps(o *outcome) bool {
	for _, name := range o.askedNames() {
		for _, view := range s.cache.Views() {
			if s.keepsOf(o, cache.Key{Question: name, View: view}) {
				return true
			}
		}
	}
	return false
}

// keepsOf is keeps for the name and the view of a key.
func (s *service) keepsOf(o *outcome, key cache.Key) bool {
	name := key.Question.Presentation()
	for _, qtype := range []uint16{o.query.qtype, dns.TypeA, dns.TypeAAAA} {
		for flags := range 4 {
			key.Question.Type, key.DO, key.CD = qtype, flags&1 != 0, flags&2 != 0
			if entry := s.cache.Get(&key, s.now()).Entry; entry.Exists() && (o.canUse(&key, entry) || s.guards(name, qtype, entry)) {
				return true
			}
		}
	}
	return false
}

// askedNames are the question that the client asked and, behind a chain that changes
// routes, the one for its tail.
func (o *outcome) askedNames() []wire.Question {
	asked := []wire.Question{o.query.key.Question}
	if tail, err := wire.NewQuestion(o.query.name, o.query.qtype, o.query.qclass); err == nil && tail != asked[0] {
		asked = append(asked, tail)
	}
	return asked
}

// canUse reports whether an answer that is kept under a key can be told in place of
// one to the outcome's question. One without DNSSEC records is better than none.
func (o *outcome) canUse(key *cache.Key, entry cache.Entry) bool {
	wanted := o.query.key
	unsigned := wanted
	unsigned.DO = false
	return o.route.owns(entry) && (*key == wanted || *key == unsigned)
}

// guards reports whether a kept answer tells that a name must not be asked publicly.
func (s *service) guards(name string, qtype uint16, entry cache.Entry) bool {
	var reader verdict.Reader
	chain := reader.Of(name, qtype, entry.Message(), s.catalog, s.private).Chain
	return s.policy.Guard.Protects(name, chain, s.catalog)
}

// isOutage reports whether no server replied at all.
func isOutage(failure error) bool {
	failed, held := (*upstream.FailedError)(nil), (*heldError)(nil)
	if !errors.As(failure, &failed) || errors.As(failure, &held) {
		return false
	}
	for _, attempt := range failed.Attempts {
		if attempt.Err == nil || errors.Is(attempt.Err, upstream.ErrOverBudget) {
			return false
		}
	}
	return true
}

// askAfterMissing asks public DNS for a name that a linked private zone does not
// hold: another company's resource that has a private endpoint of its own. Where
// public DNS does not know it either, the first answer stays.
func (s *service) askAfterMissing(ctx context.Context, o *outcome) {
	if o.route.missing == nil || o.guarded || s.policy.Guard.Protects(o.query.name, o.finding.Chain, s.catalog) {
		return
	}
	answer, err := o.exchange(ctx, o.route.missing)
	if err != nil || answer.Msg.Rcode != dns.RcodeSuccess {
		return
	}
	s.take(o, answer, o.route.missing)
	o.fallback = afterMissing
}

// judge withholds what may not be seen.
func (s *service) judge(o *outcome) *outcome {
	if o.override != nil {
		return o.explainOverride()
	}
	if !o.answered() {
		return s.judgeFailure(o)
	}
	if o.decision.Rule == policy.LocallyServed || s.judgeOrigin(o) {
		return o
	}
	protected := s.policy.Guard.Protects(o.query.name, o.finding.Chain, s.catalog)
	meaning := o.finding.Verdict
	if o.fallback == afterMissing && meaning == verdict.Unlinked {
		// It was asked for: the zone is linked, the resource is a partner's.
		meaning = verdict.Public
	}
	action, rule := s.policy.Guard.Judge(meaning, protected)
	if rule != policy.NoRule {
		o.decision.Action, o.decision.Rule = action, rule
	}
	if !action.Rejects() {
		return o.diagnose(s.groupsBehind).passOnError()
	}
	return o.withhold(s.withholdServfail)
}

// judgeFailure withholds what is not there: a downstream server that is told of the
// failure asks elsewhere, and gets a public address.
func (s *service) judgeFailure(o *outcome) *outcome {
	if o.rcode != dns.RcodeServerFailure || s.withholdServfail || !s.policy.Guard.Protects(o.query.name, verdict.Chain{}, s.catalog) {
		return o
	}
	o.decision.Action, o.decision.Rule = policy.Withhold, policy.MustBePrivate
	o.stop(dns.RcodeSuccess, dns.ExtendedErrorCodeFiltered, "withheld: this name must be private, and there is no answer: "+o.extendedError.Text)
	return o
}

// confirmedDown waits for the probers' word on a group whose servers were silent to one
// question: a name that gets no reply may be all there is.
func confirmedDown(ctx context.Context, group *upstream.Group) bool {
	for !group.Down() {
		if !failing(group) {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	return true
}
