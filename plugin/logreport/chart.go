package logreport

import (
	"fmt"
	"math"
	"time"
)

// The chart's measures, in units of its own: it is drawn as wide as the page.
const (
	chartWidth, chartHeight = 960, 220
	chartLeft, chartBottom  = 56, 24
	chartTop                = 8
	plotWidth               = chartWidth - chartLeft
	plotHeight              = chartHeight - chartBottom - chartTop
)

// timeChart shows the verdicts over time, one on the other.
type timeChart struct {
	Width, Height, Left, Bottom int
	Bars                        []bar
	Lines                       []gridLine
	Labels                      []timeLabel
	Silences                    []silence
	Step                        string
}

// bar is a rectangle of one verdict in one step; Title tells its number.
type bar struct{ X, Y, Width, Height, Class, Title string }

// gridLine is a height with the rate that it stands for.
type gridLine struct{ Y, Label string }

type timeLabel struct{ X, Text, Anchor string }

// silence is a gap in the logs.
type silence struct{ X, Y, Width, Height, Title string }

// newTimeChart draws a report's timeline; nil where there is too little of it.
func newTimeChart(r *Report) *timeChart {
	buckets := r.Timeline.Buckets
	if len(buckets) < 2 {
		return nil
	}
	step := time.Duration(r.Timeline.StepSeconds) * time.Second
	c := &timeChart{Width: chartWidth, Height: chartHeight, Left: chartLeft, Bottom: chartHeight - chartBottom, Step: duration(step)}
	var most uint64
	for _, b := range buckets {
		most = max(most, b.Queries)
	}
	limit := niceLimit(float64(most))
	for part := range 5 {
		y := chartTop + plotHeight - plotHeight*part/4
		c.Lines = append(c.Lines, gridLine{Y: fmt.Sprint(y), Label: short(limit * float64(part) / 4)})
	}
	for place, b := range buckets {
		c.addBars(place, len(buckets), b, limit)
	}
	c.addLabels(buckets, step)
	c.addSilences(r, step)
	return c
}

// addBars draws one step, with a space beside it where there is room for one.
func (c *timeChart) addBars(place, places int, b Bucket, limit float64) {
	wide := float64(plotWidth) / float64(places)
	y := float64(chartTop + plotHeight)
	for _, name := range meaningNames() {
		count := b.Verdicts[name]
		if count == 0 {
			continue
		}
		height := float64(count) / limit * plotHeight
		y -= height
		c.Bars = append(c.Bars, bar{
			X: coordinate(chartLeft + float64(place)*wide), Y: coordinate(y), Width: coordinate(max(wide-1.5, wide*0.8)), Height: coordinate(height),
			Class: name, Title: fmt.Sprintf("%s UTC: %s %s of %s", b.Time.Format(time.DateTime), grouped(count), name, grouped(b.Queries)),
		})
	}
}

// addLabels writes round times, where they are.
func (c *timeChart) addLabels(buckets []Bucket, step time.Duration) {
	apart, layout := labelling(step, step*time.Duration(len(buckets)))
	wide := float64(plotWidth) / float64(len(buckets))
	next := buckets[0].Time.Add(apart - 1).Truncate(apart)
	for place, b := range buckets {
		if b.Time.Before(next) {
			continue
		}
		// Of a middle label in the first or last place, half would be cut off.
		anchor := "middle"
		if x := float64(place) * wide; x < labelRoom/2 {
			anchor = "start"
		} else if plotWidth-x < labelRoom/2 {
			anchor = "end"
		}
		c.Labels = append(c.Labels, timeLabel{X: coordinate(chartLeft + float64(place)*wide), Text: b.Time.Format(layout), Anchor: anchor})
		next = b.Time.Add(apart).Truncate(apart)
	}
}

// labelling is how far labels are apart, and what they tell of their times.
func labelling(step, span time.Duration) (apart time.Duration, layout string) {
	for _, apart = range labelSteps() {
		if apart >= step && span/apart <= maxLabels {
			break
		}
	}
	switch {
	case apart >= 24*time.Hour:
		return apart, time.DateOnly
	case span > 24*time.Hour:
		return apart, "01-02 15:04"
	case apart < time.Minute:
		return apart, time.TimeOnly
	}
	return apart, "15:04"
}

const (
	// maxLabels is how many times have room below the chart.
	maxLabels = 9
	labelRoom = 60
)

// labelSteps are the steps in which people count time.
func labelSteps() []time.Duration {
	const day = 24 * time.Hour
	return []time.Duration{
		time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 7 * day, 30 * day, 365 * day,
	}
}

func (c *timeChart) addSilences(r *Report, step time.Duration) {
	start := r.Timeline.Buckets[0].Time
	span := (step * time.Duration(len(r.Timeline.Buckets))).Seconds()
	for _, gap := range r.Gaps {
		from, to := gap.From.Sub(start).Seconds()/span, gap.To.Sub(start).Seconds()/span
		c.Silences = append(c.Silences, silence{
			X: coordinate(chartLeft + from*plotWidth), Y: fmt.Sprint(chartTop), Width: coordinate(max((to-from)*plotWidth, 2)), Height: fmt.Sprint(plotHeight),
			Title: fmt.Sprintf("the log is silent from %s to %s UTC", gap.From.Format(time.DateTime), gap.To.Format(time.DateTime)),
		})
	}
}

func coordinate(value float64) string { return fmt.Sprintf("%.2f", value) }

// niceLimit is the least number, 1, 2, 4 or 8 times a power of ten, that is not less.
func niceLimit(most float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(max(most, 4))))
	for _, factor := range []float64{1, 2, 4, 8} {
		if most <= factor*power {
			return factor * power
		}
	}
	return 10 * power
}

// short writes a number of an axis.
func short(value float64) string {
	for _, unit := range []struct {
		least float64
		name  string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if value >= unit.least {
			return fmt.Sprintf("%.3g%s", value/unit.least, unit.name)
		}
	}
	return fmt.Sprintf("%.3g", value)
}

// roundTripScale places round trips on a common scale, each tenfold as wide as the last.
type roundTripScale struct{ low, high float64 }

// newRoundTripScale spans all servers' medians and 99th percentiles.
func newRoundTripScale(rows []Upstream) *roundTripScale {
	s := &roundTripScale{low: 0.001, high: 0.01}
	for _, row := range rows {
		if row.P50 > 0 {
			s.low, s.high = min(s.low, row.P50), max(s.high, row.P99)
		}
	}
	s.low, s.high = math.Floor(math.Log10(s.low)), math.Ceil(math.Log10(s.high))
	return s
}

// At is a place on the scale, in percent.
func (s *roundTripScale) At(value float64) string {
	place := (math.Log10(max(value, 1e-6)) - s.low) / (s.high - s.low)
	return fmt.Sprintf("%.2f", 100*min(max(place, 0), 1))
}

// Between is the distance of two places.
func (s *roundTripScale) Between(from, to float64) string {
	distance := (math.Log10(max(to, 1e-6)) - math.Log10(max(from, 1e-6))) / (s.high - s.low)
	return fmt.Sprintf("%.2f", 100*min(max(distance, 0.01), 1))
}

// Range says what the scale spans.
func (s *roundTripScale) Range() string {
	return seconds(math.Pow(10, s.low)) + " to " + seconds(math.Pow(10, s.high))
}
