package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

// steps writes numbered steps, each with a title in a column of its own.
type steps struct {
	out   io.Writer
	paint paint
	width int
	count int
}

// titleWidth is that of the numbers and titles.
const titleWidth = 13

// add writes a step, or nothing where there are no lines. Lines are wrapped; those that begin with spaces are set in by as many.
func (s *steps) add(title string, lines ...string) {
	if len(lines) == 0 {
		return
	}
	s.count++
	head := s.paint.bold(fmt.Sprintf("%2d. %-*s", s.count, titleWidth-4, title))
	for _, line := range lines {
		text := strings.TrimLeft(line, " ")
		indent := len(line) - len(text)
		for index, wrapped := range wrap(text, s.width-titleWidth-indent) {
			if index > 0 {
				wrapped = "  " + wrapped
			}
			fmt.Fprintf(s.out, "%s%s%s\n", head, strings.Repeat(" ", indent), wrapped)
			head = strings.Repeat(" ", titleWidth)
		}
	}
}

// wrap breaks text at spaces into lines of a width; a longer word has a line of its own.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		// Lines after the first are set in by two.
		room := width
		if len(lines) > 0 {
			room -= 2
		}
		if line != "" && len(line)+1+len(word) > room {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// severities are how findings are shown.
func (p paint) severity(severity privatelink.Severity, text string) string {
	switch severity {
	case privatelink.Fine:
		return p.green(text)
	case privatelink.Warning:
		return p.yellow(text)
	}
	return p.red(text)
}

// printExplanation writes an explanation for people. The last line is the diagnosis.
func printExplanation(out io.Writer, x *privatelink.Explanation, paint paint) {
	by := "as the configuration alone tells, with nothing kept"
	if x.Running {
		by = "as the running server tells"
	}
	fmt.Fprintf(out, "%s %s\nasked by %s, %s\n\n", paint.bold(bareName(x.Name)), x.Type, x.Client, by)
	s := &steps{out: out, paint: paint, width: pageWidthOf(out)}
	s.add("Policy", policyLine(x))
	if x.Override != "" {
		s.add("Override", x.Override)
	}
	if x.Override == "" || x.Route != nil {
		s.add("Route", routeLines(x)...)
	}
	if x.Route != nil {
		printAnswers(s, x)
	}
	s.add("Reply", replyLines(x)...)
	fmt.Fprintln(out)
	for _, line := range wrap(x.Diagnosis.Text, len(x.Diagnosis.Text)+1) {
		fmt.Fprintln(out, paint.severity(x.Diagnosis.Severity, line))
	}
}

// printAnswers writes the steps from the cache to what the answer means.
func printAnswers(s *steps, x *privatelink.Explanation) {
	s.add("Cache", cacheLine(x))
	asked := &x.Told
	if x.Now != nil {
		asked = x.Now
	}
	s.add("Upstream", upstreamLines(x, asked)...)
	s.add("Chain", chainLines(asked.Chain)...)
	s.add("Others", viewLines(x)...)
	s.add("Verdict", verdictLine(asked))
	if x.Zone != "" && x.Link != "" {
		s.add("Zone", linkLine(x))
	}
	s.add("Fallback", fallbackLine(x, asked))
	if x.IPv6 != "" {
		s.add("AAAA", x.IPv6)
	}
	if x.Other != nil {
		s.add("Compare", viewLine(*x.Other))
	}
}

func policyLine(x *privatelink.Explanation) string {
	client := map[string]string{"other": "a client that is not declared"}[x.Policy.Class]
	if client == "" {
		client = "a client of class " + x.Policy.Class
	}
	line := fmt.Sprintf("%s is %s; rule %s: %s", x.Client, client, x.Policy.Rule, x.Policy.Action)
	if x.Policy.FinalRule != x.Policy.Rule {
		line += fmt.Sprintf("; of the answer, rule %s: %s", x.Policy.FinalRule, x.Policy.FinalAction)
	}
	return line
}

func routeLines(x *privatelink.Explanation) []string {
	route := x.Route
	if route == nil {
		return []string{"none was looked for, or none leads anywhere"}
	}
	line := fmt.Sprintf("%s (%s) to upstream %s", route.Written, route.Where, strings.Join(route.Groups, " and "))
	if route.Where == "" {
		line = "by the override to upstream " + strings.Join(route.Groups, " and ")
	}
	lines := []string{line}
	if route.Namespace != "" {
		lines = append(lines, "the name is in the catalog, namespace "+route.Namespace)
	}
	return lines
}

// span is a time in seconds for people.
func span(seconds float64) string {
	return (time.Duration(seconds * float64(time.Second))).Truncate(time.Second).String()
}

func cacheLine(x *privatelink.Explanation) string {
	told := x.Told
	switch told.Cache {
	case "hit", "prefetch":
		return fmt.Sprintf("a kept answer (%s, %s), %s old, fresh for %s more: clients are told this one", told.Kind, told.Verdict, span(told.Age), span(told.Left))
	case "stale":
		return fmt.Sprintf("a kept answer (%s, %s), %s old, expired %s ago: clients are told this one, as stale", told.Kind, told.Verdict, span(told.Age), span(-told.Left))
	case "failed":
		return "the question " + cmp.Or(told.Error, "failed a moment ago") + "; clients are told so, and nobody is asked"
	case "":
		return "not looked at"
	}
	return "nothing is kept that could be told"
}

func upstreamLines(x *privatelink.Explanation, asked *privatelink.ExplainedAnswer) []string {
	var lines []string
	for _, attempt := range asked.Attempts {
		lines = append(lines, attempt)
	}
	if asked.Server != "" {
		lines = append(lines, fmt.Sprintf("%s: %s replied over %s in %.1f ms", asked.Group, asked.Server, asked.Transport, asked.RTT*1000))
	}
	for _, reached := range x.Reached {
		lines = append(lines, fmt.Sprintf("%s replies over UDP: %s, without EDNS: %s, over TCP: %s", reached.Server, yesNo(reached.UDP), yesNo(reached.Plain), yesNo(reached.TCP)))
	}
	if asked.Error != "" && len(asked.Attempts) == 0 {
		lines = append(lines, asked.Error)
	}
	if len(lines) == 0 {
		lines = append(lines, "not asked")
	}
	return lines
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// shownRecords is how many records of an answer are shown; --json has all.
const shownRecords = 12

// chainLines show each record below the name that it is of.
func chainLines(chain []privatelink.ExplainedRecord) []string {
	var lines []string
	owner := ""
	for index, record := range chain {
		if index == shownRecords {
			return append(lines, fmt.Sprintf("  and %d more", len(chain)-index))
		}
		if bareName(record.Name) != owner {
			lines = append(lines, bareName(record.Name))
		}
		line := fmt.Sprintf("  %s for %ds: %s", record.Type, record.TTL, bareName(record.Data))
		if record.Private {
			line += " (private)"
		}
		lines = append(lines, line)
		if record.Zone != "" {
			lines = append(lines, "    in privatelink zone "+record.Zone)
		}
		if record.Route != "" {
			lines = append(lines, "    asked again by the route "+record.Route)
		}
		if owner = bareName(record.Name); record.Type == "CNAME" {
			owner = bareName(record.Data)
		}
	}
	return lines
}

// bareName is a name as every command shows it to people: without its final dot. Only in
// lines of records, in JSON and in logs do names have one.
func bareName(name string) string {
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}

func viewLines(x *privatelink.Explanation) []string {
	var lines []string
	for _, view := range x.Views {
		lines = append(lines, viewLine(view))
	}
	return lines
}

func viewLine(view privatelink.ExplainedView) string {
	if view.Error != "" {
		return view.Group + ": " + view.Error
	}
	line := fmt.Sprintf("%s: %s, %s", view.Group, view.Rcode, view.Verdict)
	for _, address := range view.Address {
		line += " " + address.String()
	}
	return line + fmt.Sprintf(" (%.1f ms)", view.RTT*1000)
}

// meanings are the verdicts in words.
var meanings = map[string]string{
	"private":  "every address is private",
	"public":   "a public address, and no name of the chain is in a privatelink zone",
	"unlinked": "the chain enters a privatelink zone and ends at a public address",
	"missing":  "the chain enters a privatelink zone that has no such name",
	"nodata":   "the name exists, records of this type do not",
	"other":    "no matter of addresses, or an error",
}

func verdictLine(asked *privatelink.ExplainedAnswer) string {
	if asked.Verdict == "" {
		return "none, for there is no answer"
	}
	return asked.Verdict + ": " + meanings[asked.Verdict]
}

func linkLine(x *privatelink.Explanation) string {
	return x.Zone + map[privatelink.Link]string{
		privatelink.Linked:      " is linked to the network that was asked: its SOA is that of a private zone",
		privatelink.NotLinked:   " is not linked to the network that was asked: its SOA is not that of a private zone",
		privatelink.LinkUnknown: ": the question for its SOA was not answered, so nobody knows whether it is linked",
	}[x.Link]
}

func fallbackLine(x *privatelink.Explanation, asked *privatelink.ExplainedAnswer) string {
	var allowed []string
	if x.Route.Missing != "" {
		allowed = append(allowed, "missing="+x.Route.Missing)
	}
	if x.Route.Outage != "" {
		allowed = append(allowed, "outage="+x.Route.Outage)
	}
	switch {
	case asked.Fallback != "":
		return fmt.Sprintf("%s: upstream %s was asked instead", asked.Fallback, asked.Group)
	case len(allowed) == 0:
		return "none is allowed on this route"
	}
	return "none was taken; allowed are " + strings.Join(allowed, " and ")
}

func replyLines(x *privatelink.Explanation) []string {
	reply := x.Reply
	lines := []string{reply.Rcode}
	if reply.Flattened {
		lines[0] += ", flattened: without the CNAMEs"
	}
	if len(reply.Records) == 0 && reply.Rcode == "NOERROR" {
		lines[0] += ", no records"
	}
	for index, record := range reply.Records {
		if index == shownRecords {
			lines = append(lines, fmt.Sprintf("  and %d more", len(reply.Records)-index))
			break
		}
		lines = append(lines, "  "+record)
	}
	if reply.EDE >= 0 {
		lines = append(lines, fmt.Sprintf("extended error %d: %s", reply.EDE, reply.EDEText))
	}
	return lines
}
