package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/privatelink-dns/privatelink-dns/plugin/logreport"
	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
	"github.com/privatelink-dns/privatelink-dns/plugin/replay"
)

// replayed is what a run of replay came to.
type replayed struct {
	options   *replayOptions
	logs      []string
	of        string
	questions *logreport.Questions
	result    *replay.Result
}

// ending is how the command ends.
func (r *replayed) ending() error {
	switch {
	case r.result.Left > 0:
		return fmt.Errorf("interrupted: %s were not asked", plural(r.result.Left, "question"))
	case len(r.result.Changes) > 0:
		return findingError("")
	case r.result.Asked == 0:
		return errors.New("no question could be asked")
	}
	return nil
}

func (r *replayed) print(out io.Writer) error {
	if r.options.asJSON {
		return printJSON(out, r.document())
	}
	colours := paintFor(out)
	for changes := r.result.Changes; len(changes) > 0; {
		alike := 1
		for alike < len(changes) && changes[alike].Kind == changes[0].Kind {
			alike++
		}
		r.printKind(out, changes[:alike], colours)
		changes = changes[alike:]
	}
	for _, line := range r.remarks() {
		printHanging(out, "", "", line, pageWidthOf(out))
	}
	if len(r.result.Changes) > 0 && r.options.against == "" {
		first := r.result.Changes[0] // on one line, to be copied
		fmt.Fprintf(out, "next: privatelink-dns explain %s --type %s --client %s -c %s\n",
			quoted(bareName(first.Name)), first.Type, r.options.clientOf(first.Question), quoted(r.options.corefile))
	}
	line, severity := r.summary()
	for _, wrapped := range wrap(line, len(line)+1) {
		fmt.Fprintln(out, colours.severity(severity, wrapped))
	}
	return nil
}

// changeKinds are the headings of changes, and how bad they are.
var changeKinds = [replay.Kinds]struct {
	heading  string
	severity privatelink.Severity
}{
	replay.Exposed:   {"private answers become public", privatelink.Fault},
	replay.Failing:   {"answers become failures", privatelink.Fault},
	replay.Lost:      {"names lose their records", privatelink.Fault},
	replay.Refusal:   {"answers are refused or withheld", privatelink.Fault},
	replay.Moved:     {"private addresses change", privatelink.Warning},
	replay.Elsewhere: {"public answers come from elsewhere", privatelink.Warning},
	replay.Different: {"answers change otherwise", privatelink.Warning},
	replay.Answered:  {"questions are answered that were not", privatelink.Fine},
	replay.Covered:   {"answers become private", privatelink.Fine},
}

// printKind prints the changes of one kind.
func (r *replayed) printKind(out io.Writer, changes []replay.Change, colours paint) {
	kind := changeKinds[changes[0].Kind]
	fmt.Fprintf(out, "%s: %s\n", colours.severity(kind.severity, kind.heading), plural(len(changes), "question"))
	for index, change := range changes {
		if index == r.options.top {
			fmt.Fprintf(out, "  and %d more; --top and --json show more\n", len(changes)-index)
			break
		}
		head := fmt.Sprintf("%s %s, asked %s", bareName(change.Name), change.Type, times(change.Queries))
		if r.options.against == "" && change.Client.IsValid() {
			head += ", last by " + change.Client.String()
		}
		printHanging(out, "  ", "  ", head, pageWidthOf(out)-2)
		printHanging(out, "    was ", "        ", describeReplayed(change.From, &change.Answer), pageWidthOf(out)-8)
		printHanging(out, "    now ", "        ", describeReplayed(change.To, &change.Now), pageWidthOf(out)-8)
	}
	fmt.Fprintln(out)
}

func times(count uint64) string {
	if count == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", count)
}

// shownAddresses is how many addresses of an answer are shown; --json has all.
const shownAddresses = 4

// describeReplayed is an answer in a line.
func describeReplayed(state replay.State, answer *logreport.Answer) string {
	line := string(state)
	if state == replay.Failed || string(state) == "other" {
		line += ": " + answer.Rcode
	}
	if state == replay.Refused && answer.Rule != "" {
		line += " by rule " + answer.Rule
	}
	line += describeAddresses(answer.Addresses)
	if len(answer.Chain) > 0 {
		line += ", by " + bareName(answer.Chain[len(answer.Chain)-1])
	}
	if answer.Error != "" {
		line += ", " + answer.Error
	}
	return line
}

func describeAddresses(addresses []netip.Addr) string {
	var line strings.Builder
	for index, address := range addresses {
		if index == shownAddresses {
			fmt.Fprintf(&line, " and %d more", len(addresses)-index)
			break
		}
		line.WriteString(" " + address.String())
	}
	return line.String()
}

// remarks are what was left out.
func (r *replayed) remarks() []string {
	var lines []string
	if left := leftOut(r.questions); len(left) > 0 {
		lines = append(lines, "not asked: "+strings.Join(left, ", "))
	}
	for _, mistake := range r.questions.Mistakes {
		lines = append(lines, fmt.Sprintf("%s:%d: %s", mistake.Source, mistake.Line, mistake.Reason))
	}
	if r.result.Unasked > 0 {
		lines = append(lines, plural(r.result.Unasked, "question")+" could not be asked:")
	}
	for _, each := range r.result.Unaskable {
		lines = append(lines, fmt.Sprintf("%s %s: %s", bareName(each.Name), each.Type, each.Reason))
	}
	return lines
}

// leftOut counts the lines that were not asked again, by reason.
func leftOut(questions *logreport.Questions) []string {
	var left []string
	for _, reason := range []struct {
		count uint64
		why   string
	}{
		{questions.OverLimit, "whose questions are beyond --limit"},
		{questions.ByClient, "decided by who asked"},
		{questions.Overridden, "answered by an override"},
		{questions.Unasked, "that are no plain questions"},
		{questions.PassedOver, "outside of what was chosen"},
		{questions.Unreadable, "that cannot be read"},
	} {
		if reason.count > 0 {
			left = append(left, plural(int(reason.count), "line")+" "+reason.why)
		}
	}
	return left
}

// summary is the last line, and how bad it is: as the worst of the changes.
func (r *replayed) summary() (string, privatelink.Severity) {
	changes := r.result.Changes
	line := fmt.Sprintf("%s asked of %s: %d answered as before", plural(r.result.Asked, "question"), r.of, r.result.Same)
	if len(changes) == 0 {
		return line + ", no answer changes", privatelink.Fine
	}
	var counts [replay.Kinds]int
	for _, change := range changes {
		counts[change.Kind]++
	}
	var parts []string
	for kind, count := range counts {
		if count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count, replay.Kind(kind)))
		}
	}
	severity := changeKinds[changes[0].Kind].severity
	if severity == privatelink.Fine {
		severity = privatelink.Warning // somebody has to know
	}
	return fmt.Sprintf("%s, %d changed: %s", line, len(changes), strings.Join(parts, ", ")), severity
}

// replayedChange is a change as JSON has it.
type replayedChange struct {
	Kind        string           `json:"kind"`
	From        replay.State     `json:"from"`
	To          replay.State     `json:"to"`
	Name        string           `json:"name"`
	Type        string           `json:"type"`
	Client      netip.Addr       `json:"client,omitzero"`
	ClientClass string           `json:"client_class,omitempty"`
	Queries     uint64           `json:"queries"`
	Was         logreport.Answer `json:"was"`
	Now         logreport.Answer `json:"now"`
}

// replayedDocument is what --json prints. The counts of lines are of what was left out.
type replayedDocument struct {
	Logs            []string            `json:"logs"`
	Of              string              `json:"asked_of"`
	Asked           int                 `json:"asked"`
	Same            int                 `json:"same"`
	Changed         int                 `json:"changed"`
	Interrupted     int                 `json:"not_asked_interrupted"`
	Unasked         int                 `json:"not_askable"`
	Unaskable       []replay.Unaskable  `json:"not_askable_first"`
	Lines           uint64              `json:"lines"`
	OverLimit       uint64              `json:"lines_over_limit"`
	ByClient        uint64              `json:"lines_decided_by_client"`
	Overridden      uint64              `json:"lines_overridden"`
	NoQuestion      uint64              `json:"lines_no_question"`
	PassedOver      uint64              `json:"lines_passed_over"`
	UnreadableLines uint64              `json:"lines_unreadable"`
	Mistakes        []logreport.Mistake `json:"unreadable_first"`
	Changes         []replayedChange    `json:"changes"`
}

func (r *replayed) document() replayedDocument {
	questions, result := r.questions, r.result
	document := replayedDocument{
		Logs: r.logs, Of: r.of, Asked: result.Asked, Same: result.Same, Changed: len(result.Changes), Interrupted: result.Left,
		Unasked: result.Unasked, Unaskable: append([]replay.Unaskable{}, result.Unaskable...),
		Lines: questions.Lines, OverLimit: questions.OverLimit, ByClient: questions.ByClient, Overridden: questions.Overridden,
		NoQuestion: questions.Unasked, PassedOver: questions.PassedOver, UnreadableLines: questions.Unreadable,
		Mistakes: append([]logreport.Mistake{}, questions.Mistakes...), Changes: []replayedChange{},
	}
	for _, change := range result.Changes {
		document.Changes = append(document.Changes, replayedChange{
			Kind: change.Kind.String(), From: change.From, To: change.To, Name: change.Name, Type: change.Type, Client: change.Client,
			ClientClass: change.ClientClass, Queries: change.Queries, Was: change.Answer, Now: change.Now,
		})
	}
	return document
}
