package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

// examineZones tests which privatelink zones are linked, by every site.
func (c *checkup) examineZones(ctx context.Context) {
	namespaces := c.options.services
	if c.options.all {
		namespaces = nil
	}
	links := c.opened.TestLinks(ctx, namespaces, func(asked, all int) {
		c.progress.within(fmt.Sprintf("zones, %d of %d", asked, all))
	})
	if len(links) == 0 {
		c.add(skipped, "zones", "", "no route leads to the zones of "+strings.Join(namespaces, ", "), "")
		return
	}
	var groups []string
	byGroup := map[string][]privatelink.ZoneLink{}
	for _, link := range links {
		if byGroup[link.Group] == nil {
			groups = append(groups, link.Group)
		}
		byGroup[link.Group] = append(byGroup[link.Group], link)
	}
	for _, group := range groups {
		c.tellLinks(group, byGroup[group])
	}
	c.compareSites(links)
}

// tellLinks tells of the zones that one group sees.
func (c *checkup) tellLinks(group string, links []privatelink.ZoneLink) {
	zones := map[privatelink.Link][]string{}
	for _, link := range links {
		zones[link.Link] = append(zones[link.Link], link.Zone)
		if link.Protected && link.Link == privatelink.NotLinked {
			c.add(privatelink.Fault, "zones", group, fmt.Sprintf("%s is not linked to the VNet of upstream %s, and names of %s must be private", link.Zone, group, link.Namespace), "link the zone to that VNet: all its names are withheld meanwhile")
		}
	}
	linked, missing, unknown := zones[privatelink.Linked], zones[privatelink.NotLinked], zones[privatelink.LinkUnknown]
	switch {
	case len(unknown) == len(links):
		c.add(privatelink.Warning, "zones", group, "no question for a zone's SOA was answered, so nobody knows what is linked", "repair the upstream first")
	case len(linked) == 0:
		c.add(privatelink.Warning, "zones", group, noneLinked(group, links), "link the private zones to that VNet, or ask a server that sees them; --services chooses the zones to look at")
	default:
		c.addZones(privatelink.Fine, group, "linked", linked, false)
	}
	if len(missing) > 0 && len(linked) > 0 {
		c.addZones(privatelink.Fine, group, "not linked, which is right where there is no private endpoint", missing, true)
	}
	if len(unknown) > 0 && len(unknown) < len(links) {
		c.addZones(privatelink.Warning, group, "without an answer, so nobody knows whether they are linked", unknown, true)
	}
}

const (
	// sentenceZones is how many zones a sentence names. More stand below it, one a line.
	sentenceZones = 8
	// briefZones is how many of those are printed that nobody has to act on.
	briefZones = 5
)

// addZones notes a finding about zones. Brief: a few of very many do for a reader.
func (c *checkup) addZones(severity privatelink.Severity, group, text string, zones []string, brief bool) {
	if len(zones) <= sentenceZones {
		c.add(severity, "zones", group, text+": "+strings.Join(zones, ", "), "")
		return
	}
	c.findings = append(c.findings, finding{
		Check: "zones", Subject: group, Severity: severity, Text: plural(len(zones), "zone") + " " + text, Zones: zones, brief: brief,
	})
}

// printZones writes the zones of a finding, one a line.
func (f *finding) printZones(out io.Writer, indent string) {
	for index, zone := range f.Zones {
		if f.brief && index == briefZones {
			fmt.Fprintf(out, "%sand %d more; --json has all\n", indent, len(f.Zones)-index)
			return
		}
		fmt.Fprintln(out, indent+zone)
	}
}

// noneLinked says of a group that it sees no zone.
func noneLinked(group string, links []privatelink.ZoneLink) string {
	if len(links) == 1 {
		return fmt.Sprintf("%s is not linked to the VNet of upstream %s, and no other zone was looked at", links[0].Zone, group)
	}
	return fmt.Sprintf("none of the %d zones looked at is linked to the VNet of upstream %s", len(links), group)
}

// compareSites tells of zones that several sites see: each may have a zone of its own.
func (c *checkup) compareSites(links []privatelink.ZoneLink) {
	var order []string
	groups := map[string][]string{}
	asked := map[string]int{}
	for _, link := range links {
		asked[link.Zone]++
		if link.Link != privatelink.Linked {
			continue
		}
		if groups[link.Zone] == nil {
			order = append(order, link.Zone)
		}
		groups[link.Zone] = append(groups[link.Zone], link.Group)
	}
	for _, zone := range order {
		switch several := strings.Join(groups[zone], " and "); {
		case asked[zone] < 2:
		case len(groups[zone]) == 1:
			c.add(privatelink.Fine, "zones", zone, "only "+several+" sees it", "")
		default:
			c.add(privatelink.Fine, "zones", zone, several+" see it: one zone, or one for each; explain NAME tells what each says", "")
		}
	}
}
