package audit

import (
	"fmt"
	"slices"
	"strings"
)

// monitorService is what the catalog calls the service of private link scopes.
const monitorService = "Azure Monitor"

// checkMonitor looks at Azure Monitor private link scopes. Their zones answer for names
// that all workspaces share, so that one scope is for everybody who shares the DNS
// (https://learn.microsoft.com/azure/azure-monitor/logs/private-link-design).
func (a *auditor) checkMonitor() string {
	endpoints := a.monitorEndpoints()
	if len(endpoints) == 0 {
		return "no endpoint leads to a private link scope"
	}
	var scopes []string
	for _, endpoint := range endpoints {
		if key := sameKey(endpoint.Service); !slices.Contains(scopes, key) {
			scopes = append(scopes, key)
			a.tellScope(endpoint)
		}
	}
	if len(scopes) > 1 {
		a.tellRivals(endpoints)
	}
	a.tellMonitorZones(endpoints[0])
	return ""
}

// monitorEndpoints are the endpoints of scopes whose names our networks see, all where
// that cannot be told.
func (a *auditor) monitorEndpoints() []*Endpoint {
	var found []*Endpoint
	for index := range a.Endpoints {
		endpoint := &a.Endpoints[index]
		if slices.ContainsFunc(endpoint.Groups, func(group string) bool { return strings.EqualFold(group, "azuremonitor") }) && a.sees(endpoint) {
			found = append(found, endpoint)
		}
	}
	return found
}

// sees tells whether one of the zones that an endpoint writes to is linked to a network
// of ours.
func (a *auditor) sees(endpoint *Endpoint) bool {
	if len(endpoint.Managed) == 0 || len(a.order) == 0 {
		return true
	}
	return slices.ContainsFunc(endpoint.Managed, func(record ManagedRecord) bool {
		return slices.ContainsFunc(a.zones, func(z *zone) bool { return z.seen() && sameKey(z.ID) == sameKey(record.Zone) })
	})
}

func (a *auditor) tellScope(endpoint *Endpoint) {
	found := Finding{Severity: Fine, Subject: lastOf(endpoint.Service), Where: endpoint.Service}
	switch scope := a.scope(endpoint.Service); {
	case scope.Query == "" && scope.Ingestion == "":
		found.Code, found.Severity = "monitor-scope-unknown", Warning
		found.Text = "this scope answers for every workspace and component that our clients use, and its access modes could not be read"
		found.Next = "see that they are Open, or that everything that is used is in the scope"
	case strings.EqualFold(scope.Query, "PrivateOnly") || strings.EqualFold(scope.Ingestion, "PrivateOnly"):
		found.Code, found.Severity = "monitor-scope-catches-all", Warning
		found.Text = fmt.Sprintf("this scope catches every workspace: with ingestion %s and queries %s our clients cannot use those that are not in it, other companies' neither", scope.Ingestion, scope.Query)
		found.Next = "see that every workspace and component that is used is in the scope, or set its access modes to Open"
	default:
		found.Text = "this scope answers for every workspace; those that are not in it are let through, for its access modes are Open"
	}
	a.add(found)
}

func (a *auditor) scope(id string) MonitorScope {
	for _, scope := range a.Scopes {
		if sameKey(scope.ID) == sameKey(id) {
			return scope
		}
	}
	return MonitorScope{}
}

// tellRivals tells of several scopes behind one DNS.
func (a *auditor) tellRivals(endpoints []*Endpoint) {
	var names []string
	for _, endpoint := range endpoints {
		if name := lastOf(endpoint.Service); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	a.add(Finding{
		Code: "monitor-scopes-compete", Severity: Fault, Subject: lastOf(endpoints[1].Service), Where: endpoints[1].Service,
		Text: fmt.Sprintf("%d scopes behind one DNS: the names they share lead to the endpoint that wrote its records last (%s)", len(names), strings.Join(names, ", ")),
		Next: "keep one scope for all networks that share this DNS",
	})
}

// tellMonitorZones tells of zones that a scope needs and we do not see: the agents' names
// then are private in part.
func (a *auditor) tellMonitorZones(endpoint *Endpoint) {
	if len(a.order) == 0 {
		return
	}
	var missing []string
	for _, known := range a.expected.Catalog.Zones() {
		if slices.Contains(known.Services, monitorService) && !slices.ContainsFunc(a.zones, func(z *zone) bool { return z.known == known && z.seen() }) {
			missing = append(missing, known.Name)
		}
	}
	if len(missing) > 0 {
		a.add(Finding{
			Code: "monitor-zones-incomplete", Severity: Fault, Subject: lastOf(endpoint.Service), Where: endpoint.ID, Names: missing,
			Text: fmt.Sprintf("agents need names in all zones of a scope, and these are not linked to %s: %s", shortNames(a.order), listed(missing)),
			Next: "make and link these zones, and put them into the endpoint's DNS zone group",
		})
	}
}
