//go:build linux

package lab

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// row is a line of the table of scenarios: a question and what must come of it.
type row struct {
	number     string
	who        *Host
	path       string
	server     string // whom dig asks
	name, kind string
	want       want
}

// want is what must come of a question. What stays empty must not be there.
type want struct {
	status    string // "" is NOERROR
	alias     string // the first CNAME's target
	addresses []string
	// records is how many records of the type asked for arrive, where they are
	// not addresses, over TCP.
	records int
	// logged is our server whose query log must tell of the question, with the
	// verdict and the privatelink zone; nil if none is on the path.
	logged        *Server
	verdict, zone string
}

// TestScenarioTable asks every question of the table of scenarios and prints
// the table.
func TestScenarioTable(t *testing.T) {
	to := newTopology(t)
	var rows []row
	for _, story := range []func(*topology) []row{
		privateEndpointRows, spokeRows, onPremisesRows, virtualNetworkRows, forestRows, keyVaultRows,
	} {
		rows = append(rows, story(to)...)
	}
	var lines strings.Builder
	out := tabwriter.NewWriter(&lines, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "row\twho asks\tpath\tquestion\tgot\tresult")
	for _, r := range rows {
		got, result := "nothing", "FAILED"
		if t.Run(r.title(), func(t *testing.T) { r.run(t, &got) }) {
			result = "ok"
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s %s\t%s\t%s\n", r.number, r.who.name, r.path, r.name, r.kind, got, result)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	// Not through t.Log, which would indent the table and put a place before it.
	fmt.Fprint(os.Stdout, "\n", lines.String(), "\n", legend, "\n")
}

// legend says what the words of the table are.
const legend = `privatelink: the chain passes the privatelink name. logged: the verdict in our query log.
us: our program, at 10.1.0.4 in hub, 10.2.0.4 in spoke, 10.3.0.4 in isolated. Azure: 168.63.129.16, as seen from the VNet
that asks it. endpoint: 10.1.1.4, the inbound endpoint of hub's Private Resolver. branch: 10.4.1.4, a resolver in that VNet.
dc: domain controllers, at 10.30.0.10 for corp.example, 10.1.0.36 for cloud.example. BIND, Unbound, dnsmasq: the company's
DNS servers, at 10.30.0.4 to 10.30.0.26, with conditional forwarders. VM, host: machines in the VNet, on premises.
`

// inShort says what an answer is, in a few words.
func inShort(answer *Answer, kind string) string {
	var words []string
	if answer.Status != "NOERROR" {
		words = append(words, answer.Status)
	}
	if strings.Contains(strings.Join(answer.Data("CNAME"), " "), ".privatelink.") {
		words = append(words, "privatelink,")
	}
	words = append(words, answer.Data("A")...)
	if others := len(answer.Data(kind)); kind != "A" && others > 0 {
		words = append(words, fmt.Sprintf("%d %s records, %s", others, kind, answer.Transport))
	}
	if answer.EDE != nil {
		words = append(words, fmt.Sprintf("with EDE %d", answer.EDE.Code))
	}
	return strings.Join(words, " ")
}

func (r *row) title() string {
	return fmt.Sprintf("row %s, %s, %s, %s %s", r.number, r.who.name, strings.ReplaceAll(r.path, "→", "to"), r.name, r.kind)
}

// run asks the row's question and tells in got what came of it.
func (r *row) run(t *testing.T, got *string) {
	asked := time.Now()
	answer := dig(t, r.who, r.server, r.name, r.kind)
	*got = inShort(answer, r.kind)
	r.want.check(t, answer, r.kind)
	if r.want.logged == nil {
		return
	}
	record := logged(t, r.want.logged, func(record LogRecord) bool {
		return record.Name == r.name+"." && record.Verdict == r.want.verdict && record.Time.After(asked)
	})
	*got += ", logged as " + record.Verdict
	if record.Zone != r.want.zone {
		t.Errorf("the query log names the privatelink zone %q, want %q: %+v", record.Zone, r.want.zone, record)
	}
}

func (w *want) check(t *testing.T, answer *Answer, kind string) {
	t.Helper()
	status := "NOERROR"
	if w.status != "" {
		status = w.status
	}
	if answer.Status != status {
		t.Errorf("got status %s, want %s", answer.Status, status)
	}
	if got := answer.Data("A"); !slices.Equal(got, w.addresses) {
		t.Errorf("got addresses %v, want %v", got, w.addresses)
	}
	w.checkAlias(t, answer.Data("CNAME"))
	if got := len(answer.Data(kind)); w.records > 0 && (got != w.records || answer.Transport != "TCP") {
		t.Errorf("got %d %s records over %s, want %d over TCP", got, kind, answer.Transport, w.records)
	}
	if t.Failed() {
		t.Log(answer.Text)
	}
}

// checkAlias looks at the first alias where one is wanted; where none is, no
// name of the chain may lie in a privatelink zone.
func (w *want) checkAlias(t *testing.T, aliases []string) {
	t.Helper()
	switch {
	case w.alias == "" && strings.Contains(strings.Join(aliases, " "), ".privatelink."):
		t.Errorf("got aliases %v, want none in a privatelink zone", aliases)
	case w.alias != "" && (len(aliases) == 0 || aliases[0] != w.alias+"."):
		t.Errorf("got aliases %v, want %s first", aliases, w.alias)
	}
}
