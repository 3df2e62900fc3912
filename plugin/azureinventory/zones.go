package azureinventory

import (
	"context"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/privatedns/armprivatedns"

	"github.com/privatelink-dns/privatelink-dns/plugin/audit"
)

// readZones reads the private zones with their links and records.
func (s *subscription) readZones(ctx context.Context) error {
	s.progress("private DNS zones", 0, 0)
	found, err := collect(ctx, s.zones.NewPrivateZonesClient().NewListPager(nil), func(page armprivatedns.PrivateZonesClientListResponse) []*armprivatedns.PrivateZone {
		return page.Value
	})
	if err != nil {
		return err
	}
	zones := make([]audit.Zone, len(found))
	err = s.each(ctx, "private DNS zones", len(found), func(ctx context.Context, index int) error {
		zones[index] = audit.Zone{ID: text(found[index].ID), Name: qualified(text(found[index].Name))}
		return s.readZone(ctx, &zones[index])
	})
	s.inventory.Zones = append(s.inventory.Zones, zones...)
	return err
}

func (s *subscription) readZone(ctx context.Context, zone *audit.Zone) error {
	group, name, err := parent(zone.ID)
	if err != nil {
		return err
	}
	links, err := collect(ctx, s.zones.NewVirtualNetworkLinksClient().NewListPager(group, name, nil), func(page armprivatedns.VirtualNetworkLinksClientListResponse) []*armprivatedns.VirtualNetworkLink {
		return page.Value
	})
	if err != nil {
		return err
	}
	for _, link := range links {
		properties := of(link.Properties)
		zone.Links = append(zone.Links, audit.Link{
			ID: text(link.ID), Network: text(of(properties.VirtualNetwork).ID),
			Redirect: strings.EqualFold(text(properties.ResolutionPolicy), string(armprivatedns.ResolutionPolicyNxDomainRedirect)),
			State:    text(properties.VirtualNetworkLinkState),
		})
	}
	records, err := collect(ctx, s.zones.NewRecordSetsClient().NewListPager(group, name, nil), func(page armprivatedns.RecordSetsClientListResponse) []*armprivatedns.RecordSet {
		return page.Value
	})
	if err != nil {
		return err
	}
	for _, record := range records {
		if kept, is := recordOf(zone.Name, record); is {
			zone.Records = append(zone.Records, kept)
		}
	}
	return nil
}

// recordOf keeps what leads somewhere.
func recordOf(zone string, record *armprivatedns.RecordSet) (audit.Record, bool) {
	kind := text(record.Type) // Microsoft.Network/privateDnsZones/A
	kind = strings.ToUpper(kind[strings.LastIndex(kind, "/")+1:])
	properties := of(record.Properties)
	var written []string
	switch kind {
	case "A":
		for _, each := range properties.ARecords {
			written = append(written, text(of(each).IPv4Address))
		}
	case "AAAA":
		for _, each := range properties.AaaaRecords {
			written = append(written, text(of(each).IPv6Address))
		}
	case "CNAME":
	default:
		return audit.Record{}, false
	}
	name := zone
	if owner := text(record.Name); owner != "@" && owner != "" {
		name = qualified(owner + "." + zone)
	}
	return audit.Record{ID: text(record.ID), Name: name, Type: kind, Addresses: addresses(written)}, true
}
