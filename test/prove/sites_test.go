//go:build linux

package prove

import (
	"fmt"
	"time"

	"github.com/miekg/dns"
)

const (
	// slowSite is how long a slow site takes for an answer: longer than the wait for a
	// site that is preferred, shorter than that for a private answer.
	slowSite = 600 * time.Millisecond
	// quickSite is how long the other takes.
	quickSite = 5 * time.Millisecond
	// sitesRate is how many questions a second leave room in a slow site's budget of
	// outstanding ones.
	sitesRate = 250
)

var siteNames = [2]string{"production", "test"}

// twoSites is production and test, each with a private zone of the same name and
// every other database in it.
type twoSites struct {
	*proof
	databases endpoints
	azure     [2]*simulator
}

// proveSites: two sites, one name each or many: all are right, with either site
// slow. With one of them silent, the other's are, and nobody is told that a name of
// the silent one does not exist, or is public.
func proveSites(p *proof) {
	s := &twoSites{proof: p, databases: endpoints{pick(p.run, 1000, 100), time.Second}}
	for site := range s.azure {
		s.azure[site] = p.azure(s.world(site))
	}
	for _, each := range []struct {
		name    string
		latency [2]time.Duration
	}{
		{"both quick", [2]time.Duration{quickSite, quickSite}},
		{"production slow", [2]time.Duration{slowSite, quickSite}},
		{"test slow", [2]time.Duration{quickSite, slowSite}},
	} {
		s.set(each.latency)
		s.judge(each.name, s.ask(s.forwarder(each.name), pick(p.run, 2000, 1000)))
	}
	s.set([2]time.Duration{quickSite, quickSite})
	remembers := s.forwarder("remembers")
	s.ask(remembers, s.databases.number)
	pass(s.databases.private)
	s.azure[1].freeze()
	s.judge("test silent, asked before", s.ask(remembers, s.databases.number))
	s.judgeSilence(s.ask(s.forwarder("without memory"), s.databases.number))
}

// world is Azure as a site sees it. Negative answers live for a second, too.
func (s *twoSites) world(site int) string {
	var all resources
	for i := range s.databases.number {
		r := resource{name: s.databases.name(i), alias: fmt.Sprintf("n%d.privatelink.database.windows.net.", i), public: "203.0.113.10"}
		if i%2 == site {
			r.private = s.databases.address(i).String()
		}
		all = append(all, r)
	}
	return all.world(int(s.databases.private.Seconds()), 1)
}

func (s *twoSites) set(latency [2]time.Duration) {
	s.t.Helper()
	for site, azure := range s.azure {
		azure.replace("latency " + latency[site].String())
	}
}

// forwarder starts our program with both sites and no memory of others.
func (s *twoSites) forwarder(state string) *server {
	s.t.Helper()
	return s.start(fmt.Sprintf(`privatelink {
        upstream production %s%s
        upstream test %s%s
        route . production test
        state "%s"
        clients resolver 127.0.0.0/8
    }`, s.azure[0].address, s.subject.budget, s.azure[1].address, s.subject.budget, s.subdirectory(state)))
}

// ask asks for all names in turn, so many questions in all.
func (s *twoSites) ask(us *server, number int) []*question {
	s.t.Helper()
	asking := &load{server: us.address, names: s.databases.names(s.databases.number), rate: sitesRate}
	asking.begin(s.proof)
	pass(time.Duration(number)*time.Second/sitesRate + 100*time.Millisecond)
	questions := asking.finish()
	if len(questions) < number {
		s.t.Fatalf("the load asked %d questions, want at least %d", len(questions), number)
	}
	return questions[:number]
}

// judge requires that every answer is right.
func (s *twoSites) judge(when string, questions []*question) {
	s.t.Helper()
	expected := s.databases.expected()
	var of [2][]*question
	var right [2]int
	for number, q := range questions {
		site := number % s.databases.number % 2
		of[site] = append(of[site], q)
		if !q.failed(expected) {
			right[site]++
		}
	}
	for site, name := range siteNames {
		s.require(fmt.Sprintf("%s: right for %s's names, of %s", when, name, count(len(of[site]))), float64(right[site]), "answers", exactly(float64(len(of[site]))))
		s.note(fmt.Sprintf("%s: 99 of 100 of %s's answered within", when, name), percentile(of[site], 99), "ms")
	}
}

// judgeSilence requires that the names of the site that answers are right, and that
// those of the silent one are told to fail, and nothing else.
func (s *twoSites) judgeSilence(questions []*question) {
	s.t.Helper()
	expected := s.databases.expected()
	wrong, right, failed := 0, 0, 0
	for number, q := range questions {
		switch {
		case number%2 == 0 && !q.failed(expected):
			right++
		case number%2 == 1 && q.rcode == dns.RcodeServerFailure && q.latency <= patience:
			failed++
		case number%2 == 1:
			wrong++
			s.t.Logf("test silent: %s is %s with %v", q.name, dns.RcodeToString[q.rcode], q.addresses)
		}
	}
	half := float64(len(questions) / 2)
	s.require("test silent, never asked before: right for production's names", float64(right), "answers", exactly(half))
	s.require("test silent, never asked before: SERVFAIL for test's names", float64(failed), "answers", exactly(half))
	s.require("test silent, never asked before: NXDOMAIN or public for test's names", float64(wrong), "answers", exactly(0))
}
