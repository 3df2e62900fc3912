package privatelink

import (
	"net/netip"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
)

// RoutedName is where a configuration sends a name.
type RoutedName struct {
	// Groups are the upstream groups that are asked, in the route's order; empty where no
	// route leads anywhere.
	Groups []string
	// Servers are the addresses of all their servers.
	Servers []netip.Addr
	// Missing is the group that is asked where a linked zone has no record for a name,
	// empty for none.
	Missing string
	// Protected: answers with an address that is not private are withheld.
	Protected bool
}

// RouteOf tells where a name is sent, by the rules that the server goes by; overrides are
// left out. Name must be lower case and fully qualified.
func (o *Opened) RouteOf(name string) RoutedName {
	s := o.service
	routed := RoutedName{Protected: s.policy.Guard.Protects(name, verdict.Chain{}, s.catalog)}
	way := s.routes.find(name, s.catalog.Match(name))
	if way == nil {
		return routed
	}
	if way.missing != nil {
		routed.Missing = way.missing.Name
	}
	for _, group := range way.groups() {
		routed.Groups = append(routed.Groups, group.Name)
	}
	routed.Servers = o.addressesOf(routed.Groups)
	return routed
}

// addressesOf are the addresses of groups' servers, each once.
func (o *Opened) addressesOf(groups []string) []netip.Addr {
	wanted := map[string]bool{}
	for _, name := range groups {
		wanted[name] = true
	}
	var addresses []netip.Addr
	seen := map[netip.Addr]bool{}
	for _, name := range o.stanza.config.order {
		for _, server := range o.stanza.config.groups[name].endpoints() {
			if address := server.address.Addr(); wanted[name] && !seen[address] {
				seen[address] = true
				addresses = append(addresses, address)
			}
		}
	}
	return addresses
}

// Catalog is the catalog that the configuration names.
func (o *Opened) Catalog() *catalog.Catalog { return o.service.catalog }
