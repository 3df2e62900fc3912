package catalog

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// Suffixes maps domain name suffixes and exact names to values. The longest
// suffix wins; an exact name beats every suffix. The zero value is empty and
// ready to use. Once everything is added it is safe for concurrent Lookup;
// adding is not safe beside anything else.
type Suffixes[V any] struct {
	suffixes table[V]
	names    table[V]
	// depths has bit d set where a suffix of d labels is loaded. Real sets of
	// suffixes have two or three depths, so that most of the questions a
	// name could raise are never asked.
	depths  [2]uint64
	deepest int
}

// DuplicateError says that a suffix or an exact name is already present.
type DuplicateError struct {
	// Name is the name as it is kept: lower case, fully qualified.
	Name string
	// Exact tells an exact name from a suffix.
	Exact bool
	// Existing is the value that is present and stays: a V of the Suffixes.
	Existing any
}

// Error names the suffix or name that is present already. It does not print
// the existing value, which only the caller knows how to put into words.
func (e *DuplicateError) Error() string {
	kind := "suffix"
	if e.Exact {
		kind = "name"
	}
	return fmt.Sprintf("found %s %q twice, expected it once", kind, e.Name)
}

// AddSuffix gives value to suffix and every name below it that has no longer
// suffix of its own; "." is the root and so the default of every name. The
// suffix may be in any case and may lack the final dot. The error is a
// *DuplicateError if the suffix is already present, which then keeps its
// value; any other error says that suffix is not a domain name.
func (s *Suffixes[V]) AddSuffix(suffix string, value V) error {
	suffix, labels, err := normalise(suffix)
	if err != nil {
		return err
	}
	if existing := s.suffixes.find(suffix); existing != nil {
		return &DuplicateError{Name: suffix, Existing: *existing}
	}
	s.suffixes.insert(suffix, value)
	s.depths[labels/64] |= 1 << (labels % 64)
	s.deepest = max(s.deepest, labels)
	return nil
}

// AddName gives value to one name and to nothing below it. Errors are those of
// AddSuffix. The same text may be both a name and a suffix.
func (s *Suffixes[V]) AddName(name string, value V) error {
	name, _, err := normalise(name)
	if err != nil {
		return err
	}
	if existing := s.names.find(name); existing != nil {
		return &DuplicateError{Name: name, Exact: true, Existing: *existing}
	}
	s.names.insert(name, value)
	return nil
}

// Lookup finds the value for name: that of the exact name, else that of the
// longest suffix. Labels is the number of labels that matched, 0 for the root.
// Name must be lower case and fully qualified; anything else finds nothing.
// It does not allocate.
func (s *Suffixes[V]) Lookup(name string) (value V, labels int, ok bool) {
	if exact := s.names.find(name); exact != nil {
		return *exact, dns.CountLabel(name), true
	}
	var at labelStarts
	found, labels := s.longest(name, &at, at.fill(name, s.deepest))
	if found == nil {
		return value, 0, false
	}
	return *found, labels, true
}

// longest finds the value of the longest suffix of a name whose count
// rightmost labels are noted in at, nil if there is none.
func (s *Suffixes[V]) longest(name string, at *labelStarts, count int) (value *V, labels int) {
	for d := min(count, s.deepest); d >= 0; d-- {
		if s.depths[d>>6&1]&(1<<(d&63)) == 0 {
			continue
		}
		if value = s.suffixes.find(name[at[d&maxLabels]:]); value != nil {
			return value, d
		}
	}
	return nil, 0
}

// Touches tells whether a suffix or an exact name lies at suffix or below it, or a suffix
// above it: whether Lookup finds anything for some name that ends in suffix. Suffix must
// be lower case and fully qualified. It looks at everything that was added, and does not
// allocate.
func (s *Suffixes[V]) Touches(suffix string) bool {
	if _, _, found := s.Lookup(suffix); found {
		return true
	}
	return s.suffixes.anyBelow(suffix) || s.names.anyBelow(suffix)
}

// Len is the number of suffixes and exact names.
func (s *Suffixes[V]) Len() int {
	return s.suffixes.count + s.names.count
}

// normalise brings a configured name into the one form look-ups use and counts
// its labels.
func normalise(name string) (normal string, labels int, err error) {
	labels, ok := dns.IsDomainName(name)
	if !ok {
		return "", 0, fmt.Errorf("found %q, expected a domain name", name)
	}
	if name == "." {
		return name, 0, nil
	}
	if strings.IndexFunc(name, unusual) < 0 {
		normal = dns.Fqdn(strings.ToLower(name))
		if len(normal) > maxTextLength+1 {
			return "", 0, fmt.Errorf("found %q, expected at most %d characters", name, maxTextLength)
		}
		return normal, labels, nil
	}
	// One octet can be spelled in several ways ("@", "\@", "\064"): through
	// the wire and back it is spelled as miekg/dns prints the same name of a
	// message.
	wire := make([]byte, 255)
	length, err := dns.PackDomainName(dns.Fqdn(name), wire, 0, nil, false)
	if err != nil {
		return "", 0, fmt.Errorf("found %q, expected a domain name: %w", name, err)
	}
	normal, _, err = dns.UnpackDomainName(wire[:length], 0)
	if err != nil {
		return "", 0, fmt.Errorf("found %q, expected a domain name: %w", name, err)
	}
	return dns.CanonicalName(normal), labels, nil
}

// unusual tells whether a character can be spelled in more than one way.
func unusual(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	}
	return r != '.' && r != '-' && r != '_' && r != '*'
}
