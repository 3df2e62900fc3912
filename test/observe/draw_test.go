package observe

import (
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The picture's measures, in pixels: a column and a row of Grafana's grid, and what
// stands around a curve.
const (
	columnWidth, rowHeight  = 50, 26
	marginTop, marginBottom = 26, 22
	marginLeft, marginRight = 52, 10
	legendHeight            = 15
)

// palette are the colours of curves whose name has none of its own.
var palette = []string{"#3d71d9", "#3fa66b", "#e0752d", "#8f5bd1", "#d1a300", "#2a9fb5", "#c2527f", "#6b7a90", "#96b93b", "#a3603b"}

// The colours of good, usual, doubtful, bad and empty.
const (
	good, usual, doubtful, bad, empty = "#3fa66b", "#3d71d9", "#e8a317", "#d94a4a", "#a7adb8"
)

// colours are those of names that mean the same in every panel.
var colours = map[string]string{
	"private": good, "public": usual, "unlinked": doubtful, "missing": "#e0752d", "nodata": empty, "other": "#8f5bd1", "none": "#6b7280",
	"hit": good, "prefetch": "#8fd0a8", "miss": usual, "shared": "#8fb4f2", "stale": doubtful, "failed": bad,
	"NOERROR": good, "NXDOMAIN": usual, "REFUSED": "#8f5bd1", "SERVFAIL": bad, "udp": good, "tcp": usual, "outage": bad,
	"from the cache": good, "in place": good, "50%": good, "95%": usual, "99%": doubtful,
}

// colourOf is the colour of a panel's curve.
func colourOf(name string, index int) string {
	if colour, known := colours[name]; known {
		return colour
	}
	return palette[index%len(palette)]
}

// curve is one line of a panel.
type curve struct {
	Name          string
	Times, Values []float64
}

// chart is a panel with what it shows, to be drawn.
type chart struct {
	Title, Type, Unit string
	Place             place
	Stacked           bool
	Curves            []curve
}

// draw returns a picture of a dashboard in SVG, over the time from begin to end, in
// seconds of the Unix time. An event that everybody should see is marked at a time.
func draw(title string, charts []chart, begin, end, event float64, eventName string) string {
	height := 0
	for _, c := range charts {
		height = max(height, (c.Place.Y+c.Place.H)*rowHeight)
	}
	p := &picture{begin: begin, end: end, event: event}
	p.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="Inter, system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="11">`, 24*columnWidth, height+44)
	p.add(`<rect width="100%%" height="100%%" fill="#eef0f3"/>`)
	p.text(12, 27, "16", "#12161c", "start", title)
	p.add(`<rect x="%d" y="16" width="14" height="14" fill="%s" fill-opacity="0.14"/><line x1="%d" y1="16" x2="%d" y2="30" stroke="%s" stroke-width="1.5"/>`,
		24*columnWidth-26, bad, 24*columnWidth-26, 24*columnWidth-26, bad)
	p.text(24*columnWidth-34, 27, "12", "#5b2a2a", "end", eventName)
	p.add(`<g transform="translate(0 40)">`)
	for _, c := range charts {
		p.chart(c)
	}
	p.add(`</g></svg>`)
	return p.String()
}

// picture is an SVG document that grows.
type picture struct {
	strings.Builder
	begin, end, event float64
}

func (p *picture) add(format string, arguments ...any) {
	fmt.Fprintf(p, format+"\n", arguments...)
}

func (p *picture) text(x, y float64, size, colour, anchor, text string) {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(text)) // a Builder takes everything
	p.add(`<text x="%.1f" y="%.1f" font-size="%s" fill="%s" text-anchor="%s">%s</text>`, x, y, size, colour, anchor, escaped.String())
}

// chart draws one panel.
func (p *picture) chart(c chart) {
	x, y := float64(c.Place.X*columnWidth), float64(c.Place.Y*rowHeight)
	width, height := float64(c.Place.W*columnWidth), float64(c.Place.H*rowHeight)
	if c.Type == "row" {
		p.text(x+12, y+18, "13", "#4a5361", "start", c.Title)
		return
	}
	p.add(`<rect x="%.0f" y="%.0f" width="%.0f" height="%.0f" rx="6" fill="#fff" stroke="#d9dde3"/>`, x+4, y+4, width-8, height-8)
	p.text(x+16, y+22, "12.5", "#1d232b", "start", c.Title)
	if c.Type == "timeseries" {
		p.curves(c, x, y, width, height)
		return
	}
	for index, each := range c.Curves {
		value := each.Values[len(each.Values)-1]
		p.text(x+16, y+44+17*float64(index), "11", "#333b46", "start", fitting(each.Name, width-80, 6))
		p.text(x+width-16, y+44+17*float64(index), "11.5", standing(c, value), "end", amount(value, c.Unit))
	}
}

// standing is the colour of a value in a list: where it is a yes or a no, that of it.
func standing(c chart, value float64) string {
	switch {
	case c.Unit != "short":
		return "#1f4fa8"
	case value == 0:
		return bad
	}
	return good
}

// curves draws the lines of a panel, the legend below them.
func (p *picture) curves(c chart, x, y, width, height float64) {
	floors := make([][]float64, len(c.Curves))
	if c.Stacked {
		floors = stack(c.Curves)
	}
	shown := c.Curves[:min(len(c.Curves), len(palette))]
	top := highest(shown)
	left, right := x+marginLeft, x+width-marginRight
	legend := float64((max(1, len(shown))+1)/2) * legendHeight
	upper, lower := y+marginTop+10, y+height-marginBottom-legend
	for step := range 3 {
		level := lower - (lower-upper)*float64(step)/2
		p.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#e9ecf0"/>`, left, level, right, level)
		p.text(left-6, level+4, "10", "#7a828e", "end", amount(top*float64(step)/2, c.Unit))
	}
	across := func(at float64) float64 { return left + (right-left)*(at-p.begin)/(p.end-p.begin) }
	height = lower - upper
	p.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" fill-opacity="0.10"/>`, across(p.event), upper, right-across(p.event), height, bad)
	upward := func(value float64) float64 { return lower - height*min(value/top, 1) }
	for index, each := range shown {
		colour := colourOf(each.Name, index)
		if c.Stacked {
			p.band(each, floors[index], across, upward, colour)
		} else {
			p.add(`<polyline points="%s" fill="none" stroke="%s" stroke-width="1.6" stroke-linejoin="round"/>`, points(each.Times, each.Values, across, upward), colour)
		}
		column, line := float64(index%2), float64(index/2)
		p.add(`<rect x="%.1f" y="%.1f" width="9" height="9" rx="2" fill="%s"/>`, x+18+column*width/2, lower+11+line*legendHeight, colour)
		p.text(x+32+column*width/2, lower+19+line*legendHeight, "10.5", "#444c57", "start", fitting(each.Name, width/2-38, 5.6))
	}
	p.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="1.5"/>`, across(p.event), upper, across(p.event), lower, bad)
	if len(shown) == 0 {
		p.text((left+right)/2, (upper+lower)/2+4, "11", "#9aa2ad", "middle", "nothing, all the time")
	}
}

// band draws what a curve adds to those below it, whose sum is the floor.
func (p *picture) band(each curve, floor []float64, across, upward func(float64) float64, colour string) {
	times, values := slices.Clone(each.Times), slices.Clone(floor)
	slices.Reverse(times)
	slices.Reverse(values)
	p.add(`<polygon points="%s%s" fill="%s" fill-opacity="0.85"/>`, points(each.Times, each.Values, across, upward), points(times, values, across, upward), colour)
}

func points(times, values []float64, across, upward func(float64) float64) string {
	var written strings.Builder
	for index, value := range values {
		fmt.Fprintf(&written, "%.1f,%.1f ", across(times[index]), upward(value))
	}
	return written.String()
}

// fitting cuts a name to what a width holds, by the usual width of a letter.
func fitting(name string, width, letter float64) string {
	room := int(width / letter)
	if len(name) <= room {
		return name
	}
	return name[:room-1] + "…"
}

// stack puts each curve on the ones before it, and returns what each stands on.
func stack(curves []curve) (floors [][]float64) {
	below := map[float64]float64{}
	for _, each := range curves {
		floor := make([]float64, len(each.Times))
		for number, at := range each.Times {
			floor[number] = below[at]
			below[at] += each.Values[number]
			each.Values[number] = below[at]
		}
		floors = append(floors, floor)
	}
	return floors
}

func highest(curves []curve) float64 {
	top := 0.0
	for _, each := range curves {
		for _, value := range each.Values {
			top = max(top, value)
		}
	}
	if top == 0 {
		return 1
	}
	// The next of some round numbers and their multiples.
	power := math.Pow(10, math.Floor(math.Log10(top)))
	for _, step := range []float64{1, 1.2, 1.6, 2, 3, 4, 5, 6, 8} {
		if top <= step*power {
			return step * power
		}
	}
	return 10 * power
}

// amount writes a value with its unit.
func amount(value float64, unit string) string {
	switch unit {
	case "s":
		if value >= 1 {
			return fmt.Sprintf("%.3g s", value)
		}
		return fmt.Sprintf("%.3g ms", 1000*value)
	case "percentunit":
		return fmt.Sprintf("%.3g%%", 100*value)
	case "bytes":
		if value >= 1024 {
			return fmt.Sprintf("%.0f KiB", value/1024)
		}
		return fmt.Sprintf("%.3g B", value)
	}
	return fmt.Sprintf("%.4g", value)
}
