package azureinventory

import (
	"context"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/dnsresolver/armdnsresolver"

	"github.com/privatelink-dns/privatelink-dns/plugin/audit"
)

// readResolvers reads the resolvers with their inbound endpoints.
func (s *subscription) readResolvers(ctx context.Context) error {
	s.progress("DNS resolvers", 0, 0)
	found, err := collect(ctx, s.resolvers.NewDNSResolversClient().NewListPager(nil), func(page armdnsresolver.DNSResolversClientListResponse) []*armdnsresolver.DNSResolver {
		return page.Value
	})
	if err != nil {
		return err
	}
	resolvers := make([]audit.Resolver, len(found))
	err = s.each(ctx, "DNS resolvers", len(found), func(ctx context.Context, index int) error {
		properties := of(found[index].Properties)
		resolvers[index] = audit.Resolver{
			ID: text(found[index].ID), Network: text(of(properties.VirtualNetwork).ID), State: text(properties.ProvisioningState),
		}
		return s.readInbound(ctx, &resolvers[index])
	})
	s.inventory.Resolvers = append(s.inventory.Resolvers, resolvers...)
	return err
}

func (s *subscription) readInbound(ctx context.Context, resolver *audit.Resolver) error {
	group, name, err := parent(resolver.ID)
	if err != nil {
		return err
	}
	found, err := collect(ctx, s.resolvers.NewInboundEndpointsClient().NewListPager(group, name, nil), func(page armdnsresolver.InboundEndpointsClientListResponse) []*armdnsresolver.InboundEndpoint {
		return page.Value
	})
	if err != nil {
		return ignoreGone(err)
	}
	for _, each := range found {
		properties := of(each.Properties)
		inbound := audit.Inbound{ID: text(each.ID), State: text(properties.ProvisioningState)}
		for _, configuration := range properties.IPConfigurations {
			inbound.Addresses = append(inbound.Addresses, addresses([]string{text(of(configuration).PrivateIPAddress)})...)
		}
		resolver.Inbound = append(resolver.Inbound, inbound)
	}
	return nil
}

// readRulesets reads the forwarding rulesets with their rules and links.
func (s *subscription) readRulesets(ctx context.Context) error {
	s.progress("forwarding rulesets", 0, 0)
	found, err := collect(ctx, s.resolvers.NewDNSForwardingRulesetsClient().NewListPager(nil), func(page armdnsresolver.DNSForwardingRulesetsClientListResponse) []*armdnsresolver.DNSForwardingRuleset {
		return page.Value
	})
	if err != nil {
		return err
	}
	rulesets := make([]audit.Ruleset, len(found))
	err = s.each(ctx, "forwarding rulesets", len(found), func(ctx context.Context, index int) error {
		rulesets[index] = audit.Ruleset{ID: text(found[index].ID)}
		return s.readRuleset(ctx, &rulesets[index])
	})
	s.inventory.Rulesets = append(s.inventory.Rulesets, rulesets...)
	return err
}

func (s *subscription) readRuleset(ctx context.Context, ruleset *audit.Ruleset) error {
	group, name, err := parent(ruleset.ID)
	if err != nil {
		return err
	}
	links, err := collect(ctx, s.resolvers.NewVirtualNetworkLinksClient().NewListPager(group, name, nil), func(page armdnsresolver.VirtualNetworkLinksClientListResponse) []*armdnsresolver.VirtualNetworkLink {
		return page.Value
	})
	if err != nil {
		return ignoreGone(err)
	}
	for _, link := range links {
		ruleset.Networks = append(ruleset.Networks, text(of(of(link.Properties).VirtualNetwork).ID))
	}
	rules, err := collect(ctx, s.resolvers.NewForwardingRulesClient().NewListPager(group, name, nil), func(page armdnsresolver.ForwardingRulesClientListResponse) []*armdnsresolver.ForwardingRule {
		return page.Value
	})
	if err != nil {
		return ignoreGone(err)
	}
	for _, each := range rules {
		properties := of(each.Properties)
		if strings.EqualFold(text(properties.ForwardingRuleState), string(armdnsresolver.ForwardingRuleStateDisabled)) {
			continue
		}
		rule := audit.Rule{ID: text(each.ID), Domain: qualified(text(properties.DomainName))}
		for _, target := range properties.TargetDNSServers {
			rule.Targets = append(rule.Targets, addresses([]string{text(of(target).IPAddress)})...)
		}
		ruleset.Rules = append(ruleset.Rules, rule)
	}
	return nil
}
