package privatelink

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

// sites are the groups of a route whose views of the private zones differ:
// production and test each own a zone privatelink.database.windows.net. They are
// read only once built.
type sites struct {
	// groups are in the route's order.
	groups []*upstream.Group
	// all has the servers of all of them, each in its tier. It is never asked; it tells whether the
	// route as a whole is down, failing or back.
	all *upstream.Group
	// rankings are the orders in which a private answer is preferred, by own site.
	rankings map[string][]*upstream.Group
}

// nearSite is a network whose clients prefer a site.
type nearSite struct {
	network netip.Prefix
	// group is the site, view what the answers of these clients are kept under.
	group, view string
}

// siteMark begins the part of a key's view that names the clients' own sites, and
// siteBreak stands between two of them. No view's name contains them.
const (
	siteMark  = "\x00"
	siteBreak = "\x01"
)

func newSites(names []string, groups map[string]*upstream.Group) *sites {
	built := &sites{all: &upstream.Group{Name: joinGroups(names)}, rankings: map[string][]*upstream.Group{}}
	for _, name := range names {
		built.groups = append(built.groups, groups[name])
		built.all.Servers = append(built.all.Servers, groups[name].Servers...)
		for tier, backups := range groups[name].Backups {
			if tier == len(built.all.Backups) {
				built.all.Backups = append(built.all.Backups, nil)
			}
			built.all.Backups[tier] = append(built.all.Backups[tier], backups...)
		}
	}
	for index, name := range names {
		built.rankings[name] = append([]*upstream.Group{groups[name]}, slices.Delete(slices.Clone(built.groups), index, index+1)...)
	}
	return built
}

// nearSites are the client networks of all groups, the longest first. A network's view
// names its own site and those of the networks around it: two routes may have different
// sites, and each prefers the first that it has.
func (c *config) nearSites() []nearSite {
	var near []nearSite
	for _, name := range c.order {
		for _, network := range c.groups[name].clients {
			near = append(near, nearSite{network: network, group: name})
		}
	}
	slices.SortStableFunc(near, func(a, b nearSite) int { return b.network.Bits() - a.network.Bits() })
	for index := range near {
		var own []string
		for _, around := range near[index:] {
			if around.network.Contains(near[index].network.Addr()) && !slices.Contains(own, around.group) {
				own = append(own, around.group)
			}
		}
		near[index].view = siteMark + strings.Join(own, siteBreak)
	}
	return near
}

// groups are the groups that are asked: one, or those of all sites.
func (r *route) groups() []*upstream.Group {
	if r.sites != nil {
		return r.sites.groups
	}
	return []*upstream.Group{r.group}
}

// viewOf is the view that a query's answer is kept under: that of CoreDNS, and the
// client's own sites where it has some, since of two private answers its own is meant
// for it. It does not depend on the question's route, for the chain of any name can
// lead to a route that has sites.
func (r *routes) viewOf(q *query) string {
	client := q.client.Addr()
	for index := range r.near {
		if near := &r.near[index]; near.network.Contains(client) {
			if q.key.View == "" {
				return near.view
			}
			return q.key.View + near.view
		}
	}
	return q.key.View
}

// ranked are the groups in the order in which a private answer is preferred: the
// clients' own site, then the route's order. The view is the key's and not the
// client's, because the answer is shared by all who have it.
func (s *sites) ranked(view string) []*upstream.Group {
	_, own, _ := strings.Cut(view, siteMark)
	for name := range strings.SplitSeq(own, siteBreak) {
		if ranking, found := s.rankings[name]; found {
			return ranking
		}
	}
	return s.groups
}

// siteOf is how a group is kept with an answer, 0 for a group that is no site.
func (r *route) siteOf(group *upstream.Group) uint32 {
	if r.sites == nil {
		return 0
	}
	return uint32(1 + slices.Index(r.sites.groups, group))
}

// groupOf is the group that a kept answer of this route came from.
func (r *route) groupOf(entry cache.Entry) *upstream.Group {
	site := entry.Meta().Site
	if r.sites == nil || site == 0 || int(site) > len(r.sites.groups) {
		return r.group
	}
	return r.sites.groups[site-1]
}

// joinGroups names several groups at once.
func joinGroups(names []string) string { return strings.Join(names, "+") }

// groupName is the name of the route's group, or of its sites.
func (r *routeConfig) groupName() string { return joinGroups(r.groups) }

// groupNames are one group or several in a rules file.
type groupNames []string

// UnmarshalYAML reads "group: prod" and "group: [prod, test]" alike.
func (g *groupNames) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*g = groupNames{node.Value}
		return nil
	}
	return node.Decode((*[]string)(g))
}

// repeated returns the first of the names that stands a second time, empty for none.
func repeated(names []string) string {
	for index, name := range names {
		if slices.Contains(names[:index], name) {
			return name
		}
	}
	return ""
}

// addClients reads the networks that a group is the own site of.
func (g *groupConfig) addClients(written string) error {
	for _, one := range strings.Split(written, ",") {
		network, err := parseNetwork(one)
		if err != nil {
			return fmt.Errorf("found clients=%s: %w", written, err)
		}
		g.clients = append(g.clients, network)
	}
	return nil
}

// checkSites refuses client networks that would have no effect, and those that
// belong to two sites.
func (c *config) checkSites() error {
	isSite := map[string]bool{}
	for _, route := range c.routes {
		for _, name := range route.groups {
			isSite[name] = isSite[name] || len(route.groups) > 1
		}
	}
	var mistakes []error
	claimed := map[netip.Prefix]string{}
	for _, name := range c.order {
		group := c.groups[name]
		if len(group.clients) > 0 && !isSite[name] {
			mistakes = append(mistakes, fmt.Errorf("%s: found clients= for upstream group %q, which no route names beside another group; expected a route such as \"route catalog %s other\"", group.where, name, name))
		}
		for _, network := range group.clients {
			if first, taken := claimed[network]; taken {
				mistakes = append(mistakes, fmt.Errorf("%s: found clients=%s a second time, expected it for one group; the first is at %s", group.where, network, first))
			}
			claimed[network] = group.where
		}
	}
	return errors.Join(mistakes...)
}
