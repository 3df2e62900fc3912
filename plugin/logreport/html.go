package logreport

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"
)

// pageText is the page's template.
//
//go:embed page.html
var pageText string

// WriteHTML writes the report as one page that needs nothing else: no script,
// no font, no picture from anywhere. It follows the reader's choice of light or
// dark, and prints. What clients chose is escaped.
func (r *Report) WriteHTML(out io.Writer) error {
	page, err := template.New("page").Funcs(template.FuncMap{
		"grouped": grouped, "percent": percent, "seconds": seconds, "roundTrip": roundTrip, "plural": plural, "counted": counted, "share": share, "bare": bare,
		"or":   func(text, otherwise string) string { return cmp.Or(text, otherwise) },
		"time": func(t time.Time) string { return t.Format(time.DateTime) },
		"more": func(count, shown int) int { return count - shown },
		"width": func(part, whole uint64) string {
			return fmt.Sprintf("%.2f", 100*share(part, whole))
		},
	}).Parse(pageText)
	if err != nil {
		return fmt.Errorf("reading the page's template: %w", err)
	}
	// Into memory first: a page is written whole or not at all.
	var written bytes.Buffer
	if err := page.Execute(&written, newPage(r)); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	_, err = out.Write(written.Bytes())
	return err
}

// page is what the template shows.
type page struct {
	*Report
	Span, Rate string
	// FailedShare is the share of SERVFAIL, LogCount how many logs there are.
	FailedShare float64
	LogCount    string
	Chart       *timeChart
	Scale       *roundTripScale
	Shares      []shareBar
	// MostWaited is the waiting time of the slowest name, MostUsed and MostBusy
	// the queries of the first namespace and client: the full length of a bar.
	MostWaited         float64
	MostUsed, MostBusy uint64
}

func newPage(r *Report) page {
	p := page{
		Report: r, Span: duration(r.To.Sub(r.From)), Rate: r.rate(), FailedShare: share(named(r.Rcodes, "SERVFAIL"), r.Queries),
		LogCount: plural(uint64(len(r.Sources)), "log"), Chart: newTimeChart(r), Scale: newRoundTripScale(r.Upstreams), Shares: shareBars(r),
	}
	if len(r.Slow) > 0 {
		p.MostWaited = r.Slow[0].WaitedSeconds
	}
	if len(r.Namespaces) > 0 {
		p.MostUsed = r.Namespaces[0].Queries
	}
	if len(r.Clients) > 0 {
		p.MostBusy = r.Clients[0].Queries
	}
	return p
}

// Waited is the length of a slow name's bar, in percent.
func (p page) Waited(name SlowName) string {
	return fmt.Sprintf("%.2f", 100*name.WaitedSeconds/max(p.MostWaited, 1e-6))
}

// shareBar is a bar of parts that together are all queries.
type shareBar struct {
	Name  string
	Parts []sharePart
}

// sharePart is one part: where it starts and how wide it is, in percent. Class
// is its colour's.
type sharePart struct {
	Name, Class  string
	Share        float64
	Start, Width string
}

func shareBars(r *Report) []shareBar {
	bars := []shareBar{
		{"Verdicts", shareParts(r.Verdicts, r.Queries, map[string]string{"private": "private", "public": "public", "unlinked": "unlinked", "missing": "missing", "nodata": "nodata", "other": "other", "none": "none"})},
		{"Cache", shareParts(r.Caches, r.Queries, map[string]string{"hit": "private", "miss": "public", "shared": "other", "stale": "unlinked", "failed": "missing", "prefetch": "nodata"})},
		{"Rcodes", shareParts(r.Rcodes, r.Queries, map[string]string{"NOERROR": "private", "NXDOMAIN": "public", "SERVFAIL": "missing", "REFUSED": "unlinked", "FORMERR": "other"})},
	}
	return bars
}

// maxParts is how many parts a bar has; the rest are too narrow to be seen.
const maxParts = 7

func shareParts(rows []Count, all uint64, classes map[string]string) []sharePart {
	var parts []sharePart
	start := 0.0
	for _, row := range top(rows, maxParts) {
		part := share(row.Queries, all)
		parts = append(parts, sharePart{
			Name: row.Name, Class: cmp.Or(classes[row.Name], "none"), Share: part,
			Start: fmt.Sprintf("%.3f", 100*start), Width: fmt.Sprintf("%.3f", 100*part),
		})
		start += part
	}
	return parts
}
