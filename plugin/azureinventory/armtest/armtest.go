// Package armtest is a fake of Azure Resource Manager for tests: it serves
// resources as they were recorded, lists in pages, and throttles. It knows
// nothing of what the resources mean, and notes every request that a reader
// must not make.
package armtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// Token is what requests must carry, and Credential gives.
const Token = "a-token-of-the-test"

// Credential is a static credential.
type Credential struct{}

// GetToken returns Token, which does not expire in the time of a test.
func (Credential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: Token, ExpiresOn: time.Now().Add(24 * time.Hour)}, nil
}

// Server is the fake. Its fields are set before it serves; it is then safe for
// concurrent use.
type Server struct {
	// PageSize is how many items a page has, 0 for all.
	PageSize int
	// RetryAfter, if it is not 0: the first request for every page is refused with status
	// 429, and this is how long to wait.
	RetryAfter time.Duration
	// Refuse has, by path in lower case, an error to answer with in place of the resource.
	Refuse map[string]Refusal

	resources map[string]json.RawMessage

	mutex     sync.Mutex
	served    map[string]int
	throttled int
	wrong     []string
}

// Refusal is an error of Azure Resource Manager.
type Refusal struct {
	Status int
	Code   string
}

// New reads a file of resources: an object with the path of each, and an array for a
// list. A list that the file does not have is empty; that of a resource which is neither
// is not found.
func New(t testing.TB, path string) *Server {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var recorded map[string]json.RawMessage
	if err := json.Unmarshal(data, &recorded); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	server := &Server{resources: map[string]json.RawMessage{}, served: map[string]int{}}
	for path, resource := range recorded {
		server.resources[strings.ToLower(path)] = resource
	}
	t.Cleanup(func() {
		for _, request := range server.Wrong() {
			t.Errorf("a request that must not be made: %s", request)
		}
	})
	return server
}

// Wrong are the requests that no reader may make: with another method than GET, without
// the token or the version of the API.
func (s *Server) Wrong() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return append([]string(nil), s.wrong...)
}

// Counts are how many requests were served and how many were throttled.
func (s *Server) Counts() (served, throttled int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, count := range s.served {
		served += count
	}
	return served, s.throttled
}

// ServeHTTP answers as Azure Resource Manager does.
func (s *Server) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	path := strings.ToLower(strings.TrimSuffix(request.URL.Path, "/"))
	query := request.URL.Query()
	if request.Method != http.MethodGet || request.Header.Get("Authorization") != "Bearer "+Token || query.Get("api-version") == "" {
		s.wrong = append(s.wrong, request.Method+" "+request.URL.String())
		refuse(w, Refusal{http.StatusMethodNotAllowed, "MethodNotAllowed"})
		return
	}
	page := path + " " + query.Get("$skiptoken")
	s.served[page]++
	if s.RetryAfter != 0 && s.served[page] == 1 {
		s.throttled++
		w.Header().Set("Retry-After", strconv.Itoa(int(s.RetryAfter.Seconds())))
		w.Header().Set("Retry-After-Ms", strconv.FormatInt(s.RetryAfter.Milliseconds(), 10))
		refuse(w, Refusal{http.StatusTooManyRequests, "TooManyRequests"})
		return
	}
	if refusal, is := s.Refuse[path]; is {
		refuse(w, refusal)
		return
	}
	s.answer(w, request, path)
}

func (s *Server) answer(w http.ResponseWriter, request *http.Request, path string) {
	resource, known := s.resources[path]
	switch {
	case !known && strings.Count(path, "/")%2 == 0:
		// Types and names alternate: what ends in a name is a resource, not a list.
		refuse(w, Refusal{http.StatusNotFound, "ResourceNotFound"})
		return
	case !known:
		resource = json.RawMessage("[]")
	}
	var items []json.RawMessage
	if json.Unmarshal(resource, &items) != nil {
		write(w, resource)
		return
	}
	first, _ := strconv.Atoi(request.URL.Query().Get("$skiptoken"))
	first = min(first, len(items))
	after := len(items)
	list := struct {
		Value    []json.RawMessage `json:"value"`
		NextLink string            `json:"nextLink,omitempty"`
	}{}
	if s.PageSize > 0 && first+s.PageSize < len(items) {
		after = first + s.PageSize
		next := *request.URL
		query := next.Query()
		query.Set("$skiptoken", strconv.Itoa(after))
		next.Scheme, next.Host, next.RawQuery = "https", request.Host, query.Encode()
		list.NextLink = next.String()
	}
	list.Value = append([]json.RawMessage{}, items[first:after]...)
	write(w, list)
}

func write(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(value)
}

func refuse(w http.ResponseWriter, refusal Refusal) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(refusal.Status)
	_, _ = fmt.Fprintf(w, `{"error":{"code":%q,"message":"as the test says"}}`, refusal.Code)
}
