package audit

import (
	"fmt"
	"slices"
	"strings"
)

// checkNetworks tells which networks count as ours, and of resolvers there that fail.
func (a *auditor) checkNetworks() string {
	if len(a.order) == 0 {
		a.add(Finding{
			Code: "network-unknown", Severity: Warning,
			Text: "no VNet was named and no upstream is an inbound endpoint that was read: links are not looked at",
			Next: "name the VNet that the server asks from (--vnet)",
		})
		return ""
	}
	if len(a.expected.Networks) == 0 && slices.Contains(a.expected.Upstreams, azureDNS) {
		a.add(Finding{
			Code: "network-unknown", Severity: Warning,
			Text: fmt.Sprintf("%s is asked, and no VNet was named: what it sees is not looked at", azureDNS),
			Next: "name the VNet that it is asked in (--vnet)",
		})
	}
	for _, network := range a.order {
		if !slices.ContainsFunc(a.zones, func(z *zone) bool { return z.linkedTo(network) }) {
			a.add(Finding{
				Code: "network-without-links", Severity: Warning, Subject: lastOf(network), Where: network,
				Text: "no zone that was read is linked to it",
				Next: "see that its ID is right and that the subscriptions of the zones are read",
			})
		}
	}
	for index := range a.Resolvers {
		a.checkResolver(&a.Resolvers[index])
	}
	return "ours: " + shortNames(a.order)
}

// checkResolver looks at a resolver that we ask.
func (a *auditor) checkResolver(resolver *Resolver) {
	if !resolver.answersAt(a.expected.Upstreams) {
		return
	}
	for _, part := range append([]Inbound{{ID: resolver.ID, State: resolver.State}}, resolver.Inbound...) {
		if part.State != "" && !strings.EqualFold(part.State, "Succeeded") {
			a.add(Finding{
				Code: "resolver-state", Severity: Fault, Subject: lastOf(part.ID), Where: part.ID,
				Text: "the resolver that upstreams name is in the state " + part.State,
				Next: "repair or make it again, and leave it out of the upstreams meanwhile",
			})
		}
	}
}

// checkLinks finds zones with records that none of our networks can see.
func (a *auditor) checkLinks() string {
	if len(a.order) == 0 {
		return ""
	}
	seen := 0
	for _, z := range a.zones {
		if !z.privatelink {
			continue
		}
		if z.seen() {
			seen++
			a.checkLinkStates(z)
			continue
		}
		names := z.addressed()
		if len(names) > 0 && !a.anySeen(z.Name) {
			a.addUnlinked(z, names)
		}
	}
	a.checkSites()
	return counted(seen, "zone") + " of private endpoints linked, and none with records that is not"
}

func (a *auditor) addUnlinked(z *zone, names []Name) {
	found := Finding{
		Code: "zone-not-linked", Severity: Fault, Subject: z.Name, Where: z.ID, Names: bareAll(namesOf(names)),
		Text: fmt.Sprintf("not linked to %s: its %s, such as %s, come back public", shortNames(a.order), counted(len(names), "name"), bare(names[0].Name)),
		Next: "link the zone to that VNet",
	}
	if len(names) == 1 {
		found.Text = fmt.Sprintf("not linked to %s: %s comes back public", shortNames(a.order), bare(names[0].Name))
	}
	if z.isAKS() {
		found.Code = "aks-zone-not-linked"
		found.Text = fmt.Sprintf("not linked to %s: no client of ours reaches the API server %s", shortNames(a.order), listed(namesOf(names)))
		found.Next = "link the zone to that VNet; AKS links it to the cluster's own only"
	}
	a.add(found)
}

func namesOf(names []Name) []string {
	words := make([]string, 0, len(names))
	for _, name := range names {
		words = append(words, name.Name)
	}
	return words
}

// anySeen tells whether some zone of a name is linked to one of our networks.
func (a *auditor) anySeen(name string) bool {
	return slices.ContainsFunc(a.zones, func(z *zone) bool { return z.Name == name && z.seen() })
}

// checkLinkStates finds links to our networks that do not work yet.
func (a *auditor) checkLinkStates(z *zone) {
	for _, link := range z.ours {
		if link.State != "" && !strings.EqualFold(link.State, "Completed") {
			a.add(Finding{
				Code: "link-state", Severity: Warning, Subject: z.Name, Where: link.ID,
				Text: fmt.Sprintf("its link to %s is in the state %s", lastOf(link.Network), link.State),
				Next: "wait for it, or make the link again",
			})
		}
	}
}

// checkSites finds zones that one of our networks sees and another does not, neither
// under another ID.
func (a *auditor) checkSites() {
	for _, twins := range a.byName() {
		var missing []string
		for _, network := range a.order {
			if !slices.ContainsFunc(twins, func(z *zone) bool { return z.linkedTo(network) }) {
				missing = append(missing, network)
			}
		}
		if len(missing) == 0 || len(missing) == len(a.order) || !twins[0].privatelink || len(twins[0].addressed()) == 0 {
			continue
		}
		a.add(Finding{
			Code: "site-not-linked", Severity: Warning, Subject: twins[0].Name, Where: twins[0].ID,
			Text: fmt.Sprintf("linked to a network of ours, but not to %s: its names come back public from there", shortNames(missing)),
			Next: "link it there as well, unless that site is meant not to see it",
		})
	}
}

func (z *zone) linkedTo(network string) bool {
	return slices.ContainsFunc(z.ours, func(link Link) bool { return sameKey(link.Network) == sameKey(network) })
}

// byName groups the zones by name, in their order. Those that we see come first.
func (a *auditor) byName() [][]*zone {
	var groups [][]*zone
	for _, z := range a.zones {
		if last := len(groups) - 1; last >= 0 && groups[last][0].Name == z.Name {
			groups[last] = append(groups[last], z)
			continue
		}
		groups = append(groups, []*zone{z})
	}
	for _, twins := range groups {
		slices.SortStableFunc(twins, func(x, y *zone) int {
			switch {
			case x.seen() == y.seen():
				return 0
			case x.seen():
				return -1
			}
			return 1
		})
	}
	return groups
}

// checkTwins finds zones of one name that hide each other's records. Azure does not
// merge them, and lets a network have a link to one of them only.
func (a *auditor) checkTwins() string {
	for _, twins := range a.byName() {
		for _, other := range twins[1:] {
			if !twins[0].seen() || len(other.addressed()) == 0 {
				continue
			}
			if other.seen() {
				a.tellDifferent(twins[0], other)
			} else {
				a.tellHidden(twins, other)
			}
		}
	}
	return "no two zones of one name hide each other's records"
}

// tellHidden tells of a zone that we do not see while we see others of its name.
func (a *auditor) tellHidden(twins []*zone, other *zone) {
	var hidden []string
	for _, name := range other.addressed() {
		if !slices.ContainsFunc(twins, func(z *zone) bool { return z.seen() && len(z.addressesOf(name.Name)) > 0 }) {
			hidden = append(hidden, name.Name)
		}
	}
	if len(hidden) == 0 {
		a.tellDifferent(twins[0], other)
		return
	}
	a.add(Finding{
		Code: "zone-hidden", Severity: Fault, Subject: other.Name, Where: other.ID, Names: bareAll(hidden),
		Text: fmt.Sprintf("we see the zone of resource group %s, and %s only in that of %s: %s", groupOf(twins[0].ID), areIs(len(hidden), "name"), groupOf(other.ID), listed(hidden)),
		Next: "put the records into one zone, or give the other environment a site of its own: an upstream in a VNet that its zone is linked to",
	})
}

func areIs(number int, noun string) string {
	if number == 1 {
		return "1 " + noun + " is"
	}
	return counted(number, noun) + " are"
}

// tellDifferent tells of two zones that give one name different addresses.
func (a *auditor) tellDifferent(one, other *zone) {
	var different []string
	example := ""
	for _, name := range other.addressed() {
		here := one.addressesOf(name.Name)
		if len(here) == 0 || slices.Equal(here, name.Addresses) {
			continue
		}
		if example == "" {
			example = fmt.Sprintf("%s is %s in resource group %s and %s in %s", bare(name.Name), spelled(here), groupOf(one.ID), spelled(name.Addresses), groupOf(other.ID))
		}
		different = append(different, name.Name)
	}
	if len(different) == 0 {
		return
	}
	found := Finding{
		Code: "zones-differ", Severity: Warning, Subject: other.Name, Where: other.ID, Names: bareAll(different), Text: example,
		Next: "see that the first is what our clients are to get, for they get no other",
	}
	if other.seen() {
		found.Next = "see that the order of the route's groups is the one that is meant: of two private answers the first group's wins"
	}
	if len(different) > 1 {
		found.Text += fmt.Sprintf(", and %d more names differ", len(different)-1)
	}
	a.add(found)
}

// checkRedirects finds links to our networks that answer NXDOMAIN for the endpoints of
// other companies. The policy exists for privatelink zones only
// (https://learn.microsoft.com/azure/dns/private-dns-fallback).
func (a *auditor) checkRedirects() string {
	links, covered := 0, 0
	for _, z := range a.zones {
		if !z.privatelink || z.isAKS() {
			continue
		}
		route := a.route(z)
		for _, link := range z.ours {
			links++
			switch {
			case link.Redirect, route.Protected: // a name that must be private is not to be looked up publicly
			case route.Missing:
				covered++
			default:
				a.tellRedirect(z, link)
			}
		}
	}
	if covered > 0 {
		a.add(Finding{Severity: Fine, Text: counted(covered, "link") + " without NxDomainRedirect, where the route falls back by missing="})
	}
	if links == 0 {
		return ""
	}
	return counted(links, "link") + " with NxDomainRedirect, or to zones whose names must be private"
}

func (a *auditor) tellRedirect(z *zone, link Link) {
	a.add(Finding{
		Code: "link-without-redirect", Severity: Warning, Subject: z.Name, Where: link.ID,
		Text: fmt.Sprintf("link %s to %s: resources of other companies that have private endpoints do not resolve", lastOf(link.ID), lastOf(link.Network)),
		Next: "set the resolution policy of these links to NxDomainRedirect, or write missing=GROUP on the route",
	})
}
