//go:build linux

package lab

// spokeRows: a VM in a spoke VNet, whose DNS server is ours, gets the private
// address although no zone is linked to the spoke.
func spokeRows(to *topology) []row {
	private := want{alias: sqlAlias, addresses: []string{"10.0.2.4"}}
	throughHub, throughSpoke := private, private
	throughHub.logged, throughHub.verdict, throughHub.zone = to.hub, "private", sqlZone
	throughSpoke.logged, throughSpoke.verdict, throughSpoke.zone = to.spoke, "private", sqlZone
	return []row{
		{"3a", to.spokeVM, "VM → us in hub → Azure", hubDNS, sqlName, "A", throughHub},
		{"3b", to.spokeVM, "VM → us in spoke → endpoint", "10.2.0.4", sqlName, "A", throughSpoke},
		{"3b", to.spokeVM, "VM → endpoint", inboundEndpoint, sqlName, "A", private},
	}
}
