package logreport

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
)

func pageOf(t testing.TB, report *Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := report.WriteHTML(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// The page shows every section, and loads nothing from anywhere.
func TestPage(t *testing.T) {
	page := pageOf(t, read(t, Options{}, logOf("query.log", hubLog(5000))))
	for _, id := range []string{"findings", "timeline", "direct", "zones", "withheld", "upstreams", "slow", "fallbacks", "overrides", "uncatalogued", "namespaces", "clients"} {
		if !strings.Contains(page, `<section id="`+id+`"`) {
			t.Errorf("the page has no section %s", id)
		}
	}
	for _, outside := range []string{"<script", "<link", "<img", "src=", "href=", "url(", "@import", "http:", "https:"} {
		if strings.Contains(page, outside) {
			t.Errorf("the page has %s, want nothing from elsewhere", outside)
		}
	}
	for _, wrong := range []string{"NaN", "Inf", "%!", "ZgotmplZ", "&lt;nil"} {
		if strings.Contains(page, wrong) {
			t.Errorf("the page has %s", wrong)
		}
	}
	if bars := strings.Count(page, " queries</title>") + strings.Count(page, " UTC: "); bars < 6*50 {
		t.Errorf("the chart has %d bars, want some for each of 55 minutes", bars)
	}
	checkNesting(t, page)
}

// A report without queries, or with a single one, is a page as well.
func TestPageOfLittle(t *testing.T) {
	checkNesting(t, pageOf(t, read(t, Options{}, logOf("query.log", nil))))
	one := pageOf(t, read(t, Options{}, logOf("query.log", append(line(nothingSet), "nonsense"...))))
	checkNesting(t, one)
	if strings.Contains(one, "NaN") || !strings.Contains(one, "query.log:2") {
		t.Errorf("the page of one query is %s", one)
	}
}

// checkNesting reads the page as XML: it closes its empty elements as well.
func checkNesting(t *testing.T, page string) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(page, "<!DOCTYPE html>")))
	decoder.Entity = xml.HTMLEntity
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("the page is not well formed: %v", err)
		}
	}
}

// The bars of a step stand on each other and do not leave the chart.
func TestChartStaysInItsFrame(t *testing.T) {
	report := read(t, Options{}, logOf("query.log", hubLog(5000)))
	chart := newTimeChart(report)
	if len(chart.Silences) != 1 || len(chart.Labels) < 3 || len(chart.Labels) > maxLabels {
		t.Errorf("%d silences and %d labels, want 1 and 3 to %d", len(chart.Silences), len(chart.Labels), maxLabels)
	}
	for _, b := range chart.Bars {
		if x, y, height := number(t, b.X), number(t, b.Y), number(t, b.Height); x < chartLeft || x > chartWidth || y < chartTop || y+height > chartTop+plotHeight+0.1 {
			t.Errorf("bar %+v leaves the chart", b)
		}
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}
