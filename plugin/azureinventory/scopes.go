package azureinventory

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/privatelink-dns/privatelink-dns/plugin/audit"
)

// scopeVersion is that of the API for private link scopes, the first with access modes
// (https://learn.microsoft.com/azure/templates/microsoft.insights/privatelinkscopes).
const scopeVersion = "2021-07-01-preview"

// scopeType is how the IDs of private link scopes are told, in lower case.
const scopeType = "/providers/microsoft.insights/privatelinkscopes/"

// readScopes reads the private link scopes that the endpoints of the subscription lead
// to. They may be in a subscription that may not be read: then nothing is known of them.
func (s *subscription) readScopes(ctx context.Context) error {
	client, err := arm.NewClient("privatelink-dns/azureinventory", "v1.0.0", s.credential, s.client)
	if err != nil {
		return err
	}
	for _, endpoint := range s.inventory.Endpoints {
		id := endpoint.Service
		known := func(scope audit.MonitorScope) bool { return strings.EqualFold(scope.ID, id) }
		if !strings.Contains(strings.ToLower(id), scopeType) || slices.ContainsFunc(s.inventory.Scopes, known) {
			continue
		}
		s.progress("private link scopes", 0, 0)
		scope, err := readScope(ctx, client, id)
		if response, is := errors.AsType[*azcore.ResponseError](err); is && (response.StatusCode == http.StatusForbidden || response.StatusCode == http.StatusNotFound) {
			err = nil
		}
		if err != nil {
			return err
		}
		s.inventory.Scopes = append(s.inventory.Scopes, scope)
	}
	return nil
}

func readScope(ctx context.Context, client *arm.Client, id string) (audit.MonitorScope, error) {
	scope := audit.MonitorScope{ID: id}
	request, err := runtime.NewRequest(ctx, http.MethodGet, runtime.JoinPaths(client.Endpoint(), id))
	if err != nil {
		return scope, err
	}
	query := request.Raw().URL.Query()
	query.Set("api-version", scopeVersion)
	request.Raw().URL.RawQuery = query.Encode()
	response, err := client.Pipeline().Do(request)
	if err != nil {
		return scope, err
	}
	if !runtime.HasStatusCode(response, http.StatusOK) {
		return scope, runtime.NewResponseError(response)
	}
	var read struct {
		Properties struct {
			AccessModeSettings struct {
				QueryAccessMode     string `json:"queryAccessMode"`
				IngestionAccessMode string `json:"ingestionAccessMode"`
			} `json:"accessModeSettings"`
		} `json:"properties"`
	}
	err = runtime.UnmarshalAsJSON(response, &read)
	modes := read.Properties.AccessModeSettings
	scope.Query, scope.Ingestion = modes.QueryAccessMode, modes.IngestionAccessMode
	return scope, err
}
