//go:build linux

package lab

// forestRows: two Active Directory forests, one on premises and one managed in
// the cloud, each forwarding the other's domain to the other's domain
// controllers. The list of controllers is too long for UDP.
func forestRows(to *topology) []row {
	whole := want{records: controllers, logged: to.hub, verdict: "other"}
	return []row{
		{"6", to.hubVM, "VM → us in hub → dc", hubDNS, "_ldap._tcp.dc._msdcs.corp.example", "SRV", whole},
		{"6", to.hubVM, "VM → us in hub → dc", hubDNS, "dc1.corp.example", "A", want{
			addresses: []string{"10.30.9.1"}, logged: to.hub, verdict: "private",
		}},
		{"6", to.client, "host → BIND → us in hub → dc", "10.30.0.4", "_ldap._tcp.dc._msdcs.cloud.example", "SRV", whole},
	}
}
