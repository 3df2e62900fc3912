//go:build linux

package prove

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// socketDrops returns how many packets the kernel has dropped because the
// sockets at an address were full. A server has not received those.
func socketDrops(t testing.TB, address netip.AddrPort) int {
	t.Helper()
	text, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		t.Fatal(err)
	}
	drops, port := 0, fmt.Sprintf(":%04X", address.Port())
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 13 || !strings.HasSuffix(fields[1], port) {
			continue
		}
		number, err := strconv.Atoi(fields[12])
		if err != nil {
			t.Fatalf("/proc/net/udp: found %q, expected the number of drops last", line)
		}
		drops += number
	}
	return drops
}

// tick is the unit in which the kernel tells of processor time.
const tick = time.Second / 100

// processorTime returns what a process has used so far.
func processorTime(t testing.TB, process int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process))
	if err != nil {
		t.Fatal(err)
	}
	// The second field is a name in brackets that may hold anything.
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		t.Fatalf("/proc/%d/stat: found %q", process, text)
	}
	return ticks(t, fields[11]) + ticks(t, fields[12])
}

// busyTime returns what all processors have worked so far, for anybody.
func busyTime(t testing.TB) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text))
	if len(fields) < 9 {
		t.Fatalf("/proc/stat: found %q", text)
	}
	var busy time.Duration
	for i, field := range fields[1:9] {
		if idle := i == 3 || i == 4; !idle {
			busy += ticks(t, field)
		}
	}
	return busy
}

func ticks(t testing.TB, number string) time.Duration {
	t.Helper()
	count, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(count) * tick
}
