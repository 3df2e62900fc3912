// Package azureinventory reads from Azure Resource Manager what plugin/audit
// looks at: private DNS zones with their links and records, private endpoints,
// DNS resolvers and forwarding rulesets.
//
// It knows the API and nothing of what the inventory is held against. It sends
// GET requests and no others: anything else is refused before it is sent.
package azureinventory

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/privatelink-dns/privatelink-dns/plugin/audit"
)

// Options say whom to ask, and as whom.
type Options struct {
	// Cloud is one of Clouds; empty is "public".
	Cloud string
	// Endpoint is another address of Azure Resource Manager in that cloud, such as a regional
	// one or a gateway, "https://…"; empty is the cloud's own. Tokens are those for the cloud.
	Endpoint string
	// Credential gives the tokens. Nil is azidentity's DefaultAzureCredential: environment,
	// workload identity, managed identity, Azure CLI.
	Credential azcore.TokenCredential
	// Transport sends the requests; nil is the real one.
	Transport policy.Transporter
	// Progress is told what is being read, by one goroutine at a time; it may be nil.
	Progress func(what string, done, all int)
}

// cloudOf is one cloud and how to reach it.
type cloudOf struct {
	name          string
	configuration cloud.Configuration
}

var clouds = []cloudOf{
	{"public", cloud.AzurePublic}, {"usgovernment", cloud.AzureGovernment}, {"china", cloud.AzureChina},
}

// Clouds returns the names that Options.Cloud may have. The slice belongs to the caller.
func Clouds() []string {
	names := make([]string, 0, len(clouds))
	for _, each := range clouds {
		names = append(names, each.name)
	}
	return names
}

// Reader reads inventories. It is safe for concurrent use, as far as Options.Progress is.
type Reader struct {
	credential azcore.TokenCredential
	client     *arm.ClientOptions
	progress   func(what string, done, all int)
}

// New returns a reader. It asks for no token and sends nothing yet.
func New(options Options) (*Reader, error) {
	configuration, err := options.cloud()
	if err != nil {
		return nil, err
	}
	credential := options.Credential
	if credential == nil {
		// A managed identity that is not there is found out within seconds.
		credential, err = azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
			ClientOptions: azcore.ClientOptions{Cloud: configuration},
		})
	}
	if err != nil {
		return nil, fmt.Errorf("finding an identity: %w", err)
	}
	progress := options.Progress
	if progress == nil {
		progress = func(string, int, int) {}
	}
	return &Reader{credential: credential, progress: progress, client: &arm.ClientOptions{
		ClientOptions: azcore.ClientOptions{
			Cloud: configuration, Transport: options.Transport,
			// Azure Resource Manager and the providers behind it throttle and say for how
			// long; a longer wait than MaxRetryDelay would end the reading.
			Retry:           policy.RetryOptions{MaxRetries: 5, MaxRetryDelay: 6 * time.Minute},
			Telemetry:       policy.TelemetryOptions{ApplicationID: "privatelink-dns"},
			PerCallPolicies: []policy.Policy{readOnly{}},
		},
		// Where a provider is not registered, the library would register it: a change.
		DisableRPRegistration: true,
	}}, nil
}

// cloud is the configuration of the chosen cloud, with the endpoint put in.
func (o Options) cloud() (cloud.Configuration, error) {
	for _, each := range clouds {
		if each.name != o.Cloud && (o.Cloud != "" || each.name != "public") {
			continue
		}
		if o.Endpoint == "" {
			return each.configuration, nil
		}
		endpoint, err := url.Parse(o.Endpoint)
		if err != nil || endpoint.Scheme != "https" || endpoint.Host == "" {
			return cloud.Configuration{}, fmt.Errorf("found endpoint %q, expected https:// and the host of Azure Resource Manager", o.Endpoint)
		}
		service := each.configuration.Services[cloud.ResourceManager]
		service.Endpoint = o.Endpoint
		return cloud.Configuration{
			ActiveDirectoryAuthorityHost: each.configuration.ActiveDirectoryAuthorityHost,
			Services:                     map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: service},
		}, nil
	}
	return cloud.Configuration{}, fmt.Errorf("found cloud %q, expected one of %v", o.Cloud, Clouds())
}

// readOnly refuses every request that could change something.
type readOnly struct{}

// Do passes GET requests on.
func (readOnly) Do(request *policy.Request) (*http.Response, error) {
	if method := request.Raw().Method; method != http.MethodGet {
		return nil, fmt.Errorf("found a %s request, expected GET and nothing else: nothing is ever changed", method)
	}
	return request.Next()
}

var subscriptionID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// Read reads everything in subscriptions, which are named by their IDs. An inventory
// with a part missing would accuse the innocent, so any error ends the reading and none
// is returned; it names the subscription and what was read. Requests that are throttled
// are made again after the time that Azure asks for. A context that ends, ends it.
func (r *Reader) Read(ctx context.Context, subscriptions []string) (*audit.Inventory, error) {
	var mistakes []error
	for _, id := range subscriptions {
		if !subscriptionID.MatchString(id) {
			mistakes = append(mistakes, fmt.Errorf("found subscription %q, expected its ID, such as 00000000-0000-0000-0000-000000000000", id))
		}
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	inventory := &audit.Inventory{Subscriptions: subscriptions}
	for _, id := range subscriptions {
		s, err := r.open(id)
		if err != nil {
			return nil, err
		}
		s.inventory = inventory
		for _, part := range parts {
			if err := part.read(s, ctx); err != nil {
				return nil, fmt.Errorf("reading the %s of subscription %s: %w", part.what, id, explain(err))
			}
		}
	}
	return inventory, nil
}

// parts are read in this order.
var parts = []struct {
	what string
	read func(*subscription, context.Context) error
}{
	{"private DNS zones", (*subscription).readZones},
	{"private endpoints", (*subscription).readEndpoints},
	{"DNS resolvers", (*subscription).readResolvers},
	{"forwarding rulesets", (*subscription).readRulesets},
	{"private link scopes", (*subscription).readScopes},
}

// explain shortens the error of a response to what a person can act on: the library's
// own has the whole exchange in it.
func explain(err error) error {
	response, is := errors.AsType[*azcore.ResponseError](err)
	if !is {
		return err
	}
	advice := ""
	switch response.StatusCode {
	case http.StatusUnauthorized:
		advice = "; sign in to the tenant of the subscription"
	case http.StatusForbidden:
		advice = "; give the identity the role Reader on the subscription"
	case http.StatusNotFound:
		advice = "; see that the ID is right, and in this cloud"
	case http.StatusTooManyRequests:
		advice = "; it goes on being throttled: try again later"
	}
	return fmt.Errorf("found status %d %s%s", response.StatusCode, response.ErrorCode, advice)
}
