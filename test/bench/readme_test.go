//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestREADMETellsTheResults holds the repository's README to the last results.
func TestREADMETellsTheResults(t *testing.T) {
	text, err := os.ReadFile("results.json")
	if err != nil {
		t.Fatal(err)
	}
	var results struct {
		Cells []struct {
			Workload, Subject string
			Processor         struct{ Median float64 } `json:"cpu_us_per_query"`
		}
	}
	if err := json.Unmarshal(text, &results); err != nil {
		t.Fatal(err)
	}
	figure := func(workload, subject string) string {
		for _, cell := range results.Cells {
			if cell.Workload == workload && cell.Subject == subject {
				return fmt.Sprintf("%.1f", cell.Processor.Median)
			}
		}
		t.Fatalf("results.json has no %q of %q", workload, subject)
		return ""
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range [][3]string{
		{"privatelink-dns", oursName, oursFullName}, {"dnsdist", dnsdistName, dnsdistFullName}, {"Unbound", unboundName, unboundFullName},
		{"CoreDNS, `cache` and `forward`", coreDNSName, coreDNSFullName}, {"dnsmasq", dnsmasqName, dnsmasqFullName},
	} {
		want := fmt.Sprintf("| %s | %s | %s | %s |", row[0], figure(cachedName, row[1]), figure(cachedName, row[2]), figure(missesName, row[1]))
		if !strings.Contains(string(readme), want) {
			t.Errorf("README.md lacks the line\n%s", want)
		}
	}
}
