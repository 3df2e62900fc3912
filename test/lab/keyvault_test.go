//go:build linux

package lab

// The names and zones of the Key Vault with a private endpoint, and of one
// that is reached by service endpoint.
const (
	vaultName        = "v1.vault.azure.net"
	vaultAlias       = "v1.privatelink.vaultcore.azure.net"
	vaultZone        = "privatelink.vaultcore.azure.net"
	vaultPublic      = "203.0.113.20"
	serviceEndpoints = "v2.vault.azure.net"
)

// keyVaultRows: a service endpoint changes nothing in DNS, wherever one asks; a
// private endpoint does where the zone is linked.
func keyVaultRows(to *topology) []row {
	public := want{addresses: []string{vaultPublic}}
	throughHub := public
	throughHub.logged, throughHub.verdict = to.hub, "public"
	private := want{alias: vaultAlias, addresses: []string{"10.0.2.5"}}
	return []row{
		{"7", to.hubVM, "VM → Azure", azureDNS, serviceEndpoints, "A", public},
		{"7", to.isolatedVM, "VM → Azure", azureDNS, serviceEndpoints, "A", public},
		{"7", to.spokeVM, "VM → us in hub → Azure", hubDNS, serviceEndpoints, "A", throughHub},
		{"7", to.client, "host → BIND → us in hub → Azure", "10.30.0.4", serviceEndpoints, "A", throughHub},
		{"7", to.hubVM, "VM → Azure", azureDNS, vaultName, "A", private},
		{"7", to.isolatedVM, "VM → Azure", azureDNS, vaultName, "A", want{alias: vaultAlias, addresses: []string{vaultPublic}}},
	}
}
