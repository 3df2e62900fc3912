package logreport

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"
)

func width(text string) int { return utf8.RuneCountInString(text) }

// table are rows of cells. The first column is as wide as there is room, and
// its cells lose their middles where they are longer; all others are aligned
// to the right.
type table [][]string

func (t *textWriter) table(rows table) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for column, cell := range row {
			widths[column] = max(widths[column], width(cell))
		}
	}
	others := 2
	for _, taken := range widths[1:] {
		others += 2 + taken
	}
	widths[0] = min(widths[0], max(t.width-others, 20))
	for _, row := range rows {
		line := "  " + padded(shortened(row[0], widths[0]), widths[0])
		for column, cell := range row[1:] {
			line += "  " + strings.Repeat(" ", widths[column+1]-width(cell)) + cell
		}
		t.line("%s", strings.TrimRight(line, " "))
	}
}

func padded(text string, columns int) string {
	return text + strings.Repeat(" ", max(columns-width(text), 0))
}

// shortened takes out of the middle: a name says most at both its ends.
func shortened(text string, columns int) string {
	runes := []rune(text)
	if len(runes) <= columns {
		return text
	}
	head := (columns - 1) / 2
	return string(runes[:head]) + "…" + string(runes[len(runes)-(columns-1-head):])
}

// counted writes a count, and how much too high it may be.
func counted(queries, over uint64) string {
	if over == 0 {
		return grouped(queries)
	}
	return grouped(queries) + " (−" + grouped(over) + ")"
}

func (t *textWriter) direct(r *Report) {
	if r.DirectLookups == 0 {
		return
	}
	t.heading("Direct lookups of privatelink names", grouped(r.DirectLookups)+", by clients with the wrong name")
	for _, client := range r.DirectClients {
		t.line("  %s  %s", client.Client, counted(client.Queries, client.Over))
		for _, name := range client.Names {
			t.line("    %s  %s, %s", shortened(name.Name, t.width-30), counted(name.Queries, name.Over), cmp.Or(name.Action, "allow"))
			if name.Use != "" {
				t.wrapped("      → ", "ask for "+name.Use)
			}
		}
		if more := client.Count - len(client.Names); more > 0 {
			t.line("    and %s", plural(uint64(more), "other name"))
		}
	}
}

func (t *textWriter) zones(r *Report) {
	if len(r.Zones) == 0 {
		return
	}
	t.heading("Zones with unlinked and missing names", "")
	for _, zone := range r.Zones {
		t.line("  %s  %s, %s", shortened(cmp.Or(zone.Zone, "(unknown zone)"), t.width-30), zone.Verdict, counted(zone.Queries, zone.Over))
		t.wrapped("    → ", zone.Advice)
		for _, name := range zone.Names {
			t.line("    %s  %s", shortened(name.Name, t.width-24), counted(name.Queries, name.Over))
		}
	}
}

// tables writes the sections that are tables only.
func (t *textWriter) tables(r *Report) {
	for _, section := range []struct {
		heading, note string
		rows          table
	}{
		{"Withheld", "public where it must be private, or the reverse (private-from-public)", withheldTable(r.Withheld)},
		{"Upstreams", "", upstreamTable(r.Upstreams)},
		{"Slowest names", "by the time that their clients waited, all together", slowTable(r.Slow)},
		{"Fallbacks to public DNS", "", fallbackTable(r.Fallbacks)},
		{"Answered by an operator's override", "", countTable("name", r.Overrides)},
		{"Privatelink names that the catalog does not know", "", countTable("name", r.Uncatalogued)},
		{"Namespaces", "", useTable("namespace", r.Namespaces, r.Queries)},
		{"Clients", "", useTable("client", r.Clients, r.Queries)},
	} {
		if len(section.rows) < 2 {
			continue
		}
		t.heading(section.heading, section.note)
		t.table(section.rows)
		if section.heading == "Upstreams" {
			t.failures(r.Upstreams)
		}
	}
}

func withheldTable(rows []Withheld) table {
	all := table{{"name", "rule", "answers", "clients"}}
	for _, row := range rows {
		all = append(all, []string{row.Name, row.Rule, counted(row.Queries, row.Over), fmt.Sprint(row.Clients)})
	}
	return all
}

func upstreamTable(rows []Upstream) table {
	all := table{{"server", "group", "questions", "p50", "p95", "p99", "SERVFAIL", "failed"}}
	for _, row := range rows {
		all = append(all, []string{
			row.Server, shortened(row.Group, 10), grouped(row.Questions), roundTrip(row.P50), roundTrip(row.P95), roundTrip(row.P99),
			percent(share(row.Servfail, row.Questions)), percent(share(row.Failed, row.Questions)),
		})
	}
	return all
}

// failures tells why upstreams failed.
func (t *textWriter) failures(rows []Upstream) {
	for _, row := range rows {
		said := make([]string, 0, len(row.Failures))
		for _, reason := range row.Failures {
			said = append(said, reason.Name+" "+counted(reason.Queries, reason.Over))
		}
		if len(said) > 0 {
			t.wrapped("    "+row.Server+": ", strings.Join(said, ", "))
		}
	}
}

func slowTable(rows []SlowName) table {
	all := table{{"name", "queries", "waited", "p50", "p99", "max"}}
	for _, row := range rows {
		waited := seconds(row.WaitedSeconds)
		if row.OverSeconds > 0 {
			waited += " (−" + seconds(row.OverSeconds) + ")"
		}
		all = append(all, []string{row.Name, grouped(row.Queries), waited, seconds(row.P50), seconds(row.P99), seconds(row.Max)})
	}
	return all
}

func fallbackTable(rows []Fallback) table {
	all := table{{"name", "after", "group", "answers"}}
	for _, row := range rows {
		all = append(all, []string{row.Name, row.Kind, shortened(row.Group, 12), counted(row.Queries, row.Over)})
	}
	return all
}

func countTable(heading string, rows []Count) table {
	all := table{{heading, "queries"}}
	for _, row := range rows {
		all = append(all, []string{bare(row.Name), counted(row.Queries, row.Over)})
	}
	return all
}

func useTable(heading string, rows []Use, queries uint64) table {
	all := table{{heading, "queries", "share", "private", "unlinked", "missing", "SERVFAIL"}}
	for _, row := range rows {
		cells := []string{row.Name, counted(row.Queries, row.Over), percent(share(row.Queries, queries))}
		for _, count := range []uint64{row.Verdicts["private"], row.Verdicts["unlinked"], row.Verdicts["missing"], row.Failed} {
			cells = append(cells, percent(share(count, row.Queries)))
		}
		all = append(all, cells)
	}
	return all
}
