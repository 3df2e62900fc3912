package privatelink

import (
	"context"
	"time"
)

// replyTime bounds a reply, fallbacks included: Windows waits 5 s for a
// conditional forwarder, dig and glibc wait 5 s.
const replyTime = 4 * time.Second

// resolve is the whole service: the rules in their order, from the question to
// the outcome. It leaves no trace, so that it can also explain.
func (s *service) resolve(ctx context.Context, q query) *outcome {
	o := &outcome{query: q}
	if !s.settle(o) {
		s.await(ctx, o)
	}
	return s.judge(o)
}

// settle is the part of it that waits for nothing and, for a question whose answer
// is kept, allocates nothing: a read loop can go through it. It reports false where
// an upstream is to be waited for.
func (s *service) settle(o *outcome) (settled bool) {
	q := &o.query
	if s.loops.caught(q.name, q.client.Addr(), q.arrived) {
		return o.refuseLoop()
	}
	o.match = s.catalog.Match(q.name)

	// May this be asked?
	if q.malformed {
		return o.refuseMalformed(s.policy.Clients)
	}
	o.decision = s.policy.Ask(q.client.Addr(), q.name, q.qtype, o.match, q.arrived)
	if o.decision.Class.IsResolver() {
		o.identity = s.identity
	}
	if o.decision.Action.Rejects() {
		return o.reject()
	}
	if !q.supported() {
		return o.refuseOperation()
	}

	return s.find(o)
}

// find is the rest of it, for the question's name as for the target of an
// operator's CNAME.
func (s *service) find(o *outcome) (settled bool) {
	q := &o.query

	// Did an operator say what to answer?
	if o.override = s.overrideOf(q); o.override != nil {
		return s.settleOverride(o)
	}

	// Who knows the answer?
	if o.route = s.routes.find(q.name, o.match); o.route == nil {
		return s.settleWithoutRoute(o)
	}
	q.key.View = s.routes.viewOf(q)

	// Is it known already? And how is it told?
	o.flatten = s.flatten[o.decision.Class]
	return s.recall(o)
}

// await is the part that waits.
func (s *service) await(ctx context.Context, o *outcome) {
	if o.override != nil && o.override.Group == "" {
		ctx, cancel := context.WithTimeout(ctx, replyTime)
		defer cancel()
		s.forge(ctx, o)
		return
	}
	s.answer(ctx, o)
}
