// Package forwarders knows how DNS servers write conditional forwarders. It
// chooses what of a catalog a company's DNS servers have to forward, writes that
// in the configuration language of each server, and reads such configurations
// back.
//
// It knows names, addresses and file formats. It does not know how our own
// server is configured, who runs the command, or where files are; it gets bytes
// and returns bytes. Text that comes from files and from the command line never
// leaves a comment or a quoted string by itself.
package forwarders

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
)

// Plan is what is to be forwarded, and where to.
type Plan struct {
	// Domains are forwarded with all names below them: lower case, without final
	// dots, each once. None of them may have a privatelink label.
	Domains []string
	// Targets are the servers to forward to, in the order they are to be asked,
	// each once.
	Targets []netip.AddrPort
	// Made tells, a line each, how the plan was made. It heads the output as a
	// comment; characters that are not printable are replaced.
	Made []string
}

// Format is a configuration language. Formats returns all there are.
type Format struct {
	// Name is what the command line calls the format.
	Name string
	// Product is the server that reads it.
	Product string
	// targets is how many servers a forwarder may have, 0 for no limit, and
	// reason says why.
	targets int
	reason  string
	// domains is how many domains it takes, 0 for no limit.
	domains int
	// anyPort says that a target may have another port than 53.
	anyPort bool
	// inAzure says that the target is asked by Azure itself.
	inAzure bool
	// comment begins a line that the server passes over.
	comment string
	// notes tell how the output is used.
	notes []string
	write func(*bytes.Buffer, Plan)
}

// Formats returns every format, sorted by name. The slice belongs to the caller.
func Formats() []Format {
	return []Format{
		rulesetBicep, rulesetTerraform, bind, coredns, dnsmasq, infoblox, knot, powerdns, unbound, windows,
	}
}

// Lookup returns the format of a name. The error lists the names there are.
func Lookup(name string) (Format, error) {
	var names []string
	for _, format := range Formats() {
		if format.Name == name {
			return format, nil
		}
		names = append(names, format.Name)
	}
	return Format{}, fmt.Errorf("found format %q, expected one of %s", name, strings.Join(names, ", "))
}

// Render writes the plan in the format, with a comment in front that says how
// it was made. The error joins everything that the format cannot express.
func (f Format) Render(plan Plan) ([]byte, error) {
	if err := f.check(plan); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, line := range slices.Concat([]string{plan.title()}, plan.Made, rule, f.notes) {
		out.WriteString(strings.TrimRight(f.comment+printable(line), " ") + "\n")
	}
	out.WriteString("\n")
	f.write(&out, plan)
	return out.Bytes(), nil
}

// rule is what whoever edits the output has to know.
var rule = []string{
	"",
	"The domains are the public suffixes, and the parent of each privatelink zone that lies below none of",
	"them: a server that follows a CNAME by itself asks for the privatelink name again, and must not take",
	"another way. Do not add privatelink zones.",
}

// title is the first line of the output.
func (p Plan) title() string {
	return fmt.Sprintf("Conditional forwarders for private endpoints: %s to %s", counted(len(p.Domains), "domain"), strings.Join(spell(p.Targets, ":"), ", "))
}

// counted is a number with its noun.
func counted(number int, noun string) string {
	if number == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", number, noun)
}

// azureDNS is the address of Azure-provided DNS, in every virtual network.
var azureDNS = netip.AddrFrom4([4]byte{168, 63, 129, 16})

func (f Format) check(plan Plan) error {
	mistakes := f.checkSize(plan)
	for i, target := range plan.Targets {
		if slices.Contains(plan.Targets[:i], target) {
			mistakes = append(mistakes, fmt.Errorf("found target %s twice, expected it once", target))
		}
		mistakes = append(mistakes, f.checkTarget(target))
	}
	for _, domain := range plan.Domains {
		mistakes = append(mistakes, checkDomain(domain))
	}
	return errors.Join(mistakes...)
}

func (f Format) checkTarget(target netip.AddrPort) error {
	switch address := target.Addr(); {
	case !address.IsValid() || address.IsUnspecified() || address.IsMulticast() || target.Port() == 0:
		return fmt.Errorf("found target %s, expected the address of a server", target)
	case target.Port() != 53 && !f.anyPort:
		return fmt.Errorf("found target %s, expected port 53: %s asks no other port", target, f.Product)
	case address.Unmap() == azureDNS && f.inAzure:
		return fmt.Errorf("found target %s, which Azure refuses in a ruleset; expected the address of privatelink-dns", address)
	}
	return nil
}

func (f Format) checkSize(plan Plan) []error {
	var mistakes []error
	if len(plan.Domains) == 0 {
		mistakes = append(mistakes, errors.New("found no domain to forward, expected at least one"))
	}
	if len(plan.Targets) == 0 {
		mistakes = append(mistakes, errors.New("found no target, expected at least one address such as 10.1.0.4"))
	}
	if f.targets > 0 && len(plan.Targets) > f.targets {
		mistakes = append(mistakes, fmt.Errorf("found %d targets, expected at most %d: %s", len(plan.Targets), f.targets, f.reason))
	}
	if f.domains > 0 && len(plan.Domains) > f.domains {
		mistakes = append(mistakes, fmt.Errorf("found %d domains, expected at most %d, the limit of %s", len(plan.Domains), f.domains, f.Product))
	}
	return mistakes
}

// checkDomain refuses what would be wrong to forward, and what could end a
// quoted string of some format.
func checkDomain(domain string) error {
	if catalog.HasPrivatelinkLabel(domain) {
		return fmt.Errorf("found privatelink zone %q among the domains, expected its parent: a server that forwards only privatelink zones never asks for the public name here", domain)
	}
	unusual := func(r rune) bool { return !strings.ContainsRune(domainCharacters, r) }
	if len(domain) > 253 || strings.Contains("."+domain+".", "..") || strings.ContainsFunc(domain, unusual) {
		return fmt.Errorf("found domain %q, expected a name of lower-case letters, digits and hyphens, without a final dot", domain)
	}
	return nil
}

const domainCharacters = "abcdefghijklmnopqrstuvwxyz0123456789-_."

// printable keeps a text on its line, and what YAML and terminals do not take out of it.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, text)
}

// spell writes servers, with the port behind a separator if it is not 53.
func spell(targets []netip.AddrPort, separator string) []string {
	spelled := make([]string, 0, len(targets))
	for _, target := range targets {
		address := target.Addr().Unmap().String()
		if target.Port() != 53 {
			if separator == ":" && target.Addr().Unmap().Is6() {
				address = "[" + address + "]"
			}
			address += fmt.Sprintf("%s%d", separator, target.Port())
		}
		spelled = append(spelled, address)
	}
	return spelled
}
