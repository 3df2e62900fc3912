package forwarders

import (
	"fmt"
	"strings"
)

// RulesFile writes the routes as a rules file, in YAML. The comment in front has
// the lines of made, and the lines that the Corefile needs. Names are checked
// when they are read, so that they stay inside their quotation marks.
func (i Imported) RulesFile(file string, made []string) []byte {
	var out strings.Builder
	for _, line := range made {
		fmt.Fprintf(&out, "# %s\n", printable(line))
	}
	out.WriteString("#\n# The Corefile needs these lines in its privatelink stanza:\n#\n")
	for _, line := range i.CorefileLines(file) {
		fmt.Fprintf(&out, "#     %s\n", printable(line))
	}
	out.WriteString("\nroutes:\n")
	for _, route := range i.Routes {
		fmt.Fprintf(&out, "  - {suffix: %q, group: %q} # %s:%d\n", route.Suffix, route.Group, printable(route.Path), route.Line)
	}
	return []byte(out.String())
}

// CorefileLines are what a Corefile has to have beside the rules file of a name:
// the groups, and the rules file itself.
func (i Imported) CorefileLines(file string) []string {
	var lines []string
	for _, group := range i.Groups {
		lines = append(lines, group.Line())
	}
	return append(lines, "rules "+file)
}
