package catalog

import (
	"fmt"
	"slices"
)

// service is one entry of the data under services.
type service struct {
	name     string
	suffixes []*pattern
	zones    []*Zone
	// published is suffixes by spelling.
	published map[string]bool
}

// builder merges documents. It is used for one Load.
type builder struct {
	// path is the source being added.
	path     string
	errs     []error
	include  map[string]bool
	optional map[string]bool
	patterns map[string]*pattern
	// shapes finds patterns that no name can tell apart.
	shapes map[string]written
	zones  map[string]*Zone
	// facts are where entries under zones stand, by zone.
	facts map[string][]written
	// renamed are where the public_suffix of zones stands.
	renamed    map[*Zone]written
	namespaces map[string]*Namespace
	// publishers are the services by public suffix.
	publishers map[string][]*service
	// leftOut are the zones of services that were not included.
	leftOut map[string]bool
}

// written is a value and where it stands.
type written struct {
	value, path string
	line        int
}

func newBuilder(include []string) *builder {
	b := &builder{
		include:    make(map[string]bool, len(include)),
		optional:   make(map[string]bool),
		patterns:   make(map[string]*pattern),
		shapes:     make(map[string]written),
		zones:      make(map[string]*Zone),
		facts:      make(map[string][]written),
		renamed:    make(map[*Zone]written),
		namespaces: make(map[string]*Namespace),
		publishers: make(map[string][]*service),
		leftOut:    make(map[string]bool),
	}
	for _, name := range include {
		b.include[name] = true
	}
	return b
}

// fail notes an error at a line of the current source.
func (b *builder) fail(line int, format string, values ...any) {
	b.errs = append(b.errs, fmt.Errorf("%s:%d: %s", b.path, line, fmt.Sprintf(format, values...)))
}

// addService adds one entry under services, or checks it only if it is not
// included.
func (b *builder) addService(row serviceRow) {
	zones := b.parse(row.privateZones, b.checkZone)
	suffixes := b.parse(row.publicSuffixes, b.checkSuffix)
	if len(zones) > maxServiceZones {
		b.fail(row.service.line, "found %d private zones in one service, expected at most %d", len(zones), maxServiceZones)
		return
	}
	if name := row.include.value; name != "" {
		b.optional[name] = true
		if !b.include[name] {
			for _, zone := range zones {
				b.leftOut[zone.text] = true
			}
			return
		}
	}
	s := &service{name: row.service.value, suffixes: suffixes, published: make(map[string]bool, len(suffixes))}
	for _, suffix := range suffixes {
		s.published[suffix.text] = true
		b.publishers[suffix.text] = append(b.publishers[suffix.text], s)
		b.addNamespace(suffix)
	}
	for _, zone := range zones {
		s.zones = append(s.zones, b.addZone(zone, s))
	}
}

// addNamespace adds a public suffix, once.
func (b *builder) addNamespace(suffix *pattern) {
	if b.namespaces[suffix.text] == nil {
		b.namespaces[suffix.text] = &Namespace{Suffix: suffix.text, Anchor: suffix.anchor, pattern: suffix}
	}
}

// addZone adds a private zone, once, and its use by a service.
func (b *builder) addZone(name *pattern, user *service) *Zone {
	zone := b.zones[name.text]
	if zone == nil {
		zone = &Zone{Name: name.text, pattern: name, privatelink: name.privatelink()}
		b.zones[name.text] = zone
	}
	zone.users = append(zone.users, user)
	return zone
}

// addFacts adds one entry under zones.
func (b *builder) addFacts(row zoneRow) {
	names := b.parse([]text{row.zone}, b.checkZone)
	if len(names) == 0 {
		return
	}
	name := names[0].text
	for _, other := range b.facts[name] {
		if other.path == b.path {
			b.fail(row.zone.line, "found zone %s twice, expected it once: also at line %d", quote(name), other.line)
			return
		}
	}
	zone := b.zones[name]
	switch {
	case zone == nil && b.leftOut[name]:
		return
	case zone == nil:
		b.fail(row.zone.line, "found zone %s, expected a zone that a service has among its private_zones", quote(name))
		return
	}
	b.setPublicSuffix(zone, row.publicSuffix)
	b.facts[name] = append(b.facts[name], written{path: b.path, line: row.zone.line})
	b.setDirect(zone, row)
	zone.underivable = append(zone.underivable, b.parseGlobs(row.underivable)...)
}

// setPublicSuffix notes what public names of the zone end in.
func (b *builder) setPublicSuffix(zone *Zone, t text) {
	suffixes := b.parse([]text{t}, b.checkSuffix)
	if len(suffixes) == 0 {
		return
	}
	suffix := suffixes[0]
	earlier, found := b.renamed[zone]
	switch {
	case found && earlier.value != suffix.text:
		b.fail(t.line, "found public_suffix %s, expected %s as at %s:%d", quote(t.value), quote(earlier.value), earlier.path, earlier.line)
	case !slices.ContainsFunc(zone.users, func(s *service) bool { return s.published[suffix.text] }):
		b.fail(t.line, "found public_suffix %s, expected a public suffix of a service that uses zone %s", quote(t.value), quote(zone.Name))
	case !zone.pattern.bindsAllBut(suffix):
		b.fail(t.line, "found public_suffix %s, expected its placeholders to be those of zone %s or to stand left of everything else", quote(t.value), quote(zone.Name))
	default:
		zone.publicSuffix = suffix
		b.renamed[zone] = written{value: suffix.text, path: b.path, line: t.line}
	}
}

// setDirect notes which names of the zone are meant to be looked up.
func (b *builder) setDirect(zone *Zone, row zoneRow) {
	switch row.direct.value {
	case "":
	case "legitimate":
		zone.direct = true
		if len(row.directNames) > 0 {
			b.fail(row.direct.line, "found direct and direct_names for one zone, expected one of them")
		}
	default:
		b.fail(row.direct.line, "found direct %s, expected legitimate", quote(row.direct.value))
	}
	zone.directNames = append(zone.directNames, b.parseGlobs(row.directNames)...)
}

// parseGlobs reads the globs of one field.
func (b *builder) parseGlobs(texts []text) []glob {
	var globs []glob
	for _, t := range texts {
		if t.value == "" {
			continue
		}
		parsed, err := parseGlob(t.value)
		if err != nil {
			b.fail(t.line, "found %s, %v", quote(t.value), err)
			continue
		}
		globs = append(globs, parsed)
	}
	return globs
}

// parse reads the names of one field and checks them. Names with errors are
// noted and left out, empty ones were noted when they were read.
func (b *builder) parse(texts []text, check func(*pattern) error) []*pattern {
	patterns := make([]*pattern, 0, len(texts))
	for _, t := range texts {
		if t.value == "" {
			continue
		}
		parsed, err := b.pattern(t)
		if err == nil {
			err = check(parsed)
		}
		if err != nil {
			b.fail(t.line, "found %s, %v", quote(t.value), err)
			continue
		}
		patterns = append(patterns, parsed)
	}
	return patterns
}

// pattern reads one name; the same name gives the same pattern.
func (b *builder) pattern(t text) (*pattern, error) {
	if known := b.patterns[t.value]; known != nil {
		return known, nil
	}
	parsed, err := parsePattern(t.value)
	if err != nil {
		return nil, err
	}
	if known := b.patterns[parsed.text]; known != nil {
		return known, nil
	}
	if parsed.fixed < len(parsed.labels) {
		shape := parsed.shape()
		if other, found := b.shapes[shape]; found {
			return nil, fmt.Errorf("expected %s as at %s:%d: both match the same names", quote(other.value), other.path, other.line)
		}
		b.shapes[shape] = written{value: parsed.text, path: b.path, line: t.line}
	}
	b.patterns[t.value], b.patterns[parsed.text] = parsed, parsed
	return parsed, nil
}

// checkZone checks that a name is a private zone's.
func (b *builder) checkZone(p *pattern) error {
	if p.privatelink() == 0 {
		return fmt.Errorf("expected a private zone, with one label privatelink or privatelink-global and at least %d labels right of it", leastFixed)
	}
	return nil
}

// checkSuffix checks that a name is public.
func (b *builder) checkSuffix(p *pattern) error {
	if HasPrivatelinkLabel(p.text) {
		return fmt.Errorf("expected a public suffix, without a label privatelink or privatelink-global")
	}
	return nil
}
