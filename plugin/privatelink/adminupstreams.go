package privatelink

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

func (s *slot) upstreamStates() []UpstreamState {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	states := []UpstreamState{}
	for endpoint, shared := range s.servers {
		health, stats := shared.server.Health(), shared.server.Stats()
		state := UpstreamState{
			Server: endpoint.String(), Groups: s.groupsOf(endpoint), State: stateOf(health), Since: health.Since,
			RTTSeconds: health.RTT.Seconds(), P95Seconds: health.P95.Seconds(),
			PerSecond: stats.PerSecond, Outstanding: stats.Outstanding, Waiting: stats.Waiting, Refused: stats.Refused,
		}
		states = append(states, state)
	}
	slices.SortFunc(states, func(a, b UpstreamState) int { return compareServers(a.Server, b.Server) })
	return states
}

// groupsOf are the groups of all configurations that a server is in. The mutex is held.
func (s *slot) groupsOf(server endpoint) []UpstreamGroup {
	groups := []UpstreamGroup{}
	for _, written := range s.groups {
		for name, group := range written {
			if tier := group.tierOf(server); tier > 0 {
				groups = append(groups, UpstreamGroup{Name: name, Tier: tier})
			}
		}
	}
	slices.SortFunc(groups, func(a, b UpstreamGroup) int {
		return cmp.Or(cmp.Compare(a.Tier, b.Tier), strings.Compare(a.Name, b.Name))
	})
	return slices.Compact(groups)
}

// tierOf is the tier of a server, from 1 on; 0 for one of another group.
func (g *groupConfig) tierOf(server endpoint) int {
	for index, tier := range slices.Concat([][]endpoint{g.servers}, g.backups) {
		if slices.Contains(tier, server) {
			return index + 1
		}
	}
	return 0
}

// compareServers sorts addresses as addresses, and the others behind them by text.
func compareServers(a, b string) int {
	left, leftErr := netip.ParseAddrPort(a)
	right, rightErr := netip.ParseAddrPort(b)
	if leftErr == nil && rightErr == nil {
		return left.Compare(right)
	}
	return strings.Compare(a, b)
}
