package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/plugin/forwarders"
	"github.com/privatelink-dns/privatelink-dns/zones"
)

// catalogFlags choose the catalog that a command works with, as the properties
// catalog and include of a Corefile do.
type catalogFlags struct {
	names   []string
	include []string
}

const defaultCatalog = "azure"

func (c *catalogFlags) addFlags(command *cobra.Command) {
	flags := command.PersistentFlags()
	flags.StringSliceVar(&c.names, "catalog", []string{defaultCatalog}, "catalogs: "+strings.Join(zones.Names(), ", ")+", or files")
	flags.StringSliceVar(&c.include, "include", nil, "entries of the catalog that are off otherwise, such as resource-manager")
	_ = command.RegisterFlagCompletionFunc("catalog", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return zones.Names(), cobra.ShellCompDirectiveDefault // files as well
	})
	_ = command.RegisterFlagCompletionFunc("include", cobra.FixedCompletions([]string{"resource-manager"}, cobra.ShellCompDirectiveNoFileComp))
}

// load reads the catalog.
func (c *catalogFlags) load() (*catalog.Catalog, error) {
	return loadCatalog(c.names, c.include)
}

// loadCatalog reads built-in catalogs by their names, and files.
func loadCatalog(names, include []string) (*catalog.Catalog, error) {
	var sources []catalog.Source
	for _, name := range names {
		data, builtIn := zones.Lookup(name)
		if !builtIn {
			var err error
			if data, err = os.ReadFile(name); err != nil {
				return nil, fmt.Errorf("reading a catalog: %w; built in are %s", err, strings.Join(zones.Names(), ", "))
			}
		}
		sources = append(sources, catalog.Source{Path: name, Data: data})
	}
	loaded, err := catalog.Load(sources, include)
	if err != nil {
		return nil, fmt.Errorf("loading the catalog: %w", err)
	}
	return loaded, nil
}

// words are the flags as they were given, save for the defaults.
func (c *catalogFlags) words() []string {
	var words []string
	if len(c.names) != 1 || c.names[0] != defaultCatalog {
		words = append(words, "--catalog", quoted(strings.Join(c.names, ",")))
	}
	if len(c.include) > 0 {
		words = append(words, "--include", quoted(strings.Join(c.include, ",")))
	}
	return words
}

// completeServices proposes the services and public suffixes of the catalog.
func (c *catalogFlags) completeServices(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	loaded, err := c.load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	proposals := forwarders.ServiceNames(loaded)
	for _, namespace := range loaded.Namespaces() {
		proposals = append(proposals, namespace.Suffix+"\t"+strings.Join(namespace.Services, ", "))
	}
	return proposals, cobra.ShellCompDirectiveNoFileComp
}
