package privatelink

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

const (
	// probeInterval is how often all routes are probed for loops, suspectInterval how
	// often one that is suspected.
	probeInterval   = 3 * time.Minute
	suspectInterval = time.Second
	// probePace is the time between two probes: 20 a second leave a budget alone.
	probePace = 50 * time.Millisecond
	// probeTime is how long a probe waits for its reply.
	probeTime = 2 * time.Second
	// maxProbes bounds a round. Of more routes the next round takes the next.
	maxProbes = 512
	// maxSuspects bounds the memory of suspicions.
	maxSuspects = 1024
)

// probedRoute is a line of the configuration that is looked at for loops.
type probedRoute struct {
	// suffix is empty for the route of the catalog.
	suffix string
	where  string
	way    *route
}

// probe is one question of a round.
type probe struct {
	suffix string
	route  *probedRoute
	group  *upstream.Group
}

// probes lists what a round asks: every group of every route, the catalog's last and
// below each of its suffixes, for conditional forwarders know one suffix each.
// Fallback groups are not among them: no name of a route is asked there without need.
// With a suffix, only its own are listed.
func (s *service) probes(only string) []probe {
	var all, catalogued []probe
	for index := range s.routes.probed {
		each := &s.routes.probed[index]
		switch {
		case each.suffix == "":
			catalogued = each.appendTo(catalogued, s.anchors(), only)
		case only == "" || each.suffix == only:
			all = each.appendTo(all, []string{each.suffix}, only)
		}
	}
	return append(all, catalogued...)
}

// appendTo appends the probes of a route below suffixes.
func (r *probedRoute) appendTo(all []probe, suffixes []string, only string) []probe {
	for _, group := range r.way.groups() {
		for _, suffix := range suffixes {
			if only == "" || suffix == only {
				all = append(all, probe{suffix: suffix, route: r, group: group})
			}
		}
	}
	return all
}

// anchors are the suffixes of the catalog that have no placeholders, each once.
func (s *service) anchors() []string {
	var anchors []string
	seen := map[string]bool{}
	for _, namespace := range s.catalog.Namespaces() {
		if anchor := namespace.Anchor + "."; !seen[anchor] {
			seen[anchor] = true
			anchors = append(anchors, anchor)
		}
	}
	return anchors
}

// suffixOf is the suffix by which find finds the route of a name.
func (r *routes) suffixOf(name string, match catalog.Match) string {
	if _, labels, found := r.explicit.Lookup(name); found {
		return rightmost(name, labels)
	}
	if match.Zone != nil {
		public := publicName(name, match)
		if _, labels, found := r.explicit.Lookup(public); found {
			return rightmost(public, labels)
		}
	}
	if match.Namespace != nil && r.catalogued != nil {
		return match.Namespace.Anchor + "."
	}
	return "."
}

// rightmost are so many labels of a name; "." for none.
func rightmost(name string, labels int) string {
	starts := dns.Split(name)
	if labels == 0 || labels > len(starts) {
		return "."
	}
	return name[starts[len(starts)-labels]:]
}

// run asks the question of a probe. A name that would be too long is not asked.
func (p *probe) run(ctx context.Context, s *service, report func(*probe, netip.Addr)) (lifted bool) {
	name := newNonce(p.suffix)
	if _, valid := dns.IsDomainName(name); !valid || p.group.Down() {
		return false
	}
	way := heldWay{p.suffix, p.group.Name}
	s.loops.send(name, nonce{way: way, sent: time.Now(), report: func(from netip.Addr) { report(p, from) }})
	ctx, cancel := context.WithTimeout(upstream.LowPriority(ctx), probeTime)
	defer cancel()
	_, err := p.group.Exchange(ctx, upstream.Question{Name: name, Type: dns.TypeTXT, Class: dns.ClassINET})
	return replied(err) && s.loops.landed(name)
}

// replied reports whether a server replied at all, be it with an error.
func replied(err error) bool {
	if failed := (*upstream.FailedError)(nil); errors.As(err, &failed) {
		return !isOutage(err)
	}
	return err == nil
}

// suspect lets the route of a question be probed whose upstreams failed: a loop may
// be the reason. It waits for nothing; of many suspicions few are looked at.
func (s *service) suspect(o *outcome) {
	if isNonce(o.query.name) {
		return
	}
	select {
	case s.suspects <- s.routes.suffixOf(o.query.name, o.match):
	default:
	}
}

// rounds are the probes of a stanza.
type rounds struct {
	running *running
	// probed is the configuration that was probed last, and begun when that began.
	probed *configuration
	begun  time.Time
	// next is the probe that the next round begins with, where there are too many.
	next int
	// suspected is when the suspicion of a suffix was last looked at.
	suspected map[string]time.Time
	asking    sync.WaitGroup
}

// watchLoops probes all routes once the server listens, after every change, and
// now and then, and the routes whose upstreams fail, until stop is closed.
func (r *running) watchLoops(stop <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-stop
		cancel()
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	probing := &rounds{running: r, suspected: map[string]time.Time{}}
	defer probing.asking.Wait()
	for {
		select {
		case <-stop:
			return
		case <-r.listening:
			probing.begin(ctx, time.Now())
		case suffix := <-r.handler.current.Load().service.suspects:
			probing.look(ctx, suffix, time.Now())
		case now := <-tick.C:
			if r.handler.current.Load() != probing.probed || now.Sub(probing.begun) >= probeInterval {
				probing.begin(ctx, now)
			}
		}
	}
}

// listens lets the probing begin.
func (r *running) listens() {
	select {
	case r.listening <- struct{}{}:
	default:
	}
}

// begin probes all routes, or as many as a round may have.
func (r *rounds) begin(ctx context.Context, now time.Time) {
	r.probed, r.begun = r.running.handler.current.Load(), now
	all := r.probed.service.probes("")
	if len(all) > maxProbes {
		r.next %= len(all)
		all = append(all[r.next:], all[:r.next]...)[:maxProbes]
		r.next += maxProbes
	}
	r.ask(ctx, all)
}

// look probes the routes of one suffix.
func (r *rounds) look(ctx context.Context, suffix string, now time.Time) {
	if now.Sub(r.suspected[suffix]) < suspectInterval {
		return
	}
	if len(r.suspected) >= maxSuspects {
		clear(r.suspected)
	}
	r.suspected[suffix] = now
	r.ask(ctx, r.running.handler.current.Load().service.probes(suffix))
}

// ask puts probes, one after the other. It does not wait for replies.
func (r *rounds) ask(ctx context.Context, all []probe) {
	pace := time.NewTicker(probePace)
	defer pace.Stop()
	for index := range all {
		r.asking.Go(func() { r.running.put(ctx, &all[index]) })
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
	}
}

// put puts a probe and tells the operator when it finds that a loop has ended.
func (r *running) put(ctx context.Context, p *probe) {
	current := r.handler.current.Load()
	if p.run(ctx, current.service, r.reportLoop) {
		r.log.Infof("%s does not lead back to this server any more", p)
	}
	current.metrics.loops(r.shared.loops.count())
}

// reportLoop tells the operator of a loop.
func (r *running) reportLoop(p *probe, from netip.Addr) {
	r.log.Errorf("%s: %s leads back to this server: a question that was sent there came back from %s; such questions get SERVFAIL until that ends",
		p.route.where, p, from)
	r.handler.current.Load().metrics.loops(r.shared.loops.count())
}

// String names the route and the group.
func (p *probe) String() string {
	return fmt.Sprintf("the route of %q to upstream group %q", p.suffix, p.group.Name)
}
