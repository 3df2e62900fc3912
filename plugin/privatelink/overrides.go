package privatelink

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/override"
	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// overridesFile is the file in the state directory that carries the overrides. It
// is written at every change.
const overridesFile = "overrides.json"

// overrideTTL bounds how long what a redirect brings is kept, by us and downstream.
const overrideTTL = 30 * time.Second

// overrideOf finds the override of a question; nil for none, and where a reload has
// taken away the group that it leads to, which was reported then.
func (s *service) overrideOf(q *query) *override.Override {
	found, exists := s.overrides.Find(q.name, q.arrived)
	if !exists || q.qclass != dns.ClassINET || found.Group != "" && s.redirects[found.Group] == nil {
		return nil
	}
	return found
}

// settleOverride answers a question for a name of which an operator said what to
// answer. It stands behind the policy for questions and before the cache. What it
// answers is the operator's own word: nothing else judges it. It reports false where
// an upstream is to be waited for.
func (s *service) settleOverride(o *outcome) (settled bool) {
	o.decision.Action, o.decision.Rule = policy.Allow, policy.Override
	if o.override.Group != "" {
		// The client is not told the CNAMEs: a downstream resolver would ask for the
		// privatelink name on its own, and that one still takes its usual route.
		o.route, o.flatten = s.redirects[o.override.Group], true
		o.query.key.View += siteMark + siteMark + o.override.Group
		return s.recall(o)
	}
	o.flatten = s.flatten[o.decision.Class]
	if o.aliased() {
		return false
	}
	s.forge(context.Background(), o)
	return true
}

// aliased reports whether the answer is what the target of an operator's CNAME has.
func (o *outcome) aliased() bool {
	return o.override.CNAME != "" && o.query.qtype != dns.TypeCNAME && o.query.qtype != dns.TypeANY
}

// explainOverride says that the answer is the operator's doing.
func (o *outcome) explainOverride() *outcome {
	if !o.extendedError.Present { // else it is stale or failed, which matters more
		o.extendedError = wire.ExtendedError{Present: true, Code: dns.ExtendedErrorCodeOther, Text: o.override.Explanation(o.query.arrived)}
	}
	return o
}

// forge answers with the operator's records. The entry is made for this reply only
// and never kept, so that removing the override works at once.
func (s *service) forge(ctx context.Context, o *outcome) {
	now := o.query.arrived
	answer := &upstream.Answer{Msg: &dns.Msg{Answer: o.override.Records(o.query.qtype, now)}}
	if o.aliased() && !s.followAlias(ctx, o, answer) {
		return
	}
	if len(answer.Msg.Answer) == 0 {
		answer.Msg.Ns = []dns.RR{ownSOA(o.query.name, o.override.TTL(now))}
	}
	bound := time.Duration(o.override.TTL(now)) * time.Second
	entry, err := cache.Make(&o.query.key, answer.Msg, cache.Meta{}, cache.Lifetimes{MaxTTL: bound, MaxNegativeTTL: bound}, now)
	if err != nil {
		o.fail(fmt.Errorf("override of %s: %w", o.override.Name, err))
		return
	}
	o.answer, o.entry = answer, entry
	o.finding = s.findingOf(&o.query, answer.Msg)
	o.extendedError = wire.ExtendedError{Present: true, Code: dns.ExtendedErrorCodeForgedAnswer, Text: o.override.Explanation(o.query.arrived)}
}

// followAlias adds what the target of an operator's CNAME has, as if the client had
// asked for it: by overrides, cache, route and judgement of its own, for that is not
// the operator's word. It returns false where there is none to be told, and then the
// outcome says why. A target without a route is for the client to follow.
func (s *service) followAlias(ctx context.Context, o *outcome, answer *upstream.Answer) bool {
	target := o.override.CNAME
	if o.crossings == maxCrossings {
		o.fail(fmt.Errorf("overrides lead from one to the next more than %d times, the last to %s", maxCrossings, target))
		return false
	}
	tail := &outcome{query: o.query.of(target), match: s.catalog.Match(target), decision: o.decision, crossings: o.crossings + 1}
	question, err := wire.NewQuestion(target, o.query.qtype, o.query.qclass)
	if err != nil {
		o.fail(err)
		return false
	}
	tail.query.key.Question = question
	if !s.find(tail) {
		s.await(ctx, tail)
	}
	s.judge(tail)
	if tail.route == nil && tail.override == nil {
		return true
	}
	o.route, o.group, o.fallback, o.cacheState = tail.route, tail.group, tail.fallback, tail.cacheState
	o.flatten = o.flatten || tail.flatten
	if !tail.tells() {
		o.adopt(tail)
		o.withheld, o.decision = tail.withheld, tail.decision
		return false
	}
	return o.appendTail(answer, tail)
}

// appendTail adds the records of a tail's answer, as they are told.
func (o *outcome) appendTail(answer *upstream.Answer, tail *outcome) bool {
	kept := new(dns.Msg)
	if err := kept.Unpack(tail.entry.Message()); err != nil {
		o.fail(fmt.Errorf("reading a kept answer: %w", err))
		return false
	}
	if tail.answer != nil {
		answer.Server, answer.Transport, answer.RTT = tail.answer.Server, tail.answer.Transport, tail.answer.RTT
		answer.Attempts = tail.answer.Attempts
	}
	answer.Msg.Rcode = kept.Rcode
	answer.Msg.Answer = append(answer.Msg.Answer, tail.agedRecords(kept.Answer)...)
	answer.Msg.Ns = tail.agedRecords(kept.Ns)
	return true
}

// agedRecords are copies of an answer's records with the TTLs they are told with.
func (o *outcome) agedRecords(records []dns.RR) []dns.RR {
	var aged []dns.RR
	for _, record := range records {
		record = dns.Copy(record)
		ttl := time.Duration(record.Header().Ttl) * time.Second
		record.Header().Ttl = uint32(o.told(ttl, o.query.arrived) / time.Second)
		aged = append(aged, record)
	}
	return aged
}

// redirects adds a route to each group, for the overrides that name it: without
// fallbacks, for the operator said where to ask.
func (r *routes) redirects(groups map[string]*upstream.Group) map[string]*route {
	ways := make(map[string]*route, len(groups))
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		ways[name] = r.share(route{label: "override", group: groups[name], override: true})
	}
	return ways
}

// nameGroups notes which upstream groups a configuration has, until its lease ends.
func (s *slot) nameGroups(held *lease, groups map[string]*groupConfig) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.groups[held] = groups
}

// groupNames are the upstream groups of all configurations, sorted.
func (s *slot) groupNames() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	names := map[string]bool{}
	for _, groups := range s.groups {
		for name := range groups {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// restoreOverrides brings in the overrides of the process before, and tells of
// those that lead nowhere in this configuration.
func (r *running) restoreOverrides() {
	directory := r.config.stateDirectory()
	if directory == "" {
		return
	}
	now := time.Now()
	restored, err := r.shared.overrides.Restore(filepath.Join(directory, overridesFile), now)
	if err != nil {
		r.log.Warningf("starting without the overrides: %s", err)
	}
	if restored > 0 {
		r.log.Infof("overrides in force again: %d", restored)
	}
	for _, o := range r.shared.overrides.List(now) {
		if _, exists := r.config.groups[o.Group]; o.Group != "" && !exists {
			r.log.Warningf("override of %s has no effect here: found upstream group %q, expected one of %s", o.Name, o.Group, r.config.groupNames())
		}
	}
}

// expireOverrides tells of the overrides that have ended.
func (r *running) expireOverrides(now time.Time) {
	expired, err := r.shared.overrides.Expire(now)
	for _, o := range expired {
		r.log.Infof("override of %s expired: %s, by %s: %s", o.Name, o.Answer(), o.Who, o.Reason)
	}
	if err != nil {
		r.log.Warningf("%s", err)
	}
}
