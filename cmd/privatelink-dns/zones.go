package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/plugin/forwarders"
)

// zonesOptions are the flags that all commands below zones have.
type zonesOptions struct {
	catalog catalogFlags
	asJSON  bool
}

func newZonesCommand() *cobra.Command {
	options := &zonesOptions{}
	command := &cobra.Command{
		Use: "zones", Short: "Look into the catalog of namespaces and private zones",
		Long: "Look into the catalog: which public names have private endpoints, and in which private zones those\n" +
			"live. The built-in catalogs are one for each cloud; files of the same form can be added with --catalog.",
		Example: "  privatelink-dns zones list \"key vault\"\n" +
			"  privatelink-dns zones show v1.privatelink.vaultcore.azure.net\n" +
			"  privatelink-dns zones diff /etc/privatelink-dns/azure.yaml",
		RunE: runGroup,
	}
	options.catalog.addFlags(command)
	command.PersistentFlags().BoolVar(&options.asJSON, "json", false, "print JSON")
	command.AddCommand(newZonesListCommand(options), newZonesShowCommand(options), newZonesDiffCommand(options))
	return command
}

func newZonesListCommand(options *zonesOptions) *cobra.Command {
	return &cobra.Command{
		Use: "list [TEXT]", Short: "List the namespaces with their private zones and services", Args: cobra.MaximumNArgs(1),
		Long: "List the namespaces with their private zones and services; with TEXT those only that have it in a name.",
		Example: "  privatelink-dns zones list\n  privatelink-dns zones list \"key vault\"\n" +
			"  privatelink-dns zones list --catalog azure-usgov --json",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(command *cobra.Command, arguments []string) error {
			loaded, err := options.catalog.load()
			if err != nil {
				return err
			}
			listed := listNamespaces(loaded, strings.Join(arguments, ""))
			if len(listed) == 0 {
				return fmt.Errorf("found no namespace with %q in its name, its zones or its services; without a text all are listed", arguments[0])
			}
			if options.asJSON {
				return printJSON(command.OutOrStdout(), listed)
			}
			return printNamespaces(command.OutOrStdout(), listed, len(arguments) == 0)
		},
	}
}

// listedNamespace is one namespace as it is printed.
type listedNamespace struct {
	Suffix       string   `json:"namespace"`
	PrivateZones []string `json:"private_zones"`
	Services     []string `json:"services"`
}

// listNamespaces lists the namespaces that have a text somewhere.
func listNamespaces(loaded *catalog.Catalog, text string) []listedNamespace {
	var listed []listedNamespace
	for _, namespace := range loaded.Namespaces() {
		row := listedNamespace{Suffix: namespace.Suffix, Services: namespace.Services, PrivateZones: zoneNames(namespace.Zones)}
		words := slices.Concat([]string{row.Suffix}, row.PrivateZones, row.Services)
		if slices.ContainsFunc(words, func(word string) bool { return containsFold(word, text) }) {
			listed = append(listed, row)
		}
	}
	return listed
}

func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

func zoneNames(all []*catalog.Zone) []string {
	names := make([]string, 0, len(all))
	for _, zone := range all {
		names = append(names, zone.Name)
	}
	return names
}

// printNamespaces prints a table. A namespace with several zones takes several
// lines.
func printNamespaces(out io.Writer, listed []listedNamespace, whole bool) error {
	rows := [][]string{{"NAMESPACE", "PRIVATE ZONE", "SERVICES"}}
	counted := map[string]bool{}
	for _, namespace := range listed {
		rows = append(rows, []string{namespace.Suffix, namespace.PrivateZones[0], abbreviated(namespace.Services)})
		for _, zone := range namespace.PrivateZones[1:] {
			rows = append(rows, []string{"", zone, ""})
		}
		for _, zone := range namespace.PrivateZones {
			counted[zone] = true
		}
	}
	if err := printTable(out, rows, paintFor(out)); err != nil {
		return err
	}
	if !whole {
		return nil
	}
	_, err := fmt.Fprintf(out, "\n%d namespaces, %d private zones\n", len(listed), len(counted))
	return err
}

// abbreviated names one service and counts the others, so that a line stays one.
func abbreviated(services []string) string {
	if len(services) <= 1 {
		return strings.Join(services, "")
	}
	return fmt.Sprintf("%s and %d more", services[0], len(services)-1)
}

// printTable prints rows in columns, the first row in bold. text/tabwriter
// would count the bytes of colours.
func printTable(out io.Writer, rows [][]string, colours paint) error {
	var widths []int
	for _, row := range rows {
		for column, cell := range row {
			if column == len(widths) {
				widths = append(widths, 0)
			}
			widths[column] = max(widths[column], len(cell))
		}
	}
	for number, row := range rows {
		var line strings.Builder
		for column, cell := range row {
			fmt.Fprintf(&line, "%-*s  ", widths[column], cell)
		}
		text := strings.TrimRight(line.String(), " ")
		if number == 0 {
			text = colours.bold(text)
		}
		if _, err := fmt.Fprintln(out, text); err != nil {
			return err
		}
	}
	return nil
}

// completeNames proposes what show takes: services and public suffixes.
func (o *zonesOptions) completeNames(command *cobra.Command, arguments []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(arguments) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return o.catalog.completeServices(command, arguments, typed)
}

// selectNamed selects what one name names in the catalog, with the words for
// what it is; not ok for a name that is none of the catalog's own.
func selectNamed(loaded *catalog.Catalog, name string) (forwarders.Selection, string, bool) {
	selection, err := forwarders.Named(loaded, []string{name})
	if err != nil {
		return selection, "", false
	}
	plain := strings.TrimSuffix(name, ".")
	isZone := func(zone *catalog.Zone) bool { return strings.EqualFold(zone.Name, plain) }
	isSuffix := func(n *catalog.Namespace) bool {
		return strings.EqualFold(n.Suffix, plain) || strings.EqualFold(n.Anchor, plain)
	}
	switch {
	case slices.ContainsFunc(loaded.Zones(), isZone):
		return selection, zoneKind, true
	case slices.ContainsFunc(loaded.Namespaces(), isSuffix):
		return selection, "a public suffix", true
	}
	return selection, "a service", true
}
