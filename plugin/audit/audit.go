// Package audit holds what exists in Azure against what our server expects of
// it: private zones with their links and records, private endpoints, resolvers
// and forwarding rulesets against our virtual networks, routes and the
// namespaces in use.
//
// It knows the inventory as plain data and what Microsoft documents of how its
// parts depend on each other. It does not know how the inventory was read, it
// asks nobody, and it changes nothing.
package audit

import (
	"net/netip"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
)

// Severity is how bad a finding is.
type Severity string

// The severities, in the words that the other commands use.
const (
	// Fine says that a check found nothing to do.
	Fine Severity = "ok"
	// Warning may be as it is meant, and needs a look.
	Warning Severity = "warning"
	// Fault gives somebody a wrong answer, or none.
	Fault Severity = "fault"
	// Skipped says that something could not be looked at.
	Skipped Severity = "skipped"
)

// Finding is one result of a check. It is plain data.
type Finding struct {
	// Check is the check's name, one of Checks.
	Check string `json:"check"`
	// Code names the kind of finding for programs, such as "zone-not-linked"; empty for
	// Fine and Skipped.
	Code     string   `json:"code,omitempty"`
	Severity Severity `json:"severity"`
	// Subject is the zone, endpoint or ruleset, by its own name; may be empty.
	Subject string `json:"subject,omitempty"`
	Text    string `json:"text"`
	// Names are all the names that the text tells the first of, without final dots.
	Names []string `json:"names,omitempty"`
	// Where is the ID of the resource to look at, as Azure Resource Manager spells it;
	// empty where there is no one resource.
	Where string `json:"where,omitempty"`
	// Next is what to do; empty for Fine.
	Next string `json:"next,omitempty"`
}

// Route is where the configuration sends a name.
type Route struct {
	// Groups are the upstream groups that are asked, empty where no route leads anywhere.
	Groups []string
	// Servers are the addresses of their servers.
	Servers []netip.Addr
	// Missing: where a linked zone has no record for a name, a public resolver is asked.
	Missing bool
	// Protected: answers with an address that is not private are withheld.
	Protected bool
}

// Expectation is what the configuration expects of Azure. It is only read.
type Expectation struct {
	// Catalog must not be nil.
	Catalog *catalog.Catalog
	// Networks are the IDs of the virtual networks in which our questions reach
	// Azure-provided DNS. Networks of resolvers whose inbound endpoints are among
	// Upstreams are found without being named.
	Networks []string
	// Upstreams are the addresses that our server asks.
	Upstreams []netip.Addr
	// Listens are the addresses at which our server is asked.
	Listens []netip.Addr
	// Route tells where a name is sent; the name is lower case and fully qualified. It must
	// not be nil.
	Route func(name string) Route
	// InUse are the namespaces that clients ask for. LogRead tells that a log was read,
	// so that a namespace which is not among them is not in use.
	InUse   []*catalog.Namespace
	LogRead bool
}

// check is one entry of the table.
type check struct {
	name string
	// run adds findings, and returns what is well where it adds none; empty for nothing
	// to say.
	run func(*auditor) string
}

// checks are run and told in this order.
var checks = []check{
	{"networks", (*auditor).checkNetworks},
	{"zone links", (*auditor).checkLinks},
	{"zones of one name", (*auditor).checkTwins},
	{"fallback to internet", (*auditor).checkRedirects},
	{"routes", (*auditor).checkRoutes},
	{"records", (*auditor).checkRecords},
	{"endpoints", (*auditor).checkEndpoints},
	{"namespaces in use", (*auditor).checkInUse},
	{"siblings", (*auditor).checkSiblings},
	{"Azure Monitor", (*auditor).checkMonitor},
	{"rulesets", (*auditor).checkRulesets},
}

// Checks returns the names of all checks in the order of their findings. The slice
// belongs to the caller.
func Checks() []string {
	names := make([]string, 0, len(checks))
	for _, each := range checks {
		names = append(names, each.name)
	}
	return names
}

// Run makes every check. The findings come in the order of Checks, each check's with
// those on one zone together; the same inventory gives the same findings. It keeps
// nothing of its arguments, and is safe for concurrent use.
func Run(inventory *Inventory, expectation *Expectation) []Finding {
	a := newAuditor(inventory, expectation)
	for _, each := range checks {
		a.check = each.name
		before := len(a.findings)
		if well := each.run(a); well != "" && len(a.findings) == before {
			a.add(Finding{Severity: Fine, Text: well})
		}
	}
	return a.findings
}
