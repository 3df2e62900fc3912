//go:build linux

package main

import (
	"fmt"
	"net/netip"
)

// workload is what is asked.
type workload struct {
	name string
	// names are those of the n-th question; the series is another one each time.
	names func(series int) func(n int) string
	// number is how many names are asked again and again; 0 where every name is new.
	number int
	client netip.Addr
	rcode  string // of the right answer
	// upstream is the least and the most share of questions that go on to the upstream.
	upstream [2]float64
	// latency tells whether it is measured, at a load that all its subjects bear.
	latency  bool
	subjects []subject
}

// isNew reports whether every name is new.
func (w *workload) isNew() bool { return w.number == 0 }

// The workloads' names, which the ratios refer to.
const (
	cachedName     = "cached"
	missesName     = "misses"
	rejectionsName = "rejections"
)

// The names of the workloads over so many routes.
func routesCachedName(routes int) string { return fmt.Sprintf("cached, %d routes", routes) }
func routesMissesName(routes int) string { return fmt.Sprintf("misses, %d routes", routes) }

// The least and the most routes that are compared.
const (
	fewRoutes  = 10
	manyRoutes = 100_000
)

// A chain that is taken apart, as Unbound does, takes two questions.
var (
	fromCache    = [2]float64{0, 0.01}
	fromUpstream = [2]float64{0.98, 2.1}
)

// workloads are all, in the order of the report.
func workloads() []*workload {
	anybody := netip.MustParseAddr("127.0.0.1")
	again := func(name func(int) string) func(int) func(int) string {
		return func(int) func(int) string { return name }
	}
	all := []*workload{
		{
			name: cachedName, names: again(publicName), number: cachedNames, client: anybody, rcode: "NOERROR", upstream: fromCache, latency: true,
			subjects: []subject{bare, ours, oursFull, coreDNS, coreDNSFull, dnsdist, dnsdistFull, unbound, unboundFull, dnsmasq, dnsmasqFull},
		},
		{
			name: missesName, names: newNames, client: anybody, rcode: "NOERROR", upstream: fromUpstream, latency: true,
			subjects: []subject{ours, oursFull, coreDNS, coreDNSFull, dnsdist, unbound, dnsmasq},
		},
		{
			name: rejectionsName, names: again(privateName), number: cachedNames, client: netip.MustParseAddr(stubClient), rcode: "REFUSED", upstream: fromCache, latency: true,
			subjects: []subject{ours, oursFull},
		},
	}
	for _, routes := range []int{fewRoutes, 1000, manyRoutes} {
		subjects := []subject{{oursName, "", configureOurs(false, routes)}}
		all = append(all,
			&workload{
				name: routesCachedName(routes), names: again(routedNames(routes)), number: cachedNames, client: anybody, rcode: "NOERROR", upstream: fromCache,
				subjects: subjects,
			},
			&workload{
				name: routesMissesName(routes), names: func(series int) func(int) string { return newRoutedNames(series, routes) },
				client: anybody, rcode: "NOERROR", upstream: fromUpstream, subjects: subjects,
			})
	}
	return all
}
