package audit

import (
	"fmt"
	"net/netip"
	"slices"
)

// azureDNS is where Azure-provided DNS answers in every virtual network
// (https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16).
var azureDNS = netip.AddrFrom4([4]byte{168, 63, 129, 16})

// checkRulesets finds rules that send a question back to where it came from.
func (a *auditor) checkRulesets() string {
	rules := 0
	for index := range a.Rulesets {
		ruleset := &a.Rulesets[index]
		rules += len(ruleset.Rules)
		for _, network := range ruleset.Networks {
			for _, rule := range ruleset.Rules {
				a.checkRule(ruleset, network, rule)
			}
		}
	}
	if len(a.Rulesets) == 0 {
		return "there are none"
	}
	return fmt.Sprintf("%s in %s, and no loop", counted(rules, "rule"), counted(len(a.Rulesets), "ruleset"))
}

func (a *auditor) checkRule(ruleset *Ruleset, network string, rule Rule) {
	for _, target := range rule.Targets {
		text := ""
		switch {
		case a.isInboundOf(network, target):
			text = fmt.Sprintf("%s asks %s for %s, which is an inbound endpoint in that same VNet and applies the same rule: a loop", lastOf(network), target, bare(rule.Domain))
		case slices.Contains(a.expected.Listens, target) && a.asksIn(network, rule.Domain):
			text = fmt.Sprintf("%s asks us for %s, and we ask Azure-provided DNS in that VNet, which applies the rule: a loop", lastOf(network), bare(rule.Domain))
		default:
			continue
		}
		a.add(Finding{
			Code: "ruleset-loop", Severity: Fault, Subject: lastOf(ruleset.ID), Where: rule.ID, Text: text,
			Next: "take the link to that VNet off the ruleset, or the rule out of it",
		})
		return
	}
}

// isInboundOf tells whether an address is that of an inbound endpoint in a network.
func (a *auditor) isInboundOf(network string, address netip.Addr) bool {
	return slices.ContainsFunc(a.Resolvers, func(resolver Resolver) bool {
		return sameKey(resolver.Network) == sameKey(network) && resolver.answersAt([]netip.Addr{address})
	})
}

// asksIn tells whether our questions for a domain reach Azure-provided DNS in a network.
func (a *auditor) asksIn(network, domain string) bool {
	return slices.ContainsFunc(a.expected.Route(domain).Servers, func(server netip.Addr) bool {
		if server == azureDNS {
			return slices.ContainsFunc(a.expected.Networks, func(named string) bool { return sameKey(named) == sameKey(network) })
		}
		return a.isInboundOf(network, server)
	})
}
