package forwarders

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
)

// Bounds of what is read: a configuration of a hundred thousand forwarders is a
// few megabytes long, and nobody reads a thousand remarks.
const (
	maxFile    = 16 << 20
	maxRules   = 100_000
	maxServers = 32
	maxNotes   = 1000
	maxDepth   = 64
	// maxValues bounds the values of a file in JSON, maxWords the words and signs
	// of a named.conf: in memory each takes a hundred bytes for two of the file.
	maxValues = 1_000_000
	maxWords  = 2_000_000
)

// Rule is one conditional forwarder of another server's configuration.
type Rule struct {
	// Domain is forwarded with all names below it: lower case, without final
	// dot, "." for everything.
	Domain string
	// Servers are asked in this order; there is at least one.
	Servers []Server
	// Path and Line are where it was written.
	Path string
	Line int
}

// Server is a DNS server that questions are forwarded to.
type Server struct {
	Address netip.AddrPort
	// Name is the name on the server's certificate, where it is asked over TLS.
	Name string
}

// String returns the server as a Corefile of ours names it.
func (s Server) String() string {
	port := uint16(53)
	if s.Name != "" {
		port = 853
	}
	text := s.Address.String()
	if s.Address.Port() == port {
		text = s.Address.Addr().String()
	}
	if s.Name != "" {
		text = "tls://" + text + "%" + s.Name
	}
	return text
}

// Kinds of notes.
const (
	// LeftOut is a forwarder that could not be carried over.
	LeftOut = "left out"
	// Changed is one that was carried over and behaves differently.
	Changed = "changed"
	// Remark is what is good to know.
	Remark = "remark"
)

// Note says what became of something that was read.
type Note struct {
	// Kind is LeftOut, Changed or Remark.
	Kind string `json:"kind"`
	// Path and Line are where it stands in the file.
	Path string `json:"path"`
	Line int    `json:"line"`
	// Text says what and why; More is how many other places it holds for.
	Text string `json:"text"`
	More int    `json:"more,omitempty"`
}

// String returns the note as compilers write them: path:line: kind: text.
func (n Note) String() string {
	text := fmt.Sprintf("%s:%d: %s: %s", n.Path, n.Line, n.Kind, printable(n.Text))
	if n.More > 0 {
		text += fmt.Sprintf(" (and %d more like this)", n.More)
	}
	return text
}

// Reading is what a configuration says.
type Reading struct {
	Rules []Rule
	Notes []Note
}

// source is a language that Read understands.
type source struct {
	name string
	// signs tells that a file is written in it.
	signs *regexp.Regexp
	read  func(*reader, []byte) error
}

// sources are in the order in which they are recognised: those whose signs are
// the least likely to stand in another language first.
func sources() []source {
	return []source{
		{"azure-ruleset", regexp.MustCompile(`(?s)^\s*[\[{].*"(?i:targetDnsServers)"`), readRuleset},
		{"windows", regexp.MustCompile(`(?s)^\s*[\[{].*"(ZoneName|UseRootHint)"`), readWindows},
		{"infoblox", regexp.MustCompile(`(?im)^"?header-[a-z]+`), readInfoblox},
		{"unbound", regexp.MustCompile(`(?m)^\s*(server|forward-zone|stub-zone|auth-zone|remote-control|include|include-toplevel):`), readUnbound},
		{"bind", regexp.MustCompile(`(?m)(^|[;}])\s*(zone|options|view|include|acl|logging|key|controls)\b[^:\n]*["{]`), readBIND},
	}
}

// Sources returns the names of the languages that Read understands. The slice
// belongs to the caller.
func Sources() []string {
	var names []string
	for _, s := range sources() {
		names = append(names, s.name)
	}
	return names
}

// Read reads a configuration in the language of the name, or, where that is
// empty, in the one it seems to be written in. Path is what errors and notes
// call it; nothing is opened. The error tells where the file cannot be
// understood; what can be, but not be carried over, is in the notes. Work and
// memory grow with the length of data, which may be 16 MiB.
func Read(name, path string, data []byte) (Reading, error) {
	if len(data) > maxFile {
		return Reading{}, fmt.Errorf("%s: found %d bytes, expected at most %d", path, len(data), maxFile)
	}
	text, err := plainText(data)
	if err != nil {
		return Reading{}, fmt.Errorf("%s: %w", path, err)
	}
	for _, s := range sources() {
		if name != s.name && (name != "" || !s.signs.Match(text)) {
			continue
		}
		r := &reader{path: path, folded: map[string]int{}}
		if err := s.read(r, text); err != nil {
			return Reading{}, fmt.Errorf("reading as %s: %w", s.name, err)
		}
		return Reading{Rules: r.rules, Notes: r.notes}, nil
	}
	if name != "" {
		return Reading{}, fmt.Errorf("found %q, expected one of %s", name, strings.Join(Sources(), ", "))
	}
	return Reading{}, fmt.Errorf("%s: could not tell what it is; name it with --from, one of %s", path, strings.Join(Sources(), ", "))
}

// plainText takes a byte order mark away. Windows PowerShell writes UTF-16.
func plainText(data []byte) ([]byte, error) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte{0xef, 0xbb, 0xbf}):
		return data[3:], nil
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	case bytes.IndexByte(data, 0) >= 0:
		return nil, errors.New("found a zero byte, expected text")
	default:
		return data, nil
	}
	units := make([]uint16, 0, len(data)/2)
	for rest := data[2:]; len(rest) > 1; rest = rest[2:] {
		units = append(units, order.Uint16(rest))
	}
	return []byte(string(utf16.Decode(units))), nil
}

// reader collects what one file says.
type reader struct {
	path  string
	rules []Rule
	notes []Note
	// folded finds the note of a text that holds for many places.
	folded map[string]int
	// refused says that a server of the forwarder being read was left out.
	refused bool
}

// fail is an error at a line.
func (r *reader) fail(line int, format string, values ...any) error {
	return fmt.Errorf("%s:%d: %s", r.path, line, printable(fmt.Sprintf(format, values...)))
}

// note keeps a note. One text at many lines is one note.
func (r *reader) note(kind string, line int, text string) {
	if at, found := r.folded[kind+text]; found {
		r.notes[at].More++
		return
	}
	if len(r.notes) >= maxNotes {
		kind, text = LeftOut, "more than this report has room for"
		if at, found := r.folded[kind+text]; found {
			r.notes[at].More++
			return
		}
	}
	r.folded[kind+text] = len(r.notes)
	r.notes = append(r.notes, Note{Kind: kind, Path: r.path, Line: line, Text: text})
}

// leftOut notes a forwarder that is not carried over.
func (r *reader) leftOut(line int, domain, format string, values ...any) {
	r.note(LeftOut, line, shortened(domain)+": "+fmt.Sprintf(format, values...))
}

// refuseServer notes a server of a forwarder that is not carried over.
func (r *reader) refuseServer(line int, domain, format string, values ...any) {
	r.refused = true
	r.leftOut(line, domain, format, values...)
}

// add keeps the forwarder that was read, if its domain and servers are of use.
func (r *reader) add(line int, written string, servers []Server) error {
	domain, err := domainName(written)
	refused := r.refused
	r.refused = false
	switch {
	case refused && len(servers) == 0:
		return nil // which has been noted
	case err != nil:
		r.leftOut(line, written, "%v", err)
		return nil
	case len(servers) == 0:
		r.leftOut(line, domain, "it has no server's address, so that it is not forwarded anywhere; privatelink-dns does not resolve from the root")
		return nil
	case len(servers) > maxServers:
		r.leftOut(line, domain, "found %d servers, expected at most %d", len(servers), maxServers)
		return nil
	case len(r.rules) == maxRules:
		return r.fail(line, "found more than %d forwarders", maxRules)
	}
	r.rules = append(r.rules, Rule{Domain: domain, Servers: each(servers), Path: r.path, Line: line})
	return nil
}

// each keeps the first of servers that are the same.
func each(servers []Server) []Server {
	var kept []Server
	for _, server := range servers {
		if !slices.Contains(kept, server) {
			kept = append(kept, server)
		}
	}
	return kept
}

// addFirst notes that a server asks elsewhere where its forwarders fail.
func (r *reader) addFirst(line int) {
	r.note(Changed, line, "a forwarder that asks others when its servers fail (forward first, recursion, root hints); a route asks others only where it says so: add outage=GROUP")
}

// server reads the address of a server; not ok, with a note, where it is none.
func (r *reader) server(line int, domain, written string, port uint16) (Server, bool) {
	address, err := netip.ParseAddr(strings.TrimSpace(written))
	if err != nil || address.Zone() != "" || address.IsUnspecified() || address.IsMulticast() || port == 0 {
		r.refuseServer(line, domain, "found server %q, expected an IP address", shortened(written))
		return Server{}, false
	}
	return Server{Address: netip.AddrPortFrom(address.Unmap(), port)}, true
}

// domainName checks a domain and brings it into the form of Rule.Domain.
func domainName(written string) (string, error) {
	domain := strings.ToLower(strings.TrimSpace(written))
	if domain == "." {
		return domain, nil
	}
	domain = strings.TrimSuffix(domain, ".")
	unusual := func(r rune) bool { return !strings.ContainsRune(domainCharacters, r) }
	if len(domain) > 253 || strings.Contains("."+domain+".", "..") || strings.ContainsFunc(domain, unusual) {
		return "", errors.New("expected a domain name of letters, digits and hyphens")
	}
	for label := range strings.SplitSeq(domain, ".") {
		if len(label) > 63 {
			return "", errors.New("expected labels of at most 63 characters")
		}
	}
	return domain, nil
}

// shortened keeps a message on its line.
func shortened(text string) string {
	const longest = 100
	if len(text) > longest {
		return text[:longest] + "..."
	}
	return text
}
