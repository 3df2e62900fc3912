package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/privatelink-dns/privatelink-dns/plugin/forwarders"
)

// importOptions are the flags of the command import.
type importOptions struct {
	from    string
	output  string
	asJSON  bool
	catalog catalogFlags
}

func newImportCommand() *cobra.Command {
	options := &importOptions{}
	command := &cobra.Command{
		Use: "import FILE...", Short: "Make a rules file of another DNS server's conditional forwarders", Args: cobra.MinimumNArgs(1),
		Long: "Read the conditional forwarders of other DNS servers and write them as a rules file, with the lines that\n" +
			"the Corefile needs beside it. What could not be carried over, or behaves differently here, is reported\n" +
			"with file, line and reason. \"-\" is standard input. It reads\n\n" +
			"  bind           named.conf, or parts of it\n" +
			"  unbound        unbound.conf, or parts of it\n" +
			"  windows        Get-DnsServerZone | Select-Object * | ConvertTo-Json -Depth 4, and Get-DnsServerForwarder alike\n" +
			"  infoblox       the CSV export of forward zones\n" +
			"  azure-ruleset  az dns-resolver forwarding-rule list, or the exported template of a ruleset\n\n" +
			"Exits with 0 if everything was carried over, with 2 if the report has something that was not or that\n" +
			"behaves differently, and with 1 if a file cannot be read; then nothing is written.",
		Example: "  privatelink-dns import /etc/bind/named.conf.local --output /etc/privatelink-dns/rules.yaml\n" +
			"  privatelink-dns import unbound.conf forwarders.json > rules.yaml\n" +
			"  privatelink-dns import --from infoblox export.csv --json",
		RunE: func(command *cobra.Command, arguments []string) error {
			return options.run(command.InOrStdin(), command.OutOrStdout(), command.ErrOrStderr(), arguments)
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.from, "from", "", "what the files are: "+strings.Join(forwarders.Sources(), ", ")+"; found out if left out")
	flags.StringVarP(&options.output, "output", "o", "", "write the rules to this file, which must not exist, and the Corefile lines to standard output")
	flags.BoolVar(&options.asJSON, "json", false, "print groups, routes and the report as JSON")
	options.catalog.addFlags(command)
	command.MarkFlagsMutuallyExclusive("output", "json")
	_ = command.RegisterFlagCompletionFunc("from", cobra.FixedCompletions(forwarders.Sources(), cobra.ShellCompDirectiveNoFileComp))
	return command
}

func (o *importOptions) run(in io.Reader, out, messages io.Writer, paths []string) error {
	loaded, err := o.catalog.load()
	if err != nil {
		return err
	}
	var readings []forwarders.Reading
	var mistakes []error
	for _, path := range paths {
		reading, err := o.read(in, path)
		mistakes = append(mistakes, err)
		readings = append(readings, reading)
	}
	if err := errors.Join(mistakes...); err != nil {
		return err
	}
	imported := forwarders.Combine(loaded, readings...)
	if !o.asJSON {
		reportNotes(messages, imported.Notes)
	}
	if len(imported.Routes) == 0 {
		return fmt.Errorf("found no forwarder to carry over in %s", strings.Join(paths, ", "))
	}
	if err := o.write(out, imported, paths); err != nil {
		return err
	}
	return summarise(imported)
}

// maxImport is one byte more than may be read.
const maxImport = 16<<20 + 1

func (o *importOptions) read(in io.Reader, path string) (forwarders.Reading, error) {
	name, opened := "standard input", in
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return forwarders.Reading{}, err
		}
		defer func() { _ = file.Close() }()
		name, opened = path, file
	}
	data, err := io.ReadAll(io.LimitReader(opened, maxImport))
	if err != nil {
		return forwarders.Reading{}, fmt.Errorf("reading %s: %w", name, err)
	}
	return forwarders.Read(o.from, name, data)
}

// write writes the rules where they were asked for.
func (o *importOptions) write(out io.Writer, imported forwarders.Imported, paths []string) error {
	words := []string{"Rules of privatelink-dns, made by: privatelink-dns import"}
	for _, path := range paths {
		words = append(words, quoted(path))
	}
	made := []string{strings.Join(words, " ")}
	switch {
	case o.asJSON:
		return printImportedJSON(out, imported)
	case o.output == "":
		_, err := out.Write(imported.RulesFile("rules.yaml", made))
		return err
	}
	absolute, err := filepath.Abs(o.output)
	if err != nil {
		return err
	}
	// Rules that somebody wrote by hand are not written over.
	file, err := os.OpenFile(o.output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	_, err = file.Write(imported.RulesFile(absolute, made))
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	_, err = fmt.Fprintln(out, strings.Join(imported.CorefileLines(absolute), "\n"))
	return err
}

// reportNotes prints what became of what was read.
func reportNotes(messages io.Writer, notes []forwarders.Note) {
	colours := paintFor(messages)
	colour := map[string]func(string) string{forwarders.LeftOut: colours.red, forwarders.Changed: colours.yellow, forwarders.Remark: colours.green}
	for _, note := range notes {
		fmt.Fprintln(messages, colour[note.Kind](note.String()))
	}
}

// summarise is nil where everything was carried over.
func summarise(imported forwarders.Imported) error {
	count := map[string]int{}
	for _, note := range imported.Notes {
		count[note.Kind] += 1 + note.More
	}
	if count[forwarders.LeftOut]+count[forwarders.Changed] == 0 {
		return nil
	}
	return findingError(fmt.Sprintf("%d routes carried over, %d left out, %d changed: see above", len(imported.Routes), count[forwarders.LeftOut], count[forwarders.Changed]))
}

func printImportedJSON(out io.Writer, imported forwarders.Imported) error {
	type group struct {
		Name    string   `json:"name"`
		Servers []string `json:"servers"`
		Line    string   `json:"corefile"`
	}
	type route struct {
		Suffix string `json:"suffix"`
		Group  string `json:"group"`
		Path   string `json:"path"`
		Line   int    `json:"line"`
	}
	printed := struct {
		Groups []group           `json:"groups"`
		Routes []route           `json:"routes"`
		Report []forwarders.Note `json:"report"`
	}{Report: append([]forwarders.Note{}, imported.Notes...)}
	for _, made := range imported.Groups {
		var servers []string
		for _, server := range made.Servers {
			servers = append(servers, server.String())
		}
		printed.Groups = append(printed.Groups, group{made.Name, servers, made.Line()})
	}
	for _, made := range imported.Routes {
		printed.Routes = append(printed.Routes, route{made.Suffix, made.Group, made.Path, made.Line})
	}
	return printJSON(out, printed)
}
