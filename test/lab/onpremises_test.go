//go:build linux

package lab

import "slices"

// onPremisesRows: a machine on premises asks the company's DNS server, which
// has conditional forwarders: to us, to one of us that asks a Private Resolver,
// or to the Private Resolver itself. SQL's privatelink zone lies inside the
// forwarded suffix, Key Vault's does not: its parent is forwarded too.
func onPremisesRows(to *topology) []row {
	var toHub, toSpoke, toEndpoint []row
	for _, c := range to.companies {
		for _, private := range []row{
			{name: sqlName, want: want{alias: sqlAlias, addresses: []string{"10.0.2.4"}, zone: sqlZone}},
			{name: vaultName, want: want{alias: vaultAlias, addresses: []string{"10.0.2.5"}, zone: vaultZone}},
		} {
			private.who, private.kind = to.client, "A"
			hub, spoke, endpoint := private, private, private

			hub.number, hub.path, hub.server = "4a", "host → "+c.name+" → us in hub → Azure", c.toHub
			hub.want.logged, hub.want.verdict = to.hub, "private"
			toHub = append(toHub, hub)

			spoke.number, spoke.path, spoke.server = "4b", "host → "+c.name+" → us in spoke → endpoint", c.toSpoke
			spoke.want.logged, spoke.want.verdict = to.spoke, "private"
			toSpoke = append(toSpoke, spoke)

			endpoint.number, endpoint.path, endpoint.server = "4b", "host → "+c.name+" → endpoint", c.toEndpoint
			toEndpoint = append(toEndpoint, endpoint)
		}
	}
	return slices.Concat(toHub, toSpoke, toEndpoint)
}
