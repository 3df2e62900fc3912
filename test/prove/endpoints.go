//go:build linux

package prove

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// endpoints is a world of databases that all have private endpoints, each with
// an address of its own, so that an answer to the wrong question is seen.
type endpoints struct {
	number int
	// private is the TTL of the private addresses. The CNAMEs live six times
	// as long: 10 and 60 seconds are what Azure gives.
	private time.Duration
}

func (e endpoints) name(i int) string { return fmt.Sprintf("n%d.database.windows.net.", i) }

func (e endpoints) address(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(1 + i>>16), byte(i >> 8), byte(i)})
}

// expected returns every name with its private address.
func (e endpoints) expected() map[string]netip.Addr {
	all := make(map[string]netip.Addr, e.number)
	for i := range e.number {
		all[e.name(i)] = e.address(i)
	}
	return all
}

// names returns the first names.
func (e endpoints) names(number int) []string {
	names := make([]string, number)
	for i := range names {
		names[i] = e.name(i)
	}
	return names
}

// endpoint is a database beside those that endpoints number, with a TTL of its own.
type endpoint struct {
	label   string
	address netip.Addr
	ttl     time.Duration
}

func (e endpoint) name() string { return e.label + ".database.windows.net." }

// world returns the simulator's world file, with further databases in it.
func (e endpoints) world(further ...endpoint) string {
	var private, aliases, public strings.Builder
	write := func(label string, address netip.Addr, ttl time.Duration) {
		seconds := int(ttl.Seconds())
		fmt.Fprintf(&private, "      %s %d A %s\n", label, seconds, address)
		fmt.Fprintf(&aliases, "        %s %d CNAME %s.privatelink.database.windows.net.\n", label, 6*seconds, label)
		fmt.Fprintf(&public, "        %s 60 A 203.0.113.10\n", label)
	}
	for i := range e.number {
		write(fmt.Sprintf("n%d", i), e.address(i), e.private)
	}
	for _, each := range further {
		write(each.label, each.address, each.ttl)
	}
	return fmt.Sprintf(`vnets:
  - name: hub
    networks: [127.0.0.0/8]
private_zones:
  - name: privatelink.database.windows.net
    links: [{vnet: hub}]
    records: |
%spublic:
  zones:
    - name: database.windows.net
      records: |
%s    - name: privatelink.database.windows.net
      records: |
%s`, &private, &aliases, &public)
}
