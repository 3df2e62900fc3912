package privatelink

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

const (
	// canaryPace is the time between two questions of the canary: hardly anything of
	// any budget.
	canaryPace = 5 * time.Second
	// maxZonesInUse bounds the zones that are looked at. The catalog of a cloud has about
	// as many; those with placeholders count once for each value.
	maxZonesInUse = 128
	// maxLinks bounds what is asked: with its pace, every link is looked at within half
	// an hour.
	maxLinks = 256
	// linkLife is how long what was heard of a link is believed.
	linkLife = time.Hour
)

// zonesInUse are privatelink zones that were seen since the start, without final dots:
// those that chains have led into, or those that the catalog does not know. They are the
// process's. It is safe for concurrent use; the zero
// value is ready.
type zonesInUse struct {
	mutex sync.Mutex
	// known is replaced as a whole, so that the read loops need no lock.
	known atomic.Pointer[map[string]bool]
	// told are those that untold has returned.
	told map[string]bool
}

// note takes in a zone. The name is copied if it is kept.
func (z *zonesInUse) note(zone string) {
	if known := z.known.Load(); known != nil && ((*known)[zone] || len(*known) >= maxZonesInUse) {
		return
	}
	z.mutex.Lock()
	defer z.mutex.Unlock()
	more := map[string]bool{strings.Clone(zone): true}
	for _, old := range z.list() {
		more[old] = true
	}
	z.known.Store(&more)
}

// untold returns the zones that the operator has not been told of, each once.
func (z *zonesInUse) untold() (zones []string) {
	z.mutex.Lock()
	defer z.mutex.Unlock()
	all := z.list()
	if len(all) == len(z.told) {
		return nil
	}
	if z.told == nil {
		z.told = map[string]bool{}
	}
	for _, zone := range all {
		if !z.told[zone] {
			z.told[zone] = true
			zones = append(zones, zone)
		}
	}
	slices.Sort(zones)
	return zones
}

// list returns the zones in no order.
func (z *zonesInUse) list() []string {
	known := z.known.Load()
	if known == nil {
		return nil
	}
	zones := make([]string, 0, len(*known))
	for zone := range *known {
		zones = append(zones, zone)
	}
	return zones
}

// zoneLink is whether a zone is linked to the network that a group asks from.
type zoneLink struct{ zone, group string }

// links is what is known of the links of zones in use. It is the process's, so that a
// change is noticed over a reload, too. It is safe for concurrent use; the zero value
// is ready.
type links struct {
	mutex sync.Mutex
	known map[zoneLink]linkState
}

type linkState struct {
	asked, heard time.Time
	linked       bool
}

// next chooses, and marks as asked, the one that was asked the longest time ago; false
// where there is none. What belongs to no configuration any more is forgotten in time.
func (l *links) next(all []canaryQuestion, now time.Time) (chosen canaryQuestion, found bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.known == nil {
		l.known = map[zoneLink]linkState{}
	}
	for link, state := range l.known {
		if now.Sub(state.asked) > linkLife {
			delete(l.known, link)
		}
	}
	for _, each := range all {
		if !found || l.known[each.link].asked.Before(l.known[chosen.link].asked) {
			chosen, found = each, true
		}
	}
	if found {
		state := l.known[chosen.link]
		state.asked = now
		l.known[chosen.link] = state
	}
	return chosen, found
}

// learn takes in what was heard. It reports whether that is a change, or the first time.
func (l *links) learn(link zoneLink, linked bool, now time.Time) (changed, first bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	state := l.known[link]
	first = state.heard.IsZero()
	changed = !first && state.linked != linked
	state.heard, state.linked = now, linked
	l.known[link] = state
	return changed, first
}

// each calls tell for every link that something was heard of lately.
func (l *links) each(now time.Time, tell func(link zoneLink, linked bool)) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for link, state := range l.known {
		if !state.heard.IsZero() && now.Sub(state.heard) <= linkLife {
			tell(link, state.linked)
		}
	}
}

// canaryQuestion asks a group whether a zone is linked.
type canaryQuestion struct {
	link  zoneLink
	group *upstream.Group
}

// canaryQuestions are those for all zones in use: to the groups of each zone's own
// route, never to a fallback group. Groups that send such questions back here, or
// whose servers are down, are left out.
func (s *service) canaryQuestions(now time.Time) []canaryQuestion {
	var all []canaryQuestion
	for _, zone := range s.inUse.list() {
		name := zone + "."
		match := s.catalog.Match(name)
		way := s.routes.find(name, match)
		if way == nil {
			continue
		}
		for _, group := range way.groups() {
			held := s.loops.holds(heldWay{s.routes.suffixOf(name, match), group.Name}, now)
			if !held && !group.Down() && len(all) < maxLinks {
				all = append(all, canaryQuestion{zoneLink{zone, group.Name}, group})
			}
		}
	}
	return all
}

// watchLinks asks for one link after the other, until stop is closed. Nothing is in use
// before the first query, so nothing is asked before the server listens.
func (r *running) watchLinks(stop <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-stop
		cancel()
	}()
	tick := time.NewTicker(canaryPace)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case now := <-tick.C:
			r.askLink(ctx, now)
		}
	}
}

// askLink asks for one link, and tells the operator how it is, and of every change.
func (r *running) askLink(ctx context.Context, now time.Time) {
	question, found := r.shared.links.next(r.handler.current.Load().service.canaryQuestions(now), now)
	if !found {
		return
	}
	link, err := testLink(upstream.LowPriority(ctx), question.group, question.link.zone)
	if err != nil || link == LinkUnknown {
		return
	}
	zone, group := question.link.zone, question.link.group
	switch changed, first := r.shared.links.learn(question.link, link == Linked, now); {
	case link == Linked && (changed || first):
		r.log.Infof("zone %q is linked to the network of upstream group %q", zone, group)
	case first:
		r.log.Infof("zone %q is not linked to the network of upstream group %q: no fault where all resources in it are others'", zone, group)
	case changed:
		r.log.Warningf("zone %q is not linked to the network of upstream group %q any more: its names get public addresses there, or none", zone, group)
	}
}

// noteUncatalogued takes in a privatelink name that the catalog does not know, if there
// is an address behind it: names can be made up.
func (s *signals) noteUncatalogued(o *outcome) {
	name := o.finding.Uncatalogued
	if len(o.finding.Chain.Addresses) == 0 {
		return
	}
	for at, end := 0, false; !end; at, end = dns.NextLabel(name, at) {
		if strings.HasPrefix(name[at:], "privatelink") {
			s.unknown.note(strings.TrimSuffix(name[at:], "."))
			return
		}
	}
}

// tellUncatalogued tells the operator of the zones that the catalog does not know.
func (r *running) tellUncatalogued() {
	for _, zone := range r.shared.unknown.untold() {
		r.log.Warningf("zone %q is not in the catalog, and names lead into it: add it to a catalog file of your own, and it is guarded like the others", zone)
	}
}
