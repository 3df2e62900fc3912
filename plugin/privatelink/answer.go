package privatelink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
)

const (
	// A client with a stale answer at hand waits this long for a fresh one (RFC
	// 8767, section 5): little where the upstream is known to be failing.
	patienceWhileFailing = 100 * time.Millisecond
	patienceOtherwise    = 1800 * time.Millisecond
	// staleTTL, in seconds, is what a stale answer may be kept for downstream.
	staleTTL = 30
)

// cacheState is where an answer came from, as the query log writes it.
type cacheState string

// The cache states.
const (
	fromUpstream cacheState = "miss"
	fromCache    cacheState = "hit"
	fromStale    cacheState = "stale"
	fromFailure  cacheState = "failed"
	fromShared   cacheState = "shared"
)

// answer finds the answer to a question that may be asked: kept and fresh, else
// from the route's upstreams, else kept and stale.
func (s *service) answer(ctx context.Context, o *outcome) {
	hit := s.cache.Get(&o.query.key, o.query.arrived)
	if !o.route.owns(hit.Entry) || !o.route.owns(hit.Failure) {
		hit = cache.Hit{} // a reload gave the name to another group
	}
	switch hit.State {
	case cache.Fresh:
		s.use(o, hit.Entry, fromCache)
	case cache.Due:
		s.use(o, hit.Entry, fromCache)
		s.refresh(o, hit.Failure)
	case cache.Stale:
		s.answerStale(ctx, o, hit)
	case cache.Failed:
		if s.tooEarly(o.route, hit.Failure, o.query.arrived) {
			o.cacheState = fromFailure
			o.stop(dns.RcodeServerFailure, dns.ExtendedErrorCodeCachedError, "an upstream failed on this question a moment ago")
		} else {
			s.fetch(ctx, o)
		}
	default:
		s.fetch(ctx, o)
	}
	if o.answer == nil && o.query.key.DO {
		s.useUnsigned(o)
	}
}

// useUnsigned answers a client that takes DNSSEC records with what is kept for
// those that do not, when there is nothing else: an answer without signatures is
// better than none, and a validator sees that they are missing.
func (s *service) useUnsigned(o *outcome) {
	key := o.query.key
	key.DO = false
	if hit := s.cache.Get(&key, o.query.arrived); hit.Entry.Exists() && o.route.owns(hit.Entry) {
		s.use(o, hit.Entry, fromStale)
	}
}

// answerStale answers a question whose answer has expired: with a fresh one, if
// that comes soon, and else with the old one, while the question goes on.
func (s *service) answerStale(ctx context.Context, o *outcome, hit cache.Hit) {
	switch {
	case s.tooEarly(o.route, hit.Failure, o.query.arrived):
		s.use(o, hit.Entry, fromStale)
	case o.route.group.WouldWait():
		s.use(o, hit.Entry, fromStale)
		s.refresh(o, cache.Entry{})
	default:
		patience := patienceOtherwise
		if failing(o.route.group) {
			patience = patienceWhileFailing
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		s.fetch(ctx, o)
		if o.answer == nil {
			s.use(o, hit.Entry, fromStale)
		}
	}
}

// tooEarly reports whether a question failed so lately that it is not to be asked
// again, unless an upstream has come back since.
func (s *service) tooEarly(way *route, failure cache.Entry, now time.Time) bool {
	if !failure.Exists() || !now.Before(failure.HeldUntil()) {
		return false
	}
	return !returnedSince(way.group, failure.Stored())
}

// failing reports whether every server of a group is down or about to be found so.
func failing(group *upstream.Group) bool {
	for _, server := range group.Servers {
		if health := server.Health(); !health.Down && !health.Suspected {
			return false
		}
	}
	return true
}

// returnedSince reports whether a server of a group came back after a moment.
func returnedSince(group *upstream.Group, moment time.Time) bool {
	for _, server := range group.Servers {
		if health := server.Health(); !health.Down && health.Since.After(moment) {
			return true
		}
	}
	return false
}

// refresh asks for an answer again that is about to expire, for nobody yet.
func (s *service) refresh(o *outcome, failure cache.Entry) {
	if s.tooEarly(o.route, failure, o.query.arrived) {
		return
	}
	s.join(upstream.LowPriority(context.Background()), o)
}

// join asks upstream, or joins who asks the same already. Nobody's leaving can
// cancel it: ctx is that of nobody, with the priority.
func (s *service) join(ctx context.Context, o *outcome) (joined *flight[*outcome], shared bool) {
	q, match, way := o.query, o.match, o.route
	return s.flights.join(flightKey{q.key, way.id}, func() (*outcome, error) {
		return s.askUpstream(ctx, q, match, way), nil
	})
}

// fetch asks upstream, together with everybody who asks the same at this moment,
// and waits for the answer until ctx is done.
func (s *service) fetch(ctx context.Context, o *outcome) {
	joined, shared := s.join(context.Background(), o)
	o.cacheState = fromUpstream
	if shared {
		o.cacheState = fromShared
	}
	landed, err := joined.wait(ctx)
	if err != nil {
		o.fail(fmt.Errorf("waiting for an answer: %w", err))
		return
	}
	o.adopt(landed)
}

// flightKey is the same for questions that share an upstream question.
type flightKey struct {
	question cache.Key
	route    uint32
}

// askUpstream asks and keeps what comes.
func (s *service) askUpstream(ctx context.Context, q query, match catalog.Match, way *route) *outcome {
	ctx, cancel := context.WithTimeout(ctx, replyTime)
	defer cancel()
	landed := &outcome{query: q, match: match, route: way}
	s.ask(ctx, landed)
	reply := &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}
	if landed.answer != nil {
		reply = landed.answer.Msg
	}
	meta := cache.Meta{Verdict: uint8(landed.finding.Verdict), Group: way.id, Flags: landed.fallback.flag()}
	entry, err := cache.Make(&q.key, reply, meta, s.lifetimes(landed), s.now())
	if err != nil {
		landed.answer, landed.finding = nil, verdict.Finding{}
		return landed.fail(fmt.Errorf("group %q: %w", way.group.Name, err))
	}
	s.cache.Put(entry)
	if landed.answer != nil {
		landed.entry = entry
	}
	return landed
}

// lifetimes bound how long an answer may be kept. Answers stick: a private
// endpoint is created minutes after the first failed look-up, so what is negative
// or public for a catalogued name is kept for a short time only.
func (s *service) lifetimes(o *outcome) cache.Lifetimes {
	bounds := cache.Lifetimes{
		MaxTTL: 24 * time.Hour, MaxNegativeTTL: time.Hour, MaxStale: 24 * time.Hour,
		FailureTTL: 5 * time.Second, RefreshHold: 30 * time.Second,
	}
	if o.finding.Verdict == verdict.Private {
		bounds.MaxStale = time.Hour
	}
	if o.match.Namespace != nil || o.finding.Zone != nil {
		bounds.MaxNegativeTTL = 10 * time.Second
		if o.finding.Verdict != verdict.Private {
			bounds.MaxTTL = time.Minute
		}
	}
	if o.route.stale > 0 {
		bounds.MaxStale = o.route.stale
	}
	if errors.Is(o.failure, upstream.ErrOverBudget) {
		// Waiting for a budget is no failure of the server.
		bounds.FailureTTL, bounds.RefreshHold = time.Second, time.Second
	}
	return bounds
}

// use makes a kept answer the outcome's. What it means is judged anew, so that a
// reload that changes the catalog or the private ranges works at once.
func (s *service) use(o *outcome, entry cache.Entry, state cacheState) {
	kept := new(dns.Msg)
	if err := kept.Unpack(entry.Message()); err != nil {
		o.fail(fmt.Errorf("reading a kept answer: %w", err))
		return
	}
	o.failure, o.extendedError, o.rcode = nil, nil, 0
	o.answer = &upstream.Answer{Msg: kept}
	o.entry, o.cacheState = entry, state
	o.fallback = fallbackOf(entry.Meta().Flags)
	o.group = o.route.group
	o.finding = s.findingOf(&o.query, kept)
	if state == fromStale {
		o.staleAnswer()
	}
}
