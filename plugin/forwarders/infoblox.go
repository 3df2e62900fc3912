package forwarders

import (
	"bytes"
	"encoding/csv"
	"strings"
)

// infoblox is a file for the CSV import of NIOS, with the columns of its object
// ForwardZone ("Infoblox CSV Import Reference"). A forwarder is written
// name/address; the name is only shown, and exports give the address for it too.
var infoblox = Format{
	Name: "infoblox", Product: "Infoblox NIOS", comment: "# ",
	notes: []string{
		"",
		"Import it in Data Management > DNS > CSV Import, with the action Add. The members that serve the zones",
		"are yours to fill in: the column forwarding_servers, or ns_group.",
	},
	write: func(out *bytes.Buffer, plan Plan) {
		var targets []string
		for _, target := range spell(plan.Targets, ":") {
			targets = append(targets, target+"/"+target)
		}
		rows := csv.NewWriter(out)
		// A bytes.Buffer takes everything.
		_ = rows.Write([]string{"header-forwardzone", "fqdn*", "zone_format*", "comment", "disabled", "forward_to", "forwarders_only", "forwarding_servers", "ns_group"})
		for _, domain := range plan.Domains {
			_ = rows.Write([]string{"forwardzone", domain, "FORWARD", "private endpoints", "False", strings.Join(targets, ","), "True", "", ""})
		}
		rows.Flush()
	},
}
