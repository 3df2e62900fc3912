package catalog

import (
	"errors"
	"fmt"
	"strings"
)

// glob matches the leftmost labels of a name: each of its labels is compared
// with one label of the name, and "*" stands for any run of characters inside
// a label. "*.jrds" matches what begins with any label followed by jrds.
type glob []string

// parseGlob reads a glob of the data. The error says what is wrong with it,
// without repeating it.
func parseGlob(text string) (glob, error) {
	labels := strings.Split(strings.ToLower(text), ".")
	if len(labels) > maxLabels {
		return nil, fmt.Errorf("expected at most %d labels", maxLabels)
	}
	for _, label := range labels {
		if label == "" {
			return nil, errors.New("expected no empty label")
		}
		if strings.ContainsFunc(label, unusual) {
			return nil, errors.New(`expected letters, digits, hyphens, underscores and "*"`)
		}
	}
	return labels, nil
}

// matches compares the glob with the labels of owner, the part of a name left
// of its zone. Labels of owner beyond those of the glob do not matter.
func (g glob) matches(owner string) bool {
	rest := owner
	for _, want := range g {
		var label string
		if label, rest = nextLabel(rest); label == "" || !wildcard(want, label) {
			return false
		}
	}
	return true
}

// wildcard compares one label with one label of a glob. It goes back to the
// last "*" only, so that its work is bounded by the product of both lengths.
func wildcard(want, label string) bool {
	star, retry := -1, 0
	w, l := 0, 0
	for l < len(label) {
		switch {
		case w < len(want) && want[w] == '*':
			star, retry = w, l
			w++
		case w < len(want) && want[w] == label[l]:
			w, l = w+1, l+1
		case star >= 0:
			retry++
			w, l = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(want[w:], "*") == ""
}
