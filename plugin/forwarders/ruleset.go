package forwarders

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
)

// The limits of a DNS forwarding ruleset: 1,000 rules, 6 targets in each.
const (
	rulesetRules   = 1000
	rulesetTargets = 6
	rulesetReason  = "a rule of a DNS forwarding ruleset takes no more"
)

// rulesetNotes tell which networks a ruleset is for, in both languages.
var rulesetNotes = []string{
	"",
	"For virtual networks that use Azure-provided DNS and are linked to the ruleset. Do not link it to the",
	"network of the targets: privatelink-dns asks Azure-provided DNS there, which would send every question",
	"back. One rule for \".\" is not enough: Azure leaves its own domains out of it.",
}

// rulesetBicep adds rules to a ruleset that exists.
var rulesetBicep = Format{
	Name: "azure-ruleset-bicep", Product: "Azure DNS Private Resolver", comment: "// ", anyPort: true, inAzure: true,
	targets: rulesetTargets, reason: rulesetReason, domains: rulesetRules, notes: rulesetNotes,
	write: func(out *bytes.Buffer, plan Plan) {
		out.WriteString("@description('The DNS forwarding ruleset that gets the rules, in the resource group of this deployment.')\nparam rulesetName string\n\n")
		out.WriteString("var targetDnsServers = [\n")
		for _, target := range plan.Targets {
			fmt.Fprintf(out, "  { ipAddress: '%s', port: %d }\n", target.Addr().Unmap(), target.Port())
		}
		out.WriteString("]\n\nvar rules = [\n")
		for _, rule := range rulesOf(plan.Domains) {
			fmt.Fprintf(out, "  { name: '%s', domainName: '%s' }\n", rule.name, rule.domain)
		}
		out.WriteString(bicepResources)
	},
}

const bicepResources = `]

resource ruleset 'Microsoft.Network/dnsForwardingRulesets@2022-07-01' existing = {
  name: rulesetName
}

resource forwardingRules 'Microsoft.Network/dnsForwardingRulesets/forwardingRules@2022-07-01' = [for rule in rules: {
  parent: ruleset
  name: rule.name
  properties: {
    domainName: rule.domainName
    forwardingRuleState: 'Enabled'
    targetDnsServers: targetDnsServers
  }
}]
`

// rulesetTerraform is the same for the azurerm provider.
var rulesetTerraform = Format{
	Name: "azure-ruleset-terraform", Product: "Azure DNS Private Resolver", comment: "# ", anyPort: true, inAzure: true,
	targets: rulesetTargets, reason: rulesetReason, domains: rulesetRules, notes: rulesetNotes,
	write: func(out *bytes.Buffer, plan Plan) {
		out.WriteString("variable \"dns_forwarding_ruleset_id\" {\n  description = \"The DNS forwarding ruleset that gets the rules.\"\n  type        = string\n}\n\n")
		out.WriteString("locals {\n  privatelink_forwarding_rules = {\n")
		rules := rulesOf(plan.Domains)
		widest := 0
		for _, rule := range rules {
			widest = max(widest, len(rule.name))
		}
		for _, rule := range rules {
			// terraform fmt lines the equals signs up.
			fmt.Fprintf(out, "    %-*s = %q\n", widest+2, `"`+rule.name+`"`, rule.domain)
		}
		out.WriteString("  }\n}\n\n" + terraformResource)
		writeTerraformTargets(out, plan.Targets)
		out.WriteString("}\n")
	},
}

const terraformResource = `resource "azurerm_private_dns_resolver_forwarding_rule" "privatelink" {
  for_each = local.privatelink_forwarding_rules

  name                      = each.key
  dns_forwarding_ruleset_id = var.dns_forwarding_ruleset_id
  domain_name               = each.value
  enabled                   = true
`

func writeTerraformTargets(out *bytes.Buffer, targets []netip.AddrPort) {
	for _, target := range targets {
		fmt.Fprintf(out, "\n  target_dns_servers {\n    ip_address = \"%s\"\n    port       = %d\n  }\n", target.Addr().Unmap(), target.Port())
	}
}

// forwardingRule is one rule of a ruleset; its domain has the final dot.
type forwardingRule struct{ name, domain string }

// rulesOf names a rule for each domain. A rule's name has letters, digits,
// underscores and hyphens, begins with a letter, and has 80 characters at most.
func rulesOf(domains []string) []forwardingRule {
	const longest = 75
	taken := map[string]bool{}
	rules := make([]forwardingRule, 0, len(domains))
	for _, domain := range domains {
		name := strings.ReplaceAll(domain, ".", "-")
		if name[0] < 'a' || name[0] > 'z' {
			name = "domain-" + name
		}
		name = strings.TrimRight(name[:min(len(name), longest)], "-_")
		unique := name
		for number := 2; taken[unique]; number++ {
			unique = fmt.Sprintf("%s-%d", name, number)
		}
		taken[unique] = true
		rules = append(rules, forwardingRule{unique, domain + "."})
	}
	return rules
}
