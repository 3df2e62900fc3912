package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// pattern is a public suffix or a private zone as the data spells it: a domain
// name some of whose labels may be placeholders. It never changes once parsed.
type pattern struct {
	// text is the spelling of the data in lower case, placeholders kept,
	// without the final dot.
	text string
	// labels are those of text from right to left.
	labels []patternLabel
	// fixed is how many labels stand right of the rightmost placeholder, and
	// anchor is those labels: the suffix under which the pattern is found.
	fixed  int
	anchor string
}

// patternLabel is one label of a pattern: a placeholder, or literal text.
type patternLabel struct {
	text        string
	placeholder *placeholder
}

// leastFixed is how many literal labels a pattern must end in. One would be
// somebody's whole top-level domain.
const leastFixed = 2

// parsePattern reads a name of the data. The error says what is wrong with it,
// without repeating the name.
func parsePattern(text string) (*pattern, error) {
	text = strings.TrimSuffix(text, ".")
	if len(text) > maxTextLength {
		return nil, fmt.Errorf("expected at most %d characters", maxTextLength)
	}
	p := &pattern{}
	spelled := strings.Split(text, ".")
	slices.Reverse(spelled)
	for _, label := range spelled {
		parsed, err := parseLabel(label)
		if err != nil {
			return nil, err
		}
		p.labels = append(p.labels, parsed)
	}
	p.fixed = slices.IndexFunc(p.labels, func(l patternLabel) bool { return l.placeholder != nil })
	if p.fixed < 0 {
		p.fixed = len(p.labels)
	}
	if p.fixed < leastFixed {
		return nil, fmt.Errorf("expected at least %d labels without placeholder on the right", leastFixed)
	}
	p.text = p.spell(len(p.labels), 0)
	p.anchor = p.text
	if p.fixed < len(p.labels) {
		p.anchor = p.spell(p.fixed, 0)
	}
	return p, nil
}

// parseLabel reads one label of a pattern.
func parseLabel(label string) (patternLabel, error) {
	if strings.ContainsAny(label, "{}") {
		found := findPlaceholder(label)
		if found == nil {
			return patternLabel{}, fmt.Errorf("expected a label in braces to be one of %s and to stand alone between dots", placeholderNames())
		}
		return patternLabel{text: label, placeholder: found}, nil
	}
	label = strings.ToLower(label)
	switch {
	case label == "":
		return patternLabel{}, errors.New("expected no empty label")
	case len(label) > 63:
		return patternLabel{}, errors.New("expected labels of at most 63 characters")
	}
	for _, r := range label {
		if unusual(r) || r == '*' {
			return patternLabel{}, errors.New("expected labels of letters, digits, hyphens and underscores, or placeholders")
		}
	}
	return patternLabel{text: label}, nil
}

// spell spells the labels from number high down to but without number low,
// counted from the right.
func (p *pattern) spell(high, low int) string {
	parts := make([]string, 0, high-low)
	for d := high; d > low; d-- {
		parts = append(parts, p.labels[d-1].text)
	}
	return strings.Join(parts, ".")
}

// least is how many labels a name needs to match: one more than the pattern
// has where its leftmost label is a placeholder. "db1.database.windows.net" is
// a server below "database.windows.net" and not the name of
// "{dnsPrefix}.database.windows.net" itself.
func (p *pattern) least() int {
	if p.labels[len(p.labels)-1].placeholder != nil {
		return len(p.labels) + 1
	}
	return len(p.labels)
}

// matches tells whether name ends in the pattern. At holds its count rightmost
// labels, and its p.fixed rightmost ones are known to be the anchor.
func (p *pattern) matches(name string, at *labelStarts, count int) bool {
	if count < p.least() {
		return false
	}
	for d := p.fixed + 1; d <= len(p.labels); d++ {
		if !p.labels[d-1].matches(at.label(name, d)) {
			return false
		}
	}
	return true
}

// holds tells whether name ends in the pattern. It is matches for names that
// were not found by the anchor, and fills at for them.
func (p *pattern) holds(name string, at *labelStarts) bool {
	count := at.fill(name, len(p.labels)+1)
	if count < len(p.labels) {
		return false
	}
	for d := 1; d <= p.fixed; d++ {
		if p.labels[d-1].text != at.label(name, d) {
			return false
		}
	}
	return p.matches(name, at, count)
}

// isAbove tells whether name lies below the pattern and is not the pattern's
// own name.
func (p *pattern) isAbove(name string) bool {
	var at labelStarts
	return p.holds(name, &at) && at[len(p.labels)] > 0
}

// find returns which label of the pattern is a placeholder, counted from 1 at
// the right, 0 if none is.
func (p *pattern) find(wanted *placeholder) int {
	if wanted == nil {
		return 0
	}
	return 1 + slices.IndexFunc(p.labels, func(l patternLabel) bool { return l.placeholder == wanted })
}

// matches tells whether a label of a name is this label of the pattern.
func (l *patternLabel) matches(label string) bool {
	if l.placeholder != nil {
		return l.placeholder.allows(label)
	}
	return l.text == label
}

// shape is the same for patterns that differ in the choice of placeholders
// only.
func (p *pattern) shape() string {
	var b strings.Builder
	for _, label := range p.labels {
		if label.placeholder != nil {
			b.WriteString("{}.")
			continue
		}
		b.WriteString(label.text + ".")
	}
	return b.String()
}

// compare orders patterns by which one is to win: more labels first, then, at
// the first label from the right where only one is literal, the literal one.
func (p *pattern) compare(q *pattern) int {
	if len(p.labels) != len(q.labels) {
		return len(q.labels) - len(p.labels)
	}
	for d := range p.labels {
		pLiteral, qLiteral := p.labels[d].placeholder == nil, q.labels[d].placeholder == nil
		switch {
		case pLiteral && !qLiteral:
			return -1
		case qLiteral && !pLiteral:
			return 1
		}
	}
	return strings.Compare(p.text, q.text)
}

// privatelink returns which label marks the pattern as a private zone, counted
// from 1 at the right. It is 0 unless there is exactly one such label with a
// name to the right of it.
func (p *pattern) privatelink() int {
	found := 0
	for i, label := range p.labels {
		if !isPrivatelink(label.text) {
			continue
		}
		if found > 0 || i < leastFixed {
			return 0
		}
		found = i + 1
	}
	return found
}

// bindsAllBut tells whether every placeholder of suffix is one of p too, save
// those left of all its other labels, which a name's own labels can fill.
func (p *pattern) bindsAllBut(suffix *pattern) bool {
	free := false
	for _, label := range suffix.labels {
		bound := label.placeholder == nil || p.find(label.placeholder) > 0
		if free && bound {
			return false
		}
		free = !bound
	}
	return true
}
