package privatelink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/override"
)

// OverrideRequest is what the admin socket is sent to add an override.
type OverrideRequest struct {
	Name string `json:"name"`
	// Type is A, AAAA, CNAME or resolve; Values are the addresses, the target, or
	// the upstream group.
	Type   string   `json:"type"`
	Values []string `json:"values"`
	// For is a duration such as 4h; empty is 4 hours.
	For    string `json:"for,omitempty"`
	Reason string `json:"reason"`
	// As says who asks, beside the user that the socket knows; it may be empty.
	As string `json:"as,omitempty"`
}

// OverrideChange is what the admin socket says of a change that is in force.
type OverrideChange struct {
	// Override is what was added or removed, Replaced what it took the place of.
	Override *override.Override `json:"override"`
	Replaced *override.Override `json:"replaced,omitempty"`
	// Warning says that the change will not survive a restart.
	Warning string `json:"warning,omitempty"`
}

// maxRequestSize is more than any sensible request.
const maxRequestSize = 64 << 10

func (a *admin) overrides(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, a.shared.overrides.List(time.Now()))
}

func (a *admin) addOverride(w http.ResponseWriter, r *http.Request) {
	change, err := a.readChange(w, r)
	if err != nil {
		refuseOverride(w, err)
		return
	}
	added, replaced, err := a.shared.overrides.Add(change, time.Now())
	if err != nil && !errors.Is(err, override.ErrNotWritten) {
		refuseOverride(w, err)
		return
	}
	text := fmt.Sprintf("override of %s added by %s: %s until %s: %s", added.Name, added.Who, added.Answer(), added.Expires.Format(time.RFC3339), added.Reason)
	if replaced != nil {
		text += fmt.Sprintf("; it was %s, by %s", replaced.Answer(), replaced.Who)
	}
	answerChange(w, text, OverrideChange{Override: added, Replaced: replaced}, err)
}

func (a *admin) removeOverride(w http.ResponseWriter, r *http.Request) {
	removed, err := a.shared.overrides.Remove(r.PathValue("name"), time.Now())
	if err != nil && !errors.Is(err, override.ErrNotWritten) {
		refuseOverride(w, err)
		return
	}
	text := fmt.Sprintf("override of %s removed by %s: it was %s, by %s", removed.Name, whoAsks(r, r.URL.Query().Get("as")), removed.Answer(), removed.Who)
	answerChange(w, text, OverrideChange{Override: removed}, err)
}

// answerChange logs a change and tells it. NotWritten is why it will not survive a
// restart, nil if it will.
func answerChange(w http.ResponseWriter, text string, change OverrideChange, notWritten error) {
	log := clog.NewWithPlugin(pluginName)
	log.Info(text)
	if notWritten != nil {
		log.Warning(notWritten)
		change.Warning = notWritten.Error()
	}
	answerJSON(w, change)
}

func refuseOverride(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	switch {
	case errors.Is(err, override.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, override.ErrFull):
		status = http.StatusInsufficientStorage
	}
	http.Error(w, err.Error(), status)
}

func (a *admin) readChange(w http.ResponseWriter, r *http.Request) (override.Change, error) {
	var request OverrideRequest
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequestSize))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return override.Change{}, fmt.Errorf("reading the request: %w", err)
	}
	var duration time.Duration
	if request.For != "" {
		parsed, err := time.ParseDuration(request.For)
		if err != nil || parsed == 0 {
			return override.Change{}, fmt.Errorf("found duration %q, expected one such as 4h or 90m", request.For)
		}
		duration = parsed
	}
	if groups := a.shared.groupNames(); strings.EqualFold(request.Type, override.TypeResolve) && len(request.Values) == 1 && !slices.Contains(groups, request.Values[0]) {
		return override.Change{}, fmt.Errorf("found upstream group %q, expected one of %s", request.Values[0], strings.Join(groups, ", "))
	}
	if err := a.shared.checkOverridden(dns.CanonicalName(request.Name)); err != nil {
		return override.Change{}, err
	}
	return override.Change{
		Name: request.Name, Type: request.Type, Values: request.Values, For: duration,
		Reason: request.Reason, Who: whoAsks(r, request.As),
	}, nil
}

// checkOverridden refuses a name whose direct lookups every stanza rejects: clients come
// by it on the way of its public name only, and there a name of a chain counts for nothing.
func (s *slot) checkOverridden(name string) error {
	instead := ""
	for _, handler := range s.enlisted() {
		working := handler.current.Load().service
		match := working.catalog.Match(name)
		if !working.policy.RejectsLookups(name, match) {
			return nil
		}
		instead = publicNameOf(name, match)
	}
	if instead == "" {
		return nil // nobody is at work yet
	}
	return fmt.Errorf("found %s, whose direct lookups are refused, so that an override of it would do nothing; override %s instead", strings.TrimSuffix(name, "."), instead)
}

// peerKey is the key of a request's connection in its context.
type peerKey struct{}

func withPeer(ctx context.Context, connection net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, connection)
}

// whoAsks is the user at the other end of the socket, and who that says to be:
// "kim (root)".
func whoAsks(r *http.Request, as string) string {
	peer := "unknown"
	if connection, ok := r.Context().Value(peerKey{}).(*net.UnixConn); ok {
		peer = peerName(connection)
	}
	as = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1 // it could make one line of the log look like two
		}
		return r
	}, strings.TrimSpace(as))
	if as == "" || as == peer {
		return peer
	}
	return as + " (" + peer + ")"
}

// peerName is the name of the user who opened a connection, or the number where
// there is no name for it.
func peerName(connection *net.UnixConn) string {
	uid, err := peerUID(connection)
	if err != nil {
		return "unknown"
	}
	number := strconv.FormatUint(uint64(uid), 10)
	if known, err := user.LookupId(number); err == nil {
		return known.Username
	}
	return "uid " + number
}
