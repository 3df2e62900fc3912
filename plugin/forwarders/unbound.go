package forwarders

import (
	"bytes"
	"fmt"
)

// unbound is a file for unbound.conf.d. private-domain lets private addresses
// through where private-address, the protection against rebinding, is set;
// domain-insecure keeps private answers when the chain of trust to the public
// zone cannot be had. The zones that Azure serves privately are never signed.
var unbound = Format{
	Name: "unbound", Product: "Unbound", comment: "# ", anyPort: true,
	notes: []string{
		"",
		"Put it into /etc/unbound/unbound.conf.d/ and run: unbound-checkconf && unbound-control reload",
	},
	write: func(out *bytes.Buffer, plan Plan) {
		out.WriteString("server:\n")
		for _, domain := range plan.Domains {
			fmt.Fprintf(out, "    private-domain: \"%s.\"\n    domain-insecure: \"%s.\"\n", domain, domain)
		}
		for _, domain := range plan.Domains {
			fmt.Fprintf(out, "\nforward-zone:\n    name: \"%s.\"\n", domain)
			for _, target := range spell(plan.Targets, "@") {
				fmt.Fprintf(out, "    forward-addr: %s\n", target)
			}
			out.WriteString("    forward-first: no\n")
		}
	},
}
