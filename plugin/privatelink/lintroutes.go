package privatelink

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
)

// lintFallbacks finds fallbacks to servers that are no way out.
func lintFallbacks(l *linted) {
	for index := range l.config.routes {
		route := &l.config.routes[index]
		fallbacks := route.fallbacks()
		for _, option := range slices.Sorted(maps.Keys(fallbacks)) {
			group := l.config.groups[fallbacks[option]]
			if group.has(azureDNS) {
				l.warn(route.where, "fallback-to-azure", "%s=%s asks %s, which sees private zones: it is no public resolver, and has no other answer when it is the upstream that fails", option, group.name, azureDNS)
				continue
			}
			if server, own := l.ownServer(route, group); own {
				l.warn(route.where, "fallback-to-itself", "%s=%s has %s, which is among the route's own servers: a name that must not leak is asked there anyway, and an outage is that server's too", option, group.name, server)
			}
		}
	}
}

// lintLeaks finds fallbacks that would ask a public server for names of the company's
// own: those below a suffix whose servers are asked for nothing that public DNS knows.
func lintLeaks(l *linted) {
	shared := map[string]bool{}
	for index := range l.config.routes {
		if route := &l.config.routes[index]; l.public(route) {
			for _, group := range route.groups {
				shared[group] = true
			}
		}
	}
	for index := range l.config.routes {
		route := &l.config.routes[index]
		if l.public(route) || slices.ContainsFunc(route.groups, func(group string) bool { return shared[group] }) {
			continue
		}
		fallbacks := route.fallbacks()
		for _, option := range slices.Sorted(maps.Keys(fallbacks)) {
			if group := fallbacks[option]; !l.service.isNear(l.service.redirects[group].group) {
				l.warn(route.where, "fallback-leaks", "%s=%s asks a server at a public address for names of %s, which only upstream %s knows otherwise: names of your own leak there; leave it to routes for public names", option, group, bare(route.key()), strings.Join(route.groups, " "))
			}
		}
	}
}

// public reports whether a route has names that are in public DNS: those of the catalog,
// and all the rest.
func (l *linted) public(route *routeConfig) bool {
	return route.suffix == "." || l.catalogued(route) || route.suffix != "" && len(l.below(route.suffix)) > 0
}

// ownServer is a server of a group that the route asks anyway, by address and port.
func (l *linted) ownServer(route *routeConfig, group *groupConfig) (endpoint, bool) {
	for _, name := range route.groups {
		for _, own := range l.config.groups[name].endpoints() {
			for _, server := range group.endpoints() {
				if server.address == own.address {
					return server, true
				}
			}
		}
	}
	return endpoint{}, false
}

// catalogued reports whether a route is one for names of the catalog.
func (l *linted) catalogued(route *routeConfig) bool {
	return route.catalog || l.service.catalog.Match(route.suffix+route.name).Namespace != nil
}

// lintBlindGroups finds catalogued names that are sent to servers which cannot see
// private zones.
func lintBlindGroups(l *linted) {
	public := map[string]string{}
	for index := range l.config.routes {
		for option, group := range l.config.routes[index].fallbacks() {
			if l.config.groups[group].has(azureDNS) {
				continue // lintFallbacks tells of that
			}
			public[group] = fmt.Sprintf("is what %s= falls back to (%s)", option, l.config.routes[index].where)
		}
	}
	for _, name := range l.config.order {
		if !l.service.isNear(l.service.redirects[name].group) {
			public[name] = "has a server at a public address"
		}
	}
	for index := range l.config.routes {
		route := &l.config.routes[index]
		if !l.catalogued(route) {
			continue
		}
		for _, group := range route.groups {
			if reason, blind := public[group]; blind {
				l.warn(route.where, "blind-upstream", "the route %s sends names of private endpoints to upstream %s, which %s and so cannot see private zones", bare(route.key()), group, reason)
			}
		}
	}
}

// lintPrivatelinkRoutes finds routes for privatelink zones.
func lintPrivatelinkRoutes(l *linted) {
	for index := range l.config.routes {
		route := &l.config.routes[index]
		name := route.suffix + route.name
		if name == "" || !catalog.HasPrivatelinkLabel(name) {
			continue
		}
		instead := "route the public suffix: names below a privatelink zone follow it"
		if match := l.service.catalog.Match(name); match.Namespace != nil {
			instead = fmt.Sprintf("route %s: names below the privatelink zone follow it", match.Namespace.Suffix)
		}
		l.warn(route.where, "privatelink-route", "the route %s is for a privatelink zone, and clients ask for public names, which do not take it; %s", bare(route.key()), instead)
	}
}

// lintBroadRoutes finds routes that take names of the catalog away from its route
// because they are for a suffix above them.
func lintBroadRoutes(l *linted) {
	catalogRoute := l.config.catalogRoute()
	if catalogRoute == nil {
		return
	}
	for index := range l.config.routes {
		route := &l.config.routes[index]
		if route.suffix == "" || route.suffix == "." || slices.Equal(route.groups, catalogRoute.groups) {
			continue
		}
		if taken := l.below(route.suffix); len(taken) > 0 {
			l.warn(route.where, "shadows-catalog", "the route %s takes %s away from \"route catalog\" (%s), for every suffix that is written beats it", bare(route.suffix), some(taken), catalogRoute.where)
		}
	}
}

func (c *config) catalogRoute() *routeConfig {
	for index := range c.routes {
		if c.routes[index].catalog {
			return &c.routes[index]
		}
	}
	return nil
}

// below are the catalogued suffixes strictly below a suffix that have no longer route.
func (l *linted) below(suffix string) []string {
	var taken []string
	for _, anchor := range l.anchors {
		if anchor == suffix || !strings.HasSuffix(anchor, "."+suffix) {
			continue
		}
		if _, labels, found := l.service.routes.explicit.Lookup(anchor); found && labels == dns.CountLabel(suffix) {
			taken = append(taken, bare(anchor))
		}
	}
	return taken
}

// some names a few of many.
func some(names []string) string {
	if len(names) <= 3 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
}

// lintIdleRoutes finds routes that decide nothing: without them their names would be
// sent to the same groups.
func lintIdleRoutes(l *linted) {
	suffixes := map[string]*routeConfig{}
	var rest *routeConfig
	for index := range l.config.routes {
		route := &l.config.routes[index]
		switch {
		case route.suffix == ".":
			rest = route
		case route.suffix != "":
			suffixes[route.suffix] = route
		}
	}
	for index := range l.config.routes {
		route := &l.config.routes[index]
		if route.catalog {
			if l.catalogIsIdle() {
				l.warn(route.where, "never-reached", "\"route catalog\" is never reached: every suffix of the catalog has a route of its own")
			}
			continue
		}
		if other := l.without(route, suffixes, rest); other != nil && other != route && sameWay(route, other) {
			l.warn(route.where, "idle-route", "the route %s decides nothing: %s (%s) sends the same names to the same upstreams", bare(route.key()), bare(other.key()), other.where)
		}
	}
}

// without is the route that a route's names would take if it were not there.
func (l *linted) without(route *routeConfig, suffixes map[string]*routeConfig, rest *routeConfig) *routeConfig {
	name := route.suffix + route.name
	if route.name != "" && suffixes[name] != nil {
		return suffixes[name]
	}
	for offset, end := dns.NextLabel(name, 0); !end; offset, end = dns.NextLabel(name, offset) {
		if above := suffixes[name[offset:]]; above != nil {
			return above
		}
	}
	if l.service.catalog.Match(name).Namespace != nil {
		if catalogRoute := l.config.catalogRoute(); catalogRoute != nil {
			return catalogRoute
		}
	}
	// A suffix above some of the catalog is more than its own name.
	if route.suffix != "" && len(l.below(route.suffix)) > 0 {
		return nil
	}
	return rest
}

func sameWay(a, b *routeConfig) bool {
	return slices.Equal(a.groups, b.groups) && a.missing == b.missing && a.outage == b.outage && a.stale == b.stale
}

func (l *linted) catalogIsIdle() bool {
	return !slices.ContainsFunc(l.anchors, func(anchor string) bool {
		_, _, found := l.service.routes.explicit.Lookup(anchor)
		return !found
	})
}

// lintMustBePrivate finds protected names that nothing is asked for. Those that are sent
// where private zones cannot be seen, lintBlindGroups finds.
func lintMustBePrivate(l *linted) {
	for _, protected := range l.config.protected {
		name := dns.CanonicalName(strings.TrimPrefix(protected.value, "="))
		if l.service.routes.find(name, l.service.catalog.Match(name)) == nil {
			l.warn(protected.where, "must-private-unrouted", "%s must be private and no route leads anywhere for it: every question for it is refused", protected.value)
		}
	}
}

// declaration is a network of clients as it was declared.
type declaration struct {
	class   string
	network netip.Prefix
	where   string
}

// widest is the shortest prefix that a declaration of resolvers needs: such servers
// are few, and every machine in the network is let pass.
const (
	widestIPv4 = 24
	widestIPv6 = 64
)

// lintClients finds declarations that decide nothing, or too much.
func lintClients(l *linted) {
	declared := map[netip.Prefix]declaration{}
	for _, each := range l.config.declared {
		declared[each.network] = each
	}
	for _, inner := range l.config.declared {
		narrow := map[bool]int{true: widestIPv4, false: widestIPv6}[inner.network.Addr().Is4()]
		if inner.class == policy.Resolver.String() && inner.network.Bits() < narrow {
			l.warn(inner.where, "wide-resolvers", "%s is declared as resolvers: every machine in it may look up privatelink names directly; declare the addresses of the DNS servers, and the network as stub", inner.network)
		}
		if outer, found := around(inner, declared); found && outer.class == inner.class {
			l.warn(inner.where, "idle-network", "%s decides nothing: it lies in %s, which is declared %s as well (%s)", inner.network, outer.network, outer.class, outer.where)
		}
	}
}

// around is the longest other network that a network lies in.
func around(inner declaration, declared map[netip.Prefix]declaration) (declaration, bool) {
	for bits := inner.network.Bits() - 1; bits >= 0; bits-- {
		wider, err := inner.network.Addr().Prefix(bits)
		if err != nil {
			break
		}
		if outer, found := declared[wider]; found {
			return outer, true
		}
	}
	return declaration{}, false
}
