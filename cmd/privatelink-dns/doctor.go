package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

// doctorTime bounds the whole check-up.
const doctorTime = 55 * time.Second

// usualNamespaces are those whose links are tested unless others are asked for: what
// nearly every company with private endpoints has some of.
var usualNamespaces = []string{
	"database.windows.net", "blob.core.windows.net", "file.core.windows.net", "dfs.core.windows.net",
	"vault.azure.net", "azurewebsites.net", "azurecr.io", "servicebus.windows.net",
}

// doctorOptions are the flags of the command doctor.
type doctorOptions struct {
	corefile string
	stanza   string
	services []string
	all      bool
	asJSON   bool
	names    []string
	// certificates has private endpoints asked for theirs: all else is DNS.
	certificates bool
	machine      doctorMachine
}

// doctorMachine is what is looked at of the machine: the files of /proc are below proc.
type doctorMachine struct {
	proc  string
	now   func() time.Time
	clock func() (synchronised, known bool)
	// tlsPort is the port at which private endpoints show their certificates.
	tlsPort string
}

func newDoctorCommand() *cobra.Command {
	options := &doctorOptions{machine: doctorMachine{proc: "/proc", now: time.Now, clock: clockState, tlsPort: "443"}}
	command := &cobra.Command{
		Use:   "doctor [NAME...]",
		Short: "Examine the machine, the upstream servers and the private zones",
		Long: "Examine in less than a minute what the server needs: ports, file limits, socket buffers and the clock;\n" +
			"each upstream server over UDP and TCP, its latency, EDNS and long answers; the budget; which privatelink\n" +
			"zones are linked, at every site; and this server itself, asked as a client would. Each finding comes with\n" +
			"the next step, and the last line names the worst. Each NAME is explained, too: what is wrong with one name\n" +
			"only is not found otherwise. Each upstream server is asked a dozen questions, and for the SOA of each\n" +
			"zone, 20 a second; nothing is asked but DNS, unless --certificates is given. Ends with 0 where all is\n" +
			"well, 2 where something needs a look.",
		Example: "  privatelink-dns doctor -c /etc/privatelink-dns/Corefile\n" +
			"  privatelink-dns doctor db1.database.windows.net v1.vault.azure.net --certificates\n" +
			"  privatelink-dns doctor --services vault.azure.net,database.windows.net\n" +
			"  privatelink-dns doctor --all --json | jq '.worst'",
		Args:              cobra.MaximumNArgs(mostNames),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(command *cobra.Command, names []string) error {
			options.names = names
			return options.run(command.Context(), command.OutOrStdout(), command.ErrOrStderr())
		},
	}
	flags := command.Flags()
	addCorefileFlag(flags, &options.corefile, "the Corefile of the server")
	flags.StringVar(&options.stanza, "stanza", "", "the place of the stanza, such as Corefile:3, where there are several")
	flags.StringSliceVarP(&options.services, "services", "s", usualNamespaces, "the public suffixes whose zones are tested for links")
	flags.BoolVar(&options.all, "all", false, "test the zones of the whole catalog")
	flags.BoolVar(&options.certificates, "certificates", false, "hold the certificate that the private endpoint of each NAME shows at port 443 against the name")
	flags.BoolVar(&options.asJSON, "json", false, "print JSON")
	command.MarkFlagsMutuallyExclusive("services", "all")
	_ = command.RegisterFlagCompletionFunc("stanza", completeStanza)
	return command
}

// checkup is one examination.
type checkup struct {
	options *doctorOptions
	stanza  *privatelink.Stanza
	opened  *privatelink.Opened
	admin   *adminClient
	running bool
	// forbidden says that nobody knows whether it runs: this user may not ask it.
	forbidden bool
	findings  []finding
	progress  *progressLine
	// explained are the names of the command line.
	explained []*privatelink.Explanation
}

// finding is what one examination came to.
type finding struct {
	// Check is what was examined, Subject which one of several.
	Check   string `json:"check"`
	Subject string `json:"subject,omitempty"`
	// Severity is ok, warning, fault, or skipped.
	Severity privatelink.Severity `json:"severity"`
	Text     string               `json:"text"`
	// Zones are those that the text is about, where it only counts them. Of those that
	// are brief, a few are printed.
	Zones []string `json:"zones,omitempty"`
	brief bool
	// Next is what to do, empty where nothing is to be done.
	Next string `json:"next,omitempty"`
}

// skipped is the severity of what could not be examined.
const skipped privatelink.Severity = "skipped"

func (c *checkup) add(severity privatelink.Severity, check, subject, text, next string) {
	c.findings = append(c.findings, finding{Check: check, Subject: subject, Severity: severity, Text: text, Next: next})
}

// examinations are made in this order.
var examinations = []struct {
	name string
	run  func(*checkup, context.Context)
}{
	{"configuration", (*checkup).examineConfiguration},
	{"server", (*checkup).examineServer},
	{"ports", (*checkup).examinePorts},
	{"machine", (*checkup).examineMachine},
	{"upstreams", (*checkup).examineUpstreams},
	{"budget", (*checkup).examineBudget},
	{"zones", (*checkup).examineZones},
	{"overrides", (*checkup).examineOverrides},
	{"downstream view", (*checkup).examineDownstream},
	{"names", (*checkup).examineNames},
	{"certificates", (*checkup).examineCertificates},
}

func (o *doctorOptions) run(ctx context.Context, out, messages io.Writer) error {
	if err := checkNames(o.names); err != nil {
		return err
	}
	stanza, opened, err := openStanza(o.corefile, o.stanza)
	if err != nil {
		return err
	}
	defer opened.Close()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	c := &checkup{options: o, stanza: stanza, opened: opened, admin: &adminClient{state: stanza.State()}, progress: newProgressLine(messages)}
	for index, examination := range examinations {
		c.progress.show(index, len(examinations), examination.name)
		examination.run(c, ctx)
	}
	c.progress.clear()
	if o.asJSON {
		err = printJSON(out, struct {
			Findings []finding `json:"findings"`
			Worst    finding   `json:"worst"`
		}{c.findings, c.worst()})
	} else {
		c.print(out, paintFor(out))
	}
	if worst := c.worst().Severity; err == nil && worst != privatelink.Fine {
		return findingError("")
	}
	return err
}

// weights order the findings of one severity by how likely they are what somebody came
// for: first the names that were asked about, whose diagnosis tells the cause as well, then
// what keeps answers away, then what may.
var weights = []string{"names", "upstreams", "budget", "zones", "downstream view", "certificates", "ports", "server", "configuration", "overrides", "machine"}

// worst is the gravest of the findings; one that says so where all is well.
func (c *checkup) worst() finding {
	for _, severity := range []privatelink.Severity{privatelink.Fault, privatelink.Warning} {
		for _, check := range weights {
			for _, each := range c.findings {
				if each.Severity == severity && each.Check == check {
					return each
				}
			}
		}
	}
	return finding{Check: "all", Severity: privatelink.Fine, Text: "all is well"}
}
