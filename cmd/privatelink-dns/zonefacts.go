package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/zones"
)

// zoneFacts are what catalogs say of one private zone beyond its name. The
// catalog itself keeps them in the form that look-ups need; here they are for
// people to read.
type zoneFacts struct {
	Zone         string   `yaml:"zone" json:"zone"`
	PublicSuffix string   `yaml:"public_suffix" json:"public_suffix,omitempty"`
	Direct       string   `yaml:"direct" json:"direct,omitempty"`
	DirectNames  []string `yaml:"direct_names" json:"direct_names,omitempty"`
	Underivable  []string `yaml:"underivable" json:"underivable,omitempty"`
	Note         string   `yaml:"note" json:"note,omitempty"`
}

// directLookups says which names of the zone clients look up as they are.
func (f zoneFacts) directLookups() string {
	switch {
	case f.Direct != "":
		return "all names are in normal use"
	case len(f.DirectNames) > 0:
		return "names like " + strings.Join(f.DirectNames, ", ") + " are in normal use, others not"
	}
	return "no names are in normal use: clients ask for the public name"
}

// factsByZone finds facts by the zone's name. Files write it in any case.
type factsByZone map[string]zoneFacts

// of returns the facts of a zone; there need be none but its name.
func (f factsByZone) of(zone *catalog.Zone) zoneFacts {
	facts := f[zoneKey(zone.Name)]
	facts.Zone = zone.Name
	return facts
}

func zoneKey(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// readFacts reads the facts of catalogs that were loaded, and are therefore
// known to be well formed. Those of several files add up.
func readFacts(names []string) (factsByZone, error) {
	facts := factsByZone{}
	for _, name := range names {
		data, builtIn := zones.Lookup(name)
		if !builtIn {
			var err error
			if data, err = os.ReadFile(name); err != nil {
				return nil, fmt.Errorf("reading a catalog: %w", err)
			}
		}
		var document struct {
			Zones []zoneFacts `yaml:"zones"`
		}
		if err := yaml.Unmarshal(data, &document); err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		for _, read := range document.Zones {
			facts[zoneKey(read.Zone)] = facts[zoneKey(read.Zone)].and(read)
		}
	}
	return facts, nil
}

// and adds the facts of another file.
func (f zoneFacts) and(other zoneFacts) zoneFacts {
	f.PublicSuffix = firstOf(f.PublicSuffix, other.PublicSuffix)
	f.Direct = firstOf(f.Direct, other.Direct)
	f.DirectNames = slices.Concat(f.DirectNames, other.DirectNames)
	f.Underivable = slices.Concat(f.Underivable, other.Underivable)
	f.Note = strings.TrimSpace(f.Note + "\n" + other.Note)
	return f
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
