package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/plugin/forwarders"
)

func newZonesShowCommand(options *zonesOptions) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Tell what the catalog knows of a name, a zone or a service", Args: cobra.ExactArgs(1),
		Long: "Tell what the catalog knows of a public name, a privatelink name, a public suffix, a private zone or a\n" +
			"service: the namespaces, the private zones, what the company's DNS servers have to forward for them, and\n" +
			"which privatelink names clients may look up as they are.",
		Example: "  privatelink-dns zones show db1.database.windows.net\n" +
			"  privatelink-dns zones show v1.privatelink.vaultcore.azure.net\n" +
			"  privatelink-dns zones show \"Azure Key Vault\" --json",
		ValidArgsFunction: options.completeNames,
		RunE: func(command *cobra.Command, arguments []string) error {
			loaded, err := options.catalog.load()
			if err != nil {
				return err
			}
			facts, err := readFacts(options.catalog.names)
			if err != nil {
				return err
			}
			shown, err := describeName(loaded, facts, arguments[0])
			if err != nil {
				return err
			}
			if options.asJSON {
				return printJSON(command.OutOrStdout(), shown)
			}
			return shown.print(command.OutOrStdout())
		},
	}
}

// zoneKind is the kind of a private zone's own name.
const zoneKind = "a private zone"

// shownName is what the catalog knows of a name.
type shownName struct {
	Name string `json:"name"`
	// Kind says what the name is.
	Kind string `json:"kind"`
	// PublicName is what to use in place of a privatelink name, where that is
	// known; Legitimate says that the name itself is in normal use.
	PublicName string `json:"public_name,omitempty"`
	Legitimate bool   `json:"direct_lookup_legitimate,omitempty"`

	Namespaces []string `json:"namespaces"`
	Services   []string `json:"services"`
	// Zones are the private zones, with their facts.
	Zones []zoneFacts `json:"private_zones"`
	// Suffixes are all public suffixes whose names lead into the zones.
	Suffixes []string `json:"public_suffixes"`
	Forward  []string `json:"forward"`

	// zone is the one private zone that the name lies in, if it lies in one.
	zone *catalog.Zone
}

// describeName finds out what a name is and what belongs to it.
func describeName(loaded *catalog.Catalog, facts factsByZone, name string) (shownName, error) {
	shown := shownName{Name: strings.TrimSuffix(name, ".")}
	selection, kind, known := selectNamed(loaded, name)
	if !known {
		var err error
		if selection, kind, err = shown.lookUp(loaded, name); err != nil {
			return shown, err
		}
	}
	shown.Kind = kind
	selected := selection.Zones()
	if shown.zone != nil {
		selected = []*catalog.Zone{shown.zone}
	}
	for _, namespace := range selection.Namespaces() {
		shown.Namespaces = append(shown.Namespaces, namespace.Suffix)
	}
	for _, zone := range selected {
		shown.Services = append(shown.Services, zone.Services...)
		shown.Zones = append(shown.Zones, facts.of(zone))
	}
	slices.Sort(shown.Services)
	shown.Services = slices.Compact(shown.Services)
	for _, namespace := range loaded.Namespaces() {
		if slices.ContainsFunc(namespace.Zones, func(zone *catalog.Zone) bool { return slices.Contains(selected, zone) }) {
			shown.Suffixes = append(shown.Suffixes, namespace.Suffix)
		}
	}
	shown.Forward = selection.Domains()
	return shown, nil
}

// lookUp finds a DNS name, which is none of the catalog's own, in the catalog.
func (s *shownName) lookUp(loaded *catalog.Catalog, name string) (forwarders.Selection, string, error) {
	canonical := dns.CanonicalName(name)
	match := loaded.Match(canonical)
	if match.Namespace == nil {
		return forwarders.Selection{}, "", unknownName(loaded, name)
	}
	s.Name = strings.TrimSuffix(canonical, ".")
	selection := forwarders.Of(match.Namespace)
	if match.Zone == nil {
		return selection, "a public name", nil
	}
	s.zone = match.Zone
	if match.ZoneName(canonical) == canonical {
		return selection, zoneKind, nil
	}
	s.Legitimate = match.Zone.DirectLegitimate(canonical)
	if public, derived := match.Zone.PublicName(canonical); derived {
		s.PublicName = strings.TrimSuffix(public, ".")
	}
	return selection, "a name in the private zone " + strings.TrimSuffix(match.ZoneName(canonical), "."), nil
}

// unknownName says why a name is not in the catalog.
func unknownName(loaded *catalog.Catalog, name string) error {
	_, isName := dns.IsDomainName(name)
	switch {
	case isName && catalog.HasPrivatelinkLabel(dns.CanonicalName(name)):
		return fmt.Errorf("found %q, whose privatelink zone is not in the catalog; is the catalog of another cloud meant (--catalog), or is the name misspelled?", name)
	case isName && strings.Contains(strings.TrimSuffix(name, "."), "."):
		return fmt.Errorf("found %q, which is in no namespace of the catalog: its names have no private endpoints that the catalog knows of", name)
	}
	_, err := forwarders.Named(loaded, []string{name})
	return err
}

// print writes for people to read.
func (s shownName) print(out io.Writer) error {
	colours := paintFor(out)
	fmt.Fprintf(out, "%s is %s.\n", colours.bold(s.Name), s.Kind)
	if s.zone != nil && s.Kind != zoneKind {
		fmt.Fprintln(out, s.advice(colours))
	}
	fmt.Fprintln(out)
	for _, part := range []struct {
		title string
		lines []string
	}{
		{"Namespaces", s.Namespaces},
		{"Services", s.Services},
		{"Private zones", s.zoneLines()},
		{"Public suffixes that lead into them", s.Suffixes},
		{"For the company's DNS servers to forward", s.Forward},
		{"Direct lookups of privatelink names", s.directLines()},
		{"Notes", s.noteLines()},
	} {
		if len(part.lines) == 0 {
			continue
		}
		fmt.Fprintln(out, colours.bold(part.title))
		for _, line := range part.lines {
			if _, err := fmt.Fprintln(out, "  "+line); err != nil {
				return err
			}
		}
	}
	return nil
}

// advice says how a privatelink name is to be used.
func (s shownName) advice(colours paint) string {
	switch {
	case s.Legitimate:
		return colours.green("Clients look it up as it is, in normal use.")
	case s.PublicName != "":
		return colours.yellow("Clients use its public name: " + s.PublicName)
	}
	return colours.yellow("Clients use its public name, which cannot be told from this one.")
}

func (s shownName) zoneLines() []string {
	var lines []string
	for _, zone := range s.Zones {
		lines = append(lines, zone.Zone)
	}
	return lines
}

func (s shownName) directLines() []string {
	var lines []string
	for _, zone := range s.Zones {
		lines = append(lines, zone.Zone+": "+zone.directLookups())
	}
	return lines
}

func (s shownName) noteLines() []string {
	var lines []string
	for _, zone := range s.Zones {
		if zone.Note != "" {
			lines = append(lines, zone.Zone+": "+strings.Join(strings.Fields(zone.Note), " "))
		}
	}
	return lines
}
