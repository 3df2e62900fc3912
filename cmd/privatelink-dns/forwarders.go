package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/plugin/forwarders"
)

// forwardersOptions are the flags of the command forwarders.
type forwardersOptions struct {
	format   string
	targets  []string
	services []string
	inUse    []string
	all      bool
	asJSON   bool
	catalog  catalogFlags
}

func newForwardersCommand() *cobra.Command {
	options := &forwardersOptions{}
	command := &cobra.Command{
		Use:   "forwarders --format FORMAT --target ADDRESS[,ADDRESS...] (--all | --services NAMES | --in-use LOG)",
		Short: "Write conditional forwarders for the company's DNS servers",
		Long: "Write the configuration with which a company's DNS servers forward the namespaces of private endpoints\n" +
			"to privatelink-dns: every public suffix, and the parent of each privatelink zone that no suffix covers,\n" +
			"never a privatelink zone. All of it is forward-only: a server that may ask elsewhere when it is refused\n" +
			"an answer gets the public address. The output goes to standard output.",
		Example: "  privatelink-dns forwarders --format windows --target 10.1.0.4,10.1.0.5 --all > Add-Forwarders.ps1\n" +
			"  privatelink-dns forwarders --format bind --target 10.1.0.4 --services \"Azure SQL Database,Azure Key Vault\"\n" +
			"  privatelink-dns forwarders --format unbound --target 10.1.0.4 --services vault.azure.net\n" +
			"  privatelink-dns forwarders --format infoblox --target 10.1.0.4 --in-use /var/log/privatelink-dns/query.log\n" +
			"  privatelink-dns forwarders --json --target 10.1.0.4 --all",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return options.run(command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	options.addFlags(command)
	return command
}

func (o *forwardersOptions) addFlags(command *cobra.Command) {
	var names, completions []string
	for _, format := range forwarders.Formats() {
		names = append(names, format.Name)
		completions = append(completions, format.Name+"\t"+format.Product)
	}
	flags := command.Flags()
	flags.StringVarP(&o.format, "format", "f", "", "the configuration to write: "+strings.Join(names, ", "))
	flags.StringSliceVarP(&o.targets, "target", "t", nil, "the addresses of privatelink-dns, in the order to ask them; with a port if it is not 53")
	flags.StringSliceVarP(&o.services, "services", "s", nil, "services or public suffixes, such as \"Azure Key Vault\" or vault.azure.net")
	flags.StringArrayVar(&o.inUse, "in-use", nil, "the namespaces that this query log names; \"-\" is standard input; may be gzip; may stand several times")
	flags.BoolVar(&o.all, "all", false, "every namespace of the catalog")
	flags.BoolVar(&o.asJSON, "json", false, "print the domains and targets as JSON")
	o.catalog.addFlags(command)
	command.MarkFlagsMutuallyExclusive("all", "services", "in-use")
	command.MarkFlagsMutuallyExclusive("format", "json")
	_ = command.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(completions, cobra.ShellCompDirectiveNoFileComp))
	_ = command.RegisterFlagCompletionFunc("services", o.catalog.completeServices)
	_ = command.RegisterFlagCompletionFunc("target", cobra.NoFileCompletions)
}

func (o *forwardersOptions) run(out, messages io.Writer) error {
	if o.format == "" && !o.asJSON {
		_, err := forwarders.Lookup("")
		return fmt.Errorf("--format: %w", err)
	}
	targets, err := parseTargets(o.targets)
	if err != nil {
		return err
	}
	loaded, err := o.catalog.load()
	if err != nil {
		return err
	}
	selection, err := o.choose(loaded, messages)
	if err != nil {
		return err
	}
	plan := forwarders.Plan{Domains: selection.Domains(), Targets: targets, Made: o.made()}
	if o.asJSON {
		return printForwardersJSON(out, plan, selection)
	}
	format, err := forwarders.Lookup(o.format)
	if err != nil {
		return fmt.Errorf("--format: %w", err)
	}
	written, err := format.Render(plan)
	if err != nil {
		return fmt.Errorf("writing forwarders for %s: %w", format.Product, err)
	}
	_, err = out.Write(written)
	return err
}

// choose selects the namespaces that the flags name.
func (o *forwardersOptions) choose(loaded *catalog.Catalog, messages io.Writer) (forwarders.Selection, error) {
	switch {
	case o.all:
		return forwarders.All(loaded), nil
	case len(o.services) > 0:
		selection, err := forwarders.Named(loaded, o.services)
		if err != nil {
			return selection, fmt.Errorf("--services: %w", err)
		}
		return selection, nil
	case len(o.inUse) > 0:
		return o.chooseInUse(loaded, messages)
	}
	return forwarders.Selection{}, errors.New("found nothing to forward, expected one of --all, --services and --in-use")
}

func (o *forwardersOptions) chooseInUse(loaded *catalog.Catalog, messages io.Writer) (forwarders.Selection, error) {
	selection := forwarders.Selection{}
	records := 0
	for _, path := range o.inUse {
		found, usage, err := readUsage(loaded, path)
		if err != nil {
			return selection, fmt.Errorf("--in-use %s: %w", path, err)
		}
		if usage.Skipped > 0 {
			fmt.Fprintf(messages, "%s: %d of %d lines are no records and were passed over\n", path, usage.Skipped, usage.Skipped+usage.Records)
		}
		if len(usage.Unknown) > 0 {
			fmt.Fprintf(messages, "%s: not in the catalog, left out: %s; name their catalog with --catalog\n", path, strings.Join(usage.Unknown, ", "))
		}
		selection, records = selection.Union(found), records+usage.Records
	}
	if len(selection.Namespaces()) == 0 {
		return selection, fmt.Errorf("--in-use: found no namespace in the log (%d records), expected at least one; --all takes the whole catalog", records)
	}
	return selection, nil
}

func readUsage(loaded *catalog.Catalog, path string) (forwarders.Selection, forwarders.Usage, error) {
	log := os.Stdin
	if path != "-" {
		opened, err := os.Open(path)
		if err != nil {
			return forwarders.Selection{}, forwarders.Usage{}, errors.Unwrap(err)
		}
		defer func() { _ = opened.Close() }()
		log = opened
	}
	return forwarders.InUse(loaded, log)
}

// made is the command that makes the same output again.
func (o *forwardersOptions) made() []string {
	words := []string{"privatelink-dns forwarders", "--format", o.format, "--target", strings.Join(o.targets, ",")}
	if o.all {
		words = append(words, "--all")
	}
	if len(o.services) > 0 {
		words = append(words, "--services", quoted(strings.Join(o.services, ",")))
	}
	for _, log := range o.inUse {
		words = append(words, "--in-use", quoted(log))
	}
	words = append(words, o.catalog.words()...)
	return []string{"Made by: " + strings.Join(words, " ")}
}

// quoted is a word as the shell takes it.
func quoted(word string) string {
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !strings.ContainsRune("-_./,:=@+%", r) && !isAlphanumeric(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func isAlphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// parseTargets reads addresses, with a port if it is not 53.
func parseTargets(written []string) ([]netip.AddrPort, error) {
	var targets []netip.AddrPort
	var mistakes []error
	for _, word := range written {
		word = strings.TrimSpace(word)
		target, err := netip.ParseAddrPort(word)
		if err != nil {
			var address netip.Addr
			address, err = netip.ParseAddr(strings.Trim(word, "[]"))
			target = netip.AddrPortFrom(address, 53)
		}
		if err != nil || target.Addr().Zone() != "" {
			mistakes = append(mistakes, fmt.Errorf("--target: found %q, expected an IP address with an optional port, such as 10.1.0.4 or 10.1.0.4:5353", word))
			continue
		}
		targets = append(targets, netip.AddrPortFrom(target.Addr().Unmap(), target.Port()))
	}
	return targets, errors.Join(mistakes...)
}

func printForwardersJSON(out io.Writer, plan forwarders.Plan, selection forwarders.Selection) error {
	printed := struct {
		Domains    []string         `json:"domains"`
		Targets    []netip.AddrPort `json:"targets"`
		Namespaces []string         `json:"namespaces"`
	}{plan.Domains, plan.Targets, nil}
	for _, namespace := range selection.Namespaces() {
		printed.Namespaces = append(printed.Namespaces, namespace.Suffix)
	}
	return printJSON(out, printed)
}

// printJSON prints a value for other programs and for eyes.
func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
