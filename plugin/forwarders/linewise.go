package forwarders

import (
	"bytes"
	"fmt"
	"strings"
)

// dnsmasq asks nobody else for a domain with a server of its own.
// rebind-domain-ok lets private addresses through where stop-dns-rebind is set.
var dnsmasq = Format{
	Name: "dnsmasq", Product: "dnsmasq", comment: "# ", anyPort: true,
	notes: []string{
		"",
		"Put it into /etc/dnsmasq.d/ and run: dnsmasq --test && systemctl restart dnsmasq",
	},
	write: func(out *bytes.Buffer, plan Plan) {
		for _, domain := range plan.Domains {
			for _, target := range spell(plan.Targets, "#") {
				fmt.Fprintf(out, "server=/%s/%s\n", domain, target)
			}
		}
		out.WriteString("\n")
		for _, domain := range plan.Domains {
			fmt.Fprintf(out, "rebind-domain-ok=/%s/\n", domain)
		}
	},
}

// powerdns is a forward-zones-file. The plus sign sets the recursion desired
// bit, without which our answer would be taken for an authoritative server's.
var powerdns = Format{
	Name: "powerdns", Product: "PowerDNS Recursor", comment: "# ", anyPort: true,
	notes: []string{
		"",
		"Name it in recursor.conf, and run rec_control reload-zones after a change:",
		"    forward-zones-file=/etc/powerdns/privatelink.zones",
		"In a recursor.yml it is recursor: forward_zones_file. The file's name must not end in .yml.",
		"Where validation is on and the root cannot be reached, give the domains a negative trust anchor",
		"(rec_control add-nta): private zones are never signed.",
	},
	write: func(out *bytes.Buffer, plan Plan) {
		targets := strings.Join(spell(plan.Targets, ":"), ";")
		for _, domain := range plan.Domains {
			fmt.Fprintf(out, "+%s=%s\n", domain, targets)
		}
	},
}

// knot is Lua for kresd. STUB takes our chain as it is: policies look at the
// question only, and would not be applied again to the privatelink name.
var knot = Format{
	Name: "knot", Product: "Knot Resolver", comment: "-- ", anyPort: true,
	notes: []string{
		"",
		"Load it from kresd.conf, before every other policy:",
		"    dofile('/etc/knot-resolver/privatelink.lua')",
		"In the config.yaml of version 6 it goes under lua: script-file.",
	},
	write: func(out *bytes.Buffer, plan Plan) {
		out.WriteString("policy.add(policy.suffix(\n")
		fmt.Fprintf(out, "    policy.STUB({'%s'}),\n", strings.Join(spell(plan.Targets, "@"), "', '"))
		out.WriteString("    policy.todnames({\n")
		for _, domain := range plan.Domains {
			fmt.Fprintf(out, "        '%s.',\n", domain)
		}
		out.WriteString("    })\n))\n")
	},
}

// coredns is a server block. The cache keeps public and negative answers for a
// minute and ten seconds only, because private endpoints are created minutes
// after the first look-up that failed.
var coredns = Format{
	Name: "coredns", Product: "CoreDNS", comment: "# ", anyPort: true,
	targets: 15, reason: "the forward plugin takes no more",
	notes: []string{
		"",
		"Import it into a Corefile, outside of every server block:",
		"    import /etc/coredns/privatelink.conf",
	},
	write: func(out *bytes.Buffer, plan Plan) {
		out.WriteString(strings.Join(plan.Domains, ",\n") + " {\n")
		out.WriteString("    errors\n    cache 60 {\n        denial 9984 10\n    }\n")
		fmt.Fprintf(out, "    forward . %s {\n        policy sequential\n    }\n}\n", strings.Join(spell(plan.Targets, ":"), " "))
	},
}
