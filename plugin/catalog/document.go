package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxSourceSize bounds what one source may hold. The largest real one is some
// hundred kilobytes; yaml.v3 needs about fifty times the size of its input.
const maxSourceSize = 16 << 20

// schemaVersion is the only value of the field schema.
const schemaVersion = "1"

// document is one source as written, with the lines for messages. What its
// names mean is the builder's business.
type document struct {
	services []serviceRow
	zones    []zoneRow
}

// text is one scalar and where it stands.
type text struct {
	value string
	line  int
}

// serviceRow is one entry under services. Fields that only people read are
// checked for their form and not kept.
type serviceRow struct {
	service, include             text
	privateZones, publicSuffixes []text
}

// zoneRow is one entry under zones.
type zoneRow struct {
	zone, publicSuffix, direct text
	directNames, underivable   []text
}

// field is one key a mapping may have.
type field struct {
	name     string
	required bool
	read     func(*yaml.Node)
}

// reader turns one source into a document and collects every error on the
// way. It walks the nodes itself: the errors of yaml.v3's own decoding name Go
// types, and stop short of "found, expected".
type reader struct {
	path string
	errs []error
}

// readDocument reads one source. The document is of use only if there are no
// errors.
func readDocument(source Source) (document, []error) {
	r := &reader{path: source.Path}
	var doc document
	if root := r.parse(source.Data); root != nil {
		r.mapping(root, "a catalog", []field{
			{"schema", true, r.schema},
			{"cloud", true, r.ignored},
			{"services", false, list(r, func(n *yaml.Node) { doc.services = append(doc.services, r.service(n)) })},
			{"zones", false, list(r, func(n *yaml.Node) { doc.zones = append(doc.zones, r.zone(n)) })},
		})
	}
	return doc, r.errs
}

// fail notes an error at a line of the source.
func (r *reader) fail(line int, format string, values ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s:%d: %s", r.path, line, fmt.Sprintf(format, values...)))
}

// parse reads the one YAML document a source holds, nil if it does not.
func (r *reader) parse(data []byte) *yaml.Node {
	if len(data) > maxSourceSize {
		r.fail(1, "found %d bytes, expected at most %d", len(data), maxSourceSize)
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var root, second yaml.Node
	switch err := decoder.Decode(&root); {
	case errors.Is(err, io.EOF):
		r.fail(1, "found nothing, expected a catalog")
		return nil
	case err != nil:
		r.failSyntax(err)
		return nil
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		r.fail(second.Line, "found a second document, expected one")
		return nil
	case !errors.Is(err, io.EOF):
		r.failSyntax(err)
		return nil
	}
	return root.Content[0]
}

// failSyntax notes an error of yaml.v3, which has the line, if any, only in
// its text.
func (r *reader) failSyntax(err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if found := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(message); found != nil {
		message = message[len(found[0]):]
		_, _ = fmt.Sscan(found[1], &line)
	}
	r.fail(line, "found %s, expected YAML", message)
}

// mapping reads a mapping whose keys are fields and nothing else.
func (r *reader) mapping(node *yaml.Node, what string, fields []field) {
	if node.Kind != yaml.MappingNode {
		r.fail(node.Line, "found %s, expected %s", describe(node), what)
		return
	}
	present := make(map[string]bool, len(fields))
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		known := findField(fields, key)
		switch {
		case known == nil:
			r.fail(key.Line, "found %s in %s, expected one of %s", describe(key), what, fieldNames(fields))
		case present[known.name]:
			r.fail(key.Line, "found field %q twice in %s, expected it once", known.name, what)
		default:
			present[known.name] = true
			known.read(value)
		}
	}
	for _, f := range fields {
		if f.required && !present[f.name] {
			r.fail(node.Line, "found %s without field %q, expected it", what, f.name)
		}
	}
}

// findField returns the field a key names, nil if there is none.
func findField(fields []field, key *yaml.Node) *field {
	if key.Kind != yaml.ScalarNode {
		return nil
	}
	for i := range fields {
		if fields[i].name == key.Value {
			return &fields[i]
		}
	}
	return nil
}

// fieldNames lists the keys a mapping may have, for messages.
func fieldNames(fields []field) string {
	names := make([]string, 0, len(fields))
	for _, f := range fields {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// list reads a sequence, each item by read.
func list(r *reader, read func(*yaml.Node)) func(*yaml.Node) {
	return func(node *yaml.Node) {
		if node.Kind != yaml.SequenceNode {
			r.fail(node.Line, "found %s, expected a list", describe(node))
			return
		}
		for _, item := range node.Content {
			read(item)
		}
	}
}

// texts reads a list of scalars that is not empty.
func (r *reader) texts(into *[]text) func(*yaml.Node) {
	items := list(r, func(node *yaml.Node) {
		var t text
		r.text(&t)(node)
		*into = append(*into, t)
	})
	return func(node *yaml.Node) {
		if node.Kind == yaml.SequenceNode && len(node.Content) == 0 {
			r.fail(node.Line, "found an empty list, expected at least one entry")
		}
		items(node)
	}
}

// text reads one scalar that is not empty.
func (r *reader) text(into *text) func(*yaml.Node) {
	return func(node *yaml.Node) {
		if node.Kind != yaml.ScalarNode || node.ShortTag() != "!!str" || strings.TrimSpace(node.Value) == "" {
			r.fail(node.Line, "found %s, expected text", describe(node))
			return
		}
		*into = text{value: node.Value, line: node.Line}
	}
}

// ignored reads one scalar that only people read.
func (r *reader) ignored(node *yaml.Node) {
	var t text
	r.text(&t)(node)
}

// schema reads the version of the schema.
func (r *reader) schema(node *yaml.Node) {
	if node.Kind != yaml.ScalarNode || node.Value != schemaVersion {
		r.fail(node.Line, "found schema %s, expected %s", describe(node), schemaVersion)
	}
}

// service reads one entry under services.
func (r *reader) service(node *yaml.Node) (row serviceRow) {
	var ignored []text
	r.mapping(node, "a service", []field{
		{"service", true, r.text(&row.service)},
		{"category", false, r.ignored},
		{"resource_types", false, r.texts(&ignored)},
		{"group_ids", false, r.texts(&ignored)},
		{"private_zones", true, r.texts(&row.privateZones)},
		{"public_suffixes", true, r.texts(&row.publicSuffixes)},
		{"include", false, r.text(&row.include)},
		{"note", false, r.ignored},
	})
	return row
}

// zone reads one entry under zones.
func (r *reader) zone(node *yaml.Node) (row zoneRow) {
	r.mapping(node, "a zone", []field{
		{"zone", true, r.text(&row.zone)},
		{"public_suffix", false, r.text(&row.publicSuffix)},
		{"direct", false, r.text(&row.direct)},
		{"direct_names", false, r.texts(&row.directNames)},
		{"underivable", false, r.texts(&row.underivable)},
		{"note", false, r.ignored},
	})
	return row
}

// describe says in a message what was found: short, and safe to print.
func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	if node.ShortTag() == "!!null" {
		return "nothing"
	}
	return quote(node.Value)
}

// quote makes a value of the source safe to print, and not longer than a line.
func quote(value string) string {
	const longest = 80
	if len(value) > longest {
		value = value[:longest] + "..."
	}
	return fmt.Sprintf("%q", value)
}
