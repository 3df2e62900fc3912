package upstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrClosed is returned for a question to a server that has been closed, or is
	// closed while the question is pending.
	ErrClosed = errors.New("server closed")
	// ErrBusy is returned when every socket to a server has as many questions
	// pending as it may have. Nothing was sent.
	ErrBusy = errors.New("too many questions pending")
	// ErrQuestion is returned for a name that cannot be asked: not fully qualified,
	// or not a domain name. Nothing was sent.
	ErrQuestion = errors.New("not a question")
	// ErrMalformed is returned when a reply to our query is not a whole DNS message,
	// over UDP and over TCP.
	ErrMalformed = errors.New("malformed reply")
	// ErrTruncated is returned when a reply over TCP says that it is truncated.
	ErrTruncated = errors.New("truncated reply")
	// ErrNoServers is returned by a group without servers.
	ErrNoServers = errors.New("no servers")
	// ErrOverBudget is returned when the server's budget has no room for a query within
	// the time there is: when it is foreseen, at once. Nothing was sent, and it says
	// nothing about the server.
	ErrOverBudget = errors.New("over budget")
	// ErrDown is returned in place of ErrOverBudget where the server is down: of such a
	// server only a few questions at a time try whether it has returned.
	ErrDown = errors.New("server down")
	// ErrSilent is an Attempt's error when the server had not replied by the time
	// the group stopped waiting. It is a context.DeadlineExceeded too.
	ErrSilent error = silentError{}
)

var (
	errOPTOutside = errors.New("OPT outside the additional section")
	errTwoOPT     = errors.New("two OPT records")
)

// silentError is a type and not a wrapped error so that its text stays short: it
// ends up in an extended DNS error.
type silentError struct{}

func (silentError) Error() string { return "no reply" }

func (silentError) Is(target error) bool { return target == context.DeadlineExceeded }

// FailedError says that no server of a group gave a good answer. With errors.Is
// and errors.As it is every error of its attempts: context.DeadlineExceeded where
// a server was silent, syscall.ECONNREFUSED where one has no DNS service.
type FailedError struct {
	// Group is the group's name.
	Group string
	// Attempts are all queries that were sent, in the order in which they were
	// sent. A silent server that was asked twice is listed twice.
	Attempts []Attempt
}

// Error lists what every server said.
func (e *FailedError) Error() string {
	said := make([]string, len(e.Attempts))
	for i, a := range e.Attempts {
		said[i] = a.String()
	}
	return fmt.Sprintf("group %q: %s", e.Group, strings.Join(said, "; "))
}

// Unwrap returns the errors of the attempts that have one; those that failed by
// their rcode have none.
func (e *FailedError) Unwrap() []error {
	var errs []error
	for _, a := range e.Attempts {
		if a.Err != nil {
			errs = append(errs, a.Err)
		}
	}
	return errs
}
