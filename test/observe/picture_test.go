package observe

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var placeholder = regexp.MustCompile(`\{\{([a-z]+)\}\}`)

// nameOf is what a legend says of a series; a table says all labels.
func nameOf(legend string, labels map[string]string) string {
	if legend != "" {
		return placeholder.ReplaceAllStringFunc(legend, func(found string) string { return labels[strings.Trim(found, "{}")] })
	}
	var words []string
	for name, value := range labels {
		words = append(words, name+" "+value)
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// charts asks for what the panels show.
func (r *run) charts(d dashboard, from time.Time) []chart {
	r.t.Helper()
	var all []chart
	for _, one := range d.Panels {
		drawn := chart{
			Title: one.Title, Type: one.Type, Place: one.Place, Unit: one.FieldConfig.Defaults.Unit,
			Stacked: one.FieldConfig.Defaults.Custom.Stacking.Mode == "normal",
		}
		for _, each := range one.Targets {
			found, err := r.lines(each.query(), from, r.over)
			if err != nil {
				r.t.Fatal(err)
			}
			for _, series := range found {
				if times, values := series.numbers(); len(values) > 0 && (slices.Max(values) > 0 || one.Type != "timeseries") {
					drawn.Curves = append(drawn.Curves, curve{nameOf(each.Legend, series.Labels), times, values})
				}
			}
		}
		all = append(all, drawn)
	}
	return all
}

// TestDrawTheDashboard draws the picture of deploy/README.md again, where
// OBSERVE_PICTURE names its file, and beside it overview.svg, that of the top README.
// OBSERVE_LOG names a file that the query log of the run is kept in.
func TestDrawTheDashboard(t *testing.T) {
	path := os.Getenv("OBSERVE_PICTURE")
	if path == "" {
		t.Skip("OBSERVE_PICTURE names no file")
	}
	r := startRun(t)
	from := r.story(60*time.Second, 45*time.Second)
	seconds := func(at time.Time) float64 { return float64(at.Unix()) }
	write := func(path string, charts []chart) {
		text := draw("privatelink-dns: 100 queries a second, and the loss of Azure's DNS", charts, seconds(from), seconds(r.over), seconds(r.lost), "Azure's DNS is gone")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	board := readDashboard(t)
	write(path, r.charts(board, from))
	write(filepath.Join(filepath.Dir(path), "overview.svg"), overview(t, r.charts(board, from)))
	if keep := os.Getenv("OBSERVE_LOG"); keep != "" {
		if err := os.WriteFile(keep, []byte(read(t, r.directory, "query.log")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// overview are the panels that tell the story at a glance, three beside each other.
func overview(t *testing.T, charts []chart) []chart {
	t.Helper()
	var chosen []chart
	for index, title := range []string{"Queries by verdict", "Replies by code", "Answers", "Queries by cache state", "Failed attempts", "Fallbacks"} {
		at := slices.IndexFunc(charts, func(c chart) bool { return c.Title == title })
		if at < 0 {
			t.Fatalf("the dashboard has no panel %q", title)
		}
		charts[at].Place = place{8 * (index % 3), 8 * (index / 3), 8, 8}
		chosen = append(chosen, charts[at])
	}
	return chosen
}

func TestPictureIsWellFormedAndShowsItsCurves(t *testing.T) {
	lines := func() []curve {
		return []curve{{"a <b>", []float64{0, 1}, []float64{1, 3}}, {"c", []float64{0, 1}, []float64{2, 2}}}
	}
	text := draw("title", []chart{
		{Title: "row", Type: "row", Place: place{0, 0, 24, 1}},
		{Title: "stacked", Type: "timeseries", Unit: "s", Place: place{0, 1, 12, 7}, Stacked: true, Curves: lines()},
		{Title: "lines", Type: "timeseries", Place: place{12, 8, 12, 7}, Curves: lines()},
		{Title: "nothing", Type: "timeseries", Place: place{12, 1, 12, 7}},
		{Title: "table", Type: "table", Place: place{0, 8, 12, 7}, Curves: lines()},
	}, 0, 1, 0.5, "event")
	decoder := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the picture is not XML: %v\n%s", err, text)
		}
	}
	if got := strings.Count(text, "<polyline") + strings.Count(text, "<polygon"); got != 4 {
		t.Errorf("the picture has %d curves, want 2 that are stacked and 2 that are not", got)
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Errorf("the picture has places that are none:\n%s", text)
	}
}

func TestHighestIsARoundNumberAbove(t *testing.T) {
	for value, want := range map[float64]float64{0: 1, 0.03: 0.03, 1: 1, 4.5: 5, 7: 8, 9: 10, 130: 160} {
		if got := highest([]curve{{Values: []float64{value}}}); got < want*0.999 || got > want*1.001 {
			t.Errorf("highest(%v) = %v, want %v", value, got, want)
		}
	}
}
