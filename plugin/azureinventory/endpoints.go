package azureinventory

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v8"

	"github.com/privatelink-dns/privatelink-dns/plugin/audit"
)

// readEndpoints reads the private endpoints, their DNS zone groups, and their network
// interfaces where these alone know the names.
func (s *subscription) readEndpoints(ctx context.Context) error {
	s.progress("private endpoints", 0, 0)
	found, err := collect(ctx, s.network.NewPrivateEndpointsClient().NewListBySubscriptionPager(nil), func(page armnetwork.PrivateEndpointsClientListBySubscriptionResponse) []*armnetwork.PrivateEndpoint {
		return page.Value
	})
	if err != nil {
		return err
	}
	endpoints := make([]audit.Endpoint, len(found))
	err = s.each(ctx, "private endpoints", len(found), func(ctx context.Context, index int) error {
		endpoints[index] = endpointOf(found[index])
		if err := s.readZoneGroups(ctx, &endpoints[index]); err != nil || len(endpoints[index].Names) > 0 {
			return err
		}
		return s.readInterfaces(ctx, &endpoints[index], of(found[index].Properties).NetworkInterfaces)
	})
	s.inventory.Endpoints = append(s.inventory.Endpoints, endpoints...)
	return err
}

func endpointOf(found *armnetwork.PrivateEndpoint) audit.Endpoint {
	endpoint := audit.Endpoint{ID: text(found.ID)}
	properties := of(found.Properties)
	for _, connection := range append(properties.PrivateLinkServiceConnections, properties.ManualPrivateLinkServiceConnections...) {
		told := of(of(connection).Properties)
		endpoint.Service = text(told.PrivateLinkServiceID)
		endpoint.Groups = append(endpoint.Groups, texts(told.GroupIDs)...)
		endpoint.State = text(of(told.PrivateLinkServiceConnectionState).Status)
	}
	for _, each := range properties.CustomDNSConfigs {
		if configured := of(each); text(configured.Fqdn) != "" {
			endpoint.Names = append(endpoint.Names, audit.Name{Name: qualified(text(configured.Fqdn)), Addresses: addresses(texts(configured.IPAddresses))})
		}
	}
	return endpoint
}

func (s *subscription) readZoneGroups(ctx context.Context, endpoint *audit.Endpoint) error {
	group, name, err := parent(endpoint.ID)
	if err != nil {
		return err
	}
	groups, err := collect(ctx, s.network.NewPrivateDNSZoneGroupsClient().NewListPager(name, group, nil), func(page armnetwork.PrivateDNSZoneGroupsClientListResponse) []*armnetwork.PrivateDNSZoneGroup {
		return page.Value
	})
	if err != nil {
		return ignoreGone(err)
	}
	for _, each := range groups {
		for _, zone := range of(each.Properties).PrivateDNSZoneConfigs {
			endpoint.Managed = append(endpoint.Managed, managedBy(of(of(zone).Properties))...)
		}
	}
	return nil
}

func managedBy(zone armnetwork.PrivateDNSZonePropertiesFormat) []audit.ManagedRecord {
	var managed []audit.ManagedRecord
	for _, each := range zone.RecordSets {
		record := of(each)
		if kind := text(record.RecordType); text(record.Fqdn) == "" || !strings.EqualFold(kind, "A") && !strings.EqualFold(kind, "AAAA") {
			continue
		}
		managed = append(managed, audit.ManagedRecord{
			Name: audit.Name{Name: qualified(text(record.Fqdn)), Addresses: addresses(texts(record.IPAddresses))},
			Zone: text(zone.PrivateDNSZoneID),
		})
	}
	return managed
}

// readInterfaces reads the names from an endpoint's network interfaces: an endpoint with
// a DNS zone group has them nowhere else.
func (s *subscription) readInterfaces(ctx context.Context, endpoint *audit.Endpoint, interfaces []*armnetwork.Interface) error {
	for _, each := range interfaces {
		group, name, err := parent(text(of(each).ID))
		if err != nil {
			return err
		}
		read, err := s.network.NewInterfacesClient().Get(ctx, group, name, nil)
		if err != nil {
			if err = ignoreGone(err); err != nil {
				return err
			}
			continue
		}
		for _, configuration := range of(read.Properties).IPConfigurations {
			properties := of(of(configuration).Properties)
			for _, name := range texts(of(properties.PrivateLinkConnectionProperties).Fqdns) {
				endpoint.Names = append(endpoint.Names, audit.Name{Name: qualified(name), Addresses: addresses([]string{text(properties.PrivateIPAddress)})})
			}
		}
	}
	return nil
}

// ignoreGone is no error for what was deleted since it was listed.
func ignoreGone(err error) error {
	if response, is := errors.AsType[*azcore.ResponseError](err); is && response.StatusCode == http.StatusNotFound {
		return nil
	}
	return err
}
