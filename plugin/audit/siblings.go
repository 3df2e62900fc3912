package audit

import (
	"fmt"
	"slices"
	"strings"
)

// groupSibling says that clients of a resource that has an endpoint for one sub-resource
// need one for another.
type groupSibling struct {
	// resource is the type of the resource, lower case.
	resource   string
	has, needs string
	code, text string
	severity   Severity
	// onlyIfUsed is the suffix whose use alone makes it a matter at all; empty for always.
	onlyIfUsed string
}

var groupSiblings = []groupSibling{
	{
		resource: "microsoft.storage/storageaccounts", has: "dfs", needs: "blob", code: "dfs-without-blob", severity: Fault,
		text: "clients of Data Lake Storage use both names, and the blob name comes back public",
	},
	{
		resource: "microsoft.storage/storageaccounts", has: "blob", needs: "dfs", code: "blob-without-dfs", severity: Warning,
		text:       "where it has a hierarchical namespace, clients use both names, and the dfs name comes back public",
		onlyIfUsed: "dfs.core.windows.net",
	},
}

// recordSibling says that a record of a zone is of no use without another beside it.
type recordSibling struct {
	// zone is the name of the zone.
	zone string
	// is tells whether an owner needs another, has whether one owner is what another needs.
	is         func(owner string) bool
	has        func(owner, other string) bool
	code, text string
	severity   Severity
	// next is what to do.
	next string
}

// oneLabel tells the owner of a resource's main name.
func oneLabel(owner string) bool {
	return owner != "" && owner != "*" && !strings.Contains(owner, ".")
}

var recordSiblings = []recordSibling{
	{
		zone: "privatelink.azurecr.io.", is: oneLabel,
		has:  func(login, other string) bool { return isDataName(other) && strings.HasPrefix(other, login+".") },
		code: "acr-without-data", severity: Fault,
		text: "a login server without its regional data name, such as NAME.REGION.data: docker pull fails after it has logged in",
		next: "make the DNS zone group of the registry's endpoint again, which writes both",
	},
	{
		zone: "privatelink.azurecr.io.", is: isDataName,
		has:  func(data, other string) bool { return oneLabel(other) && strings.HasPrefix(data, other+".") },
		code: "acr-without-login", severity: Fault,
		text: "a regional data name without its login server",
		next: "make the DNS zone group of the registry's endpoint again, which writes both",
	},
	{
		zone: "privatelink.azuredatabricks.net.", is: func(owner string) bool { return owner != "" && !isBrowserSignIn(owner) },
		has:  func(_, other string) bool { return isBrowserSignIn(other) },
		code: "databricks-without-pl-auth", severity: Fault,
		text: "a workspace, and no REGION.pl-auth in the zone: signing in to every workspace of the region fails",
		next: "make an endpoint for browser_authentication, one in each region",
	},
	{
		zone: "privatelink.azurewebsites.net.", is: oneLabel,
		has:  func(app, other string) bool { return other == app+".scm" },
		code: "app-without-scm", severity: Warning,
		text: "an app without its NAME.scm: deployments go to the public address",
		next: "make the DNS zone group of the app's endpoint again, which writes both",
	},
}

func isDataName(owner string) bool {
	return strings.HasSuffix(owner, ".data") && strings.Count(owner, ".") == 2
}

func isBrowserSignIn(owner string) bool {
	return owner == "pl-auth" || strings.HasSuffix(owner, ".pl-auth")
}

// checkSiblings finds what is of no use without something beside it.
func (a *auditor) checkSiblings() string {
	for _, rule := range groupSiblings {
		a.checkGroupSibling(rule)
	}
	for _, rule := range recordSiblings {
		for _, z := range a.zones {
			if z.Name == rule.zone {
				a.checkRecordSibling(rule, z)
			}
		}
	}
	return "none is missing"
}

func (a *auditor) checkGroupSibling(rule groupSibling) {
	if rule.onlyIfUsed != "" && a.expected.LogRead && !a.isInUse(rule.onlyIfUsed) {
		return
	}
	has := a.serviceGroups()
	told := map[string]bool{}
	for _, endpoint := range a.Endpoints {
		service := sameKey(endpoint.Service)
		if !strings.Contains(service, "/providers/"+rule.resource+"/") || told[service] || !has[service+" "+rule.has] || has[service+" "+rule.needs] {
			continue
		}
		told[service] = true
		a.add(Finding{
			Code: rule.code, Severity: rule.severity, Subject: lastOf(endpoint.Service), Where: endpoint.Service,
			Text: fmt.Sprintf("an endpoint for %s and none for %s: %s", rule.has, rule.needs, rule.text),
			Next: fmt.Sprintf("make an endpoint for %s as well", rule.needs),
		})
	}
}

// serviceGroups are the resources with the sub-resources that have endpoints, "ID blob".
func (a *auditor) serviceGroups() map[string]bool {
	has := map[string]bool{}
	for _, endpoint := range a.Endpoints {
		for _, group := range endpoint.Groups {
			has[sameKey(endpoint.Service)+" "+strings.ToLower(group)] = true
		}
	}
	return has
}

func (a *auditor) isInUse(suffix string) bool {
	for _, namespace := range a.expected.InUse {
		if namespace.Suffix == suffix {
			return true
		}
	}
	return false
}

func (a *auditor) checkRecordSibling(rule recordSibling, z *zone) {
	var owners, alone []string
	for _, name := range z.addressed() {
		owners = append(owners, z.owner(name.Name))
	}
	for _, owner := range owners {
		if rule.is(owner) && !slices.ContainsFunc(owners, func(other string) bool { return rule.has(owner, other) }) {
			alone = append(alone, owner+"."+z.Name)
		}
	}
	if len(alone) > 0 {
		a.add(Finding{
			Code: rule.code, Severity: rule.severity, Subject: z.Name, Where: z.ID, Names: bareAll(alone),
			Text: fmt.Sprintf("%s: %s", rule.text, listed(alone)), Next: rule.next,
		})
	}
}
