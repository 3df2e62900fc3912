package forwarders

import (
	"bytes"
	"fmt"
	"strings"
)

// bind is a file to include from named.conf. BIND 9 forwards first by default,
// and then answers with the public address where we withhold it.
var bind = Format{
	Name: "bind", Product: "BIND", comment: "// ", anyPort: true,
	notes: []string{
		"",
		"Include it from named.conf, or from each view if there are views:",
		"    include \"/etc/bind/privatelink.conf\";",
		"Where options has deny-answer-addresses, except these domains (except-from). Where validation is on",
		"and the root cannot be reached, name them in validate-except: private zones are never signed.",
	},
	write: func(out *bytes.Buffer, plan Plan) {
		targets := strings.Join(spell(plan.Targets, " port "), "; ")
		for _, domain := range plan.Domains {
			fmt.Fprintf(out, "zone %q { type forward; forward only; forwarders { %s; }; };\n", domain, targets)
		}
	},
}
