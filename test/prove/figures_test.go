//go:build linux

package prove

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFigure(t *testing.T) {
	tests := []struct {
		name     string
		measured float64
		required bound
		want     string
		ok       bool
	}{
		{"at least, met", 98, atLeast(98), "share is 98 %, want >= 98", true},
		{"at least, missed", 97.994, atLeast(98), "share is 97.99 %, want >= 98", false},
		{"at most, met", 9.9, atMost(10), "share is 9.9 %, want <= 10", true},
		{"at most, missed by little", 10.004, atMost(10), "share is 10 %, want <= 10", false},
		{"exactly, met", 1, exactly(1), "share is 1 %, want = 1", true},
		{"exactly, missed", 5000, exactly(1), "share is 5000 %, want = 1", false},
		{"nothing measured", math.NaN(), atMost(10), "share is nothing, want <= 10", false},
		{"for ever", math.Inf(1), atMost(10), "share is nothing, want <= 10", false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			f := newFigure("share", tc.measured, "%", tc.required)
			if f.OK != tc.ok || f.String() != tc.want {
				t.Errorf("newFigure(%v, %v) = %q, %v, want %q, %v", tc.measured, tc.required, f, f.OK, tc.want, tc.ok)
			}
		})
	}
}

func TestFiguresAreWrittenAndPrinted(t *testing.T) {
	r := &run{subject: subject{name: "bare"}}
	p := r.newProof(t, "retry storm")
	p.require("questions", 2, "", exactly(1))
	p.require("not measured", math.NaN(), "ms", atMost(10))
	p.note("remark", 7, "")
	directory := t.TempDir()
	if err := p.write(directory); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(directory, "retry-storm.short.bare.json"))
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Subject string
		Figures []figure
	}
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if len(read.Figures) != 3 || *read.Figures[0].Measured != 2 || read.Figures[1].Measured != nil || read.Figures[0].OK || read.Subject != "bare" {
		t.Errorf("the file has %s", text)
	}
	printed := table(r.proofs)
	if !strings.Contains(printed, "FAILED") || strings.Contains(printed, "remark") {
		t.Errorf("the table is\n%s\nwant the failure in it, and no remark", printed)
	}
}
