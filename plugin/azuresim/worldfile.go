package azuresim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"
	"gopkg.in/yaml.v3"
)

// builder turns a world file into a World. What refers to something else in
// the file - links to VNets, resources to zones - is kept until all is read,
// so the order of the file does not matter.
type builder struct {
	document
	world     *World
	room      int // how many more records the world may hold
	links     []unresolvedLink
	resources []resource
}

type unresolvedLink struct {
	line     int
	vnet     string
	zone     *zone
	redirect bool
}

// TTLs of records that state none, in seconds. Azure gives 10 to the private
// address records it makes, and 60 to the public CNAMEs before them.
const (
	privateTTL  = 10
	publicTTL   = 300
	resourceTTL = 60
)

// maxRecords bounds a world's records: enough for load tests, about 200 MB.
const maxRecords = 500_000

func parseWorld(file string, data []byte, room int) (*World, error) {
	b := &builder{document: document{file: file}, room: room, world: &World{
		vnets:     make(map[string]*VNet),
		public:    map[string]*zone{".": newZone(".", rootAuthority())},
		endpoints: make(map[netip.Addr]endpoint),
		networks:  make(map[netip.Prefix]*VNet),
	}}
	root, err := soleDocument(data)
	if err != nil {
		return nil, located(file, err)
	}
	b.mapping(root, "a world", []field{
		{"vnets", true, func(n *yaml.Node) { b.list(n, "VNets", b.vnet) }},
		{"private_zones", false, func(n *yaml.Node) { b.list(n, "private zones", b.privateZone) }},
		{"public", false, b.public},
	})
	b.resolveLinks()
	b.placeResources()
	b.markSubzones()
	if err := b.err(); err != nil {
		return nil, err
	}
	return b.world, nil
}

func rootAuthority() authority {
	return authority{"a.root-servers.net.", "nstld.verisign-grs.com.", 300}
}

// soleDocument returns the content of the only YAML document in data.
func soleDocument(data []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	if err := decoder.Decode(&first); errors.Is(err, io.EOF) {
		return nil, errors.New("found nothing, expected a world")
	} else if err != nil {
		return nil, err
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("found a second document, expected one")
	}
	if first.Kind != yaml.DocumentNode || len(first.Content) != 1 {
		return nil, errors.New("found nothing, expected a world")
	}
	return first.Content[0], nil
}

// located gives a YAML syntax error the form of all other errors. yaml.v3 has
// the line in the text only; without one the error is told as it is.
func located(file string, err error) error {
	var line int
	if _, scanErr := fmt.Sscanf(err.Error(), "yaml: line %d:", &line); scanErr != nil {
		return fmt.Errorf("%s:1: %w", file, err)
	}
	_, problem, _ := strings.Cut(err.Error(), fmt.Sprintf("line %d: ", line))
	return fmt.Errorf("%s:%d: found YAML with a mistake (%s), expected well-formed YAML", file, line, problem)
}

func (b *builder) vnet(n *yaml.Node) {
	v := &VNet{links: make(map[string]link)}
	var internal string
	var records *yaml.Node
	b.mapping(n, "a VNet", []field{
		{"name", true, func(n *yaml.Node) { v.name = b.word(n) }},
		{"networks", false, func(n *yaml.Node) {
			b.list(n, "networks", func(n *yaml.Node) { b.network(n, v) })
		}},
		{"inbound_endpoints", false, func(n *yaml.Node) {
			b.list(n, "inbound endpoints", func(n *yaml.Node) { b.endpoint(n, v) })
		}},
		{"internal_zone", false, func(n *yaml.Node) { internal = b.domain(n) }},
		{"internal_records", false, func(n *yaml.Node) { records = n }},
	})
	if v.name == "" {
		return
	}
	if _, ok := b.world.vnets[v.name]; ok {
		b.report(n.Line, "found a second VNet %q, expected one", v.name)
	}
	b.world.vnets[v.name] = v
	switch {
	case internal != "":
		z := newZone(internal, privateAuthority())
		v.links[internal] = link{zone: z}
		b.records(records, z, privateTTL)
	case records != nil && len(b.mistakes) == 0:
		b.report(records.Line, `found "internal_records" without "internal_zone", expected both`)
	}
}

// word returns a name that can stand in a Corefile and in the log.
func (b *builder) word(n *yaml.Node) string {
	value := b.text(n, "a name")
	if value != "" && (len(value) > 63 || strings.ContainsFunc(value, notInName)) {
		b.report(n.Line, "found %s, expected a name of up to 63 letters, digits and hyphens", describe(n))
	}
	return value
}

func (b *builder) network(n *yaml.Node, v *VNet) {
	value := b.text(n, "a network")
	if value == "" {
		return
	}
	prefix, err := netip.ParsePrefix(value)
	if err != nil || prefix != prefix.Masked() {
		b.report(n.Line, "found %s, expected a network such as 10.1.0.0/16", describe(n))
		return
	}
	if _, ok := b.world.networks[prefix]; ok {
		b.report(n.Line, "found network %s a second time, expected it in one VNet", prefix)
	}
	b.world.networks[prefix] = v
}

func (b *builder) endpoint(n *yaml.Node, v *VNet) {
	at := endpoint{vnet: v}
	var address netip.Addr
	b.mapping(n, "an inbound endpoint", []field{
		{"address", true, func(n *yaml.Node) { address = b.address(n) }},
		{"rfc1918_only", false, func(n *yaml.Node) { at.rfc1918Only = b.boolean(n) }},
	})
	if !address.IsValid() {
		return
	}
	if _, ok := b.world.endpoints[address]; ok {
		b.report(n.Line, "found inbound endpoint %s a second time, expected it in one VNet", address)
	}
	b.world.endpoints[address] = at
}

// address returns an IP address, or the invalid one after a report.
func (b *builder) address(n *yaml.Node) netip.Addr {
	value := b.text(n, "an IP address")
	if value == "" {
		return netip.Addr{}
	}
	address, err := netip.ParseAddr(value)
	if err != nil || address.Zone() != "" || address.Is4In6() {
		b.report(n.Line, "found %s, expected an IP address", describe(n))
		return netip.Addr{}
	}
	return address
}

func (b *builder) privateZone(n *yaml.Node) {
	var origin string
	var links []unresolvedLink
	var records *yaml.Node
	b.mapping(n, "a private zone", []field{
		{"name", true, func(n *yaml.Node) { origin = b.domain(n) }},
		{"links", false, func(n *yaml.Node) {
			b.list(n, "links", func(n *yaml.Node) { links = append(links, b.link(n)) })
		}},
		{"records", false, func(n *yaml.Node) { records = n }},
	})
	if origin == "" {
		return
	}
	if dns.CountLabel(origin) < 2 {
		b.report(n.Line, "found private zone %s, expected a name of two labels or more", origin)
	}
	z := newZone(origin, privateAuthority())
	for _, l := range links {
		l.zone = z
		b.links = append(b.links, l)
	}
	b.world.private = append(b.world.private, z)
	b.records(records, z, privateTTL)
}

func (b *builder) link(n *yaml.Node) unresolvedLink {
	l := unresolvedLink{line: n.Line}
	b.mapping(n, "a link", []field{
		{"vnet", true, func(n *yaml.Node) { l.vnet = b.text(n, "the name of a VNet") }},
		{"nxdomain_redirect", false, func(n *yaml.Node) { l.redirect = b.boolean(n) }},
	})
	return l
}

func (b *builder) resolveLinks() {
	for _, l := range b.links {
		v, ok := b.world.vnets[l.vnet]
		if !ok {
			b.report(l.line, "found a link to %q, expected the name of a VNet", l.vnet)
			continue
		}
		if err := v.join(l.zone, l.redirect); err != nil {
			b.report(l.line, "%w", err)
		}
	}
}

func (b *builder) public(n *yaml.Node) {
	b.mapping(n, "public DNS", []field{
		{"zones", false, func(n *yaml.Node) { b.list(n, "public zones", b.publicZone) }},
		{"resources", false, func(n *yaml.Node) { b.list(n, "resources", b.resource) }},
	})
}

func (b *builder) publicZone(n *yaml.Node) {
	var origin string
	var records *yaml.Node
	b.mapping(n, "a public zone", []field{
		{"name", true, func(n *yaml.Node) { origin = b.domain(n) }},
		{"records", false, func(n *yaml.Node) { records = n }},
	})
	if origin == "" {
		return
	}
	if _, ok := b.world.public[origin]; ok {
		b.report(n.Line, "found a second public zone %s, expected one", origin)
	}
	z := newZone(origin, publicAuthority())
	b.world.public[origin] = z
	b.records(records, z, publicTTL)
}

// markSubzones makes the name of every public zone exist in the zone above
// it, as a delegation would.
func (b *builder) markSubzones() {
	for origin := range b.world.public {
		if origin == "." {
			continue
		}
		offset, end := dns.NextLabel(origin, 0)
		above := origin[offset:]
		if end {
			above = "."
		}
		parent, _ := longest(b.world.public, above)
		parent.exists(origin)
	}
}

// ttl returns a TTL in seconds, or 0 after a report.
func (b *builder) ttl(n *yaml.Node) uint32 {
	// RFC 2181, section 8: a TTL has 31 bits.
	seconds, err := strconv.ParseUint(b.text(n, "a TTL"), 10, 31)
	if err != nil {
		b.report(n.Line, "found %s, expected a TTL in seconds", describe(n))
	}
	return uint32(seconds)
}
