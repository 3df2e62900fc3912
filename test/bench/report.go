//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// report writes the tables and the figures, and prints the tables.
func (b *bench) report() error {
	text := b.markdown()
	fmt.Print(text)
	table, data := "RESULTS.md", "results.json"
	if b.protected {
		table, data = "PROTECTED.md", "protected.json"
	}
	if err := os.WriteFile(filepath.Join(b.out, table), []byte(text), 0o644); err != nil {
		return err
	}
	figures, err := json.MarshalIndent(b.figures(), "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.out, data), append(figures, '\n'), 0o644)
}

func (b *bench) markdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, "# Results of `make bench`\n\nWritten by the program; [README.md](README.md) says what the figures mean. %s, %d rounds, %s at full speed and %s at a fixed load each, %s.\n",
		b.started.UTC().Format("2006-01-02 15:04 UTC"), b.rounds, b.length, b.length/2, machine())
	fmt.Fprintf(&out, "Median of the rounds, and the least and the most in brackets. %s.\n", strings.Join(versions(), ", "))
	if b.protected {
		out.WriteString("\nOurs has every protection on: rate limits, cookies, a budget, withheld private addresses, zones that are served locally.\n")
	}
	if len(b.left) > 0 {
		slices.Sort(b.left)
		fmt.Fprintf(&out, "Not installed, and so left out: %s.\n", strings.Join(slices.Compact(b.left), ", "))
	}
	for _, failure := range b.failures {
		fmt.Fprintf(&out, "\nNot measured: %s\n", failure)
	}
	b.ratioTable(&out)
	for i, c := range b.cells {
		if i == 0 || b.cells[i-1].workload != c.workload {
			title(&out, c)
		}
		row(&out, c)
	}
	return out.String()
}

func (b *bench) ratioTable(out *strings.Builder) {
	out.WriteString("\n## Ratios\n\n| | at most | found | figures | |\n| --- | --- | --- | --- | --- |\n")
	for _, bound := range bounds() {
		v := bound.judge(b.cells)
		if math.IsNaN(v.ratio) {
			fmt.Fprintf(out, "| %s | %.2f | - | | not measured |\n", v.title, v.most)
			continue
		}
		result := "reached"
		if !v.reached() {
			result = "**not reached**"
		}
		fmt.Fprintf(out, "| %s | %.2f | %.2f | %.3g / %.3g (%s) | %s |\n", v.title, v.most, v.ratio, v.ours, v.peer, v.against, result)
	}
}

func title(out *strings.Builder, c *cell) {
	heading := strings.ToUpper(c.workload.name[:1]) + c.workload.name[1:]
	fmt.Fprintf(out, "\n## %s\n\n", heading)
	if !c.latency {
		out.WriteString("| server | µs CPU a query | queries/s | core used % | others % | MiB |\n| --- | --- | --- | --- | --- | --- |\n")
		return
	}
	fmt.Fprintf(out, "| server | µs CPU a query | queries/s | core used %% | others %% | MiB | p50 ms at %d/s | p99 ms at %d/s | µs CPU at %d/s |\n", c.rate, c.rate, c.rate)
	out.WriteString("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
}

func row(out *strings.Builder, c *cell) {
	s := c.summary()
	fmt.Fprintf(out, "| %s | %s | %s | %.0f | %.0f | %.0f |", c.subject.name, s.processor.written(1), s.perSecond.written(0), s.busy.median, s.others.median, s.resident.median)
	if c.latency {
		fmt.Fprintf(out, " %s | %s | %s |", s.p50.written(2), s.p99.written(2), s.atRate.written(1))
	}
	out.WriteString("\n")
}

// figures are all figures for another program to read.
func (b *bench) figures() any {
	type cellFigures struct {
		Workload  string `json:"workload"`
		Subject   string `json:"subject"`
		Processor spread `json:"cpu_us_per_query"`
		PerSecond spread `json:"queries_per_second"`
		Busy      spread `json:"core_used_percent"`
		Others    spread `json:"core_used_by_others_percent"`
		Resident  spread `json:"resident_mib"`
		Rate      int    `json:"fixed_rate,omitempty"`
		P50       spread `json:"p50_ms"`
		P99       spread `json:"p99_ms"`
		AtRate    spread `json:"cpu_us_per_query_at_fixed_rate"`
	}
	type ratioFigures struct {
		Title   string   `json:"title"`
		Most    float64  `json:"at_most"`
		Found   *float64 `json:"found"`
		Peer    string   `json:"peer,omitempty"`
		Reached bool     `json:"reached"`
	}
	var cells []cellFigures
	for _, c := range b.cells {
		s := c.summary()
		cells = append(cells, cellFigures{c.workload.name, c.subject.name, s.processor, s.perSecond, s.busy, s.others, s.resident, c.rate, s.p50, s.p99, s.atRate})
	}
	var ratios []ratioFigures
	for _, bound := range bounds() {
		v := bound.judge(b.cells)
		ratio := ratioFigures{Title: v.title, Most: v.most, Peer: v.against, Reached: v.reached()}
		if !math.IsNaN(v.ratio) {
			ratio.Found = &v.ratio
		}
		ratios = append(ratios, ratio)
	}
	return map[string]any{
		"started": b.started.UTC().Format("2006-01-02T15:04:05Z"), "rounds": b.rounds, "seconds": b.length.Seconds(),
		"machine": machine(), "versions": versions(), "cells": cells, "ratios": ratios,
	}
}

// machine describes what the figures were measured on.
func machine() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if label, name, _ := strings.Cut(line, ":"); strings.TrimSpace(label) == "model name" {
				model = strings.TrimSpace(name)
				break
			}
		}
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return model
	}
	kernel, _, _ := strings.Cut(strings.TrimSpace(string(release)), "-")
	return model + ", Linux " + kernel
}

// versions are those of the peers that say them.
func versions() []string {
	found := []string{runtime.Version()}
	for _, command := range [][]string{{"dnsdist", "--version"}, {"unbound", "-V"}, {"dnsmasq", "--version"}, {"dnsperf", "-h"}} {
		said, _ := exec.Command(command[0], command[1:]...).CombinedOutput() // unbound fails after it has said it
		for line := range strings.Lines(string(said)) {
			for _, word := range strings.Fields(line) {
				if word = strings.TrimPrefix(word, "v"); word[0] >= '0' && word[0] <= '9' && strings.Contains(word, ".") {
					found = append(found, command[0]+" "+word)
					break
				}
			}
			break
		}
	}
	return found
}
