package privatelink

import (
	"bytes"
	"log"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
)

// line is a notice as the log has it.
func (n notice) line() string {
	if n.warning {
		return "WARNING " + n.text
	}
	return "INFO " + n.text
}

// looks are what the log is told in a time, a look a second.
func looks(shared *slot, within time.Duration) (lines []string) {
	for range within / lookInterval {
		time.Sleep(lookInterval) // virtual
		for _, told := range shared.lookAtUpstreams(time.Now()) {
			lines = append(lines, told.line())
		}
	}
	return lines
}

var (
	// clockTime and downTime depend on when probes went out, which is left to chance.
	clockTime = regexp.MustCompile(`since \d\d:\d\d:\d\d`)
	downTime  = regexp.MustCompile(`again after \d\ds`)
)

func expectLines(t *testing.T, when string, got []string, want ...string) {
	t.Helper()
	for index, line := range got {
		got[index] = downTime.ReplaceAllString(clockTime.ReplaceAllString(line, "since CLOCK"), "again after SOME s")
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s the log is told\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// An outage of a first tier, then of all, and their end. A reload in between tells
// nothing again, and what nobody names any more is forgotten.
func TestOutagesAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		quiet, well := func(dns.ResponseWriter, *dns.Msg) {}, answering(sql)
		first, backup := &counted{handle: quiet}, &counted{handle: quiet}
		shared := n.slot()
		body := "upstream azure " + n.serve(first.serve) + " backup=" + n.serve(backup.serve) + "\nupstream hub 10.0.9.1\nroute . azure\nroute corp.example hub"
		old := buildOn(t, shared, body)
		expectLines(t, "at the start", looks(shared, 5*time.Second))
		group := old.redirects["azure"].group
		group.Servers[0].Suspect()
		expectLines(t, "when the first tier goes down", looks(shared, 5*time.Second),
			`WARNING upstream 10.0.9.1:53 of groups "azure", "hub" is down: no reply since CLOCK`,
			`WARNING upstream group "azure" lives on its backups: all servers of its first tier are down`,
			`WARNING upstream group "hub" is down: all of its servers are; stale answers and fallbacks only`)
		group.Backups[0][0].Suspect()
		next := buildOn(t, shared, body)
		lines := looks(shared, 3*time.Second)
		shared.release(old.lease)
		expectLines(t, "when the backup goes down, over a reload", append(lines, looks(shared, 20*time.Second)...),
			`WARNING upstream 10.0.9.2:53 of group "azure" is down: no reply since CLOCK`,
			`WARNING upstream group "azure" is down: all of its servers are; stale answers and fallbacks only`)
		backup.become(well)
		expectLines(t, "when the backup answers", looks(shared, 5*time.Second),
			`INFO upstream 10.0.9.2:53 of group "azure" answers again after SOME s`,
			`WARNING upstream group "azure" lives on its backups: all servers of its first tier are down`)
		first.become(well)
		expectLines(t, "when all is well", looks(shared, 20*time.Second),
			`INFO upstream 10.0.9.1:53 of groups "azure", "hub" answers again after SOME s`,
			`INFO upstream group "hub" is well again after SOME s`,
			`INFO upstream group "azure" is well again after SOME s`)
		shared.release(next.lease)
		expectLines(t, "after the end", looks(shared, time.Second))
		if len(shared.troubles.servers)+len(shared.troubles.groups) > 0 {
			t.Errorf("remembered for nobody: %+v", shared.troubles)
		}
	})
}

// What flaps has a line in 10 seconds, which tells how often.
func TestWhatFlapsDoesNotFloodTheLog(t *testing.T) {
	at := func(seconds int) time.Time { return longAgo.Add(time.Duration(seconds) * time.Second) }
	var s standing
	var told []string
	for second := 1; second <= 60; second++ {
		switch {
		case second <= 30:
			s.see(condition(second%2)*isDown, at(second))
		case second == 45: // down and up again between two looks
			s.see(isWell, at(second))
		}
		if s.due(at(second)) {
			told = append(told, s.tellServer("a").line())
		}
	}
	expectLines(t, "of a server that flaps", told,
		"WARNING upstream a is down: no reply since CLOCK",
		"WARNING upstream a is down: no reply since CLOCK, and 9 changes more",
		"WARNING upstream a is down: no reply since CLOCK, and 9 changes more",
		"INFO upstream a answers again after 1s, and 8 changes more",
		"INFO upstream a answers again, and 1 change more")
}

func TestSpentBudgetsAreToldOnceAMinute(t *testing.T) {
	at := func(seconds int) time.Time { return longAgo.Add(time.Duration(seconds) * time.Second) }
	var s spending
	var told []string
	refused := uint64(0)
	for second := 1; second <= 300; second++ {
		down := second > 200
		switch {
		case second <= 90, second == 130:
			refused += 100
		case down: // the few slots that are lent to a server that is down
			refused++
		}
		if spent, ok := s.see(refused, down, at(second)); ok {
			told = append(told, time.Duration(second*int(time.Second)).String()+" "+spent.tell("a", upstream.Azure()).line())
		}
	}
	const line = " WARNING the budget of a (1000 a second, 200 outstanding) is spent: "
	const who = "; privatelink-dns upstreams and report tell who asks"
	expectLines(t, "of a budget", told,
		"11s"+line+"1100 questions left unsent in the last 10s"+who,
		"1m11s"+line+"6000 questions left unsent in the last 1m0s"+who,
		"2m11s"+line+"2000 questions left unsent in the last 1m0s"+who,
		"3m10s INFO the budget of a suffices again: no question was left unsent for 1m0s")
	one := spent{1, time.Second}.tell("a", upstream.Budget{})
	if want := "the budget of a is spent: 1 question left unsent in the last 1s" + who; one.text != want {
		t.Errorf("of a budget that was lifted, the log is told %q, want %q", one.text, want)
	}
}

// The lines reach the log from the stanza's own loop, and so do those about the budget of
// a server that is well.
func TestOutagesAreLogged(t *testing.T) {
	said, before := new(bytes.Buffer), log.Writer()
	log.SetOutput(said)
	defer log.SetOutput(before)
	synctest.Test(t, func(t *testing.T) {
		var n network
		slow := func(w dns.ResponseWriter, request *dns.Msg) {
			time.AfterFunc(300*time.Millisecond, func() { answering(sql)(w, request) })
		}
		quiet := func(dns.ResponseWriter, *dns.Msg) {}
		shared := n.slot()
		built := buildOn(t, shared, "upstream azure "+n.serve(slow)+" budget=1/1\nupstream corp "+n.serve(quiet)+"\nroute . azure")
		run := &running{config: &config{}, handler: handlerOf(built), shared: shared, log: clog.NewWithPlugin(pluginName)}
		stop, ended := make(chan struct{}), make(chan struct{})
		go func() { defer close(ended); run.watch(stop) }()
		built.redirects["corp"].group.Servers[0].Suspect()
		for range 20 {
			go func() {
				_, _ = built.redirects["azure"].group.Exchange(t.Context(), upstream.Question{Name: "db1.database.windows.net.", Type: dns.TypeA, Class: dns.ClassINET})
			}()
		}
		time.Sleep(30 * time.Second) // virtual
		close(stop)
		<-ended
	})
	text := said.String()
	for _, want := range []string{
		`[WARNING] plugin/privatelink: upstream 10.0.9.2:53 of group "corp" is down: no reply since `,
		`[WARNING] plugin/privatelink: upstream group "corp" is down: `,
		`[WARNING] plugin/privatelink: the budget of 10.0.9.1:53 of group "azure" (1 a second, 1 outstanding) is spent: `,
	} {
		if got := strings.Count(text, want); got != 1 {
			t.Errorf("the log has %d lines with %s, want 1:\n%s", got, want, text)
		}
	}
}
