package querylog

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/monitor/ingestion/azlogs"
)

const (
	defaultSpoolBytes = 256 << 20
	// callTimeout bounds one call, the token for it included.
	callTimeout = 30 * time.Second
)

// AzureMonitorOptions say where in Azure Monitor records go, through the Logs
// Ingestion API, and who we are there. The shipped rule and table are in
// deploy/azure-monitor.
type AzureMonitorOptions struct {
	// Endpoint is the logs ingestion endpoint of the data collection rule or of
	// a data collection endpoint: https://….ingest.monitor.azure.com.
	Endpoint string
	// RuleID is the rule's immutable ID, dcr- and 32 hexadecimal digits; Stream
	// the stream that the rule declares, Custom-PrivatelinkDnsQueries as shipped.
	RuleID, Stream string
	// Cloud is public (also when empty), usgov or china.
	Cloud string
	// Identity is who we are. It needs the role Monitoring Metrics Publisher on
	// the rule.
	Identity AzureIdentity
	// SpoolDirectory keeps records while Azure Monitor cannot be reached, over a
	// restart too; it is made if need be. Empty: they are kept in 16 MiB of memory.
	// SpoolBytes bounds it, 256 MiB if 0; records are compressed to a tenth or less.
	SpoolDirectory string
	SpoolBytes     int64
}

// AzureIdentity names a Microsoft Entra identity and how it is proved.
type AzureIdentity struct {
	// Kind is managed (also when empty), the identity of the virtual machine that
	// we run on; workload, federation with another issuer's token, for a server
	// outside Azure; or secret.
	Kind string
	// TenantID and ClientID are for workload and secret; ClientID alone chooses
	// one of several managed identities.
	TenantID, ClientID string
	// File holds the other issuer's token, which is read again as it is renewed,
	// or the secret, which is not.
	File string
}

// NewAzureMonitor returns a sink for a table of Azure Monitor. It asks for no
// token and calls nobody before there is something to send. Calls are at most
// 1 MB, compressed, and four at a time; records wait for at most five seconds.
// While calls fail, each is made again, after the time that Azure asks for or
// with growing pauses of up to a minute. What is refused for good, and the
// oldest of what has no room in the spool, is counted as lost. A call whose
// reply was lost is made again: rows can be there twice.
func NewAzureMonitor(options AzureMonitorOptions) (Sink, error) {
	return newAzureMonitor(options, nil)
}

// newAzureMonitor takes a transport for tests; nil is the real one.
func newAzureMonitor(options AzureMonitorOptions, transport policy.Transporter) (Sink, error) {
	if err := options.Check(); err != nil {
		return nil, err
	}
	configuration, err := options.client(transport)
	if err != nil {
		return nil, err
	}
	credential, err := options.Identity.credential(configuration)
	if err != nil {
		return nil, fmt.Errorf("making the %s identity: %w", options.Identity.Kind, err)
	}
	client, err := azlogs.NewClient(options.Endpoint, credential, &azlogs.ClientOptions{ClientOptions: configuration})
	if err != nil {
		return nil, err
	}
	var kept *spool
	if options.SpoolDirectory != "" {
		if kept, err = openSpool(options.SpoolDirectory, options.SpoolBytes); err != nil {
			return nil, fmt.Errorf("opening the spool: %w", err)
		}
	}
	encoding := "gzip"
	upload := func(ctx context.Context, body []byte) error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		_, err := client.Upload(ctx, options.RuleID, options.Stream, body, &azlogs.UploadOptions{ContentEncoding: &encoding})
		return err
	}
	return &azureMonitor{batch: newBatcher(), shipper: newShipper(upload, kept)}, nil
}

var ruleID = regexp.MustCompile(`^dcr-[0-9a-f]{32}$`)

// Check says what is wrong with options that NewAzureMonitor would not take, and puts the
// defaults in their places. It asks nobody, and looks at no file.
func (o *AzureMonitorOptions) Check() error {
	endpoint, err := url.Parse(o.Endpoint)
	if err != nil || endpoint.Scheme != "https" || endpoint.Host == "" {
		return fmt.Errorf("found endpoint %q, expected https:// and the host of a logs ingestion endpoint", o.Endpoint)
	}
	if !ruleID.MatchString(o.RuleID) {
		return fmt.Errorf("found rule %q, expected the immutable ID of a data collection rule: dcr- and 32 hexadecimal digits", o.RuleID)
	}
	if o.Stream == "" {
		return errors.New("found no stream, expected one that the data collection rule declares")
	}
	if o.SpoolBytes < 0 {
		return fmt.Errorf("found a spool of %d bytes, expected none that is negative", o.SpoolBytes)
	}
	if o.SpoolBytes == 0 {
		o.SpoolBytes = defaultSpoolBytes
	}
	if o.Identity.Kind == "" {
		o.Identity.Kind = "managed"
	}
	return nil
}

// client is how calls are made: once each, because the shipper makes them again.
func (o *AzureMonitorOptions) client(transport policy.Transporter) (azcore.ClientOptions, error) {
	clouds := map[string]cloud.Configuration{"": cloud.AzurePublic, "public": cloud.AzurePublic, "usgov": cloud.AzureGovernment, "china": cloud.AzureChina}
	chosen, known := clouds[o.Cloud]
	if !known {
		return azcore.ClientOptions{}, fmt.Errorf("found cloud %q, expected public, usgov or china", o.Cloud)
	}
	return azcore.ClientOptions{
		Cloud: chosen, Transport: transport,
		Retry:     policy.RetryOptions{MaxRetries: -1},
		Telemetry: policy.TelemetryOptions{ApplicationID: "privatelink-dns"},
	}, nil
}

func (i AzureIdentity) credential(client azcore.ClientOptions) (azcore.TokenCredential, error) {
	if i.Kind != "managed" && (i.TenantID == "" || i.ClientID == "" || i.File == "") {
		return nil, errors.New("found no tenant ID, client ID or file, expected all three")
	}
	switch i.Kind {
	case "managed":
		options := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: client}
		// The metadata service is slow to start; the library knows how to wait.
		options.Retry = policy.RetryOptions{}
		if i.ClientID != "" {
			options.ID = azidentity.ClientID(i.ClientID)
		}
		return azidentity.NewManagedIdentityCredential(options)
	case "workload":
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: client, TenantID: i.TenantID, ClientID: i.ClientID, TokenFilePath: i.File,
		})
	case "secret":
		secret, err := os.ReadFile(i.File)
		if err != nil {
			return nil, err
		}
		return azidentity.NewClientSecretCredential(i.TenantID, i.ClientID, strings.TrimSpace(string(secret)),
			&azidentity.ClientSecretCredentialOptions{ClientOptions: client})
	}
	return nil, fmt.Errorf("found identity %q, expected managed, workload or secret", i.Kind)
}

// azureMonitor is a sink. The batch belongs to the outlet's goroutine; from
// there the shipper has it.
type azureMonitor struct {
	batch   *batcher
	shipper *shipper
}

func (a *azureMonitor) newEncoder() encoder { return appendJSON }
func (a *azureMonitor) takesMessages() bool { return false }

func (a *azureMonitor) write(b *block) (lost int, err error) {
	a.shipper.begin()
	for lines := b.data; len(lines) > 0; {
		lines = a.batch.add(lines, time.Now())
		if len(lines) > 0 {
			a.shipper.add(a.batch.seal())
		}
	}
	return a.shipper.news()
}

func (a *azureMonitor) tick(now time.Time) (int, error) {
	a.shipper.begin() // there may be something in the spool
	if a.batch.isDue(now) {
		a.shipper.add(a.batch.seal())
	}
	return a.shipper.news()
}

func (a *azureMonitor) close(ctx context.Context) (int, error) {
	a.shipper.begin()
	if a.batch.records > 0 {
		a.shipper.add(a.batch.seal())
	}
	return a.shipper.close(ctx)
}
