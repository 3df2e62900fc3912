package audit

import (
	"fmt"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
)

// checkRoutes finds zones that we could see and that no route leads to.
func (a *auditor) checkRoutes() string {
	routed := 0
	for _, z := range a.zones {
		if !z.seen() || len(z.Records) == 0 {
			continue
		}
		if len(a.route(z).Groups) > 0 {
			routed++
			continue
		}
		found := Finding{
			Code: "zone-not-routed", Severity: Fault, Subject: z.Name, Where: z.ID,
			Text: "linked, with records, and no route leads to its names: they are refused",
			Next: "write a route for " + bare(z.Name),
		}
		if z.privatelink {
			found.Next = "write a route for the public suffix of its names, or route catalog"
		}
		if z.privatelink && z.known == nil {
			found.Next = "the catalog does not have this zone: write a route for the public suffix of its names"
		}
		a.add(found)
	}
	if routed == 0 {
		return ""
	}
	return "a route leads to every zone that is linked and has records: " + counted(routed, "zone")
}

// checkInUse finds namespaces that clients ask for and that no zone of ours serves.
func (a *auditor) checkInUse() string {
	if !a.expected.LogRead {
		a.add(Finding{Severity: Skipped, Text: "no query log was read", Next: "name one"})
		return ""
	}
	if len(a.order) == 0 {
		return ""
	}
	served := map[*catalog.Zone]bool{}
	for _, z := range a.zones {
		if z.known != nil && z.seen() {
			served[z.known] = true
		}
	}
	var without []string
	for _, namespace := range a.expected.InUse {
		if servesAny(served, namespace) {
			continue
		}
		if a.expected.Route(namespace.Suffix + ".").Protected {
			a.add(Finding{
				Code: "protected-without-zone", Severity: Fault, Subject: namespace.Suffix,
				Text: fmt.Sprintf("asked for, and must be private, but no zone %s is linked to %s: its answers are withheld", namespace.Zones[0].Name, shortNames(a.order)),
				Next: "make the zone, or link it",
			})
			continue
		}
		without = append(without, namespace.Suffix)
	}
	if len(without) > 0 {
		a.add(Finding{
			Code: "in-use-without-zone", Severity: Warning, Names: without,
			Text: "asked for, and without a zone that is linked, so that every answer is public: " + listed(without),
			Next: "make and link the zones of those whose resources have private endpoints, or are to have them",
		})
	}
	return fmt.Sprintf("every namespace that is asked for has a zone: %d", len(a.expected.InUse))
}

func servesAny(served map[*catalog.Zone]bool, namespace *catalog.Namespace) bool {
	for _, zone := range namespace.Zones {
		if served[zone] {
			return true
		}
	}
	return false
}
