package privatelink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"gopkg.in/yaml.v3"
)

// rulesFile is a file of many routes and networks. It is made of lists, since
// yaml.v3 checks the keys of a mapping in quadratic time.
type rulesFile struct {
	Routes  []routeRule   `yaml:"routes"`
	Clients []clientsRule `yaml:"clients"`
	Private []yaml.Node   `yaml:"private"`
	// MustPrivate are suffixes, and exact names with "=" in front.
	MustPrivate []yaml.Node `yaml:"must_private"`
}

type routeRule struct {
	Suffix string `yaml:"suffix"`
	Name   string `yaml:"name"`
	// Group is one group, or a list of them: sites.
	Group groupNames `yaml:"group"`
	// Missing and Outage are the groups to fall back to.
	Missing string `yaml:"missing"`
	Outage  string `yaml:"outage"`
	line    int
}

type clientsRule struct {
	Class    string   `yaml:"class"`
	Networks []string `yaml:"networks"`
	line     int
}

// UnmarshalYAML keeps the line and refuses keys that do not exist: a node's
// Decode forgets the decoder's KnownFields.
func (r *routeRule) UnmarshalYAML(node *yaml.Node) error {
	type plain routeRule
	r.line = node.Line
	return decodeStrictly(node, []string{"suffix", "name", "group", "missing", "outage"}, (*plain)(r))
}

// UnmarshalYAML is as that of routeRule.
func (r *clientsRule) UnmarshalYAML(node *yaml.Node) error {
	type plain clientsRule
	r.line = node.Line
	return decodeStrictly(node, []string{"class", "networks"}, (*plain)(r))
}

func parseRules(parsed *config, where string, arguments []string) error {
	var mistakes []error
	for _, written := range arguments {
		path := parsed.path(written)
		parsed.files = append(parsed.files, path)
		data, err := os.ReadFile(path)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: reading rules: %w", where, err))
			continue
		}
		mistakes = append(mistakes, parsed.addRules(path, data))
	}
	return errors.Join(mistakes...)
}

// addRules reads one rules file. Its mistakes all carry path:line.
func (c *config) addRules(path string, data []byte) error {
	var file rulesFile
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return yamlError(path, err)
	}
	if err := checkDocument(path, data); err != nil {
		return err
	}
	var mistakes []error
	for _, rule := range file.Routes {
		where := fmt.Sprintf("%s:%d", path, rule.line)
		if (rule.Suffix == "") == (rule.Name == "") {
			mistakes = append(mistakes, fmt.Errorf("%s: found a route with suffix %q and name %q, expected one of the two", where, rule.Suffix, rule.Name))
			continue
		}
		mistakes = append(mistakes, c.addRoute(routeConfig{suffix: rule.Suffix, name: rule.Name, groups: rule.Group, missing: rule.Missing, outage: rule.Outage, where: where, label: "rules"}))
	}
	for _, rule := range file.Clients {
		where := fmt.Sprintf("%s:%d", path, rule.line)
		if len(rule.Networks) == 0 {
			mistakes = append(mistakes, fmt.Errorf("%s: found class %q without networks, expected at least one", where, rule.Class))
			continue
		}
		mistakes = append(mistakes, c.declareClients(where, rule.Class, rule.Networks))
	}
	for _, node := range file.Private {
		mistakes = append(mistakes, c.addPrivate(fmt.Sprintf("%s:%d", path, node.Line), []string{node.Value}))
	}
	for _, node := range file.MustPrivate {
		mistakes = append(mistakes, c.addMustPrivate(fmt.Sprintf("%s:%d", path, node.Line), []string{node.Value}))
	}
	return errors.Join(mistakes...)
}
