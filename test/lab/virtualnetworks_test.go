//go:build linux

package lab

// virtualNetworkRows: the machines of two VNets find each other. Azure gives
// every VNet its own suffix, which only the VNet itself can resolve, so there
// is one rule for each.
func virtualNetworkRows(to *topology) []row {
	const (
		hubName    = "vm1.hub2f6.bx.internal.cloudapp.net"
		branchName = "vm4.branch7c1.bx.internal.cloudapp.net"
	)
	return []row{
		{"5", to.hubVM, "VM → Azure", azureDNS, branchName, "A", want{status: "NXDOMAIN"}},
		{"5", to.hubVM, "VM → us in hub → branch", hubDNS, branchName, "A", want{
			addresses: []string{"10.4.0.10"}, logged: to.hub, verdict: "private",
		}},
		{"5", to.branchVM, "VM → us in hub → Azure", hubDNS, hubName, "A", want{
			addresses: []string{"10.1.0.10"}, logged: to.hub, verdict: "private",
		}},
	}
}
