package azuresim

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"gopkg.in/yaml.v3"
)

// document reads YAML nodes strictly and collects every mistake. yaml.v3's
// own strict decoding stops being exact here: its errors name Go types and
// not what was expected.
type document struct {
	file     string
	mistakes []mistake
	extra    int // mistakes beyond maxMistakes
}

type mistake struct {
	line int
	err  error
}

// maxMistakes bounds how many mistakes are reported at once.
const maxMistakes = 50

// report notes a mistake at a line.
func (d *document) report(line int, format string, args ...any) {
	if len(d.mistakes) == maxMistakes {
		d.extra++
		return
	}
	d.mistakes = append(d.mistakes, mistake{line, fmt.Errorf(format, args...)})
}

// err returns every mistake, one a line, in the order of the file, or nil.
func (d *document) err() error {
	slices.SortStableFunc(d.mistakes, func(a, b mistake) int { return cmp.Compare(a.line, b.line) })
	var errs []error
	for _, m := range d.mistakes {
		errs = append(errs, fmt.Errorf("%s:%d: %w", d.file, m.line, m.err))
	}
	if d.extra > 0 {
		errs = append(errs, fmt.Errorf("%s: and %d more", d.file, d.extra))
	}
	return errors.Join(errs...)
}

// field is one key that a mapping may have.
type field struct {
	name     string
	required bool
	read     func(*yaml.Node)
}

// mapping reads a mapping that has the given fields and no others, each once;
// what names it in errors.
func (d *document) mapping(n *yaml.Node, what string, fields []field) {
	if n.Kind != yaml.MappingNode {
		d.report(n.Line, "found %s, expected %s with %s", describe(n), what, names(fields))
		return
	}
	seen := make(map[string]bool, len(fields))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		f, ok := find(fields, key)
		switch {
		case !ok:
			d.report(key.Line, "found %s in %s, expected %s", describe(key), what, names(fields))
		case seen[f.name]:
			d.report(key.Line, "found a second %q in %s, expected one", f.name, what)
		default:
			seen[f.name] = true
			f.read(value)
		}
	}
	for _, f := range fields {
		if f.required && !seen[f.name] {
			d.report(n.Line, "found %s without %q, expected one", what, f.name)
		}
	}
}

func find(fields []field, key *yaml.Node) (field, bool) {
	for _, f := range fields {
		if key.Kind == yaml.ScalarNode && key.Value == f.name {
			return f, true
		}
	}
	return field{}, false
}

func names(fields []field) string {
	quoted := make([]string, len(fields))
	for i, f := range fields {
		quoted[i] = f.name
	}
	return strings.Join(quoted, ", ")
}

// list calls each for every element of a sequence.
func (d *document) list(n *yaml.Node, what string, each func(*yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		d.report(n.Line, "found %s, expected a list of %s", describe(n), what)
		return
	}
	for _, element := range n.Content {
		each(element)
	}
}

// text returns the value of a scalar that is not empty, or "" after a report.
func (d *document) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || n.Value == "" || n.ShortTag() == "!!null" {
		d.report(n.Line, "found %s, expected %s", describe(n), what)
		return ""
	}
	return n.Value
}

// boolean returns the value of a boolean, or false after a report.
func (d *document) boolean(n *yaml.Node) bool {
	var value bool
	if n.Kind != yaml.ScalarNode || n.Decode(&value) != nil || n.ShortTag() != "!!bool" {
		d.report(n.Line, "found %s, expected true or false", describe(n))
	}
	return value
}

// domain returns a domain name in lower case and fully qualified, or "" after
// a report.
func (d *document) domain(n *yaml.Node) string {
	value := d.text(n, "a domain name")
	if value == "" {
		return ""
	}
	name, err := domain(value)
	if err != nil {
		d.report(n.Line, "%w", err)
	}
	return name
}

// domain checks a host-like domain name and returns it in lower case, fully
// qualified. Escapes are refused, so that equal names are equal strings.
func domain(value string) (string, error) {
	labels, ok := dns.IsDomainName(value)
	if !ok || labels == 0 || strings.ContainsFunc(value, notInName) {
		return "", fmt.Errorf("found '%s', expected a domain name", value)
	}
	return dns.CanonicalName(value), nil
}

func notInName(r rune) bool {
	inside := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return !inside && r != '-' && r != '_' && r != '.'
}

// describe says what a node is, for an error.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias"
	case n.ShortTag() == "!!null" || n.Value == "":
		return "nothing"
	case len(n.Value) > 60:
		return fmt.Sprintf("%q ...", n.Value[:60])
	}
	return fmt.Sprintf("%q", n.Value)
}
