// Package catalog knows the namespaces of Azure's private endpoints: which
// public suffixes have names with private endpoints, in which private zones
// those names live, and how to get from a private name back to the public one.
// It also has the suffix map that finds them, which routing uses for its own
// suffixes.
//
// It knows names and nothing else: not who asks, not what is answered, not
// where a name is routed to. The data comes in as bytes; which files there are
// is the caller's business. The schema of the data is in zones/README.md.
//
// Names given to this package are lower case and fully qualified, in the
// presentation form of miekg/dns.
package catalog

// Catalog is the namespaces of the loaded sources. It never changes after Load
// and is safe for concurrent use.
type Catalog struct {
	namespaces []*Namespace
	zones      []*Zone
	// index finds, by the literal end of a name, what could match it.
	index Suffixes[[]candidate]
	// deepest is how many labels of a name a look-up needs to see.
	deepest int
}

// candidate is a pattern a name with a certain literal end may match, and what
// it then matches.
type candidate struct {
	pattern *pattern
	match   Match
}

// Match is what the catalog knows of one name. The zero Match means that the
// name is not catalogued.
type Match struct {
	// Namespace is the namespace of the name; for a name in a private zone,
	// that of the zone. It is nil only if the name is not catalogued.
	Namespace *Namespace
	// Zone is the catalogued private zone the name lies in or is, nil if there
	// is none.
	Zone *Zone
	// Labels is how many labels, from the right, matched: the zone's where
	// Zone is set, else the public suffix's. The rightmost Labels labels of
	// the name are therefore the zone's own name, placeholders filled in.
	Labels int
}

// ZoneName returns the name of the private zone that a matched name lies in,
// with its placeholders filled in: "privatelink.eastus.kusto.windows.net." for
// "c1.privatelink.eastus.kusto.windows.net.". It is a part of name, which must
// be the name that was matched, and empty where Zone is nil. It does not
// allocate.
func (m Match) ZoneName(name string) string {
	var at labelStarts
	if m.Zone == nil || at.fill(name, m.Labels) < m.Labels {
		return ""
	}
	return name[at[m.Labels]:]
}

// Namespace is a public suffix with its private zones. It never changes after
// Load.
type Namespace struct {
	// Suffix is the public suffix as in the data: lower case, placeholders
	// kept, no final dot ("{regionName}.kusto.windows.net"). There are as many
	// values as the data has suffixes, which makes it fit for a metric label.
	Suffix string
	// Anchor is the part of Suffix right of its last placeholder
	// ("kusto.windows.net"): what a server can forward that knows no
	// placeholders. It equals Suffix where that has none.
	Anchor string
	// Index is the position in Catalog.Namespaces.
	Index int
	// Services are the services that publish the suffix, sorted, each once.
	Services []string
	// Zones are the private zones that names of the suffix lead into, sorted by
	// name: those whose Namespace this is, or, where there are none, those of
	// the services that publish it. It is never empty.
	Zones []*Zone

	pattern *pattern
}

// Match finds the namespace, and the zone if any, of a name. The pattern with
// the most labels wins; at equal length a literal label beats a placeholder.
// A pattern that begins with a placeholder matches only names below it. Name
// must be lower case and fully qualified; anything else is not catalogued. It
// does not allocate.
func (c *Catalog) Match(name string) Match {
	var at labelStarts
	count := at.fill(name, c.deepest)
	candidates, _ := c.index.longest(name, &at, count)
	if candidates == nil {
		return Match{}
	}
	for i := range *candidates {
		if found := &(*candidates)[i]; found.pattern.matches(name, &at, count) {
			return found.match
		}
	}
	return Match{}
}

// Namespaces returns every namespace sorted by Suffix; Namespace.Index is the
// position. The slice belongs to the catalog and must not be changed.
func (c *Catalog) Namespaces() []*Namespace {
	return c.namespaces
}

// Zones returns every private zone sorted by Name. The slice belongs to the
// catalog and must not be changed.
func (c *Catalog) Zones() []*Zone {
	return c.zones
}
