package azuresim

import (
	_ "embed" // for the demo world
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed world.yaml
var demo []byte

// World is everything the simulator knows: VNets, private zones, the links
// between them, and public DNS. Once it serves it is only read, so it may be
// shared by goroutines.
type World struct {
	vnets   map[string]*VNet
	private []*zone          // two of them may have the same origin
	public  map[string]*zone // by origin; "." is always there

	// endpoints maps the address of a Private Resolver's inbound endpoint to
	// what answers there.
	endpoints map[netip.Addr]endpoint
	networks  map[netip.Prefix]*VNet
}

// VNet is one virtual network: whoever asks from inside it sees the private
// zones linked to it.
type VNet struct {
	name string
	// links maps a zone's origin to the link. The VNet's own internal zone is
	// among them: Azure-provided DNS treats it like a private zone.
	links map[string]link
}

// Name returns the name that the world gives to the VNet.
func (v *VNet) Name() string { return v.name }

// link joins a private zone to a VNet.
type link struct {
	zone     *zone
	redirect bool // "fallback to internet", resolutionPolicy NxDomainRedirect
}

type endpoint struct {
	vnet        *VNet
	rfc1918Only bool
}

// maxWorld bounds the size of a world file, in bytes.
const maxWorld = 32 << 20

// LoadWorld reads the world at path. The error holds every mistake found, one
// a line, each with file and line; the world is nil then.
func LoadWorld(path string) (*World, error) {
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("loading a world: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxWorld+1))
	if err != nil {
		return nil, fmt.Errorf("loading a world: %w", err)
	}
	if len(data) > maxWorld {
		return nil, fmt.Errorf("loading a world: found more than %d bytes in %s, expected fewer", maxWorld, path)
	}
	return ParseWorld(path, data)
}

// ParseWorld reads a world from data, which it does not keep; file is the
// name that errors carry. The error holds every mistake found, one a line;
// the world is nil then.
func ParseWorld(file string, data []byte) (*World, error) {
	return parseWorld(file, data, maxRecords)
}

// DemoWorld returns the world that is built in: the one of world.yaml.
func DemoWorld() (*World, error) { return ParseWorld("world.yaml", demo) }

// VNet returns the VNet of that name, or false.
func (w *World) VNet(name string) (*VNet, bool) {
	v, ok := w.vnets[name]
	return v, ok
}

// asker is who asked: the VNet whose view it gets, and the account that its
// questions are charged to.
type asker struct {
	vnet *VNet
	account
}

// account is what Azure limits: a virtual machine by its address, or an
// inbound endpoint, which everybody who asks it shares.
type account struct {
	address  netip.Addr
	endpoint bool
}

// asker tells who asked from client at the listening address local, or false
// if Azure would not hear the question: 168.63.129.16 is reachable from inside
// a VNet only. A listening address goes before a client network, and the longest network
// before the others.
func (w *World) asker(local, client netip.Addr) (asker, bool) {
	if at, ok := w.endpoints[local]; ok {
		heard := !at.rfc1918Only || client.Is4() && client.IsPrivate()
		return asker{at.vnet, account{local, true}}, heard
	}
	for bits := client.BitLen(); bits >= 0; bits-- {
		prefix, err := client.Prefix(bits)
		if err != nil {
			break
		}
		if v, ok := w.networks[prefix]; ok {
			return asker{v, account{client, false}}, true
		}
	}
	return asker{}, false
}

// unlink breaks the link between a VNet and the private zone called zone. It
// must not be called while the world serves.
func (w *World) unlink(vnet, zone string) error {
	v, ok := w.vnets[vnet]
	if !ok {
		return w.noVNet(vnet)
	}
	l, ok := v.links[zone]
	if !ok || !slices.Contains(w.private, l.zone) {
		return fmt.Errorf("found zone '%s', expected a private zone linked to VNet '%s'", zone, vnet)
	}
	delete(v.links, zone)
	return nil
}

// link links a VNet to the private zone called zone. It must not be called
// while the world serves.
func (w *World) link(vnet, origin string, redirect bool) error {
	v, ok := w.vnets[vnet]
	if !ok {
		return w.noVNet(vnet)
	}
	var found []*zone
	for _, z := range w.private {
		if z.origin == origin {
			found = append(found, z)
		}
	}
	if len(found) != 1 {
		return fmt.Errorf("found %d private zones called '%s', expected one", len(found), origin)
	}
	return v.join(found[0], redirect)
}

func (w *World) noVNet(name string) error {
	known := strings.Join(slices.Sorted(maps.Keys(w.vnets)), ", ")
	return fmt.Errorf("found VNet '%s', expected one of %s", name, known)
}

// join adds a link. A VNet can be linked to one zone of a name only, and the
// redirect is for privatelink zones only, both as in Azure.
func (v *VNet) join(z *zone, redirect bool) error {
	if _, ok := v.links[z.origin]; ok {
		return fmt.Errorf("found a second zone %s linked to VNet '%s', expected one", z.origin, v.name)
	}
	if redirect && !isPrivateLink(z.origin) {
		return fmt.Errorf("found nxdomain_redirect on %s, expected it on a privatelink zone only", z.origin)
	}
	v.links[z.origin] = link{z, redirect}
	return nil
}
