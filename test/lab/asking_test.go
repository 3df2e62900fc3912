//go:build linux

package lab

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// The extended DNS errors that our server sends (RFC 8914).
const (
	edeBlocked      = 15
	edeNotSupported = 21
)

// dig asks and fails the test without a reply.
func dig(t *testing.T, from *Host, server, name, kind string, options ...string) *Answer {
	t.Helper()
	answer, err := from.Dig(server, name, kind, options...)
	if err != nil {
		t.Fatalf("on %s: %v", from, err)
	}
	return answer
}

// digAddress asks for the addresses of a name and compares them.
func digAddress(t *testing.T, from *Host, server, name string, addresses ...string) {
	t.Helper()
	answer := dig(t, from, server, name, "A")
	if got := answer.Data("A"); answer.Status != "NOERROR" || !slices.Equal(got, addresses) {
		t.Errorf("%s asks %s for %s A: got %s, want addresses %v", from, server, name, answer, addresses)
	}
}

// digBlocked asks for a privatelink name; it must be refused with the advice
// to ask for the public name.
func digBlocked(t *testing.T, from *Host, server, name, public string) {
	t.Helper()
	answer := dig(t, from, server, name, "A")
	if answer.Status != "REFUSED" || answer.EDE == nil || answer.EDE.Code != edeBlocked || !strings.Contains(answer.EDE.Text, public) {
		t.Errorf("%s asks %s for %s A: got %s, want REFUSED with EDE %d that names %s", from, server, name, answer, edeBlocked, public)
	}
}

// logged waits for a record of the query log and fails the test without one.
func logged(t *testing.T, s *Server, matches func(LogRecord) bool) LogRecord {
	t.Helper()
	record, err := s.AwaitLogged(matches)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// asked matches the records of one client's questions of type A for a name,
// from a time on.
func asked(from *Host, name string, since time.Time) func(LogRecord) bool {
	return func(record LogRecord) bool {
		return record.Client == from.Address() && record.Name == name+"." && record.Type == "A" && record.Time.After(since)
	}
}
