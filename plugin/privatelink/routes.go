package privatelink

import (
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

// route says which upstream group is asked.
type route struct {
	// label is the route's value in the query log and the metrics.
	label string
	// group has the servers of all sites, tier by tier, where there are several.
	group *upstream.Group
	// sites are several groups that are all asked; nil for one group.
	sites *sites
	// missing and outage are the groups to fall back to; nil for none.
	missing *upstream.Group
	outage  *upstream.Group
	// stale is how long an expired answer may be used; 0 for the usual.
	stale time.Duration
	// override: an operator sent a name to the group. A chain is not taken from it
	// by the routes of its names.
	override bool
	// id is the same for routes that ask the same groups, in this process and
	// the next: an answer of another id is not this route's.
	id uint32
}

// owns reports whether a kept answer, if there is one, came by this route, and by no
// fallback that the route no longer has.
func (r *route) owns(entry cache.Entry) bool {
	if !entry.Exists() {
		return true
	}
	meta := entry.Meta()
	return meta.Group == r.id && r.has(fallbackOf(meta.Flags))
}

// has reports whether the route has a fallback.
func (r *route) has(way fallback) bool {
	switch way {
	case afterMissing:
		return r.missing != nil
	case afterOutage:
		return r.outage != nil
	}
	return true
}

// identify makes a route's id of the names of the groups it asks. Their servers and the
// fallbacks are left out: who adds one in the middle of an outage still wants what is kept.
func (r *route) identify(keptAs map[string]string) {
	var digest xxhash.Digest
	digest.Reset()
	if r.override {
		// What it answers has not changed routes: it is another answer.
		_, _ = digest.WriteString("override")
	}
	for _, group := range r.groups() {
		_, _ = digest.WriteString("|" + keptAs[group.Name])
	}
	r.id = uint32(digest.Sum64())
}

// claimGroups returns by name what the answers of each group are kept as, which is its
// name. Where another stanza has given the name to other servers, it is the servers
// too: the two share a cache. The first stanza since commit has the name.
func (s *slot) claimGroups(groups map[string]*groupConfig) map[string]string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	keptAs := make(map[string]string, len(groups))
	for name, group := range groups {
		servers := fmt.Sprint(group.endpoints())
		if _, claimed := s.claims[name]; !claimed {
			s.claims[name] = servers
		}
		keptAs[name] = name
		if s.claims[name] != servers {
			keptAs[name] += " " + servers
		}
	}
	return keptAs
}

// routes find the route of a name. They are read only once built.
type routes struct {
	// explicit are the routes by suffix and by exact name, save for the root.
	explicit catalog.Suffixes[*route]
	// catalogued is the route for everything the catalog knows, rest the route
	// of the root. Either may be nil.
	catalogued *route
	rest       *route
	// local are zones that are answered here, and not by the route of the root.
	local catalog.Suffixes[string]
	// all are the routes that differ in their label or group.
	all []*route
	// near are the client networks that have a site of their own.
	near []nearSite
	// keptAs is what claimGroups said.
	keptAs map[string]string
	// probed are the routes as they were written.
	probed []probedRoute
}

func newRoutes(c *config, groups map[string]*upstream.Group) (*routes, error) {
	built := &routes{near: c.nearSites(), keptAs: c.keptAs}
	shared := map[string]*sites{}
	for _, written := range c.routes {
		wanted := route{label: written.label, missing: groups[written.missing], outage: groups[written.outage], stale: written.stale}
		if name := written.groupName(); len(written.groups) > 1 {
			if shared[name] == nil {
				shared[name] = newSites(written.groups, groups)
			}
			wanted.sites, wanted.group = shared[name], shared[name].all
		} else {
			wanted.group = groups[name]
		}
		way := built.share(wanted)
		built.probed = append(built.probed, probedRoute{suffix: written.suffix + written.name, where: written.where, way: way})
		var err error
		switch {
		case written.catalog:
			built.catalogued = way
		case written.suffix == ".":
			built.rest = way
		case written.name != "":
			err = built.explicit.AddName(written.name, way)
		default:
			err = built.explicit.AddSuffix(written.suffix, way)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", written.where, err)
		}
	}
	return built, built.addLocal(c.local)
}

// share returns one route for all that are alike, so that the many of a rules
// file cost no more than their names.
func (r *routes) share(wanted route) *route {
	for _, way := range r.all {
		wanted.id = way.id
		if *way == wanted {
			return way
		}
	}
	wanted.identify(r.keptAs)
	r.all = append(r.all, &wanted)
	return &wanted
}

// find returns the route of a name, or nil: the longest explicit suffix, an
// exact name first; then the catalog; then, unless the name is served locally, the root. A name in a privatelink
// zone follows its public name, so that a chase takes the way of the chain
// that led to it. The match is the catalog's word on the name.
func (r *routes) find(name string, match catalog.Match) *route {
	if way, _, found := r.explicit.Lookup(name); found {
		return way
	}
	if match.Zone != nil && r.explicit.Len() > 0 {
		if way := r.ofPublicName(name, match); way != nil {
			return way
		}
	}
	if match.Namespace != nil && r.catalogued != nil {
		return r.catalogued
	}
	if r.localZoneOf(name) != "" {
		return nil
	}
	return r.rest
}

// localZoneOf is the zone that is served here for a name which has no route of its own,
// empty for none.
func (r *routes) localZoneOf(name string) string {
	if r.local.Len() == 0 {
		return ""
	}
	zone, _, _ := r.local.Lookup(name)
	return zone
}

func (r *routes) ofPublicName(name string, match catalog.Match) *route {
	way, _, _ := r.explicit.Lookup(publicName(name, match))
	return way
}

// publicName is the public name of a name in a privatelink zone, or the suffix that
// it has where the catalog cannot derive it.
func publicName(name string, match catalog.Match) string {
	if public, derived := match.Zone.PublicName(name); derived {
		return public
	}
	return dns.Fqdn(match.Namespace.Suffix)
}
