//go:build linux

package prove

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"
)

// outage is what happened when.
type outage struct {
	frozen, thawed time.Time
	// stopped and serving are the restart; both are zero without one.
	stopped, serving time.Time
	expired          time.Time // from here on no answer from before the outage is fresh
}

// restarting reports whether a question was asked while our program was not
// there to hear it.
func (o *outage) restarting(q *question) bool {
	return !q.asked.Before(o.stopped) && q.asked.Before(o.serving)
}

func (o *outage) during(q *question) bool {
	return !q.asked.Before(o.frozen) && q.asked.Before(o.thawed)
}

// proveOutage: Azure-provided DNS falls silent under load and comes back.
// Clients that ask for names asked before notice nothing, even if our program
// restarts meanwhile.
func proveOutage(p *proof, restart bool) {
	databases := endpoints{500, pick(p.run, 10*time.Second, 3*time.Second)}
	before, silence, after := 15*time.Second, 60*time.Second, 10*time.Second
	if !p.full {
		before, silence, after = 4*time.Second, 5*time.Second, 3*time.Second
	}
	// No limits: what waits in the simulator's socket at its return comes all
	// at once, which says nothing of Azure.
	azure := p.azure(databases.world(), "latency 5ms")
	us := p.forwarder(azure.address)
	asking := &load{server: us.address, names: databases.names(databases.number), rate: 500}
	if restart {
		// A client asks again after a second, as Windows does: what arrives
		// while no process listens is lost whoever serves.
		asking.retry = time.Second
	}
	asking.begin(p)
	pass(before)
	azure.freeze()
	o := &outage{frozen: time.Now()}
	o.expired = o.frozen.Add(databases.private)
	if restart {
		pass(silence / 2)
		o.stopped = time.Now()
		us.restart()
		o.serving = time.Now()
		silence -= o.serving.Sub(o.frozen)
		p.note("without a process for", milliseconds(o.serving.Sub(o.stopped)), "ms")
	}
	pass(silence)
	azure.thaw()
	o.thawed = time.Now()
	pass(after)
	o.judge(p, asking.finish(), databases)
}

func (o *outage) judge(p *proof, questions []*question, databases endpoints) {
	expected := databases.expected()
	failures := 0
	var slow []*question // asked during the outage of a process that was there
	for _, q := range questions {
		if q.failed(expected) {
			failures++
		}
		if o.during(q) && !o.restarting(q) {
			slow = append(slow, q)
		}
	}
	p.note("asked", float64(len(questions)), "questions")
	p.require("questions that failed, of all", float64(failures), "", exactly(0))
	if p.full {
		p.require("outage: 99 of 100 answered within", percentile(slow, 99), "ms", atMost(150))
	} else {
		// A short outage is mostly the time before it can be known.
		p.note("outage: 99 of 100 answered within", percentile(slow, 99), "ms")
		p.require("outage: slowest answer", percentile(slow, 100), "ms", atMost(2500))
	}
	o.judgeStale(p, questions, expected)
	o.judgeReturn(p, questions, expected, databases.private)
}

// judgeStale looks at the answers that can only be stale: that they say so.
func (o *outage) judgeStale(p *proof, questions []*question, expected map[string]netip.Addr) {
	from, when := o.expired, "in the outage"
	if o.serving.After(from) {
		from, when = o.serving, "after the restart"
	}
	stale, all := 0, 0
	for _, q := range questions {
		if q.asked.Before(from) || !o.during(q) || q.replied().After(o.thawed) || q.failed(expected) {
			continue
		}
		all++
		if q.stale {
			stale++
		}
	}
	if p.subject.routes {
		p.require(fmt.Sprintf("answers %s that say that they are stale", when), share(stale, all), "%", exactly(100))
	}
}

// judgeReturn looks for fresh answers after the outage. An answer that does
// not say that it is stale may show it by a TTL above the record's.
func (o *outage) judgeReturn(p *proof, questions []*question, expected map[string]netip.Addr, private time.Duration) {
	first, last := math.Inf(1), 0.0
	for _, q := range questions {
		since := q.replied().Sub(o.thawed).Seconds()
		if q.failed(expected) || since < 0 {
			continue
		}
		if q.stale || q.ttl > private {
			last = max(last, since)
		} else {
			first = min(first, since)
		}
	}
	p.require("return: first fresh answer after", first, "s", atMost(1))
	p.require("return: last stale answer after", last, "s", atMost(2))
	p.note("asked after the return", float64(len(slices.DeleteFunc(slices.Clone(questions), func(q *question) bool { return q.asked.Before(o.thawed) }))), "questions")
}
