package audit

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
)

// auditor is one run over an inventory.
type auditor struct {
	*Inventory
	expected *Expectation
	// zones are the inventory's, with what is known of them, sorted by name and ID.
	zones []*zone
	// networks are ours, by key of their ID; order keeps them as they were named.
	networks map[string]bool
	order    []string

	check    string
	findings []Finding
}

// zone is a zone of the inventory.
type zone struct {
	*Zone
	// privatelink: it is a zone of private endpoints, whether or not the catalog knows it.
	privatelink bool
	// known is what the catalog has of it, nil where it does not have the zone itself.
	known *catalog.Zone
	// ours are its links to our networks.
	ours []Link
}

func newAuditor(inventory *Inventory, expectation *Expectation) *auditor {
	a := &auditor{Inventory: inventory, expected: expectation, networks: map[string]bool{}}
	for _, network := range expectation.Networks {
		a.ourNetwork(network)
	}
	for _, resolver := range inventory.Resolvers {
		if resolver.answersAt(expectation.Upstreams) {
			a.ourNetwork(resolver.Network)
		}
	}
	for index := range inventory.Zones {
		a.zones = append(a.zones, a.look(&inventory.Zones[index]))
	}
	slices.SortFunc(a.zones, func(x, y *zone) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(sameKey(x.ID), sameKey(y.ID)))
	})
	return a
}

func (a *auditor) ourNetwork(id string) {
	if key := sameKey(id); !a.networks[key] {
		a.networks[key] = true
		a.order = append(a.order, id)
	}
}

func (a *auditor) look(z *Zone) *zone {
	looked := &zone{Zone: z, privatelink: catalog.HasPrivatelinkLabel(z.Name)}
	if match := a.expected.Catalog.Match(z.Name); match.Zone != nil && match.ZoneName(z.Name) == z.Name {
		looked.known = match.Zone
	}
	for _, link := range z.Links {
		if a.networks[sameKey(link.Network)] {
			looked.ours = append(looked.ours, link)
		}
	}
	return looked
}

// answersAt tells whether one of the addresses is an inbound endpoint of the resolver.
func (r *Resolver) answersAt(addresses []netip.Addr) bool {
	return slices.ContainsFunc(r.Inbound, func(inbound Inbound) bool {
		return slices.ContainsFunc(inbound.Addresses, func(address netip.Addr) bool { return slices.Contains(addresses, address) })
	})
}

// seen tells whether the zone is linked to one of our networks.
func (z *zone) seen() bool { return len(z.ours) > 0 }

// isAKS tells a zone of AKS private clusters, whose names have no public counterpart.
func (z *zone) isAKS() bool { return strings.HasSuffix(z.Name, ".azmk8s.io.") }

// addressed are the names of the zone that have addresses, sorted, each with all of them.
func (z *zone) addressed() []Name {
	byName := map[string][]netip.Addr{}
	for _, record := range z.Records {
		if len(record.Addresses) > 0 {
			byName[record.Name] = append(byName[record.Name], record.Addresses...)
		}
	}
	names := make([]Name, 0, len(byName))
	for name, addresses := range byName {
		slices.SortFunc(addresses, netip.Addr.Compare)
		names = append(names, Name{name, addresses})
	}
	slices.SortFunc(names, func(x, y Name) int { return strings.Compare(x.Name, y.Name) })
	return names
}

// addressesOf are the addresses of one name, sorted.
func (z *zone) addressesOf(name string) []netip.Addr {
	var addresses []netip.Addr
	for _, record := range z.Records {
		if record.Name == name {
			addresses = append(addresses, record.Addresses...)
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return addresses
}

// owner is a name of the zone without the zone's own: "db1".
func (z *zone) owner(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, z.Name), ".")
}

// add notes a finding of the check that runs.
func (a *auditor) add(found Finding) {
	found.Check = a.check
	found.Subject = bare(found.Subject)
	a.findings = append(a.findings, found)
}

// route is where names of a zone are sent. A chase follows its public name, so any name
// stands for all where the zone has one route.
func (a *auditor) route(z *zone) Route {
	if names := z.addressed(); len(names) > 0 {
		return a.expected.Route(names[0].Name)
	}
	return a.expected.Route(z.Name)
}

func bare(name string) string {
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}

// bareAll are names without their final dots.
func bareAll(names []string) []string {
	all := make([]string, 0, len(names))
	for _, name := range names {
		all = append(all, bare(name))
	}
	return all
}

// shownNames is how many of several names a text tells.
const shownNames = 3

// listed is the first of several names, and how many there are more.
func listed(names []string) string {
	shown := bareAll(names[:min(len(names), shownNames)])
	if more := len(names) - len(shown); more > 0 {
		shown = append(shown, strconv.Itoa(more)+" more")
	}
	if len(shown) < 2 {
		return strings.Join(shown, "")
	}
	return strings.Join(shown[:len(shown)-1], ", ") + " and " + shown[len(shown)-1]
}

func spelled(addresses []netip.Addr) string {
	words := make([]string, 0, len(addresses))
	for _, address := range addresses {
		words = append(words, address.String())
	}
	return strings.Join(words, " ")
}

func counted(number int, noun string) string {
	if number != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", number, noun)
}

// names of several resources, sorted as they came.
func shortNames(ids []string) string {
	short := make([]string, 0, len(ids))
	for _, id := range ids {
		short = append(short, lastOf(id))
	}
	return strings.Join(short, " and ")
}
