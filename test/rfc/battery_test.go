//go:build linux

package rfc

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// level is how binding a demand is.
type level string

const (
	must   level = "must"
	should level = "should"
)

// check is one demand of an RFC.
type check struct {
	name  string
	rfc   string // number and section
	level level
	// both says that it is tried twice: on a miss and on a hit.
	both bool
	// servers is how many upstreams the check has to itself; with none it shares
	// one, which must not be hurt.
	servers int
	// slow says that the check mostly waits.
	slow bool
	run  func(s *session) error
}

// result is what came of a check.
type result struct {
	check
	session *session
	err     error
}

// battery is the whole table.
func battery() []check {
	return slices.Concat(headerChecks, questionChecks, nameChecks, typeChecks, ednsChecks, sizeChecks, streamChecks, ttlChecks, negativeChecks, chainChecks, dnssecChecks, forgeryChecks, failureChecks,
		staleChecks, optionChecks, upstreamStreamChecks)
}

// mostAtOnce bounds the checks that run at once, besides those that wait.
const mostAtOnce = 24

// TestBattery tries our own server: every must is a must, and what should be
// and is not is listed.
func TestBattery(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts servers")
	}
	results := try(t, "privatelink")
	for _, r := range results {
		t.Run(r.name, func(t *testing.T) {
			switch {
			case r.err == nil:
			case r.level == must:
				t.Errorf("%s", r)
			case testing.Verbose():
				t.Logf("%s", r)
			}
		})
	}
	t.Log(score(results))
}

// TestPeers prints the scores of other servers, and of ours with them, where
// RFC_SUBJECT names them: bind, unbound, privatelink, with commas, or all.
func TestPeers(t *testing.T) {
	wanted := os.Getenv("RFC_SUBJECT")
	if wanted == "" {
		t.Skip("RFC_SUBJECT names no server")
	}
	for _, which := range []string{"privatelink", "bind", "unbound"} {
		if wanted != "all" && !slices.Contains(strings.Split(wanted, ","), which) {
			continue
		}
		t.Run(which, func(t *testing.T) {
			results := try(t, which)
			for _, r := range results {
				if r.err != nil {
					t.Logf("%s", r)
				}
			}
			t.Log(subjects[which].title, score(results))
		})
	}
}

// String tells what failed, with the packets.
func (r result) String() string {
	return fmt.Sprintf("%s: %s (RFC %s): %v\n%s\n", strings.ToUpper(string(r.level)), r.name, r.rfc, r.err, r.session.trace.String())
}

func score(results []result) string {
	passed, all := map[level]int{}, map[level]int{}
	for _, r := range results {
		all[r.level]++
		if r.err == nil {
			passed[r.level]++
		}
	}
	return fmt.Sprintf("must %d/%d should %d/%d", passed[must], all[must], passed[should], all[should])
}

// try runs the battery, or the checks that RFC_CHECKS matches, on a subject.
func try(t *testing.T, which string) []result {
	t.Helper()
	results := expanded(t)
	shared := newUpstream(t)
	c := configuration{everybody: shared}
	for _, r := range results {
		r.session.servers = []*upstream{shared}
		if r.servers > 0 {
			r.session.servers = nil
			for range r.servers {
				r.session.servers = append(r.session.servers, newUpstream(t))
			}
			c.zones = append(c.zones, r.session)
		}
		for _, server := range r.session.servers {
			if r.servers > 0 {
				server.owner = r.session
			}
			server.zones[r.session.zone] = r.session
		}
	}
	warm := newSession(0, false)
	shared.zones[warm.zone] = warm
	warm.subject = subjects[which].start(t, c)
	awaitAnswer(t, warm)
	runAll(results, warm.subject, subjects[which].pace)
	return results
}

// expanded makes two of each check that is for misses and hits.
func expanded(t *testing.T) []result {
	t.Helper()
	pattern, err := regexp.Compile(os.Getenv("RFC_CHECKS"))
	if err != nil {
		t.Fatal(err)
	}
	var results []result
	add := func(c check, hit bool) {
		if pattern.MatchString(c.name) {
			results = append(results, result{check: c, session: newSession(1+len(results), hit)})
		}
	}
	for _, c := range battery() {
		if !c.both {
			add(c, false)
			continue
		}
		miss, hit := c, c
		miss.name, hit.name = c.name+", on a miss", c.name+", on a hit"
		add(miss, false)
		add(hit, true)
	}
	return results
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u, err := startUpstream()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.close)
	return u
}

// awaitAnswer returns when the subject answers over UDP.
func awaitAnswer(t *testing.T, s *session) {
	t.Helper()
	for end := time.Now().Add(startingTime); time.Now().Before(end); {
		socket, err := s.socket()
		if err != nil {
			t.Fatal(err)
		}
		socket.write(s.query("www", dns.TypeA).packet())
		_, err = socket.next(200 * time.Millisecond)
		socket.close()
		if err == nil {
			return
		}
	}
	t.Fatal("the subject does not answer")
}

// runAll runs the checks side by side; those that wait start first.
func runAll(results []result, server netip.AddrPort, pace time.Duration) {
	var running sync.WaitGroup
	slots := make(chan struct{}, mostAtOnce)
	for _, slow := range []bool{true, false} {
		for index := range results {
			r := &results[index]
			if r.slow != slow {
				continue
			}
			r.session.subject = server
			if !slow {
				pause(pace)
				slots <- struct{}{}
			}
			running.Go(func() {
				r.err = r.run(r.session)
				if !slow {
					<-slots
				}
			})
		}
	}
	running.Wait()
}
