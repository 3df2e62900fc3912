package audit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// checkRecords finds records with an address that no private endpoint has.
func (a *auditor) checkRecords() string {
	known := a.endpointAddresses()
	looked := 0
	for _, z := range a.zones {
		// The address of an AKS API server is a load balancer's, where the cluster
		// integrates with a VNet.
		if !z.privatelink || z.isAKS() {
			continue
		}
		var orphans []string
		example := ""
		for _, name := range z.addressed() {
			looked++
			for _, address := range name.Addresses {
				if !known[address] {
					example = orElse(example, fmt.Sprintf("%s %s", bare(name.Name), address))
					orphans = append(orphans, name.Name)
					break
				}
			}
		}
		if len(orphans) > 0 {
			a.tellOrphans(z, orphans, example)
		}
	}
	if looked == 0 {
		return ""
	}
	return "every record has the address of an endpoint: " + counted(looked, "name")
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (a *auditor) tellOrphans(z *zone, orphans []string, example string) {
	found := Finding{
		Code: "record-without-endpoint", Severity: Warning, Subject: z.Name, Where: z.ID, Names: bareAll(orphans),
		Text: "a record with an address of no endpoint: " + example,
		Next: "delete records whose endpoints are gone; read the subscription of those that exist elsewhere as well",
	}
	if len(orphans) > 1 {
		found.Text = fmt.Sprintf("%d names with an address of no endpoint, such as %s", len(orphans), example)
	}
	a.add(found)
}

func (a *auditor) endpointAddresses() map[netip.Addr]bool {
	known := map[netip.Addr]bool{}
	for _, endpoint := range a.Endpoints {
		for _, name := range endpoint.Names {
			for _, address := range name.Addresses {
				known[address] = true
			}
		}
		for _, record := range endpoint.Managed {
			for _, address := range record.Addresses {
				known[address] = true
			}
		}
	}
	return known
}

// checkEndpoints finds endpoints that no record leads to, or a wrong one, and those
// that take no connections.
func (a *auditor) checkEndpoints() string {
	index := a.indexRecords()
	for position := range a.Endpoints {
		endpoint := &a.Endpoints[position]
		a.checkConnection(endpoint)
		a.checkManaged(endpoint)
		a.checkNames(endpoint, index)
	}
	a.checkSharedRecords()
	if len(a.Endpoints) == 0 {
		return "there are none"
	}
	return counted(len(a.Endpoints), "endpoint") + " with records for all names"
}

func (a *auditor) checkConnection(endpoint *Endpoint) {
	if endpoint.State == "" || strings.EqualFold(endpoint.State, "Approved") {
		return
	}
	found := Finding{
		Code: "endpoint-not-approved", Severity: Fault, Subject: lastOf(endpoint.ID), Where: endpoint.ID,
		Text: fmt.Sprintf("its connection is in the state %s: its records lead to an address where nobody answers", endpoint.State),
		Next: "have the owner of the resource approve it, or delete the endpoint and its records",
	}
	if strings.EqualFold(endpoint.State, "Disconnected") {
		found.Next = "the resource is gone or dropped it: delete the endpoint, or make it again"
	}
	a.add(found)
}

// checkManaged holds the records of DNS zone groups against the zones they name.
func (a *auditor) checkManaged(endpoint *Endpoint) {
	for _, record := range endpoint.Managed {
		at := slices.IndexFunc(a.zones, func(z *zone) bool { return sameKey(z.ID) == sameKey(record.Zone) })
		if at < 0 {
			a.add(Finding{
				Severity: Skipped, Subject: lastOf(endpoint.ID), Where: endpoint.ID,
				Text: fmt.Sprintf("%s is in a zone that was not read: %s", bare(record.Name.Name), record.Zone),
				Next: "read the zone's subscription as well",
			})
			continue
		}
		a.tellRecord(endpoint, record.Name, a.zones[at].addressesOf(record.Name.Name), "its DNS zone group")
	}
}

// tellRecord tells of a record that is missing, or has other addresses than it should by
// the word of who.
func (a *auditor) tellRecord(endpoint *Endpoint, wanted Name, found []netip.Addr, who string) {
	switch {
	case len(found) == 0:
		a.add(Finding{
			Code: "endpoint-without-record", Severity: Fault, Subject: lastOf(endpoint.ID), Where: endpoint.ID, Names: []string{bare(wanted.Name)},
			Text: fmt.Sprintf("no zone has the record of %s: %s has it at %s", bare(wanted.Name), who, spelled(wanted.Addresses)),
			Next: "make the endpoint's DNS zone group again, or add the record",
		})
	case !slices.ContainsFunc(found, func(address netip.Addr) bool { return slices.Contains(wanted.Addresses, address) }) && len(wanted.Addresses) > 0:
		a.add(Finding{
			Code: "record-with-wrong-address", Severity: Fault, Subject: lastOf(endpoint.ID), Where: endpoint.ID, Names: []string{bare(wanted.Name)},
			Text: fmt.Sprintf("the record of %s is %s: %s has it at %s", bare(wanted.Name), spelled(found), who, spelled(wanted.Addresses)),
			Next: "make the endpoint's DNS zone group again, or correct the record",
		})
	}
}

// recordIndex finds the addresses of all zones' records by name, and by the public name
// that they stand for.
type recordIndex map[string][]netip.Addr

func (a *auditor) indexRecords() recordIndex {
	index := recordIndex{}
	for _, z := range a.zones {
		for _, name := range z.addressed() {
			index[name.Name] = append(index[name.Name], name.Addresses...)
			if public := a.publicName(name.Name); public != "" {
				index[public] = append(index[public], name.Addresses...)
			}
		}
	}
	return index
}

// publicName is what a name in a privatelink zone stands for, empty where the catalog
// cannot tell.
func (a *auditor) publicName(name string) string {
	match := a.expected.Catalog.Match(name)
	if match.Zone == nil {
		return ""
	}
	public, _ := match.Zone.PublicName(name)
	return public
}

// checkNames finds public names of an endpoint that no zone has a record for, other than
// those whose zone group has told of it.
func (a *auditor) checkNames(endpoint *Endpoint, index recordIndex) {
	managed := map[string]bool{}
	for _, record := range endpoint.Managed {
		managed[record.Name.Name], managed[a.publicName(record.Name.Name)] = true, true
	}
	for _, name := range endpoint.Names {
		match := a.expected.Catalog.Match(name.Name)
		if managed[name.Name] || match.Namespace == nil {
			continue
		}
		found := slices.Clone(index[name.Name])
		slices.SortFunc(found, netip.Addr.Compare)
		a.tellRecord(endpoint, name, slices.Compact(found), "the endpoint")
	}
}

// checkSharedRecords finds endpoints of one resource whose zone groups maintain the same
// record: whichever is deleted takes the record with it
// (https://learn.microsoft.com/azure/private-link/private-endpoint-dns).
func (a *auditor) checkSharedRecords() {
	first := map[string]*Endpoint{}
	for position := range a.Endpoints {
		endpoint := &a.Endpoints[position]
		for _, record := range endpoint.Managed {
			key := sameKey(record.Zone) + " " + record.Name.Name
			other := first[key]
			if other == nil {
				first[key] = endpoint
				continue
			}
			if other == endpoint {
				continue
			}
			a.add(Finding{
				Code: "record-shared", Severity: Warning, Subject: lastOf(endpoint.ID), Where: endpoint.ID, Names: []string{bare(record.Name.Name)},
				Text: fmt.Sprintf("writes the same record as %s, %s: whichever came last has it, and either takes it along when it is deleted", lastOf(other.ID), bare(record.Name.Name)),
				Next: "keep one endpoint for each zone; a second region needs a zone of its own",
			})
			break
		}
	}
}
