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
	o := &outcome{query: q, match: s.catalog.Match(q.name)}

	// May this be asked?
	if q.malformed {
		return o.refuseMalformed(s.policy.Clients)
	}
	o.decision = s.policy.Ask(q.client.Addr(), q.name, q.qtype, o.match, q.arrived)
	if o.decision.Action.Rejects() {
		return o.reject()
	}
	if !q.supported() {
		return o.refuseOperation()
	}

	// Who knows the answer?
	if o.route = s.routes.find(q.name, o.match); o.route == nil {
		return o.refuseWithoutRoute()
	}

	ctx, cancel := context.WithTimeout(ctx, replyTime)
	defer cancel()
	s.answer(ctx, o)

	// May the answer be seen, and how is it told?
	o.flatten = s.flatten[o.decision.Class]
	return s.judge(o)
}
