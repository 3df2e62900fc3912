package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/privatelink-dns/privatelink-dns/plugin/audit"
	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

// auditResult is what audit found.
type auditResult struct {
	Inventory inventoryCounts `json:"inventory"`
	Findings  []audit.Finding `json:"findings"`
}

// inventoryCounts say how much was read, so that an inventory with nothing in it is not
// taken for one without faults.
type inventoryCounts struct {
	Subscriptions int `json:"subscriptions"`
	Zones         int `json:"zones"`
	Links         int `json:"links"`
	Records       int `json:"records"`
	Endpoints     int `json:"endpoints"`
	Resolvers     int `json:"resolvers"`
	Rulesets      int `json:"rulesets"`
}

func countInventory(inventory *audit.Inventory) inventoryCounts {
	counts := inventoryCounts{
		Subscriptions: len(inventory.Subscriptions), Zones: len(inventory.Zones), Endpoints: len(inventory.Endpoints),
		Resolvers: len(inventory.Resolvers), Rulesets: len(inventory.Rulesets),
	}
	for _, zone := range inventory.Zones {
		counts.Links += len(zone.Links)
		counts.Records += len(zone.Records)
	}
	return counts
}

func (c inventoryCounts) String() string {
	return strings.Join([]string{
		plural(c.Subscriptions, "subscription"), plural(c.Zones, "zone"), plural(c.Links, "link"), plural(c.Records, "record set"),
		plural(c.Endpoints, "endpoint"), plural(c.Resolvers, "resolver"), plural(c.Rulesets, "ruleset"),
	}, ", ")
}

// worst is the gravest severity of the findings.
func (r *auditResult) worst() privatelink.Severity {
	worst := privatelink.Fine
	for _, each := range r.Findings {
		switch each.Severity {
		case audit.Fault:
			return privatelink.Fault
		case audit.Warning:
			worst = privatelink.Warning
		}
	}
	return worst
}

// print writes every finding with its resource, and the next step once for those that
// follow each other and have the same. The last line counts.
func (r *auditResult) print(out io.Writer, paint paint) {
	fmt.Fprintf(out, "read: %s\n", r.Inventory)
	check := ""
	for index, each := range r.Findings {
		if each.Check != check {
			check = each.Check
			fmt.Fprintln(out, paint.bold(check))
		}
		printAuditFinding(out, each, paint)
		last := index+1 == len(r.Findings) || r.Findings[index+1].Next != each.Next || r.Findings[index+1].Check != check
		if each.Next != "" && last {
			printHanging(out, "          ", "          ", "next: "+each.Next, pageWidthOf(out)-10)
		}
	}
	faults, warnings := r.count()
	fmt.Fprintln(out)
	if faults+warnings == 0 {
		fmt.Fprintln(out, paint.green("all is well"))
		return
	}
	fmt.Fprintln(out, paint.severity(r.worst(), plural(faults, "fault")+", "+plural(warnings, "warning")))
}

func printAuditFinding(out io.Writer, each audit.Finding, paint paint) {
	severity := privatelink.Severity(each.Severity)
	mark := fmt.Sprintf("%-5s", marks[severity])
	if severity != skipped {
		mark = paint.severity(severity, mark)
	}
	text := each.Text
	if each.Subject != "" {
		text = each.Subject + ": " + text
	}
	printHanging(out, "  "+mark+" ", "        ", text, pageWidthOf(out)-8)
	if each.Where != "" && each.Severity != audit.Fine {
		// An ID is copied as a whole, so it is never broken.
		fmt.Fprintf(out, "          %s\n", each.Where)
	}
}

func (r *auditResult) count() (faults, warnings int) {
	for _, each := range r.Findings {
		switch each.Severity {
		case audit.Fault:
			faults++
		case audit.Warning:
			warnings++
		}
	}
	return faults, warnings
}
