//go:build linux

package main

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
)

// spread is a figure over all rounds. All are not numbers where there was none.
type spread struct {
	median, least, most float64
}

// spreadOf sums up figures.
func spreadOf(figures []float64) spread {
	sorted := slices.DeleteFunc(slices.Clone(figures), math.IsNaN)
	slices.Sort(sorted)
	n := len(sorted)
	if n == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	return spread{median: (sorted[(n-1)/2] + sorted[n/2]) / 2, least: sorted[0], most: sorted[n-1]}
}

// measured reports whether there is a figure.
func (s spread) measured() bool { return !math.IsNaN(s.median) }

// written is a spread with so many digits, its range in brackets.
func (s spread) written(digits int) string {
	if !s.measured() {
		return "-"
	}
	number := func(figure float64) string { return strconv.FormatFloat(figure, 'f', digits, 64) }
	return number(s.median) + " (" + number(s.least) + " - " + number(s.most) + ")"
}

// MarshalJSON writes null where there is no figure.
func (s spread) MarshalJSON() ([]byte, error) {
	if !s.measured() {
		return []byte("null"), nil
	}
	return json.Marshal(map[string]float64{"median": s.median, "min": s.least, "max": s.most})
}

// summary is what all rounds of a cell showed.
type summary struct {
	processor, perSecond, busy, others, resident, p50, p99 spread
	atRate                                                 spread // processor time at the fixed rate
}

func (c *cell) summary() summary {
	over := func(rounds []measurement, figure func(measurement) float64) spread {
		var figures []float64
		for _, m := range rounds {
			figures = append(figures, figure(m))
		}
		return spreadOf(figures)
	}
	return summary{
		processor: over(c.full, func(m measurement) float64 { return m.processor }),
		perSecond: over(c.full, func(m measurement) float64 { return m.perSecond }),
		busy:      over(c.full, func(m measurement) float64 { return 100 * m.busy }),
		others:    over(c.full, func(m measurement) float64 { return 100 * m.others }),
		resident:  over(c.full, func(m measurement) float64 { return m.resident }),
		p50:       over(c.fixed, func(m measurement) float64 { return m.p50 }),
		p99:       over(c.fixed, func(m measurement) float64 { return m.p99 }),
		atRate:    over(c.fixed, func(m measurement) float64 { return m.processor }),
	}
}
