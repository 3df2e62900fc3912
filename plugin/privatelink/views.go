package privatelink

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
)

// view is what one group says of a name by itself.
type view struct {
	group   *upstream.Group
	answer  *upstream.Answer
	finding verdict.Finding
	err     error
	// site: the group is one of the route's own sites.
	site bool
}

// viewTime bounds a question to another group.
const viewTime = 2 * time.Second

// askViews asks the sites of a route one by one and, where a private endpoint's
// address was not found, the other groups that may see private zones.
func (s *service) askViews(ctx context.Context, e *explained) {
	o := e.now
	var asked []*upstream.Group
	sites := 0
	if o.route.sites != nil {
		asked, sites = slices.Clone(o.route.sites.groups), len(o.route.sites.groups)
	}
	meaning := o.finding.Verdict
	lost := o.answered() && (meaning == verdict.Unlinked || meaning == verdict.Missing || o.fallback == afterMissing)
	if lost {
		asked = append(asked, s.otherGroups(o)...)
	}
	views := make([]view, len(asked))
	var asking sync.WaitGroup
	for index, group := range asked {
		asking.Go(func() {
			views[index] = s.askView(ctx, group, o)
			views[index].site = index < sites
		})
	}
	asking.Wait()
	e.views = views
}

// askView asks one group.
func (s *service) askView(ctx context.Context, group *upstream.Group, o *outcome) view {
	ctx, cancel := context.WithTimeout(ctx, viewTime)
	defer cancel()
	heard := view{group: group}
	heard.answer, heard.err = group.Exchange(ctx, o.query.question())
	if heard.err == nil {
		heard.finding = s.findingOf(&o.query, heard.answer.Msg)
	}
	return heard
}

// otherGroups are the groups that may know a private address which the route's own do
// not: never one that a route falls back to, for those are public, and for a name that
// must be private only those that a catalogued name is routed to anyway.
func (s *service) otherGroups(o *outcome) []*upstream.Group {
	own := o.route.groups()
	public, catalogued := s.fallbackGroups(), s.cataloguedGroups()
	protected := o.guarded || s.policy.Guard.Protects(o.query.name, o.finding.Chain, s.catalog)
	var others []*upstream.Group
	for _, name := range slices.Sorted(maps.Keys(s.redirects)) {
		group := s.redirects[name].group
		switch {
		case slices.Contains(own, group), public[name], protected && !catalogued[name]:
		case catalogued[name] || s.isNear(group):
			others = append(others, group)
		}
	}
	return others
}

func (s *service) fallbackGroups() map[string]bool {
	public := map[string]bool{}
	for _, way := range s.routes.all {
		for _, group := range []*upstream.Group{way.missing, way.outage} {
			if group != nil {
				public[group.Name] = true
			}
		}
	}
	return public
}

// cataloguedGroups are the groups that a route names for catalogued names.
func (s *service) cataloguedGroups() map[string]bool {
	names := map[string]bool{}
	for index := range s.routes.probed {
		each := &s.routes.probed[index]
		if each.suffix != "" && s.catalog.Match(each.suffix).Namespace == nil {
			continue
		}
		for _, group := range each.way.groups() {
			names[group.Name] = true
		}
	}
	return names
}

// isNear reports whether all servers of a group, backups included, are inside the company's networks.
func (s *service) isNear(group *upstream.Group) bool {
	for server := range group.All() {
		if !isNearAddress(server.Addr().Addr(), s.private) {
			return false
		}
	}
	return true
}

func isNearAddress(address netip.Addr, private verdict.Networks) bool {
	return address == azureDNS || address.IsLoopback() || address.IsLinkLocalUnicast() || private.Contain(address)
}
