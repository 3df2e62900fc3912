package forwarders

import (
	"strconv"
	"strings"
)

// readRuleset reads the rules of a DNS forwarding ruleset: an exported template,
// what the REST API lists, or what "az dns-resolver forwarding-rule list" prints.
// A rule is any object with a domainName and targetDnsServers, however deep.
func readRuleset(r *reader, data []byte) error {
	values, err := r.jsonValues(data)
	if err != nil {
		return err
	}
	for _, value := range values {
		if err := r.rulesetNode(value); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) rulesetNode(node jsonNode) error {
	if node.has("domainName") && node.has("targetDnsServers") {
		return r.forwardingRule(node)
	}
	for _, item := range node.items {
		if err := r.rulesetNode(item); err != nil {
			return err
		}
	}
	for _, f := range node.fields {
		if err := r.rulesetNode(f.value); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) forwardingRule(rule jsonNode) error {
	line, domain := rule.field("domainName").line, rule.field("domainName").text
	servers := rule.field("targetDnsServers")
	switch {
	case isExpression(domain) || isExpression(servers.text):
		r.leftOut(line, domain, "an expression of a template; export the rules that are deployed: az dns-resolver forwarding-rule list")
		return nil
	case strings.EqualFold(rule.field("forwardingRuleState").text, "Disabled"):
		r.leftOut(line, domain, "the rule is disabled")
		return nil
	}
	var targets []Server
	for _, written := range servers.items {
		port := uint64(53)
		if written.has("port") && written.field("port").isText {
			var err error
			if port, err = strconv.ParseUint(written.field("port").text, 10, 16); err != nil {
				port = 0
			}
		}
		if server, ok := r.server(written.line, domain, written.field("ipAddress").text, uint16(port)); ok {
			targets = append(targets, server)
		}
	}
	return r.add(line, domain, targets)
}

// isExpression tells an expression of an ARM template from a value.
func isExpression(text string) bool { return strings.HasPrefix(text, "[") }
