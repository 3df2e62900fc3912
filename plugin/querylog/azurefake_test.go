package querylog

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	fakeRule   = "dcr-0123456789abcdef0123456789abcdef"
	fakeStream = "Custom-PrivatelinkDnsQueries"
	fakeTenant = "11111111-2222-3333-4444-555555555555"
	fakeClient = "66666666-7777-8888-9999-000000000000"
	fakeToken  = "fake-token"
)

// fakeAzure plays the Logs Ingestion API with the limits that are published for
// it, Microsoft Entra's token endpoint, and a virtual machine's metadata service.
type fakeAzure struct {
	testing testing.TB
	// columns are what the shipped rule declares.
	columns map[string]string
	// cloud's ends: where tokens are for.
	audience string

	mutex sync.Mutex
	rows  []map[string]any
	calls []time.Time
	// minute is the calls and bytes of the minute that began at minuteBegan.
	minuteBegan               time.Time
	minuteCalls, minuteLength int
	// unreachable fails every call before it reaches anybody; answer, if not
	// nil, is asked for the status of each call first: 0 lets it through.
	unreachable bool
	answer      func(call int) (status int, retryAfter string)
	tokens      []url.Values
}

func newFakeAzure(t testing.TB) *fakeAzure {
	_, columns, _ := readTemplate(t)
	return &fakeAzure{testing: t, columns: columns, audience: "https://monitor.azure.com"}
}

// Do is the transport of every client: nothing leaves the process.
func (f *fakeAzure) Do(request *http.Request) (*http.Response, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.unreachable {
		return nil, errors.New("connect: network is unreachable")
	}
	recorder := httptest.NewRecorder()
	switch host := request.URL.Hostname(); {
	case strings.HasPrefix(host, "login."):
		f.entra(recorder, request)
	case host == "169.254.169.254":
		f.metadata(recorder, request)
	default:
		f.ingest(recorder, request)
	}
	response := recorder.Result()
	response.Request = request
	return response, nil
}

func (f *fakeAzure) entra(w http.ResponseWriter, r *http.Request) {
	base := "https://" + r.URL.Host + "/" + fakeTenant
	switch {
	case strings.HasSuffix(r.URL.Path, "/discovery/instance"):
		fmt.Fprintf(w, `{"tenant_discovery_endpoint":"%s/v2.0/.well-known/openid-configuration","metadata":[{"preferred_network":"%s","preferred_cache":"%[2]s","aliases":["%[2]s"]}]}`, base, r.URL.Host)
	case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
		fmt.Fprintf(w, `{"issuer":"%[1]s/v2.0","authorization_endpoint":"%[1]s/oauth2/v2.0/authorize","token_endpoint":"%[1]s/oauth2/v2.0/token"}`, base)
	default:
		if err := r.ParseForm(); err != nil || r.Form.Get("scope") == "" || !strings.HasPrefix(r.Form.Get("scope"), f.audience) {
			f.testing.Errorf("the token is asked for scope %q, want it for %s", r.Form.Get("scope"), f.audience)
		}
		f.tokens = append(f.tokens, r.Form)
		fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3600,"access_token":"%s"}`, fakeToken)
	}
}

func (f *fakeAzure) metadata(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Metadata") != "true" || !strings.HasPrefix(r.URL.Query().Get("resource"), f.audience) {
		f.testing.Errorf("the metadata service is asked %s, want the header and the audience %s", r.URL, f.audience)
	}
	f.tokens = append(f.tokens, r.URL.Query())
	fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":"3600","expires_on":"%d","resource":"%s","access_token":"%s"}`, time.Now().Add(time.Hour).Unix(), f.audience, fakeToken)
}

// ServeHTTP is for tests over real HTTPS.
func (f *fakeAzure) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.ingest(w, r)
}

// ingest is POST of the Logs Ingestion API, version 2023-01-01.
func (f *fakeAzure) ingest(w http.ResponseWriter, r *http.Request) {
	f.calls = append(f.calls, time.Now())
	body, status, code := f.accepts(r)
	if f.answer != nil && status == 0 {
		var retryAfter string
		if status, retryAfter = f.answer(len(f.calls)); status != 0 {
			w.Header().Set("Retry-After", retryAfter)
			code = "Injected"
		}
	}
	if status == 0 && f.isTooMuch(len(body)) {
		w.Header().Set("Retry-After", fmt.Sprint(int(time.Until(f.minuteBegan.Add(time.Minute)).Seconds())+1))
		status, code = http.StatusTooManyRequests, "RateLimit"
	}
	var rows []map[string]any
	if status == 0 {
		if rows, status = f.read(body); status != 0 {
			code = "InvalidPayload"
		}
	}
	if status != 0 {
		w.Header().Set("x-ms-error-code", code)
		w.WriteHeader(status)
		return
	}
	f.rows = append(f.rows, rows...)
	w.WriteHeader(http.StatusNoContent)
}

// accepts checks the call but for its rows, and returns its body.
func (f *fakeAzure) accepts(r *http.Request) (body []byte, status int, code string) {
	want := "/dataCollectionRules/" + fakeRule + "/streams/" + fakeStream
	switch {
	case r.Method != http.MethodPost || r.URL.Path != want || r.URL.Query().Get("api-version") != "2023-01-01":
		return nil, http.StatusNotFound, "NotFound"
	case r.Header.Get("Authorization") != "Bearer "+fakeToken:
		return nil, http.StatusUnauthorized, "AuthenticationFailed"
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"), r.Header.Get("Content-Encoding") != "gzip":
		return nil, http.StatusUnsupportedMediaType, "UnsupportedMediaType"
	}
	compressed, err := io.ReadAll(r.Body)
	if err != nil || len(compressed) > 1_000_000 {
		return nil, http.StatusRequestEntityTooLarge, "ContentLengthLimitExceeded"
	}
	reader, err := gzip.NewReader(strings.NewReader(string(compressed)))
	if err != nil {
		return nil, http.StatusBadRequest, "InvalidPayload"
	}
	if body, err = io.ReadAll(reader); err != nil {
		return nil, http.StatusBadRequest, "InvalidPayload"
	}
	if len(body) > 1_000_000 {
		return nil, http.StatusRequestEntityTooLarge, "ContentLengthLimitExceeded"
	}
	return body, 0, ""
}

// isTooMuch counts a call against 12,000 calls and 2 GB a minute.
func (f *fakeAzure) isTooMuch(length int) bool {
	if now := time.Now(); now.Sub(f.minuteBegan) >= time.Minute {
		f.minuteBegan, f.minuteCalls, f.minuteLength = now, 0, 0
	}
	f.minuteCalls, f.minuteLength = f.minuteCalls+1, f.minuteLength+length
	return f.minuteCalls > 12_000 || f.minuteLength > 2_000_000_000
}

// read checks the rows: an array of flat objects, fields below 64 KB, columns
// that the rule declares, with names of at most 45 characters.
func (f *fakeAzure) read(body []byte) (rows []map[string]any, status int) {
	if err := json.Unmarshal(body, &rows); err != nil || len(rows) == 0 {
		f.testing.Errorf("the body is no array of objects: %v: %.200s", err, body)
		return nil, http.StatusBadRequest
	}
	for _, row := range rows {
		for name, value := range row {
			if text, _ := json.Marshal(value); len(text) > 64_000 || len(name) > 45 {
				f.testing.Errorf("column %s has %d bytes, want at most 64 KB, and 45 in its name", name, len(text))
			}
			if f.columns[name] == "" {
				f.testing.Errorf("the rule declares no column %s", name)
			}
		}
	}
	return rows, 0
}

// names returns the names of the rows that were taken.
func (f *fakeAzure) names() []string {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	names := make([]string, len(f.rows))
	for index, row := range f.rows {
		names[index] = row["qname"].(string)
	}
	return names
}

func (f *fakeAzure) set(change func()) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	change()
}
