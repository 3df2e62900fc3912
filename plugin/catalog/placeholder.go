package catalog

import (
	"slices"
	"strings"
)

// placeholder is one of the words in braces that Microsoft's page uses for a
// part of a name that differs from region to region or customer to customer.
type placeholder struct {
	name string
	// letters and hyphen tell what its label may hold beside digits. Region
	// names and codes have no hyphen, partitions are numbers: the narrower a
	// placeholder, the fewer names are taken for what they are not.
	letters, hyphen bool
}

// placeholders are all that catalog data may use. A placeholder stands for one
// whole label and never for privatelink or privatelink-global, whatever the
// table says.
var placeholders = [...]placeholder{
	{name: "cachename", letters: true, hyphen: true},
	{name: "dnsPrefix", letters: true},
	{name: "instanceName", letters: true, hyphen: true},
	{name: "partitionId"},
	{name: "region", letters: true},
	{name: "regionCode", letters: true},
	{name: "regionName", letters: true},
	{name: "subzone", letters: true, hyphen: true},
	{name: "workspaceName", letters: true, hyphen: true},
}

// findPlaceholder returns the placeholder a label of catalog data is, nil if
// there is none of that spelling.
func findPlaceholder(label string) *placeholder {
	i := slices.IndexFunc(placeholders[:], func(p placeholder) bool { return label == "{"+p.name+"}" })
	if i < 0 {
		return nil
	}
	return &placeholders[i]
}

// placeholderNames lists what a label in braces may be, for messages.
func placeholderNames() string {
	names := make([]string, 0, len(placeholders))
	for _, p := range placeholders {
		names = append(names, "{"+p.name+"}")
	}
	return strings.Join(names, ", ")
}

// allows tells whether the placeholder can stand for label.
func (p *placeholder) allows(label string) bool {
	if label == "" || isPrivatelink(label) {
		return false
	}
	for i := 0; i < len(label); i++ {
		if !p.allowsByte(label[i]) {
			return false
		}
	}
	return true
}

// allowsByte tells whether c may be in a label the placeholder stands for.
func (p *placeholder) allowsByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z':
		return p.letters
	case c == '-':
		return p.hyphen
	}
	return c >= '0' && c <= '9'
}
