package privatelink

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
	"github.com/privatelink-dns/privatelink-dns/plugin/ratelimit"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// config is what one stanza of a Corefile, and the files it names, say. It is
// plain data: nothing has been opened or started for it.
type config struct {
	// directory is the Corefile's; relative paths start there.
	directory string
	// corefile is the file that the stanza stands in.
	corefile string

	catalogs []located[string]
	include  []string
	groups   map[string]*groupConfig
	// order keeps the groups as they were written.
	order []string
	// keptAs is by group what its answers are kept as; nil until it is built.
	keptAs  map[string]string
	routes  []routeConfig
	clients policy.Clients
	direct  [policy.Classes]policy.Action
	private verdict.Networks
	// flatten says whose answers leave the CNAMEs out.
	flatten [policy.Classes]bool
	// identity is the EDNS option in which resolvers tell who asked them; 0 for none.
	identity uint16
	// mustBePrivate are names and suffixes; withholdServfail answers SERVFAIL
	// in place of NODATA where something is withheld.
	mustBePrivate    catalog.Suffixes[struct{}]
	withholdServfail bool
	unlinked         policy.Action
	// protected and declared are the names and the client networks as they were
	// written, for those who look at the configuration itself.
	protected []located[string]
	declared  []declaration
	// local are the zones that are answered here where no route is for them.
	local []string
	// limits are what clients may send, zero for no limits; cookies the secrets of
	// cookies, nil for one of the process's own.
	limits  ratelimit.Limits
	cookies *wire.Cookies
	// cookieFile is the path of their secrets, empty for none.
	cookieFile string
	// cacheEntries is how many answers are kept.
	cacheEntries int
	state        located[string]
	querylogs    []querylogConfig
	// fastPathOff leaves every query to CoreDNS's own server.
	fastPathOff bool
	// where is the place of the stanza, written that of each property that it has, the
	// first one where there are several.
	where   string
	written map[string]string
	// files are the paths of the catalogs and rules that were read.
	files []string
}

// located is a value with the place it was written at, "Corefile:12".
type located[T any] struct {
	value T
	where string
}

type groupConfig struct {
	name  string
	where string
	// servers are the first tier, backups the further ones.
	servers []endpoint
	backups [][]endpoint
	budget  upstream.Budget
	// probe is the fully qualified name that silent servers are asked for, empty for
	// the usual.
	probe string
	// clients are the networks that are served by this group before others of
	// its route.
	clients []netip.Prefix
	// withholdPrivate: an answer of this group that has a private address is kept back.
	withholdPrivate bool
}

// endpoints returns the servers of all tiers, in order.
func (g *groupConfig) endpoints() []endpoint {
	return slices.Concat(g.servers, slices.Concat(g.backups...))
}

// endpoint is one server and how it is asked. It can be compared.
type endpoint struct {
	address netip.AddrPort
	// transport is empty for UDP and TCP; name and path are those of TLS and HTTPS.
	transport upstream.Transport
	name      string
	path      string
}

// String returns the endpoint as the configuration writes it, port included.
func (e endpoint) String() string {
	if e.transport == "" {
		return e.address.String()
	}
	return fmt.Sprintf("%s://%s%%%s%s", e.transport, e.address, e.name, e.path)
}

// routeConfig is one route as it was written. Exactly one of suffix, name and
// catalog is set.
type routeConfig struct {
	suffix  string
	name    string
	catalog bool
	// groups has one group nearly always; several are sites.
	groups []string
	// missing and outage are the groups to fall back to; empty for none.
	missing string
	outage  string
	// stale is how long expired answers may be used; 0 for the usual.
	stale time.Duration
	where string
	// label is the route's value in the metrics: what was written, or the
	// word "rules" for the many of a rules file.
	label string
}

// defaultCacheEntries takes about 60 MB when full.
const defaultCacheEntries = 200_000

func newConfig(corefile string) *config {
	return &config{
		directory:    filepath.Dir(corefile),
		corefile:     corefile,
		groups:       map[string]*groupConfig{},
		cacheEntries: defaultCacheEntries,
		written:      map[string]string{},
		direct:       policy.DefaultDirect(),
		private:      verdict.PrivateNetworks(),
	}
}

// summary tells on one line what the configuration does.
func (c *config) summary(namespaces int) string {
	catalogs := []string{"azure"}
	if len(c.catalogs) > 0 {
		catalogs = nil
	}
	for _, written := range c.catalogs {
		catalogs = append(catalogs, written.value)
	}
	var groups, ways []string
	for _, name := range c.order {
		for _, server := range c.groups[name].endpoints() {
			groups = append(groups, name+"="+server.String())
		}
	}
	for _, route := range c.routes[:min(len(c.routes), summaryRoutes)] {
		ways = append(ways, route.key()+" to "+route.groupName())
	}
	return fmt.Sprintf("catalog %s (%d namespaces); upstream %s; %d routes: %s",
		strings.Join(catalogs, " "), namespaces, strings.Join(groups, " "), len(c.routes), strings.Join(ways, ", "))
}

// summaryRoutes keeps the summary on one line; rules files hold thousands.
const summaryRoutes = 8

// stateDirectory is where state is kept, empty for nowhere.
func (c *config) stateDirectory() string {
	if c.state.value == "" {
		return ""
	}
	return c.path(c.state.value)
}

// path makes a path of the configuration absolute or relative to where the
// program runs.
func (c *config) path(written string) string {
	if filepath.IsAbs(written) {
		return written
	}
	return filepath.Join(c.directory, written)
}
