package privatelink

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

// UpstreamServer is one server of a stanza, as a check-up looks at it.
type UpstreamServer struct {
	Group string
	// Where is the place of the group, "Corefile:7".
	Where   string
	Address netip.AddrPort
	// Transport is empty for UDP and TCP.
	Transport upstream.Transport
	Budget    upstream.Budget
	// Written is the server as the admin socket names it.
	Written string
	// Suffix is one that is routed to the group, "." where none is.
	Suffix string
	// Fallback: routes only fall back to the group.
	Fallback bool
}

// Servers are the upstream servers in the order in which they were written. One of
// several groups is listed once, with the first.
func (s *Stanza) Servers() []UpstreamServer {
	var servers []UpstreamServer
	seen := map[endpoint]bool{}
	for _, name := range s.config.order {
		group := s.config.groups[name]
		for _, server := range group.endpoints() {
			if seen[server] {
				continue
			}
			seen[server] = true
			suffix, routed := s.config.suffixFor(name)
			servers = append(servers, UpstreamServer{
				Group: name, Where: group.where, Address: server.address, Transport: server.transport,
				Budget: group.budget, Written: server.String(), Suffix: suffix, Fallback: !routed,
			})
		}
	}
	return servers
}

// suffixFor is the first suffix that is routed to a group, "." where it is the catalog
// or the rest, and whether any route is.
func (c *config) suffixFor(group string) (suffix string, routed bool) {
	for _, route := range c.routes {
		if !slices.Contains(route.groups, group) {
			continue
		}
		if routed = true; route.suffix != "" && route.suffix != "." {
			return route.suffix, true
		}
	}
	return ".", routed
}

// SampleName is a name that the stanza routes somewhere.
func (o *Opened) SampleName() string {
	if o.service.routes.rest != nil {
		return "localhost."
	}
	for index := range o.service.routes.probed {
		if suffix := o.service.routes.probed[index].suffix; suffix != "" {
			return suffix
		}
	}
	return o.service.anchors()[0]
}

// Ask asks one server, named as UpstreamServer.Written, on its own transport.
func (o *Opened) Ask(ctx context.Context, server string, question upstream.Question) (*upstream.Answer, error) {
	for _, held := range o.service.lease.endpoints {
		if held.String() == server {
			return o.shared.servers[held].server.Exchange(ctx, question)
		}
	}
	return nil, fmt.Errorf("found server %q, expected one of the configuration", server)
}

// Listens are the hosts and ports that the stanza's server block listens on, over UDP
// and TCP. A host is an address, or empty for every address; what the bind plugin names
// by interface is left out.
func (s *Stanza) Listens() (hosts, ports []string) {
	for _, host := range s.hosts {
		if _, err := netip.ParseAddr(host); err == nil || host == "" {
			hosts = append(hosts, host)
		}
	}
	return hosts, s.ports()
}

// ZoneLink is whether the network that a group asks from is linked to a privatelink
// zone.
type ZoneLink struct {
	Zone string `json:"zone"`
	// Namespace is the public suffix whose names lead into the zone.
	Namespace string `json:"namespace"`
	Group     string `json:"group"`
	Link      Link   `json:"link"`
	Error     string `json:"error,omitempty"`
	// Protected: names of the namespace must be private.
	Protected bool `json:"protected,omitempty"`
}

// linkPace is the time between two questions of a check-up for links: 20 a second
// leave every budget alone.
const linkPace = 50 * time.Millisecond

// TestLinks asks every group of each namespace's route whether its network is linked to
// the namespace's zones, 20 questions a second. Namespaces are public suffixes; of none,
// the whole catalog is looked at. A zone of several namespaces is asked for once a group;
// zones with placeholders and groups that are fallbacks are left out. Done is told how
// many of how many are asked; it may be nil. What there is no time for within ctx is
// LinkUnknown.
func (o *Opened) TestLinks(ctx context.Context, namespaces []string, done func(asked, all int)) []ZoneLink {
	tests := o.service.linkTests(namespaces)
	results := make([]ZoneLink, len(tests))
	pace := time.NewTicker(linkPace)
	defer pace.Stop()
	heard := make(chan struct{})
	for index, each := range tests {
		go func() {
			link, err := testLink(upstream.LowPriority(ctx), each.group, each.Zone)
			results[index] = each.ZoneLink
			if results[index].Link = link; err != nil {
				results[index].Error = err.Error()
			}
			heard <- struct{}{}
		}()
		if done != nil {
			done(index+1, len(tests))
		}
		if index+1 == len(tests) {
			break
		}
		select {
		case <-pace.C:
		case <-ctx.Done(): // the others fail at once
		}
	}
	for range tests {
		<-heard
	}
	return results
}

type linkTest struct {
	ZoneLink
	group *upstream.Group
}

func (s *service) linkTests(namespaces []string) []linkTest {
	var tests []linkTest
	public := s.fallbackGroups()
	for _, namespace := range s.catalog.Namespaces() {
		if len(namespaces) > 0 && !slices.Contains(namespaces, namespace.Suffix) {
			continue
		}
		suffix := dns.Fqdn(namespace.Suffix)
		way := s.routes.find(suffix, s.catalog.Match(suffix))
		for _, zone := range namespace.Zones {
			if way == nil || strings.Contains(zone.Name, "{") {
				continue
			}
			for _, group := range way.groups() {
				_, _, protected := s.policy.Guard.MustBePrivate.Lookup(suffix)
				test := ZoneLink{Zone: zone.Name, Namespace: namespace.Suffix, Group: group.Name, Protected: protected}
				if !public[group.Name] {
					tests = addLinkTest(tests, linkTest{test, group})
				}
			}
		}
	}
	return tests
}

// addLinkTest keeps one test for a zone and a group, that of a namespace whose names must
// be private if there is one.
func addLinkTest(tests []linkTest, test linkTest) []linkTest {
	at := slices.IndexFunc(tests, func(known linkTest) bool { return known.Zone == test.Zone && known.Group == test.Group })
	switch {
	case at < 0:
		return append(tests, test)
	case test.Protected && !tests[at].Protected:
		tests[at] = test
	}
	return tests
}
