package privatelink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

const (
	// A client with a stale answer at hand waits this long for a fresh one (RFC
	// 8767, section 5): little where the upstream is known to be failing.
	patienceWhileFailing = 100 * time.Millisecond
	patienceOtherwise    = 1800 * time.Millisecond
	// patienceBeforeWithholding is how long an answer is waited for where its lack is
	// withheld. BIND waits 1.2 s for a forwarder before it asks elsewhere.
	patienceBeforeWithholding = 900 * time.Millisecond
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
	// fromPrefetch is a hit that had its answer asked for again before it expires.
	fromPrefetch cacheState = "prefetch"
)

// cacheStates are all of them, the usual ones first.
var cacheStates = [...]cacheState{fromCache, fromUpstream, fromStale, fromFailure, fromShared, fromPrefetch}

// recall finds a kept answer that can be told without waiting for a fresh one. It
// reports false where there is none, and leaves in the outcome what there is.
func (s *service) recall(o *outcome) (settled bool) {
	hit := s.kept(o)
	tooEarly := s.tooEarly(o.route, hit.Failure, o.query.arrived)
	switch {
	case hit.State == cache.Fresh:
		s.use(o, hit.Entry, fromCache)
	case hit.State == cache.Due:
		s.use(o, hit.Entry, fromCache)
		if s.refresh(o, hit.Failure) {
			o.cacheState = fromPrefetch
		}
	case hit.State == cache.Stale && tooEarly:
		s.use(o, hit.Entry, fromStale)
	case hit.State == cache.Stale && slices.ContainsFunc(s.groupsBehind(o, hit.Entry), (*upstream.Group).WouldWait):
		s.use(o, hit.Entry, fromStale)
		s.refresh(o, cache.Entry{})
	case hit.State == cache.Failed && tooEarly:
		s.failAgain(o, hit.Failure)
	default:
		o.stale = hit.Entry
		return false
	}
	return true
}

// failAgain tells a kept failure, unless an answer without signatures is at hand.
func (s *service) failAgain(o *outcome, failure cache.Entry) {
	o.cacheState = fromFailure
	o.stopAgain(failure)
	if unsigned := s.unsigned(o); unsigned.Exists() {
		s.use(o, unsigned, fromStale)
	}
}

// kept looks a question up.
func (s *service) kept(o *outcome) cache.Hit {
	hit := s.cache.Get(&o.query.key, o.query.arrived)
	if !s.owns(o, hit.Entry) {
		return cache.Hit{} // a reload gave the name to another group
	}
	if !o.route.owns(hit.Failure) {
		if hit.Failure = (cache.Entry{}); hit.State == cache.Failed {
			hit.State = cache.Miss
		}
	}
	return hit
}

// answer asks for a fresh answer and, where none comes in time, tells one that has
// expired, while the question goes on.
func (s *service) answer(ctx context.Context, o *outcome) {
	s.fetch(ctx, o, s.patience(o))
	if o.answered() {
		return
	}
	if !o.stale.Exists() {
		o.stale = s.unsigned(o)
	}
	if o.stale.Exists() {
		s.use(o, o.stale, fromStale)
	}
}

// patience is how long a client waits for a fresh answer.
func (s *service) patience(o *outcome) time.Duration {
	patience, kept := patienceOtherwise, o.stale
	if !kept.Exists() {
		patience, kept = replyTime, s.unsigned(o)
	}
	if kept.Exists() && slices.ContainsFunc(s.groupsBehind(o, kept), failing) {
		patience = patienceWhileFailing
	}
	// A stub asks nobody else.
	if s.hurries && o.decision.Class != policy.Stub && s.policy.Guard.Protects(o.query.name, verdict.Chain{}, s.catalog) {
		patience = min(patience, patienceBeforeWithholding)
	}
	return patience
}

// unsigned returns, for a client that takes DNSSEC records, what is kept for those that
// do not, when there is nothing else: an answer without signatures is better than none,
// and a validator sees that they are missing. It is worth a wait for one with them.
func (s *service) unsigned(o *outcome) cache.Entry {
	key := o.query.key
	if !key.DO {
		return cache.Entry{}
	}
	key.DO = false
	if hit := s.cache.Get(&key, o.query.arrived); hit.Entry.Exists() && s.owns(o, hit.Entry) {
		return hit.Entry
	}
	return cache.Entry{}
}

// tooEarly reports whether a question failed so lately that it is not to be asked
// again, unless an upstream has come back since.
func (s *service) tooEarly(way *route, failure cache.Entry, now time.Time) bool {
	if !failure.Exists() || !now.Before(failure.HeldUntil()) {
		return false
	}
	return !returnedSince(way.group, failure.Stored())
}

// failing reports whether every server of a group, backups included, is down or about to be found so.
func failing(group *upstream.Group) bool {
	for server := range group.All() {
		if health := server.Health(); !health.Down && !health.Suspected {
			return false
		}
	}
	return true
}

// returnedSince reports whether a server of a group came back after a moment. One that
// was only suspected does not count: a name that gets no reply may be all there was.
func returnedSince(group *upstream.Group, moment time.Time) bool {
	for server := range group.All() {
		if health := server.Health(); !health.Down && health.Since.After(moment) {
			return true
		}
	}
	return false
}

// refresh asks for an answer again that is about to expire, for nobody yet. It reports
// false where it failed a moment ago, or somebody asks already.
func (s *service) refresh(o *outcome, failure cache.Entry) (asks bool) {
	if s.tooEarly(o.route, failure, o.query.arrived) {
		return false
	}
	urgent := make(chan struct{})
	_, shared := s.join(upstream.LowPriorityUntil(s.deadlines.after(flightTime), urgent), o, false, urgent)
	return !shared
}

// join asks upstream, or joins who asks the same already. Nobody's leaving can
// cancel it: ctx is that of nobody, with deadline and priority. A question that nobody
// asks yet is asked in a goroutine of its own, or here, before join returns; urgent is
// its flight's.
func (s *service) join(ctx context.Context, o *outcome, here bool, urgent chan struct{}) (joined *flight[*outcome], shared bool) {
	epoch, name := s.cache.Epoch(), strings.Clone(o.query.name)
	key := keyOfFlight(name, o, epoch)
	if joined, shared = s.flights.board(key, urgent); shared {
		return joined, true
	}
	landed := &outcome{query: o.query, match: o.match, route: o.route}
	landed.query.name, landed.query.asked, landed.query.packet = name, nil, nil
	ask := func() (*outcome, error) { return s.askUpstream(ctx, landed, epoch), nil }
	if here {
		s.flights.run(key, joined, ask)
	} else {
		go s.flights.run(key, joined, ask)
	}
	return joined, false
}

// fetch asks upstream, together with everybody who asks the same at this moment,
// and waits for the answer until ctx is done or patience is over.
func (s *service) fetch(ctx context.Context, o *outcome, patience time.Duration) {
	// Who cannot be called away before the flight lands needs no goroutine for it.
	here := ctx.Done() == nil && patience > flightTime
	joined, shared := s.join(s.deadlines.after(flightTime), o, here, nil)
	o.cacheState = fromUpstream
	if shared {
		joined.isAwaited()
		o.cacheState = fromShared
		s.suspectAsker(o)
	}
	landed, err := s.waitFor(ctx, o, joined, patience)
	if err != nil {
		o.fail(fmt.Errorf("waiting for an answer: %w", err))
		return
	}
	o.adopt(landed)
	if landed.cacheState == fromCache {
		o.cacheState = fromShared
	}
}

// flightTime bounds a question upstream. It ends a little before those who wait for it
// have to reply, so that they, and whoever asks next, know what became of it.
const flightTime = replyTime - 50*time.Millisecond

// failureHold is how long a question is not asked again that failed, with nothing else to
// be told: the least that RFC 9520 section 3.2 allows. Who asks is told of the failure
// until then though the upstream may be well again, and of a name that is asked once a
// second an upstream feels nothing.
const failureHold = time.Second

// flightKey is the same for questions that share an upstream question. It says what
// their cache.Key says, which has room for the longest name in place of a string: a map
// would keep that apart.
type flightKey struct {
	name, view    string
	qtype, qclass uint16
	do, cd        bool
	route         uint32
	// epoch parts the questions before a flush from those after it.
	epoch uint64
}

func keyOfFlight(name string, o *outcome, epoch uint64) flightKey {
	asked := &o.query.key
	return flightKey{name, asked.View, asked.Question.Type, asked.Question.Class, asked.DO, asked.CD, o.route.id, epoch}
}

// askUpstream asks and keeps what comes, unless answers were flushed meanwhile: then
// it may be what the operator wants to be rid of. It returns the outcome that it fills in.
func (s *service) askUpstream(ctx context.Context, landed *outcome, epoch uint64) *outcome {
	way := landed.route
	if s.recallNewer(landed) {
		return landed
	}
	asked := s.now()
	s.ask(ctx, landed)
	if s.asked != nil {
		s.asked(landed.groups)
	}
	entry, err := s.entryOf(landed, way, asked)
	if err != nil {
		landed.answer, landed.finding = nil, verdict.Finding{}
		landed.fail(fmt.Errorf("group %q: %w", way.group.Name, err))
		return landed
	}
	if landed.answer == nil {
		entry = entry.WithReason(landed.extendedError.Text)
	}
	if epoch == s.cache.Epoch() {
		s.cache.Put(entry)
	}
	if landed.answer != nil {
		landed.entry = entry
	}
	return landed
}

// entryOf makes what is kept of a question's end, answer or failure. It began on a way,
// which its chain may have left, and was asked at a time.
func (s *service) entryOf(landed *outcome, way *route, asked time.Time) (cache.Entry, error) {
	reply := &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}
	if landed.answer != nil {
		reply = landed.answer.Msg
	}
	meta := cache.Meta{Verdict: uint8(landed.finding.Verdict), Group: way.id, Flags: landed.fallback.flag(), Site: way.siteOf(landed.group)}
	if way.sites == nil {
		meta.Site = tailMark(s.tailsOf(way, landed.query.qtype, landed.finding.Chain.Links))
	}
	meta.ExtendedError, meta.Flags = landed.upstreamError(meta.Flags)
	stored, bounds := s.now(), s.lifetimes(landed)
	if landed.answer == nil && landed.route != way {
		// A tail failed, on a route whose return nobody who asks for the head looks for.
		bounds.RefreshHold = min(bounds.RefreshHold, failureHold)
	}
	if isOutage(landed.failure) {
		// Silence is as old as its question, so that a return since then counts.
		took := stored.Sub(asked)
		took = (took + time.Second - 1).Truncate(time.Second) // it is kept in whole ones
		stored, bounds.FailureTTL, bounds.RefreshHold = asked, bounds.FailureTTL+took, bounds.RefreshHold+took
	}
	return cache.Make(&landed.query.key, reply, meta, bounds, stored)
}

// recallNewer finds an answer that came in after the query had looked for one in vain:
// whoever asked before may have got it between that look and our joining.
func (s *service) recallNewer(o *outcome) bool {
	hit := s.kept(o)
	if hit.State != cache.Fresh {
		return false
	}
	s.use(o, hit.Entry, fromCache)
	return true
}

// lifetimes bound how long an answer may be kept. Answers stick: a private
// endpoint is created minutes after the first failed look-up, so what is negative
// or public for a catalogued name is kept for a short time only.
func (s *service) lifetimes(o *outcome) cache.Lifetimes {
	if looping := (*loopError)(nil); isNonce(o.query.name) || errors.As(o.failure, &looping) {
		return cache.Lifetimes{} // it is never asked again, or costs nothing
	}
	bounds := cache.Lifetimes{
		MaxTTL: 24 * time.Hour, MaxNegativeTTL: time.Hour, MaxStale: 24 * time.Hour,
		FailureTTL: failureHold, RefreshHold: 30 * time.Second,
	}
	if o.fallback == afterOutage { // the route's own servers are back soon
		bounds.MaxTTL, bounds.MaxNegativeTTL = time.Minute, 10*time.Second
	}
	if o.finding.Verdict == verdict.Private {
		bounds.MaxStale = time.Hour
	}
	if s.catalogued(o) {
		bounds.MaxNegativeTTL = 10 * time.Second
		if o.finding.Verdict != verdict.Private {
			bounds.MaxTTL = time.Minute
		}
	}
	if o.route.stale > 0 {
		bounds.MaxStale = o.route.stale
	}
	if o.route.override {
		// Removing the override works soon, downstream too.
		bounds.MaxTTL, bounds.MaxNegativeTTL = overrideTTL, min(bounds.MaxNegativeTTL, overrideTTL)
	}
	if errors.Is(o.failure, upstream.ErrOverBudget) {
		// A spent budget is no failure of the server, and no reason not to wait for the
		// next one: only a stale answer need not be refreshed at once.
		bounds.FailureTTL, bounds.RefreshHold = 0, time.Second
	}
	return bounds
}

// use makes a kept answer the outcome's. What it means is judged for this configuration,
// so that a reload that changes the catalog or the private ranges works at once.
func (s *service) use(o *outcome, entry cache.Entry, state cacheState) {
	o.failure, o.extendedError, o.rcode = nil, wire.ExtendedError{}, 0
	o.answer, o.entry, o.cacheState = nil, entry, state
	o.fallback = fallbackOf(entry.Meta().Flags)
	o.group = o.route.groupOf(entry)
	if other := o.route.fallbackGroup(o.fallback); other != nil {
		o.group = other
	}
	o.finding = o.findings.of(s, &o.query, entry)
	if state == fromStale {
		o.staleAnswer()
	}
}

// catalogued reports whether an answer is about a private endpoint, or a name that may
// get one.
func (s *service) catalogued(o *outcome) bool {
	return o.match.Namespace != nil || o.finding.Zone != nil || s.entersCatalog(o)
}

// entersCatalog reports whether a chain leads to a catalogued name, be it that of a
// custom name.
func (s *service) entersCatalog(o *outcome) bool {
	return slices.ContainsFunc(o.finding.Chain.Links, func(link verdict.Link) bool { return s.catalog.Match(link.Target).Namespace != nil })
}
