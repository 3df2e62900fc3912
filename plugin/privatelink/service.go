package privatelink

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/plugin/override"
	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/ratelimit"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
	"github.com/privatelink-dns/privatelink-dns/zones"
)

// service is one configuration at work. It is read only once built, and safe
// for concurrent use.
type service struct {
	catalog *catalog.Catalog
	policy  *policy.Policy
	routes  *routes
	private verdict.Networks
	flatten [policy.Classes]bool
	// identity is the EDNS option in which resolvers tell who asked them; 0 for none.
	identity uint16
	lease    *lease
	// files are what the configuration was read from.
	files []string
	// cache and flights are the process's. A configuration that starts may make a
	// larger or smaller cache of it before it serves.
	cache   *cache.Cache
	flights *flights[flightKey, *outcome]
	// deadlines are those of the flights that start.
	deadlines *deadlines
	cookies   *wire.Cookies
	// limiting counts for limits, nil where there are none.
	limiting *limiting
	limits   ratelimit.Limits
	// owners is the process's memory of which site knows which name.
	owners *owners
	// overrides are the process's, redirects the routes they can lead to, by group.
	overrides *override.Store
	redirects map[string]*route
	// loops is the process's, suspects are suffixes of routes that may have one.
	loops    *loops
	suspects chan string
	*signals // the process's
	// asked is told which upstream groups were asked, whoever waits for the answer; nil
	// where nobody counts.
	asked func([]askedGroup)
	// now is the clock that kept answers age by, made when this was built.
	now  func() time.Time
	made time.Time
	// withholdServfail answers SERVFAIL in place of NODATA where an answer is withheld.
	withholdServfail bool
	// hurries: what is withheld is withheld before a downstream server asks elsewhere.
	hurries bool
	// foreign are the groups whose private addresses are withheld, notForeign the ranges
	// that those must not be in.
	foreign    map[*upstream.Group]bool
	notForeign verdict.Networks
}

// build makes a service of a configuration that has no mistakes of its own. It
// reads the catalog's files and takes a lease, but starts nothing. The policy's
// memory of chases is still to be set.
func build(c *config, shared *slot) (*service, error) {
	loaded, err := c.loadCatalog()
	if err != nil {
		return nil, err
	}
	held, servers, err := shared.acquire(c.endpoints(), c.terms())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.where, err)
	}
	if c.keptAs == nil {
		c.keptAs = shared.claimGroups(c.groups)
	}
	groups := make(map[string]*upstream.Group, len(c.groups))
	for name, written := range c.groups {
		groups[name] = written.open(servers)
	}
	shared.nameGroups(held, c.groups)
	ways, err := newRoutes(c, groups)
	if err != nil {
		shared.release(held)
		return nil, err
	}
	return &service{
		catalog: loaded,
		policy: &policy.Policy{
			Clients: &c.clients, Probe: azureDNS, Direct: c.direct,
			Guard: policy.Guard{MustBePrivate: c.mustBePrivate, Unlinked: c.unlinked},
		},
		routes:           ways,
		private:          c.private,
		flatten:          c.flatten,
		identity:         c.identity,
		lease:            held,
		files:            append([]string{c.corefile}, c.files...),
		cache:            shared.cacheOf(held, c.cacheEntries),
		flights:          &shared.flights,
		deadlines:        new(deadlines),
		cookies:          cmp.Or(c.cookies, &shared.cookies),
		owners:           &shared.owners,
		overrides:        &shared.overrides,
		redirects:        ways.redirects(groups),
		loops:            &shared.loops,
		signals:          &shared.signals,
		suspects:         make(chan string, 16),
		now:              time.Now,
		made:             time.Now(),
		withholdServfail: c.withholdServfail,
		hurries:          !c.withholdServfail,
		limits:           c.limits,
		limiting:         shared.limitingOf(c.limits),
		foreign:          c.foreignGroups(groups),
		notForeign:       slices.Concat(c.private, verdict.LocalNetworks()),
	}, nil
}

// open makes the group of servers that have been acquired.
func (g *groupConfig) open(servers map[endpoint]*upstream.Server) *upstream.Group {
	tierOf := func(endpoints []endpoint) (tier []*upstream.Server) {
		for _, server := range endpoints {
			tier = append(tier, servers[server])
		}
		return tier
	}
	group := &upstream.Group{Name: g.name, Servers: tierOf(g.servers)}
	for _, endpoints := range g.backups {
		group.Backups = append(group.Backups, tierOf(endpoints))
	}
	return group
}

// endpoints returns the servers of all groups.
func (c *config) endpoints() (all []endpoint) {
	for _, group := range c.groups {
		all = append(all, group.endpoints()...)
	}
	return all
}

// terms returns what groups say of their servers. Check saw to it that no two differ.
func (c *config) terms() map[endpoint]terms {
	said := map[endpoint]terms{}
	for _, group := range c.groups {
		for _, server := range group.endpoints() {
			merged := said[server]
			if group.budget != (upstream.Budget{}) {
				merged.budget = group.budget
			}
			merged.probe = cmp.Or(merged.probe, group.probe)
			said[server] = merged
		}
	}
	return said
}

// loadCatalog reads the catalogs that the configuration names: those that are
// built in by their name, files by their path.
func (c *config) loadCatalog() (*catalog.Catalog, error) {
	names := c.catalogs
	if len(names) == 0 {
		names = []located[string]{{value: "azure"}}
	}
	var sources []catalog.Source
	var mistakes []error
	for _, written := range names {
		if data, builtIn := zones.Lookup(written.value); builtIn {
			sources = append(sources, catalog.Source{Path: "zones/" + written.value + ".yaml", Data: data})
			continue
		}
		path := c.path(written.value)
		c.files = append(c.files, path)
		data, err := os.ReadFile(path)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: found catalog %q, which is none of the built-in %v; reading it as a file: %w", written.where, written.value, zones.Names(), err))
			continue
		}
		sources = append(sources, catalog.Source{Path: path, Data: data})
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	loaded, err := catalog.Load(sources, c.include)
	if err != nil {
		return nil, fmt.Errorf("%s: loading the catalog: %w", c.where, err)
	}
	return loaded, nil
}

// remember notes the chain that a client is about to be given, so that its
// chase is known. It must be called before the reply leaves. Declared clients
// are decided on by their class: for them nothing needs to be remembered.
func (s *service) remember(o *outcome, now time.Time) {
	if o.decision.Class != policy.Other || !o.tells() || o.flatten {
		return
	}
	for _, link := range o.finding.Chain.Links {
		if link.Zone == nil {
			continue
		}
		ttl := link.TTL
		if o.answer != nil {
			// The client is told the entry, whose TTLs are bounded, not the upstream's reply.
			var told bool
			if ttl, told = linkTTL(o.entry.Message(), link.Target); !told {
				continue
			}
		}
		s.policy.Chains.Remember(o.query.client.Addr(), link.Target, o.told(ttl, now), now)
	}
}

// linkTTL is the TTL of the first CNAME of a message that leads to a name.
func linkTTL(message []byte, target string) (ttl time.Duration, exists bool) {
	var room [maxName]byte
	var name wire.Name
	answers := wire.AnswersOf(message)
	for record, more := answers.Next(); more; record, more = answers.Next() {
		if record.Type() == dns.TypeCNAME && record.Target(&name) && string(name.AppendPresentation(room[:0])) == target {
			return time.Duration(record.TTL()) * time.Second, true
		}
	}
	return 0, false
}

// maxName is a longer name in presentation form than nearly all.
const maxName = 256
