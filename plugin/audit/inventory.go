package audit

import (
	"net/netip"
	"strings"
)

// Inventory is what exists in the subscriptions that were read. IDs are those of Azure
// Resource Manager, as it spells them; it does not mind their case. Names are lower case
// and fully qualified.
type Inventory struct {
	// Subscriptions are the IDs of those that were read.
	Subscriptions []string
	Zones         []Zone
	Endpoints     []Endpoint
	Resolvers     []Resolver
	Rulesets      []Ruleset
	// Scopes are the Azure Monitor private link scopes that endpoints lead to.
	Scopes []MonitorScope
}

// Zone is a private DNS zone (Microsoft.Network/privateDnsZones).
type Zone struct {
	ID      string
	Name    string
	Links   []Link
	Records []Record
}

// Link is the link of a zone to a virtual network.
type Link struct {
	ID string
	// Network is the ID of the virtual network.
	Network string
	// Redirect: the resolution policy is NxDomainRedirect, so that a name which the zone
	// lacks is looked up publicly.
	Redirect bool
	// State is "Completed" for a link that works; empty where it was not told.
	State string
}

// Record is a record set of a zone with addresses or an alias; others are not kept.
type Record struct {
	ID   string
	Name string
	// Type is "A", "AAAA" or "CNAME".
	Type      string
	Addresses []netip.Addr
}

// Endpoint is a private endpoint (Microsoft.Network/privateEndpoints).
type Endpoint struct {
	ID string
	// Service is the ID of the resource that it leads to, Groups are its sub-resources, such
	// as "blob".
	Service string
	Groups  []string
	// State is that of the connection: "Approved", "Pending", "Rejected", "Disconnected".
	State string
	// Names are the public names that the endpoint serves.
	Names []Name
	// Managed are the records that its DNS zone groups maintain.
	Managed []ManagedRecord
}

// Name is a name with the addresses that it should have.
type Name struct {
	Name      string
	Addresses []netip.Addr
}

// ManagedRecord is a record that a DNS zone group maintains.
type ManagedRecord struct {
	Name
	// Zone is the ID of the private DNS zone that the record is in.
	Zone string
}

// Resolver is a DNS Private Resolver (Microsoft.Network/dnsResolvers).
type Resolver struct {
	ID      string
	Network string
	// State is that of its provisioning, "Succeeded" where all is well.
	State   string
	Inbound []Inbound
}

// Inbound is an inbound endpoint of a resolver.
type Inbound struct {
	ID        string
	State     string
	Addresses []netip.Addr
}

// Ruleset is a DNS forwarding ruleset (Microsoft.Network/dnsForwardingRulesets).
type Ruleset struct {
	ID string
	// Networks are the IDs of the virtual networks that it is linked to.
	Networks []string
	Rules    []Rule
}

// Rule is a rule of a ruleset that is enabled; others are not kept.
type Rule struct {
	ID      string
	Domain  string
	Targets []netip.Addr
}

// MonitorScope is an Azure Monitor private link scope
// (Microsoft.Insights/privateLinkScopes).
type MonitorScope struct {
	ID string
	// Query and Ingestion are the access modes, "Open" or "PrivateOnly"; empty where they
	// could not be read.
	Query, Ingestion string
}

// sameKey is what two spellings of one resource's ID have in common.
func sameKey(id string) string { return strings.ToLower(strings.TrimSuffix(id, "/")) }

// lastOf is the resource's own name, the last segment of its ID.
func lastOf(id string) string { return id[strings.LastIndex(id, "/")+1:] }

// groupOf is the resource group of an ID, empty where it has none.
func groupOf(id string) string {
	segments := strings.Split(id, "/")
	for index, segment := range segments[:max(len(segments)-1, 0)] {
		if strings.EqualFold(segment, "resourceGroups") {
			return segments[index+1]
		}
	}
	return ""
}
