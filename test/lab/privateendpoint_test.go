//go:build linux

package lab

// The names and zones of the SQL server with a private endpoint.
const (
	sqlName   = "db1.database.windows.net"
	sqlAlias  = "db1.privatelink.database.windows.net"
	sqlZone   = "privatelink.database.windows.net"
	sqlPublic = "203.0.113.10"
)

// privateEndpointRows: a VM asks Azure-provided DNS of its own VNet. Whether
// the answer is private depends on the private endpoint and on the zone's link.
func privateEndpointRows(to *topology) []row {
	const azure = "VM → Azure"
	return []row{
		{"1", to.hubVM, azure, azureDNS, "web1.database.windows.net", "A", want{addresses: []string{sqlPublic}}},
		{"2", to.hubVM, azure, azureDNS, sqlName, "A", want{alias: sqlAlias, addresses: []string{"10.0.2.4"}}},
		{"2′", to.isolatedVM, azure, azureDNS, sqlName, "A", want{alias: sqlAlias, addresses: []string{sqlPublic}}},
		{"2′", to.isolatedVM, "VM → us in isolated → Azure", "10.3.0.4", sqlName, "A", want{
			alias: sqlAlias, addresses: []string{sqlPublic}, logged: to.isolated, verdict: "unlinked", zone: sqlZone,
		}},
	}
}
