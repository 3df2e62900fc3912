package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// duration is a flag that says how long. It takes days and weeks, which time.ParseDuration
// does not: people say that an override is for three days, and no clock is set meanwhile.
type duration time.Duration

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// String writes the duration as Set takes it.
func (d *duration) String() string { return durationText(time.Duration(*d)) }

// Type is what --help shows for the value.
func (d *duration) Type() string { return "duration" }

// Set reads the flag's value.
func (d *duration) Set(written string) error {
	read, err := parseDuration(written)
	*d = duration(read)
	return err
}

// weeksAndDays stand before what time.ParseDuration takes. Four digits cannot overflow.
var weeksAndDays = regexp.MustCompile(`^(?:(\d{1,4})w)?(?:(\d{1,4})d)?(.*)$`)

// parseDuration reads 90m, 4h, 3d, 2w or 1w2d12h.
func parseDuration(written string) (time.Duration, error) {
	parts := weeksAndDays.FindStringSubmatch(written)
	if parts == nil {
		return 0, fmt.Errorf("found %q, expected %s", written, expectedDuration)
	}
	weeks, _ := strconv.Atoi(parts[1]) // 0 where there are none
	days, _ := strconv.Atoi(parts[2])
	long, rest := time.Duration(weeks)*week+time.Duration(days)*day, time.Duration(0)
	if parts[3] != "" || written == "" {
		var err error
		if rest, err = time.ParseDuration(parts[3]); err != nil || long > 0 && (rest < 0 || long+rest < long) {
			return 0, fmt.Errorf("found %q, expected %s", written, expectedDuration)
		}
	}
	return long + rest, nil
}

const expectedDuration = "a duration such as 90m, 4h, 3d or 2w"

// durationText writes a duration without the units that are none: 3d, 4h, 1d12h30m.
func durationText(d time.Duration) string {
	days := ""
	if d >= day {
		days = fmt.Sprintf("%dd", d/day)
		if d %= day; d == 0 {
			return days
		}
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return days + text
}
