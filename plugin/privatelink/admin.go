package privatelink

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
)

// AdminSocket is the file in the state directory through which the running
// server is asked and told: HTTP and JSON on a unix socket, for its owner only.
const AdminSocket = "admin.sock"

// KeptAnswer is an answer of the cache, as the admin socket shows it.
type KeptAnswer struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Kind is positive, nodata, nxdomain or failure.
	Kind string `json:"kind"`
	// Expires is when it ceases to be fresh, StaleUntil to be of use.
	Expires    time.Time `json:"expires"`
	StaleUntil time.Time `json:"stale_until"`
	// Records are its records in presentation form, with their TTLs when stored.
	Records []string `json:"records"`
	// Reason is what failed, empty but for a failure.
	Reason string `json:"reason,omitempty"`
}

// UpstreamState is what is known of an upstream server, as the admin socket shows it.
type UpstreamState struct {
	Server string `json:"server"`
	// Groups are those that the server is in, sorted by tier and name.
	Groups []UpstreamGroup `json:"groups"`
	// State is up, suspected or down; Since when it is up or down, zero for always.
	State string    `json:"state"`
	Since time.Time `json:"since,omitzero"`
	// RTTSeconds is the smoothed round trip, P95Seconds what 95 of 100 stay within.
	RTTSeconds float64 `json:"rtt_seconds"`
	P95Seconds float64 `json:"p95_seconds"`
	// PerSecond and Outstanding are what the server is sent at this moment, Waiting
	// how many questions wait for its budget, Refused how many it cost so far.
	PerSecond   int    `json:"per_second"`
	Outstanding int    `json:"outstanding"`
	Waiting     int    `json:"waiting"`
	Refused     uint64 `json:"refused"`
}

// UpstreamGroup is a group that a server is in, and its tier there: 1 for those that are
// asked first, 2 for the first backup.
type UpstreamGroup struct {
	Name string `json:"name"`
	Tier int    `json:"tier"`
}

// Flushed is how many answers a flush removed, in all and of them those of other names,
// whose chain leads through what was flushed.
type Flushed struct {
	Removed int `json:"removed"`
	Through int `json:"through"`
}

// admin answers on a unix socket for the life of the process.
type admin struct {
	shared *slot
	server *http.Server
	// directory is where the socket is, and the kept answers are saved.
	directory string
}

// startAdmin listens on the socket of a state directory, once in a process: a
// reload keeps it. A socket that a dead process left is replaced.
func (s *slot) startAdmin(directory string) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.admin != nil {
		return nil
	}
	path := filepath.Join(directory, AdminSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replacing the admin socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listening on the admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(fmt.Errorf("protecting the admin socket: %w", err), listener.Close())
	}
	a := &admin{shared: s, directory: directory}
	a.server = &http.Server{Handler: onlyFor(mayAdminister, a.routes()), ReadHeaderTimeout: 5 * time.Second, ConnContext: withPeer}
	s.admin = a
	go func() { _ = a.server.Serve(listener) }()
	return nil
}

// stopAdmin ends the socket at the end of the process.
func (s *slot) stopAdmin() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.admin == nil {
		return nil
	}
	stopped := s.admin.server.Close()
	s.admin = nil
	return stopped
}

func (a *admin) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /cache/stats", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, a.shared.answersNow().Stats()) })
	mux.HandleFunc("GET /cache/answers", a.keptAnswers)
	mux.HandleFunc("DELETE /cache/answers", a.flush)
	mux.HandleFunc("GET /upstreams", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, a.shared.upstreamStates()) })
	mux.HandleFunc("POST /explain", a.explain)
	mux.HandleFunc("GET /overrides", a.overrides)
	mux.HandleFunc("POST /overrides", a.addOverride)
	mux.HandleFunc("DELETE /overrides/{name}", a.removeOverride)
	return mux
}

func answerJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// keptAnswers lists what is kept for a name. That is a parameter, because a path loses
// the name of the root.
func (a *admin) keptAnswers(w http.ResponseWriter, r *http.Request) {
	entries, err := a.shared.answersNow().Lookup(nameOf(r))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	kept := []KeptAnswer{}
	for _, entry := range entries {
		kept = append(kept, describe(entry, time.Now()))
	}
	answerJSON(w, kept)
}

// flush forgets a name or, with suffix=true, everything at and below it.
func (a *admin) flush(w http.ResponseWriter, r *http.Request) {
	flushed, err := a.shared.flush(nameOf(r), r.URL.Query().Get("suffix") == "true")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := a.shared.saveAnswers(a.directory, a.shared.answersNow()); err != nil {
		clog.NewWithPlugin(pluginName).Warningf("a crash within %s brings back what was flushed: %s", saveInterval, err)
	}
	answerJSON(w, Flushed{Removed: flushed.Count(), Through: len(flushed.Through)})
}

// nameOf is the name that a request is about. Without one it is no name at all: the
// root is meant only where it is written.
func nameOf(r *http.Request) string {
	name := r.URL.Query().Get("name")
	if name == "" {
		return ""
	}
	return dns.CanonicalName(name)
}

// flush forgets the answers of a name, those that lead through it, and which sites own
// them: who flushes knows that something has changed.
func (s *slot) flush(name string, suffix bool) (cache.Flushed, error) {
	flushed, err := s.answersNow().Flush(name, suffix)
	if err == nil {
		s.owners.flush(name, suffix)
		s.owners.flushAll(flushed.Through)
	}
	return flushed, err
}

func describe(entry cache.Entry, now time.Time) KeptAnswer {
	key := entry.Key()
	// On the wall clock as it is now: who reads this compares it with that.
	expires, staleUntil := now.Add(entry.Expires().Sub(now)), now.Add(entry.StaleUntil().Sub(now))
	kept := KeptAnswer{
		Name: key.Question.Presentation(), Type: dns.Type(key.Question.Type).String(), Kind: entry.Kind().String(),
		Expires: expires, StaleUntil: staleUntil, Records: []string{},
		Reason: string(entry.AppendReason(nil)),
	}
	message := new(dns.Msg)
	if message.Unpack(entry.Message()) != nil {
		return kept
	}
	for _, record := range slices.Concat(message.Answer, message.Ns) {
		kept.Records = append(kept.Records, strings.ReplaceAll(record.String(), "\t", " "))
	}
	return kept
}

func (s *slot) answersNow() *cache.Cache {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.answers
}
