//go:build linux

package main

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
)

const (
	// namespace is the public suffix of all names but those of routes.
	namespace = "database.windows.net"
	// cachedNames is how many different names are asked again and again.
	cachedNames = 1000
)

// publicName is the n-th name with a private endpoint.
func publicName(n int) string { return fmt.Sprintf("db%06d.%s", n, namespace) }

// privateName is the privatelink name behind the n-th name.
func privateName(n int) string { return fmt.Sprintf("db%06d.privatelink.%s", n, namespace) }

// newNames are names that nobody has asked for, if the series is new.
func newNames(series int) func(int) string {
	return func(n int) string { return fmt.Sprintf("m%04x%06x.%s", series, n, namespace) }
}

// routeSuffix is the n-th suffix that has a route of its own.
func routeSuffix(n int) string { return fmt.Sprintf("s%06d.corp.example", n) }

// routedNames are the names of the cached workload, spread evenly over routes.
func routedNames(routes int) func(int) string {
	return func(n int) string {
		return fmt.Sprintf("db%06d.%s", n, routeSuffix(n*max(1, routes/cachedNames)%routes))
	}
}

// newRoutedNames are newNames spread over routes, so that neighbours in time
// are none in memory.
func newRoutedNames(series, routes int) func(int) string {
	const stride = 7919 // a prime that divides no number of routes
	return func(n int) string {
		return fmt.Sprintf("m%04x%06x.%s", series, n, routeSuffix(n*stride%routes))
	}
}

// addressOf is the address of the name that begins with a label, whatever its
// case: its own, so that an answer to another question is seen.
func addressOf(label string) netip.Addr { return netip.AddrFrom4(addressOfLabel([]byte(label))) }

// writeQuestions writes a file for dnsperf that asks for the addresses of the
// first names.
func writeQuestions(path string, name func(n int) string, number int) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if closing := file.Close(); err == nil {
			err = closing
		}
	}()
	out := bufio.NewWriterSize(file, 1<<20)
	for n := range number {
		_, _ = out.WriteString(name(n)) // Flush tells of errors
		_, _ = out.WriteString(" A\n")
	}
	return out.Flush()
}
