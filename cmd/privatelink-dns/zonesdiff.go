package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
)

func newZonesDiffCommand(options *zonesOptions) *cobra.Command {
	merge := false
	command := &cobra.Command{
		Use: "diff FILE", Short: "Compare the catalog with a file", Args: cobra.ExactArgs(1),
		Long: "Compare the catalog with a file: what would change if FILE took the place of the built-in catalog, or with\n" +
			"--merge, if it were loaded beside it. Exits with 0 if nothing would change, with 2 if something would, and\n" +
			"with 1 if a catalog cannot be loaded.",
		Example: "  privatelink-dns zones diff /etc/privatelink-dns/azure.yaml\n" +
			"  privatelink-dns zones diff --merge own-zones.yaml\n" +
			"  privatelink-dns zones diff --catalog azure-usgov usgov-new.yaml --json",
		RunE: func(command *cobra.Command, arguments []string) error {
			names := arguments
			if merge {
				names = slices.Concat(options.catalog.names, arguments)
			}
			before, err := readView(options.catalog.names, options.catalog.include)
			if err != nil {
				return err
			}
			after, err := readView(names, options.catalog.include)
			if err != nil {
				return err
			}
			return reportDifferences(command.OutOrStdout(), compareViews(before, after), strings.Join(options.catalog.names, ", "), arguments[0], options.asJSON)
		},
	}
	command.Flags().BoolVar(&merge, "merge", false, "load FILE beside the catalog, not in its place")
	return command
}

// catalogView is a catalog as lines of text by namespace and zone: what
// differs in no line is the same to the server.
type catalogView struct{ namespaces, zones map[string][]string }

func readView(names, include []string) (catalogView, error) {
	loaded, err := loadCatalog(names, include)
	if err != nil {
		return catalogView{}, err
	}
	facts, err := readFacts(names)
	if err != nil {
		return catalogView{}, err
	}
	view := catalogView{namespaces: map[string][]string{}, zones: map[string][]string{}}
	for _, namespace := range loaded.Namespaces() {
		view.namespaces[namespace.Suffix] = slices.Concat(
			prefixed("service ", namespace.Services), prefixed("private zone ", zoneNames(namespace.Zones)))
	}
	for _, zone := range loaded.Zones() {
		view.zones[zone.Name] = zoneLines(zone, facts.of(zone))
	}
	return view, nil
}

// zoneLines leaves the note out: it is not the server's business.
func zoneLines(zone *catalog.Zone, facts zoneFacts) []string {
	lines := append(prefixed("service ", zone.Services), "namespace "+zone.Namespace.Suffix)
	if facts.PublicSuffix != "" {
		lines = append(lines, "public suffix "+strings.ToLower(strings.TrimSuffix(facts.PublicSuffix, ".")))
	}
	if facts.Direct != "" {
		lines = append(lines, "direct "+facts.Direct)
	}
	return slices.Concat(lines, prefixed("direct name ", facts.DirectNames), prefixed("underivable ", facts.Underivable))
}

func prefixed(prefix string, words []string) []string {
	lines := make([]string, 0, len(words))
	for _, word := range words {
		lines = append(lines, prefix+word)
	}
	return lines
}

// difference is what happened to one namespace or private zone.
type difference struct {
	Change  string   `json:"change"` // added, removed or changed
	Kind    string   `json:"kind"`   // namespace or private zone
	Name    string   `json:"name"`
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

func compareViews(before, after catalogView) []difference {
	return slices.Concat(
		compareLines("namespace", before.namespaces, after.namespaces),
		compareLines("private zone", before.zones, after.zones))
}

func compareLines(kind string, before, after map[string][]string) []difference {
	names := maps.Clone(before)
	maps.Copy(names, after)
	var differences []difference
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old, had := before[name]
		current, has := after[name]
		found := difference{Change: "changed", Kind: kind, Name: name, Added: missingIn(old, current), Removed: missingIn(current, old)}
		switch {
		case !had:
			found.Change = "added"
		case !has:
			found.Change = "removed"
		case len(found.Added)+len(found.Removed) == 0:
			continue
		}
		differences = append(differences, found)
	}
	return differences
}

// missingIn lists the lines that have lacks.
func missingIn(have, lines []string) []string {
	var missing []string
	for _, line := range lines {
		if !slices.Contains(have, line) {
			missing = append(missing, line)
		}
	}
	return missing
}

// reportDifferences prints the differences; the error says how many there are.
func reportDifferences(out io.Writer, differences []difference, before, after string, asJSON bool) error {
	if asJSON {
		if differences == nil {
			differences = []difference{}
		}
		if err := printJSON(out, differences); err != nil {
			return err
		}
	} else {
		printDifferences(out, differences, paintFor(out))
	}
	switch {
	case len(differences) > 0:
		return findingError(fmt.Sprintf("%s and %s differ in %d places", before, after, len(differences)))
	case !asJSON:
		fmt.Fprintf(out, "%s and %s are the same to the server\n", before, after)
	}
	return nil
}

func printDifferences(out io.Writer, differences []difference, colours paint) {
	for _, found := range differences {
		line := found.Kind + " " + found.Name
		switch found.Change {
		case "added":
			fmt.Fprintln(out, colours.green("+ "+line))
		case "removed":
			fmt.Fprintln(out, colours.red("- "+line))
			continue // what it had went with it
		default:
			fmt.Fprintln(out, "  "+line)
		}
		for _, removed := range found.Removed {
			fmt.Fprintln(out, colours.red("    - "+removed))
		}
		for _, added := range found.Added {
			fmt.Fprintln(out, colours.green("    + "+added))
		}
	}
}
