package forwarders

import (
	"bytes"
	"fmt"
	"strings"
)

// windows is a PowerShell script that can be run again. UseRecursion is off,
// else Windows DNS asks the root when no target replies, and gets the public
// address.
var windows = Format{
	Name: "windows", Product: "Windows DNS Server", comment: "# ",
	targets: 2, reason: "Windows waits 5 seconds for each target and 8 in all, so that it never asks a third",
	notes: []string{
		"",
		"Run it on each DNS server, or once on a domain controller with -ReplicationScope Forest. It may be run",
		"again; with -WhatIf it only tells what it would do.",
	},
	write: func(out *bytes.Buffer, plan Plan) {
		fmt.Fprintf(out, windowsHead, strings.Join(spell(plan.Targets, ":"), "', '"))
		for _, domain := range plan.Domains {
			fmt.Fprintf(out, "    '%s'\n", domain)
		}
		out.WriteString(windowsBody)
	},
}

const windowsHead = `#Requires -Modules DnsServer
[CmdletBinding(SupportsShouldProcess)]
param(
    # Forest or Domain keeps new forwarders in Active Directory, for all its DNS servers.
    [ValidateSet('Forest', 'Domain', 'Legacy')] [string] $ReplicationScope
)
$ErrorActionPreference = 'Stop'
$scope = @{}
if ($ReplicationScope) { $scope.ReplicationScope = $ReplicationScope }
$targets = '%s'
$domains = @(
`

const windowsBody = `)
foreach ($domain in $domains) {
    $zone = Get-DnsServerZone -Name $domain -ErrorAction SilentlyContinue
    if (-not $zone) {
        Add-DnsServerConditionalForwarderZone -Name $domain -MasterServers $targets -UseRecursion:$false -ForwarderTimeout 5 @scope -WhatIf:$WhatIfPreference
    } elseif ($zone.ZoneType -eq 'Forwarder') {
        Set-DnsServerConditionalForwarderZone -Name $domain -MasterServers $targets -UseRecursion $false -ForwarderTimeout 5 -WhatIf:$WhatIfPreference
    } else {
        Write-Warning "$domain is a zone of type $($zone.ZoneType) on this server: its names do not reach Azure. Remove the zone, then run this again."
    }
}
`
