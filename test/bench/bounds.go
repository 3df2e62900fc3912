//go:build linux

package main

import "math"

// side is one side of a ratio: a subject under a workload.
type side struct{ workload, subject string }

// bound is a ratio that must not be exceeded.
type bound struct {
	title string
	most  float64
	ours  side
	// peers is what ours is compared with: the best of them.
	peers []side
	// figure is what is compared: processor time at full speed, or latency.
	figure func(summary) spread
}

func processorTime(s summary) spread { return s.processor }
func latency99(s summary) spread     { return s.p99 }

// bounds are what must be shown.
func bounds() []bound {
	against := func(workload string, subjects ...string) (sides []side) {
		for _, subject := range subjects {
			sides = append(sides, side{workload, subject})
		}
		return sides
	}
	cached, full, misses := side{cachedName, oursName}, side{cachedName, oursFullName}, side{missesName, oursName}
	return []bound{
		{"cached, no log: ours / floor", 1.25, cached, against(cachedName, floorName), processorTime},
		{"cached, full duty: ours / floor", 1.45, full, against(cachedName, floorName), processorTime},
		{"cached, full duty: ours / CoreDNS with log + prometheus", 0.30, full, against(cachedName, coreDNSFullName), processorTime},
		{"cached, no log: ours / dnsdist", 1.10, cached, against(cachedName, dnsdistName), processorTime},
		{"cached, logging on in both: ours / dnsdist", 1.00, full, against(cachedName, dnsdistFullName), processorTime},
		{"misses, no log: ours / CoreDNS forward", 0.60, misses, against(missesName, coreDNSName), processorTime},
		{"misses: ours / dnsdist", 1.50, misses, against(missesName, dnsdistName), processorTime},
		{"cached: 100,000 routes / 10 routes", 1.05, side{routesCachedName(manyRoutes), oursName}, against(routesCachedName(fewRoutes), oursName), processorTime},
		{"misses: 100,000 routes / 10 routes", 1.05, side{routesMissesName(manyRoutes), oursName}, against(routesMissesName(fewRoutes), oursName), processorTime},
		{"p99 at fixed load, full duty: ours / best of the peers", 1.20, full, against(cachedName, coreDNSFullName, dnsdistFullName, unboundFullName, dnsmasqFullName), latency99},
	}
}

// verdict is what came of a bound.
type verdict struct {
	bound
	ratio      float64 // of the medians; not a number where a side is missing
	ours, peer float64
	against    string // the peer that was the best
}

// reached reports whether the ratio keeps within the bound.
func (v verdict) reached() bool { return v.ratio <= v.most }

// judge compares. A peer that was not measured is left out.
func (b bound) judge(cells []*cell) verdict {
	median := func(s side) float64 {
		for _, c := range cells {
			if c.workload.name == s.workload && c.subject.name == s.subject {
				return b.figure(c.summary()).median
			}
		}
		return math.NaN()
	}
	v := verdict{bound: b, ours: median(b.ours), peer: math.NaN()}
	for _, s := range b.peers {
		if found := median(s); !math.IsNaN(found) && !(v.peer <= found) {
			v.peer, v.against = found, s.subject
			if s.workload != b.ours.workload {
				v.against = s.workload
			}
		}
	}
	v.ratio = v.ours / v.peer
	return v
}
