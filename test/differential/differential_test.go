//go:build linux

package differential

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// setting is what both servers are configured with.
type setting struct {
	name string
	// stanza are the lines of it, but for the upstreams.
	stanza []string
	// shows is what the query log must show, beside what it shows under all settings.
	shows []sight
}

// shown is what the query log shows under all settings.
var shown = []sight{
	{"verdict", "private"}, {"verdict", "public"}, {"verdict", "unlinked"}, {"verdict", "missing"}, {"verdict", "nodata"}, {"verdict", "other"},
	{"cache", "hit"}, {"cache", "miss"}, {"cache", "failed"},
	{"rcode", "NOERROR"}, {"rcode", "NXDOMAIN"}, {"rcode", "SERVFAIL"}, {"rcode", "REFUSED"}, {"rcode", "FORMERR"},
	{"policy_rule", "none"}, {"policy_rule", "malformed"}, {"policy_rule", "unsupported-operation"}, {"policy_rule", "client-not-served"},
	{"policy_rule", "direct-other-type"}, {"policy_rule", "direct-lookup"}, {"policy_rule", "direct-declared-resolver"}, {"policy_rule", "chase"},
	{"policy_rule", "direct-while-starting"}, {"policy_rule", "must-be-private"}, {"upstream_transport", "tcp"}, {"reply_flags", "TC"},
}

var settings = []setting{
	{"usual", []string{
		"route catalog azure missing=public outage=public",
		"route example.org corp",
		"route dead.example dead",
		"clients stub 127.0.1.0/24",
		"clients resolver 127.0.2.0/24",
		"clients deny 127.0.3.0/24",
		"direct stub nxdomain",
		"must-private vault.azure.net",
	}, []sight{{"fallback", "missing"}, {"policy_action", "nxdomain"}}},
	{"strict", []string{
		"route catalog azure",
		"route dead.example dead",
		"route . azure",
		"clients allow 127.0.0.0/24",
		"clients stub 127.0.1.0/24 answers=flattened",
		"clients resolver 127.0.2.0/24 answers=flattened",
		"direct other audit",
		"must-private vault.azure.net withhold=servfail",
		"unlinked withhold",
	}, []sight{{"policy_rule", "unlinked-answer"}, {"policy_action", "audit"}}},
}

// upstreams are the scripted ones.
type upstreams struct{ azure, corp, public, dead netip.AddrPort }

func (c setting) corefile(s *server, u upstreams, fastPath bool) string {
	lines := append([]string{
		"upstream azure " + u.azure.String(), "upstream corp " + u.corp.String(),
		"upstream public " + u.public.String(), "upstream dead " + u.dead.String(),
		"querylog " + filepath.Join(s.directory, "query.log"),
	}, c.stanza...)
	if !fastPath {
		lines = append(lines, "fastpath off")
	}
	return fmt.Sprintf(`.:%d {
    bind 127.0.0.1
    errors
    prometheus %s
    privatelink {
        %s
    }
}
`, s.address.Port(), s.metrics, strings.Join(lines, "\n        "))
}

// seed is what the questions are made from, unless the environment says otherwise.
const seed = 20260101

func seedOf(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("DIFFERENTIAL_SEED")
	if text == "" {
		return seed
	}
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("DIFFERENTIAL_SEED: found %q, expected a number", text)
	}
	return number
}

// trial is a portion of questions that two servers are asked, before there are new ones,
// whose caches and logs are empty.
type trial struct {
	setting
	number  int
	overTCP bool
}

// trials are those of the short form: 10,000 questions over UDP, and some over TCP.
var trials = []trial{{settings[0], 5000, false}, {settings[1], 5000, false}, {settings[0], 1000, true}, {settings[1], 1000, true}}

// fullForm is how often they are all made in the full form, from other seeds.
const fullForm = 10

// attempts are how often a portion is tried until nothing differs. A difference between
// the servers comes again, for the questions are the same. What does not is the
// machine's: short of processors, it lets the upstream, which is this process, be slow
// for a moment, and who asked it then has seen a failure that the other has not.
const attempts = 3

// TestSameBehaviour asks both servers everything, twice, under every setting.
func TestSameBehaviour(t *testing.T) {
	rounds := 1
	if os.Getenv("DIFFERENTIAL") == "full" {
		rounds = fullForm
	}
	u := upstreams{azure: listen(t, false), corp: listen(t, false), public: listen(t, true), dead: freeAddress(t)}
	for i := range rounds * len(trials) {
		tried := trials[i%len(trials)]
		t.Run(fmt.Sprintf("%d %s TCP %v", i, tried.name, tried.overTCP), func(t *testing.T) {
			for attempt := 1; ; attempt++ {
				found, silences := compare(t, u, tried, seedOf(t)+uint64(i))
				if len(found) == 0 {
					return
				}
				told := fmt.Sprintf("%d differences, and the upstream was silent %d times\n%s", len(found), silences, strings.Join(found[:min(len(found), maxReported)], "\n"))
				if attempt == attempts {
					t.Error(told)
					return
				}
				t.Logf("trying again: %s", told)
			}
		})
	}
}

// maxReported bounds how many differences are told: they come in hundreds.
const maxReported = 20

// compare starts two servers, asks them a portion of questions, and returns the
// differences that are not intended, and how often they found the upstream silent. What
// nothing may differ in comes first: of that, metrics and query logs are compared, too.
func compare(t *testing.T, u upstreams, c trial, seed uint64) (found []string, silences int) {
	t.Helper()
	fast := serve(t, func(s *server) string { return c.corefile(s, u, true) })
	slow := serve(t, func(s *server) string { return c.corefile(s, u, false) })
	defer fast.stop()
	defer slow.stop()
	fast.awaitFastPath(t, true)
	slow.awaitFastPath(t, false)

	strict, lenient := separate(newAuthor(seed).questions(c.number))
	servers := pair{fast.address, slow.address}
	found = judge(t, servers, c.overTCP, strict)
	var wanted []sight
	if !c.overTCP { // of which there are enough
		wanted = slices.Concat(shown, c.shows)
	}
	found = append(found, compareLogs(t, fast, slow, wanted)...)
	// Records are counted when they are written, so the series come after the logs.
	found = append(found, compareSeries(t, fast, slow)...)
	found = append(found, judge(t, servers, c.overTCP, lenient)...)
	return found, silencesOf(t, fast) + silencesOf(t, slow)
}

// separate parts the questions in which everything must be the same from those with an
// exception, which come after the others of their scene: they may leave something in one
// cache and not in the other.
func separate(all []scene) (strict, lenient []scene) {
	for _, s := range all {
		var same, excepted scene
		for _, q := range s {
			if exceptionOf(q) == nil {
				same = append(same, q)
			} else {
				excepted = append(excepted, q)
			}
		}
		strict, lenient = append(strict, same), append(lenient, excepted)
	}
	return strict, lenient
}

// judge plays scenes and returns every difference that is not intended.
func judge(t *testing.T, servers pair, overTCP bool, all []scene) (differ []string) {
	t.Helper()
	started := time.Now()
	results, strays := play(t, servers, overTCP, all)
	excused := map[string]int{}
	for i := range results {
		r := &results[i]
		found := differences(r)
		if e := exceptionOf(r.question); e != nil && e.owes != nil {
			if len(found) > 0 {
				excused[e.name]++
			}
			found = r.fault(e)
		}
		if len(found) > 0 {
			differ = append(differ, fmt.Sprintf("%s\n   %s\n   fast %x\n   slow %x", r.question, strings.Join(found, "\n   "), r.fast, r.slow))
		}
	}
	t.Logf("asked %d questions in %s; differences as intended: %v", len(results), time.Since(started).Round(time.Millisecond), excused)
	return append(differ, strays...)
}

// fault returns what is wrong with the fast path's reply to a question on which the
// servers may differ.
func (r *answered) fault(e *exception) []string {
	var fast *dns.Msg
	if r.fast != nil {
		fast = new(dns.Msg)
		if err := fast.Unpack(r.fast); err != nil {
			return []string{"cannot be read: " + err.Error()}
		}
		if limit := min(limitOf(r.packet), maxReply); !r.overTCP && len(r.fast) > limit {
			return []string{fmt.Sprintf("%d bytes, where %d are allowed", len(r.fast), limit)}
		}
	}
	if fault := e.owes(r.question, shapeOf(r.packet), fast); fault != "" {
		return []string{e.name + ": " + fault}
	}
	return nil
}
