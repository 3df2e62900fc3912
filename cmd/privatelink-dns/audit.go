package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/privatelink-dns/privatelink-dns/plugin/audit"
	"github.com/privatelink-dns/privatelink-dns/plugin/azureinventory"
	"github.com/privatelink-dns/privatelink-dns/plugin/forwarders"
	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

// auditOptions are the flags of the command audit.
type auditOptions struct {
	corefile      string
	stanza        string
	subscriptions []string
	networks      []string
	inUse         []string
	asJSON        bool
	// azure is whom to ask; a test puts its own credential and transport in.
	azure azureinventory.Options
}

func newAuditCommand() *cobra.Command { return newAuditCommandFor(azureinventory.Options{}) }

// newAuditCommandFor makes the command with an identity of its own and a way to Azure.
func newAuditCommandFor(azure azureinventory.Options) *cobra.Command {
	options := &auditOptions{azure: azure}
	command := &cobra.Command{
		Use:   "audit --subscription ID [--vnet ID]",
		Short: "Hold private zones, endpoints and resolvers in Azure against the configuration",
		Long: "Read private DNS zones with their links and records, private endpoints, DNS resolvers and forwarding\n" +
			"rulesets from Azure Resource Manager, and hold them against the configuration: zones that are not linked\n" +
			"to our VNet, zones of one name that hide each other, links without NxDomainRedirect, zones without a\n" +
			"route, records without endpoints, endpoints without records, namespaces in use without a zone, what\n" +
			"breaks without a sibling (blob and dfs, registries and their data names, Databricks and pl-auth), Azure\n" +
			"Monitor private link scopes, and rulesets that loop. Each finding names the resource and the next step.\n\n" +
			"Nothing in Azure is ever changed: only GET requests are sent. The role Reader on each subscription is\n" +
			"enough; so is a custom role with these actions:\n" +
			"  Microsoft.Network/privateDnsZones/read\n" +
			"  Microsoft.Network/privateDnsZones/ALL/read\n" +
			"  Microsoft.Network/privateDnsZones/virtualNetworkLinks/read\n" +
			"  Microsoft.Network/privateEndpoints/read\n" +
			"  Microsoft.Network/privateEndpoints/privateDnsZoneGroups/read\n" +
			"  Microsoft.Network/networkInterfaces/read\n" +
			"  Microsoft.Network/dnsResolvers/read\n" +
			"  Microsoft.Network/dnsResolvers/inboundEndpoints/read\n" +
			"  Microsoft.Network/dnsForwardingRulesets/read\n" +
			"  Microsoft.Network/dnsForwardingRulesets/forwardingRules/read\n" +
			"  Microsoft.Network/dnsForwardingRulesets/virtualNetworkLinks/read\n" +
			"  Microsoft.Insights/privateLinkScopes/read\n" +
			"The identity is the first that is found: AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET or\n" +
			"another set of such variables, a workload identity, a managed identity, the Azure CLI.\n\n" +
			"The VNet is the one that the server asks from: that of --vnet where it asks 168.63.129.16; a resolver's is\n" +
			"found by the address of its inbound endpoint. Endpoints and zones in subscriptions that are not read are\n" +
			"not known, so name all. Ends with 0 where all is well, 2 where something needs a look, 1 with an error.",
		Example: "  privatelink-dns audit -c Corefile --subscription 00000000-0000-0000-0000-000000000001 --vnet /subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-hub/providers/Microsoft.Network/virtualNetworks/vnet-hub\n" +
			"  privatelink-dns audit --subscription ID1,ID2 --in-use /var/log/privatelink-dns/query.log\n" +
			"  privatelink-dns audit --subscription ID --json | jq '.findings[] | select(.severity == \"fault\")'",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return options.run(command.Context(), command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	options.addFlags(command)
	return command
}

func (o *auditOptions) addFlags(command *cobra.Command) {
	flags := command.Flags()
	addCorefileFlag(flags, &o.corefile, "the Corefile of the server")
	flags.StringVar(&o.stanza, "stanza", "", "the place of the stanza, such as Corefile:3, where there are several")
	flags.StringSliceVar(&o.subscriptions, "subscription", nil, "the IDs of the subscriptions to read")
	flags.StringSliceVar(&o.networks, "vnet", nil, "the resource IDs of the VNets in which the server, or an upstream, asks 168.63.129.16")
	flags.StringVar(&o.azure.Cloud, "cloud", "public", "the cloud: "+strings.Join(azureinventory.Clouds(), ", "))
	flags.StringVar(&o.azure.Endpoint, "endpoint", o.azure.Endpoint, "another address of Azure Resource Manager in that cloud, such as https://westeurope.management.azure.com")
	flags.StringArrayVar(&o.inUse, "in-use", nil, "the namespaces that this query log names; \"-\" is standard input; may be gzip; may stand several times")
	flags.BoolVar(&o.asJSON, "json", false, "print JSON")
	_ = command.MarkFlagRequired("subscription")
	_ = command.RegisterFlagCompletionFunc("stanza", completeStanza)
	_ = command.RegisterFlagCompletionFunc("subscription", cobra.NoFileCompletions)
	_ = command.RegisterFlagCompletionFunc("vnet", cobra.NoFileCompletions)
	_ = command.RegisterFlagCompletionFunc("endpoint", cobra.NoFileCompletions)
	_ = command.RegisterFlagCompletionFunc("cloud", cobra.FixedCompletions(azureinventory.Clouds(), cobra.ShellCompDirectiveNoFileComp))
}

func (o *auditOptions) run(ctx context.Context, out, messages io.Writer) error {
	stanza, opened, err := openStanza(o.corefile, o.stanza)
	if err != nil {
		return err
	}
	defer opened.Close()
	expectation, err := o.expect(stanza, opened, messages)
	if err != nil {
		return err
	}
	if ctx == nil {
		ctx = context.Background()
	}
	inventory, err := o.read(ctx, messages)
	if err != nil {
		return err
	}
	result := auditResult{Inventory: countInventory(inventory), Findings: audit.Run(inventory, expectation)}
	if o.asJSON {
		err = printJSON(out, result)
	} else {
		result.print(out, paintFor(out))
	}
	if err == nil && result.worst() != privatelink.Fine {
		return findingError("")
	}
	return err
}

// expect is what the configuration and the flags expect of Azure.
func (o *auditOptions) expect(stanza *privatelink.Stanza, opened *privatelink.Opened, messages io.Writer) (*audit.Expectation, error) {
	expectation := &audit.Expectation{Catalog: opened.Catalog(), Networks: o.networks, LogRead: len(o.inUse) > 0}
	if err := checkNetworks(o.networks); err != nil {
		return nil, err
	}
	for _, server := range stanza.Servers() {
		expectation.Upstreams = append(expectation.Upstreams, server.Address.Addr())
	}
	hosts, _ := stanza.Listens()
	for _, host := range hosts {
		if address, err := netip.ParseAddr(host); err == nil {
			expectation.Listens = append(expectation.Listens, address)
		}
	}
	expectation.Route = func(name string) audit.Route {
		routed := opened.RouteOf(name)
		return audit.Route{Groups: routed.Groups, Servers: routed.Servers, Missing: routed.Missing != "", Protected: routed.Protected}
	}
	for _, path := range o.inUse {
		selection, usage, err := readUsage(opened.Catalog(), path)
		if err != nil {
			return nil, fmt.Errorf("--in-use %s: %w", path, err)
		}
		if usage.Skipped > 0 {
			fmt.Fprintf(messages, "%s: %d of %d lines are no records and were passed over\n", path, usage.Skipped, usage.Skipped+usage.Records)
		}
		expectation.InUse = append(expectation.InUse, selection.Namespaces()...)
	}
	expectation.InUse = forwarders.Of(expectation.InUse...).Namespaces()
	return expectation, nil
}

// networkForm is what the ID of a VNet has in it, in lower case.
const networkForm = "/providers/microsoft.network/virtualnetworks/"

func checkNetworks(networks []string) error {
	var mistakes []error
	for _, id := range networks {
		if !strings.HasPrefix(id, "/subscriptions/") || !strings.Contains(strings.ToLower(id), networkForm) {
			mistakes = append(mistakes, fmt.Errorf("--vnet: found %q, expected a resource ID, /subscriptions/…%s…", id, "/providers/Microsoft.Network/virtualNetworks/"))
		}
	}
	return errors.Join(mistakes...)
}

// read reads the inventory, and shows on a terminal how far it has come.
func (o *auditOptions) read(ctx context.Context, messages io.Writer) (*audit.Inventory, error) {
	progress := newProgressLine(messages)
	azure := o.azure
	azure.Progress = func(what string, done, all int) { progress.show(done, all, what) }
	reader, err := azureinventory.New(azure)
	if err != nil {
		return nil, err
	}
	defer progress.clear()
	subscriptions := slices.Clone(o.subscriptions)
	slices.Sort(subscriptions)
	return reader.Read(ctx, slices.Compact(subscriptions))
}
