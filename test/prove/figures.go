//go:build linux

package prove

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
)

// bound is what a figure must be. The zero bound requires nothing.
type bound struct {
	relation string // ">=", "<=", "=" or ""
	limit    float64
}

func atLeast(limit float64) bound { return bound{">=", limit} }
func atMost(limit float64) bound  { return bound{"<=", limit} }
func exactly(limit float64) bound { return bound{"=", limit} }

// holds reports whether a figure keeps within the bound. What is not a number
// was not measured, and keeps within none.
func (b bound) holds(measured float64) bool {
	switch b.relation {
	case ">=":
		return measured >= b.limit
	case "<=":
		return measured <= b.limit
	case "=":
		return measured == b.limit
	}
	return true
}

func (b bound) String() string {
	if b.relation == "" {
		return ""
	}
	return b.relation + " " + written(b.limit)
}

// written returns a number with as many digits as one reads.
func written(number float64) string {
	digits := 0
	for size := math.Abs(number); digits < 4 && size < 1000 && number != math.Trunc(number); size *= 10 {
		digits++
	}
	text := strconv.FormatFloat(number, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// figure is one measured number.
type figure struct {
	Name string `json:"name"`
	// Measured is null when nothing could be measured.
	Measured *float64 `json:"measured"`
	Unit     string   `json:"unit,omitempty"`
	Required string   `json:"required,omitempty"`
	OK       bool     `json:"ok"`
}

func newFigure(name string, measured float64, unit string, required bound) figure {
	f := figure{Name: name, Unit: unit, Required: required.String(), OK: required.holds(measured)}
	if !math.IsNaN(measured) && !math.IsInf(measured, 0) {
		f.Measured = &measured
	}
	return f
}

func (f figure) String() string {
	return fmt.Sprintf("%s is %s, want %s", f.Name, f.measured(), f.Required)
}

func (f figure) measured() string {
	if f.Measured == nil {
		return "nothing"
	}
	return strings.TrimSpace(written(*f.Measured) + " " + f.Unit)
}

// share returns part of whole in percent; not a number if there is no whole.
func share(part, whole int) float64 { return 100 * float64(part) / float64(whole) }

// table returns the figures of proofs that something is required of, aligned.
// All others are in the files only.
func table(proofs []*proof) string {
	var lines strings.Builder
	out := tabwriter.NewWriter(&lines, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "proof\tfigure\tmeasured\trequired\tok")
	for _, p := range proofs {
		for _, f := range p.figures {
			if f.Required == "" {
				continue
			}
			result := "ok"
			if !f.OK {
				result = "FAILED"
			}
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", p.name, f.Name, f.measured(), f.Required, result)
		}
	}
	_ = out.Flush() // strings.Builder takes everything
	return lines.String()
}

// write puts the figures of a proof into a file of a directory that it makes
// if need be.
func (p *proof) write(directory string) error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(struct {
		Proof   string   `json:"proof"`
		Form    string   `json:"form"`
		Subject string   `json:"subject"`
		Started string   `json:"started"`
		Figures []figure `json:"figures"`
	}{p.name, p.form(), p.subject.name, p.started.UTC().Format("2006-01-02T15:04:05Z"), p.figures}, "", "  ")
	if err != nil {
		return err
	}
	file := strings.ReplaceAll(p.name, " ", "-") + "." + p.form() + "." + p.subject.name + ".json"
	return os.WriteFile(filepath.Join(directory, file), append(text, '\n'), 0o644)
}
