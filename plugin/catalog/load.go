package catalog

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Source is one file of catalog data.
type Source struct {
	// Path is what errors call the source. It is not opened.
	Path string
	// Data is the file's content. Load does not keep it.
	Data []byte
}

const (
	// maxServiceZones bounds the private zones of one service, six in
	// Microsoft's own rows: with it the work of Load grows with the size of
	// the data and not with its square.
	maxServiceZones = 100
	// maxAnchored bounds the patterns that end in the same literal suffix, four
	// in the shipped data: Match tries them one after the other.
	maxAnchored = 64
)

// Load reads sources and merges them into one catalog. Services marked with an
// include name are left out unless include has that name.
//
// The same suffix, zone or service may come from several sources. Load accepts
// all or nothing: the error joins everything that is wrong, each with path and
// line, and contradictions between sources, names in include that no source
// has, and an empty result are errors too.
func Load(sources []Source, include []string) (*Catalog, error) {
	if len(sources) == 0 {
		return nil, errors.New("found no sources, expected at least one")
	}
	b := newBuilder(include)
	documents := make([]document, len(sources))
	for i, source := range sources {
		var errs []error
		documents[i], errs = readDocument(source)
		b.errs = append(b.errs, errs...)
		b.path = source.Path
		for _, row := range documents[i].services {
			b.addService(row)
		}
	}
	// Facts of zones come second: they may stand in another source than the
	// service.
	for i, source := range sources {
		b.path = source.Path
		for _, row := range documents[i].zones {
			b.addFacts(row)
		}
	}
	b.checkInclude(include)
	if len(b.errs) == 0 && len(b.zones) == 0 {
		b.errs = append(b.errs, fmt.Errorf("found no services in %s, expected at least one", paths(sources)))
	}
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	catalog := b.build()
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	return catalog, nil
}

// paths lists the sources, for messages.
func paths(sources []Source) string {
	names := make([]string, 0, len(sources))
	for _, source := range sources {
		names = append(names, source.Path)
	}
	return strings.Join(names, ", ")
}

// checkInclude notes the names in include that no service has.
func (b *builder) checkInclude(include []string) {
	for _, name := range include {
		switch {
		case b.optional[name]:
		case len(b.optional) == 0:
			b.errs = append(b.errs, fmt.Errorf("found include %q, expected none: no service has the field include", name))
		default:
			known := strings.Join(slices.Sorted(maps.Keys(b.optional)), ", ")
			b.errs = append(b.errs, fmt.Errorf("found include %q, expected one of %s", name, known))
		}
	}
}
