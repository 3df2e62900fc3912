//go:build linux

package lab

import (
	"slices"
	"testing"
)

// The addresses that stand in configuration files. Azure's is the real one.
const (
	azureDNS        = "168.63.129.16"
	inboundEndpoint = "10.1.1.4"   // of a Private Resolver in the hub VNet
	branchResolver  = "10.4.1.4"   // in the branch VNet
	internetDNS     = "192.0.2.53" // a public resolver
	hubDNS          = "10.1.0.4"   // our server
	world           = "testdata/world.yaml"
)

// toAzure are the lines of our stanza that forward everything to Azure-provided
// DNS, toInboundEndpoint to a Private Resolver.
var (
	toAzure           = []string{"catalog azure", "upstream azure " + azureDNS, "route catalog azure", "route . azure"}
	toInboundEndpoint = []string{"catalog azure", "upstream azure " + inboundEndpoint, "route catalog azure", "route . azure"}
)

// forwarded are the domains that a company's DNS server sends to us: the
// public suffixes of SQL and Key Vault, and the parent of Key Vault's
// privatelink zone, which no public suffix covers.
var forwarded = []string{"database.windows.net", "vault.azure.net", "vaultcore.azure.net"}

// startAzure adds the simulator with its addresses: Azure-provided DNS, the
// inbound endpoints, and a public resolver.
func startAzure(l *Lab, stanza ...string) {
	l.t.Helper()
	l.Host("Azure", azureDNS, inboundEndpoint, branchResolver, internetDNS).Azure(world, stanza...)
}

// startHub adds the simulator and our server in the hub VNet.
func startHub(l *Lab, stanza ...string) *Server {
	l.t.Helper()
	startAzure(l)
	return l.Host("us", hubDNS).Serve(slices.Concat(toAzure, stanza)...)
}

// topology is the whole hybrid network, for the table of scenarios.
type topology struct {
	// hub is our server in the hub VNet; spoke the one in a spoke VNet that asks
	// the Private Resolver; isolated the one in a VNet without links.
	hub, spoke, isolated *Server

	hubVM, spokeVM, isolatedVM, branchVM *Host
	// client is a machine on premises.
	client    *Host
	companies []company
}

// company is one make of DNS server on premises, with the addresses of three
// that differ in where their conditional forwarders point.
type company struct {
	name                       string
	toHub, toSpoke, toEndpoint string
}

func newTopology(t *testing.T) *topology {
	t.Helper()
	l := New(t)
	startAzure(l)
	l.Host("domain controller", "10.30.0.10").DomainController("corp.example")
	l.Host("domain controller", "10.1.0.36").DomainController("cloud.example")
	to := &topology{
		hub: l.Host("us", hubDNS).Serve(slices.Concat(toAzure, []string{
			"upstream branch " + branchResolver, "route branch7c1.bx.internal.cloudapp.net branch",
			"upstream corp 10.30.0.10", "route corp.example corp",
			"upstream cloud 10.1.0.36", "route cloud.example cloud",
			"clients stub 10.1.0.0/16 10.2.0.0/16 10.4.0.0/16",
			"clients resolver 10.30.0.4 10.30.0.5 10.30.0.6",
		})...),
		spoke:      l.Host("us", "10.2.0.4").Serve(slices.Concat(toInboundEndpoint, []string{"clients resolver 10.30.0.0/24"})...),
		isolated:   l.Host("us", "10.3.0.4").Serve(toAzure...),
		hubVM:      l.Host("VM in hub", "10.1.0.10"),
		spokeVM:    l.Host("VM in spoke", "10.2.0.10"),
		isolatedVM: l.Host("VM in isolated", "10.3.0.10"),
		branchVM:   l.Host("VM in branch", "10.4.0.10"),
		client:     l.Host("on premises", "10.30.0.50"),
	}
	for _, target := range []struct{ server, network string }{{hubDNS, "10.30.0."}, {"10.2.0.4", "10.30.0.1"}, {inboundEndpoint, "10.30.0.2"}} {
		rules := Forwarding{Conditional: Forward(target.server, slices.Concat(forwarded, []string{"cloud.example"})...), Default: internetDNS}
		l.Host("BIND", target.network+"4").BIND(rules)
		l.Host("Unbound", target.network+"5").Unbound(rules)
		l.Host("dnsmasq", target.network+"6").Dnsmasq(rules)
	}
	to.companies = []company{
		{"BIND", "10.30.0.4", "10.30.0.14", "10.30.0.24"},
		{"Unbound", "10.30.0.5", "10.30.0.15", "10.30.0.25"},
		{"dnsmasq", "10.30.0.6", "10.30.0.16", "10.30.0.26"},
	}
	return to
}
