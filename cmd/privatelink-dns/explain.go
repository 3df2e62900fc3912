package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

// explainOptions are the flags of the command explain.
type explainOptions struct {
	admin    adminClient
	corefile string
	qtype    string
	client   string
	server   string
	stanza   string
}

func newExplainCommand() *cobra.Command {
	options := &explainOptions{}
	command := &cobra.Command{
		Use:   "explain NAME [TYPE]",
		Short: "Show step by step what becomes of a question, and what is wrong",
		Long: "Show what the server does with a question and why: policy, override, route, cache, upstream, the chain\n" +
			"with the privatelink zone of each hop, what the answer means, and the reply. The last line is the\n" +
			"diagnosis. The running server is asked through its state directory; with -c the configuration alone\n" +
			"is read and its upstreams are asked from here, with nothing kept. Neither leaves a trace: no answer is\n" +
			"kept, no chase granted, nothing counted or logged. Ends with 0 where all is well, 2 where it is not.",
		Example: "  privatelink-dns explain db1.database.windows.net\n" +
			"  privatelink-dns explain v1.vault.azure.net AAAA --client 10.20.0.9\n" +
			"  privatelink-dns explain v1.vault.azure.net --server 10.30.0.4   # the company's DNS server, to compare\n" +
			"  privatelink-dns explain v1.vault.azure.net -c Corefile --json",
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: completeQuestion,
		RunE: func(command *cobra.Command, arguments []string) error {
			if len(arguments) == 2 {
				options.qtype = arguments[1] // as dig takes it
			}
			return options.run(command.OutOrStdout(), arguments[0])
		},
	}
	options.admin.addFlags(command)
	flags := command.Flags()
	flags.StringVarP(&options.corefile, "config", "c", "", "explain by this Corefile alone, whether or not a server runs")
	flags.StringVarP(&options.qtype, "type", "t", "A", "the type of the question")
	flags.StringVar(&options.client, "client", "127.0.0.1", "the address of the client that asks")
	flags.StringVar(&options.server, "server", "", "another DNS server that is asked as well, to compare; with a port if it is not 53")
	flags.StringVar(&options.stanza, "stanza", "", "the place of the stanza, such as Corefile:3, where there are several")
	_ = command.RegisterFlagCompletionFunc("stanza", completeStanza)
	_ = command.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(questionTypes, cobra.ShellCompDirectiveNoFileComp))
	command.MarkFlagsMutuallyExclusive("config", "state")
	return command
}

func (o *explainOptions) run(out io.Writer, name string) error {
	request, err := o.request(name)
	if err != nil {
		return err
	}
	explain := o.askServer
	if o.corefile != "" {
		explain = o.askConfiguration
	}
	explanation, err := explain(request)
	if err != nil {
		return err
	}
	if o.admin.asJSON {
		err = printJSON(out, explanation)
	} else {
		printExplanation(out, explanation, paintFor(out))
	}
	if err == nil && explanation.Diagnosis.Severity != privatelink.Fine {
		return findingError("")
	}
	return err
}

func (o *explainOptions) request(name string) (privatelink.ExplainRequest, error) {
	request := privatelink.ExplainRequest{Name: name, Type: strings.ToUpper(o.qtype), Stanza: o.stanza}
	client, err := netip.ParseAddr(o.client)
	if err != nil {
		return request, fmt.Errorf("--client: found %q, expected an IP address", o.client)
	}
	request.Client = client
	if o.server != "" {
		targets, err := parseTargets([]string{o.server})
		if err != nil {
			return request, fmt.Errorf("--server: found %q, expected an IP address with an optional port, such as 10.30.0.4", o.server)
		}
		request.Server = targets[0]
	}
	return request, nil
}

// askServer has the running server explain.
func (o *explainOptions) askServer(request privatelink.ExplainRequest) (*privatelink.Explanation, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	explanation := new(privatelink.Explanation)
	// The reply is read and printed again, so that --json is as with -c.
	client := adminClient{state: o.admin.state}
	_, err = client.send(io.Discard, http.MethodPost, "/explain", bytes.NewReader(body), explanation)
	return explanation, err
}

// askConfiguration explains by a Corefile and asks its upstreams from here.
func (o *explainOptions) askConfiguration(request privatelink.ExplainRequest) (*privatelink.Explanation, error) {
	_, opened, err := openStanza(o.corefile, o.stanza)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	return opened.Explain(context.Background(), request)
}

// openStanza reads a stanza and opens it, for the caller to close.
func openStanza(corefile, where string) (*privatelink.Stanza, *privatelink.Opened, error) {
	stanza, err := readStanza(corefile, where)
	if err != nil {
		return nil, nil, err
	}
	opened, err := stanza.Open()
	return stanza, opened, err
}

// readStanza reads a Corefile and takes the stanza at a place, or the only one.
func readStanza(corefile, where string) (*privatelink.Stanza, error) {
	stanzas, err := privatelink.ReadStanzas(corefile, directives())
	if err != nil {
		return nil, err
	}
	var places []string
	for _, stanza := range stanzas {
		if stanza.Where() == where || where == "" && len(stanzas) == 1 {
			return stanza, nil
		}
		places = append(places, stanza.Where())
	}
	return nil, fmt.Errorf("--stanza: found %q, expected one of %s", where, strings.Join(places, ", "))
}
