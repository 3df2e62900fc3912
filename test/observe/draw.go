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

// palette are the colours of the curves.
var palette = []string{"#3274d9", "#56a64b", "#e0752d", "#e02f44", "#8f3bb8", "#f2cc0c", "#37872d", "#1f60c4", "#fa6400", "#c4162a"}

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
	p.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="11">`, 24*columnWidth, height+34)
	p.add(`<rect width="100%%" height="100%%" fill="#f4f5f5"/>`)
	p.text(10, 22, "15", "#111", "start", title)
	p.text(24*columnWidth-10, 22, "11", "#c4162a", "end", "dashed: "+eventName)
	p.add(`<g transform="translate(0 34)">`)
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
		p.text(x+10, y+18, "13", "#333", "start", c.Title)
		return
	}
	p.add(`<rect x="%.0f" y="%.0f" width="%.0f" height="%.0f" rx="3" fill="#fff" stroke="#dcdcdc"/>`, x+3, y+3, width-6, height-6)
	p.text(x+12, y+18, "12", "#222", "start", c.Title)
	if c.Type == "timeseries" {
		p.curves(c, x, y, width, height)
		return
	}
	for index, each := range c.Curves {
		value := each.Values[len(each.Values)-1]
		p.text(x+12, y+38+15*float64(index), "11", "#333", "start", fitting(each.Name, width-80, 6))
		p.text(x+width-14, y+38+15*float64(index), "11", "#1f60c4", "end", amount(value, c.Unit))
	}
}

// curves draws the lines of a panel, the legend below them.
func (p *picture) curves(c chart, x, y, width, height float64) {
	if c.Stacked {
		stack(c.Curves)
	}
	shown := c.Curves[:min(len(c.Curves), len(palette))]
	top := highest(shown)
	left, right := x+marginLeft, x+width-marginRight
	legend := float64((len(shown)+1)/2) * legendHeight
	upper, lower := y+marginTop+4, y+height-marginBottom-legend
	for step := range 3 {
		level := lower - (lower-upper)*float64(step)/2
		p.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#eee"/>`, left, level, right, level)
		p.text(left-5, level+4, "10", "#777", "end", amount(top*float64(step)/2, c.Unit))
	}
	across := func(at float64) float64 { return left + (right-left)*(at-p.begin)/(p.end-p.begin) }
	p.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#c4162a" stroke-dasharray="3 3"/>`, across(p.event), upper, across(p.event), lower)
	for index, each := range slices.Backward(shown) {
		var points strings.Builder
		for number, value := range each.Values {
			fmt.Fprintf(&points, "%.1f,%.1f ", across(each.Times[number]), lower-(lower-upper)*min(value/top, 1))
		}
		if c.Stacked && len(each.Times) > 0 {
			p.add(`<polygon points="%.1f,%.1f %s%.1f,%.1f" fill="%s" fill-opacity="0.45"/>`,
				across(each.Times[0]), lower, points.String(), across(each.Times[len(each.Times)-1]), lower, palette[index])
		}
		p.add(`<polyline points="%s" fill="none" stroke="%s" stroke-width="1.3"/>`, points.String(), palette[index])
		column, line := float64(index%2), float64(index/2)
		p.add(`<rect x="%.1f" y="%.1f" width="8" height="3" fill="%s"/>`, x+14+column*width/2, lower+13+line*legendHeight, palette[index])
		p.text(x+26+column*width/2, lower+18+line*legendHeight, "10", "#444", "start", fitting(each.Name, width/2-32, 5.3))
	}
}

// fitting cuts a name to what a width holds, by the usual width of a letter.
func fitting(name string, width, letter float64) string {
	room := int(width / letter)
	if len(name) <= room {
		return name
	}
	return name[:room-1] + "…"
}

// stack puts each curve on the ones before it.
func stack(curves []curve) {
	below := map[float64]float64{}
	for _, each := range curves {
		for number, at := range each.Times {
			below[at] += each.Values[number]
			each.Values[number] = below[at]
		}
	}
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
	// The next of 1, 2, 5 and their multiples.
	power := math.Pow(10, math.Floor(math.Log10(top)))
	for _, step := range []float64{1, 2, 5} {
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
