package logreport

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// grouped writes a number with a comma after each three digits.
func grouped(number uint64) string {
	digits := strconv.FormatUint(number, 10)
	for place := len(digits) - 3; place > 0; place -= 3 {
		digits = digits[:place] + "," + digits[place:]
	}
	return digits
}

// percent writes a share. What is not nothing is never written as 0 %, and
// what is not all never as 100 %.
func percent(share float64) string {
	switch {
	case share <= 0:
		return "0 %"
	case share < 0.001:
		return "<0.1 %"
	case share > 0.999 && share < 1:
		return ">99.9 %"
	case share < 0.0995:
		return strconv.FormatFloat(100*share, 'f', 1, 64) + " %"
	}
	return strconv.FormatFloat(100*share, 'f', 0, 64) + " %"
}

// seconds writes a duration with two or three digits that count.
func seconds(value float64) string {
	for _, unit := range []struct {
		least, factor float64
		name          string
	}{{1, 1, "s"}, {0.001, 1e3, "ms"}} {
		if value >= unit.least {
			return significant(value*unit.factor) + " " + unit.name
		}
	}
	return strconv.FormatFloat(value*1e6, 'f', 0, 64) + " µs"
}

// roundTrip is seconds, or a dash where there was none.
func roundTrip(value float64) string {
	if value == 0 {
		return "-"
	}
	return seconds(value)
}

func significant(value float64) string {
	if value < 9.95 {
		return strconv.FormatFloat(value, 'f', 1, 64)
	}
	return grouped(uint64(value + 0.5))
}

// duration writes how long something lasted, in its two greatest units.
func duration(lasted time.Duration) string {
	if lasted < time.Second {
		return seconds(lasted.Seconds())
	}
	left := lasted.Round(time.Second)
	var parts []string
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		count := left / unit.length
		left -= count * unit.length
		switch {
		case count > 0:
			parts = append(parts, fmt.Sprintf("%d %s", count, unit.name))
		case len(parts) > 0:
			parts = append(parts, "")
		}
		if len(parts) == 2 {
			break
		}
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}

// plural writes a number of things.
func plural(count uint64, thing string) string {
	if count == 1 {
		return "1 " + thing
	}
	if before, isY := strings.CutSuffix(thing, "y"); isY {
		return grouped(count) + " " + before + "ies"
	}
	return grouped(count) + " " + thing + "s"
}

// atLeast writes a number of things that are counted up to most.
func atLeast(count int, thing string, most int) string {
	if count < most {
		return plural(uint64(count), thing)
	}
	return plural(uint64(count), thing) + " or more"
}

// hostOf is a server's address as dig takes it.
func hostOf(server string) string {
	host, port, err := net.SplitHostPort(server)
	switch {
	case err != nil:
		return server
	case port == "53":
		return host
	}
	return host + " -p " + port
}
