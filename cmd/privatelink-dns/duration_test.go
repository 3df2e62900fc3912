package main

import (
	"strings"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for _, tc := range []struct {
		written string
		want    time.Duration
		text    string
	}{
		{"90m", 90 * time.Minute, "1h30m"},
		{"4h", 4 * time.Hour, "4h"},
		{"4d", 96 * time.Hour, "4d"},
		{"2w", 14 * 24 * time.Hour, "14d"},
		{"1w2d12h5s", (9*24+12)*time.Hour + 5*time.Second, "9d12h0m5s"},
		{"1m", time.Minute, "1m"},
		{"0s", 0, "0s"},
		{"-2h", -2 * time.Hour, "-2h"},
	} {
		got, err := parseDuration(tc.written)
		if err != nil || got != tc.want || durationText(got) != tc.text {
			t.Errorf("parseDuration(%q) = %v, %v, in text %q; want %v, %q", tc.written, got, err, durationText(got), tc.want, tc.text)
		}
	}
	for _, written := range []string{"", "4", "4 days", "2d1w", "1.5d", "12345d", "1d-1h", "9999w2500000h", "d"} {
		if got, err := parseDuration(written); err == nil || !strings.Contains(err.Error(), `expected a duration such as 90m, 4h, 3d or 2w`) {
			t.Errorf("parseDuration(%q) = %v, %v, want what is expected", written, got, err)
		}
	}
}
