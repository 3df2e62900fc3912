package querylog

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func secretFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func azureOptions(t testing.TB) AzureMonitorOptions {
	t.Helper()
	return AzureMonitorOptions{
		Endpoint: "https://dns-a1b2.westeurope-1.ingest.monitor.azure.com", RuleID: fakeRule, Stream: fakeStream,
		Identity: AzureIdentity{Kind: "secret", TenantID: fakeTenant, ClientID: fakeClient, File: secretFile(t)},
	}
}

func newAzureLog(t testing.TB, fake *fakeAzure, change func(*AzureMonitorOptions)) *Log {
	t.Helper()
	options := azureOptions(t)
	if change != nil {
		change(&options)
	}
	sink, err := newAzureMonitor(options, fake)
	if err != nil {
		t.Fatal(err)
	}
	log, err := New(Destination{Name: "azure", Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// expectAll fails unless the names are those of the records 0 to count-1, each
// once, in any order: calls are made side by side.
func expectAll(t testing.TB, names []string, count int) {
	t.Helper()
	numbers := make([]int, len(names))
	for index, name := range names {
		numbers[index], _ = strconv.Atoi(name)
	}
	slices.Sort(numbers)
	if len(numbers) != count || count > 0 && (numbers[0] != 0 || numbers[count-1] != count-1) || len(slices.Compact(numbers)) != count {
		t.Fatalf("there are %d records, want 0 to %d, each once", len(names), count-1)
	}
}

// Every kind of identity proves itself in its own way, to its own cloud.
func TestAzureIdentities(t *testing.T) {
	tests := []struct {
		name, cloud, audience string
		identity              AzureIdentity
		want                  map[string]string
	}{
		{"managed", "", "https://monitor.azure.com", AzureIdentity{}, map[string]string{"client_id": ""}},
		{"one of several managed", "usgov", "https://monitor.azure.us", AzureIdentity{Kind: "managed", ClientID: fakeClient}, map[string]string{"client_id": fakeClient}},
		{"workload", "public", "https://monitor.azure.com", AzureIdentity{Kind: "workload", TenantID: fakeTenant, ClientID: fakeClient},
			map[string]string{"client_assertion": "hush", "client_id": fakeClient, "grant_type": "client_credentials"}},
		{"secret", "china", "https://monitor.azure.cn", AzureIdentity{Kind: "secret", TenantID: fakeTenant, ClientID: fakeClient},
			map[string]string{"client_secret": "hush", "client_id": fakeClient, "grant_type": "client_credentials"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			fake := newFakeAzure(t)
			fake.audience = tc.audience
			log := newAzureLog(t, fake, func(o *AzureMonitorOptions) {
				file := o.Identity.File
				o.Cloud, o.Identity = tc.cloud, tc.identity
				if tc.identity.TenantID != "" {
					o.Identity.File = file
				}
			})
			adder(log.Log).numbered(0, 3)
			mustClose(t, log)
			expectAll(t, fake.names(), 3)
			if len(fake.tokens) == 0 && tc.identity.TenantID == "" {
				t.Skip("the library keeps a machine's tokens for the whole process, which has run this test before")
			}
			if len(fake.tokens) != 1 {
				t.Fatalf("%d tokens were asked for, want 1", len(fake.tokens))
			}
			for key, want := range tc.want {
				if got := strings.TrimSpace(fake.tokens[0].Get(key)); got != want {
					t.Errorf("the token was asked for with %s=%q, want %q", key, got, want)
				}
			}
		})
	}
}

func TestAzureMonitorOverHTTPS(t *testing.T) {
	fake := newFakeAzure(t)
	server := httptest.NewTLSServer(fake)
	defer server.Close()
	options := azureOptions(t)
	options.Endpoint = server.URL
	sink, err := newAzureMonitor(options, transportTo{fake, server})
	if err != nil {
		t.Fatal(err)
	}
	log, err := New(Destination{Name: "azure", Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	const count = 10_000 // 3.3 MB
	appender := log.Appender()
	for number := range count {
		adder(appender.Add).numbered(number, 1)
	}
	appender.Flush()
	// A slow machine must not meet the end of Close's patience.
	eventually(t, "the full calls", func() bool { return len(fake.names()) > count*8/10 })
	mustClose(t, log)
	expectAll(t, fake.names(), count)
	if calls := len(fake.calls); calls < 4 || calls > 5 {
		t.Errorf("%d calls were made for 3.3 MB, want 4 or 5", calls)
	}
}

// transportTo sends calls to a server over real HTTPS and fakes the rest.
type transportTo struct {
	fake   *fakeAzure
	server *httptest.Server
}

func (to transportTo) Do(request *http.Request) (*http.Response, error) {
	if request.URL.Host == strings.TrimPrefix(to.server.URL, "https://") {
		return to.server.Client().Do(request)
	}
	return to.fake.Do(request)
}

// A quiet server's records are not kept for a full call.
func TestAzureMonitorSendsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeAzure(t)
		log := newAzureLog(t, fake, nil)
		adder(log.Log).numbered(0, 3)
		time.Sleep(batchAge + time.Second)
		expectAll(t, fake.names(), 3)
		mustClose(t, log)
	})
}

// Azure says when to come back, in seconds or as a date: no call is made before.
func TestAzureMonitorHonoursRetryAfter(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		for _, form := range []string{"seconds", "date"} {
			t.Run(strconv.Itoa(status)+" "+form, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					const pause = 90 * time.Second
					fake := newFakeAzure(t)
					var refused time.Time
					fake.answer = func(int) (int, string) {
						if !refused.IsZero() {
							return 0, ""
						}
						refused = time.Now()
						if form == "date" {
							return status, refused.Add(pause).UTC().Format(http.TimeFormat)
						}
						return status, "90"
					}
					log := newAzureLog(t, fake, nil)
					for number := range 60 {
						adder(log.Log).numbered(number, 1)
						time.Sleep(4 * time.Second)
					}
					mustClose(t, log)
					if waited := fake.calls[1].Sub(fake.calls[0]); waited < pause-time.Second || waited > pause+2*time.Second {
						t.Errorf("the second call came %v after the refusal, want %v", waited, pause)
					}
					expectAll(t, fake.names(), 60)
					checkTotals(t, log, 60)
				})
			})
		}
	}
}

// Without advice, pauses grow, so that an outage is not answered by a storm.
func TestAzureMonitorBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeAzure(t)
		broken := true
		fake.answer = func(int) (int, string) {
			if broken {
				return http.StatusInternalServerError, ""
			}
			return 0, ""
		}
		log := newAzureLog(t, fake, nil)
		for number := range 600 {
			adder(log.Log).numbered(number, 1)
			time.Sleep(time.Second)
		}
		var calls int
		fake.set(func() { calls, broken = len(fake.calls), false })
		if calls < 10 || calls > 25 {
			t.Errorf("%d calls were made in ten minutes of failure, want 10 to 25", calls)
		}
		if err := log.Statistics()[0].Err; err == nil || !strings.Contains(err.Error(), "500 Internal Server Error") {
			t.Errorf("Statistics().Err = %v, want the answer", err)
		}
		time.Sleep(2 * time.Minute)
		expectAll(t, fake.names(), 600)
		if err := log.Statistics()[0].Err; err != nil {
			t.Errorf("Statistics().Err = %v after the recovery, want nil", err)
		}
		mustClose(t, log)
	})
}

// What would be refused again is dropped and counted; what can be mended on the
// other side is tried again.
func TestAzureMonitorRefusals(t *testing.T) {
	tests := []struct {
		status int
		lost   bool
	}{
		{http.StatusBadRequest, true},
		{http.StatusRequestEntityTooLarge, true},
		{http.StatusUnauthorized, false},
		{http.StatusForbidden, false},
		{http.StatusNotFound, false},
		{http.StatusTooManyRequests, false},
		{http.StatusBadGateway, false},
	}
	for _, tc := range tests {
		t.Run(strconv.Itoa(tc.status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := newFakeAzure(t)
				fake.answer = func(call int) (int, string) {
					if call == 1 {
						return tc.status, ""
					}
					return 0, ""
				}
				log := newAzureLog(t, fake, nil)
				adder(log.Log).numbered(0, 5)
				time.Sleep(time.Minute)
				s := log.Statistics()[0]
				if wantRefused := map[bool]uint64{true: 5, false: 0}[tc.lost]; s.Refused != wantRefused || (s.Err != nil) != tc.lost {
					t.Errorf("Statistics() = %+v, want %d refused", s, wantRefused)
				}
				adder(log.Log).numbered(5, 5)
				time.Sleep(time.Minute)
				if got := len(fake.names()); got != 10-int(s.Refused) {
					t.Errorf("Azure Monitor has %d rows, want %d", got, 10-int(s.Refused))
				}
				mustClose(t, log)
				checkTotals(t, log, 10)
			})
		})
	}
}

// The published limit of a minute is met with a pause, and nothing is lost.
func TestAzureMonitorIsLimitedPerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := newFakeAzure(t)
		fake.minuteBegan, fake.minuteCalls = time.Now(), 11_998
		log := newAzureLog(t, fake, nil)
		for number := range 12 {
			adder(log.Log).numbered(number, 1)
			time.Sleep(6 * time.Second)
		}
		mustClose(t, log)
		expectAll(t, fake.names(), 12)
		for _, call := range fake.calls[3:] {
			if elapsed := call.Sub(fake.calls[2]); elapsed < 30*time.Second {
				t.Errorf("a call came %v after the limit was reached, want the rest of the minute", elapsed)
			}
		}
	})
}

func TestNewAzureMonitorRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*AzureMonitorOptions)
		want   string
	}{
		{"an endpoint without TLS", func(o *AzureMonitorOptions) { o.Endpoint = "http://example.org" }, "http://example.org"},
		{"a rule's resource ID", func(o *AzureMonitorOptions) { o.RuleID = "/subscriptions/x" }, "immutable ID"},
		{"no stream", func(o *AzureMonitorOptions) { o.Stream = "" }, "no stream"},
		{"an unknown cloud", func(o *AzureMonitorOptions) { o.Cloud = "germany" }, `"germany"`},
		{"an unknown identity", func(o *AzureMonitorOptions) { o.Identity.Kind = "certificate" }, `"certificate"`},
		{"no tenant", func(o *AzureMonitorOptions) { o.Identity.TenantID = "" }, "no tenant ID"},
		{"no secret", func(o *AzureMonitorOptions) { o.Identity.File = "nowhere" }, "no such file"},
		{"a negative spool", func(o *AzureMonitorOptions) { o.SpoolBytes = -1 }, "-1 bytes"},
		{"a spool that cannot be made", func(o *AzureMonitorOptions) { o.SpoolDirectory = "/dev/null/spool" }, "opening the spool"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			options := azureOptions(t)
			tc.change(&options)
			if sink, err := NewAzureMonitor(options); sink != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("NewAzureMonitor() = %v, %v, want an error with %q", sink, err, tc.want)
			}
		})
	}
}
