package privatelink

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

// check finds the mistakes that need the whole configuration: references
// without a target, and what is missing altogether.
func (c *config) check(where string) error {
	var mistakes []error
	if c.written["upstream"] == "" {
		mistakes = append(mistakes, fmt.Errorf("%s: found no upstream, expected at least one such as \"upstream azure 168.63.129.16\"", where))
	}
	if c.written["route"] == "" && len(c.routes) == 0 {
		mistakes = append(mistakes, fmt.Errorf("%s: found no route, expected at least one such as \"route catalog azure\"", where))
	}
	seen := map[string]string{}
	for _, route := range c.routes {
		mistakes = append(mistakes, c.checkGroups(&route))
		key := route.key()
		if first, duplicate := seen[key]; duplicate {
			mistakes = append(mistakes, fmt.Errorf("%s: found a second route for %s, expected one; the first is at %s", route.where, key, first))
			continue
		}
		seen[key] = route.where
	}
	mistakes = append(mistakes, c.checkSites(), c.checkBudgets(), c.checkProbes())
	return errors.Join(mistakes...)
}

// onlyOnce are the properties whose second line would silently take the place of the
// first.
var onlyOnce = []string{"cache", "cookies", "ratelimit", "unlinked"}

// saidTwice keeps the place of a property, and refuses one that is there already where
// only one of the two could count. direct is said once of each class.
func (c *config) saidTwice(property, where string, arguments []string) error {
	key, once := property, slices.Contains(onlyOnce, property)
	if property == "direct" {
		key, once = property+" "+arguments[0], true
	}
	first, again := c.written[key]
	if !again {
		c.written[key] = where
	}
	if again && once {
		return fmt.Errorf("%s: found a second %s, expected one; the first is at %s", where, key, first)
	}
	return nil
}

// checkBudgets refuses two budgets for one server. A group that names none goes by
// that of another.
func (c *config) checkBudgets() error {
	var mistakes []error
	first := map[endpoint]*groupConfig{}
	for _, name := range c.order {
		group := c.groups[name]
		if group.budget == (upstream.Budget{}) {
			continue
		}
		for _, server := range group.endpoints() {
			if other := first[server]; other != nil && other.budget != group.budget {
				mistakes = append(mistakes, fmt.Errorf("%s: upstream group %q: found another budget for %s than group %q has at %s, expected the same: what a server can take, it takes once", group.where, name, server, other.name, other.where))
				continue
			}
			first[server] = group
		}
	}
	return errors.Join(mistakes...)
}

// checkProbes refuses two probe names for one server, which is probed once for all
// groups. A group that names none goes by that of another.
func (c *config) checkProbes() error {
	var mistakes []error
	first := map[endpoint]*groupConfig{}
	for _, name := range c.order {
		group := c.groups[name]
		if group.probe == "" {
			continue
		}
		for _, server := range group.endpoints() {
			if other := first[server]; other != nil && other.probe != group.probe {
				mistakes = append(mistakes, fmt.Errorf("%s: upstream group %q: found another probe name for %s than group %q has at %s, expected the same: a server is probed once for all groups", group.where, name, server, other.name, other.where))
				continue
			}
			first[server] = group
		}
	}
	return errors.Join(mistakes...)
}

// checkGroups finds the first group of a route that nothing declares.
func (c *config) checkGroups(route *routeConfig) error {
	groups := slices.Clone(route.groups)
	if len(groups) == 0 {
		groups = []string{""}
	}
	for _, fallback := range []string{route.missing, route.outage} {
		if fallback != "" {
			groups = append(groups, fallback)
		}
	}
	for _, group := range groups {
		if _, declared := c.groups[group]; !declared {
			return fmt.Errorf("%s: found upstream group %q, expected one of %s", route.where, group, c.groupNames())
		}
	}
	return nil
}

// key is the same for two routes that would claim the same names.
func (r *routeConfig) key() string {
	switch {
	case r.catalog:
		return "catalog"
	case r.name != "":
		return "=" + r.name
	default:
		return r.suffix
	}
}

func (c *config) groupNames() string {
	if len(c.order) == 0 {
		return "the groups of upstream lines, of which there are none"
	}
	return strings.Join(slices.Sorted(maps.Keys(c.groups)), ", ")
}

// checkOwnAddresses refuses an upstream that is this server itself: every
// question would come back and be asked again. Hosts are the addresses of the
// bind plugin, "" or a wildcard for all.
func (c *config) checkOwnAddresses(hosts []string, port string, interfaces []netip.Addr) error {
	listening, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("reading the server's port: %w", err)
	}
	var mistakes []error
	for _, name := range c.order {
		group := c.groups[name]
		for _, server := range group.endpoints() {
			if server.address.Port() == uint16(listening) && listensOn(hosts, server.address.Addr(), interfaces) {
				mistakes = append(mistakes, fmt.Errorf("%s: upstream group %q: found %s, which is this server itself, expected another server", group.where, name, server))
			}
		}
	}
	return errors.Join(mistakes...)
}

func listensOn(hosts []string, address netip.Addr, interfaces []netip.Addr) bool {
	for _, host := range hosts {
		bound, err := netip.ParseAddr(host)
		wildcard := host == "" || (err == nil && bound.IsUnspecified())
		if wildcard && (address.IsLoopback() || address.IsUnspecified() || slices.Contains(interfaces, address)) {
			return true
		}
		if err == nil && bound.Unmap() == address {
			return true
		}
	}
	return false
}

// interfaceAddresses returns the addresses of this machine.
func interfaceAddresses() ([]netip.Addr, error) {
	written, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing this machine's addresses: %w", err)
	}
	var addresses []netip.Addr
	for _, address := range written {
		if network, ok := address.(*net.IPNet); ok {
			if ip, valid := netip.AddrFromSlice(network.IP); valid {
				addresses = append(addresses, ip.Unmap())
			}
		}
	}
	return addresses, nil
}
