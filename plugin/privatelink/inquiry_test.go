package privatelink

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/catalog"
	"github.com/privatelink-dns/privatelink-dns/plugin/upstream"
	"github.com/privatelink-dns/privatelink-dns/plugin/verdict"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// What the sites of an inquiry have said, one letter each in their order: nothing yet
// (.), an error (x), and the verdicts private (P), missing (M), unlinked (U), NODATA
// behind a hop (N), public (p), public with proof that nothing is private (w), and
// NXDOMAIN without a hop (n).
func wordsOf(said string) []word {
	meanings := map[rune]verdict.Verdict{'P': verdict.Private, 'M': verdict.Missing, 'U': verdict.Unlinked, 'N': verdict.NoData, 'p': verdict.Public, 'w': verdict.Public, 'n': verdict.Other}
	var words []word
	for site, letter := range said {
		w := word{site: site, group: &upstream.Group{}, asked: true}
		switch letter {
		case '.':
		case 'x':
			w.err = errors.New("no reply")
		default:
			w.answer = &upstream.Answer{Msg: new(dns.Msg)}
			w.finding.Verdict = meanings[letter]
			if strings.ContainsRune("PMUN", letter) {
				w.finding.Zone = new(catalog.Zone)
			}
			if letter == 'n' {
				w.answer.Msg.Rcode = dns.RcodeNameError
			}
			w.weigh(dns.TypeA, letter == 'w', false)
		}
		words = append(words, w)
	}
	return words
}

func TestDecide(t *testing.T) {
	const waits, held, failed = -3, -2, -1
	tests := []struct {
		name, said           string
		eager, settled, over int
	}{
		{"nothing yet", "..", waits, waits, waits},
		{"the preferred private answer", "P.", 0, 0, 0},
		{"another private answer", ".P", waits, 1, 1},
		{"two private answers", "PP", 0, 0, 0},
		{"the only private answer", "MP", 1, 1, 1},
		{"private beside an error", "xP", 1, 1, 1},
		{"private beside unlinked", "UP", 1, 1, 1},
		{"missing, and one silent", "M.", waits, waits, held},
		{"unlinked, and one silent", "U.", waits, waits, held},
		{"missing, and one that failed", "Mx", held, held, held},
		{"unlinked, missing, and one silent", "UM.", waits, waits, held},
		{"missing everywhere", "MM", 0, 0, 0},
		{"a linked zone has the say", "UM", 1, 1, 1},
		{"unlinked everywhere", "UU", 0, 0, 0},
		{"NODATA before missing", "MN", 1, 1, 1},
		{"NODATA, and one silent", "N.", waits, waits, 0},
		{"proof that nothing is private", "w.", waits, 0, 0},
		{"proof and the contrary", "wM.", waits, waits, held},
		{"public without proof", "p.", waits, waits, 0},
		{"public before unknown", "np", 1, 1, 1},
		{"unknown, and one that failed", "nx", 0, 0, 0},
		{"all failed", "xx", failed, failed, failed},
		{"one failed, one silent", "x.", waits, waits, waits},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			for phase, want := range map[phase]int{eager: tc.eager, settled: tc.settled, over: tc.over} {
				i := &inquiry{words: wordsOf(tc.said), owner: -1, phase: phase}
				got, decided := i.decide()
				_, _, err := i.outcome("both", got)
				switch _, isHeld := errors.AsType[*heldError](err); {
				case !decided:
					got = waits
				case isHeld:
					got = held
				}
				if got != want {
					t.Errorf("decide(%q) in phase %d = %d, want %d", tc.said, phase, got, want)
				}
			}
		})
	}
}

// Outside the catalog there is no hop to tell that a name is private elsewhere. What is
// kept tells.
func TestSiteThatIsSilentKeepsItsName(t *testing.T) {
	for _, said := range []string{"nx", "n.", "p.", "wx"} {
		i := &inquiry{words: wordsOf(said), owner: -1, phase: over}
		i.kept = i.words[1].group
		chosen, _ := i.decide()
		if _, _, err := i.outcome("both", chosen); err == nil {
			t.Errorf("the answer of %q is told, want it held back for what is kept of the second site", said)
		}
		i.kept = i.words[0].group
		if _, _, err := i.outcome("both", chosen); err != nil {
			t.Errorf("%q, and the answer of the first site is kept: %v, want its new answer", said, err)
		}
	}
}

func TestSitesThatAreParsed(t *testing.T) {
	directory := t.TempDir()
	rules := "routes:\n  - {suffix: a.example, group: [test, prod], missing: public}\n  - {suffix: b.example, group: test}\n"
	writeFile(t, filepath.Join(directory, "rules.yaml"), rules)
	parsed, err := parseText(directory, `privatelink {
		upstream prod 10.1.0.4 clients=10.1.0.0/16,10.2.0.9
		upstream test 10.3.0.4
		upstream public 192.0.2.53
		route database.windows.net prod test missing=public stale=2h
		rules rules.yaml
	}`)
	if err != nil {
		t.Fatal(err)
	}
	for index, want := range []routeConfig{
		{suffix: "database.windows.net.", groups: []string{"prod", "test"}, missing: "public"},
		{suffix: "a.example.", groups: []string{"test", "prod"}, missing: "public"},
		{suffix: "b.example.", groups: []string{"test"}},
	} {
		if got := parsed.routes[index]; got.suffix != want.suffix || !slices.Equal(got.groups, want.groups) || got.missing != want.missing {
			t.Errorf("route %d = %s to %v, missing %q; want %s to %v, missing %q", index, got.suffix, got.groups, got.missing, want.suffix, want.groups, want.missing)
		}
	}
	if got := parsed.groups["prod"].clients; len(got) != 2 || got[1].String() != "10.2.0.9/32" {
		t.Errorf("clients of prod = %v, want 10.1.0.0/16 and 10.2.0.9/32", got)
	}
	if got, want := parsed.summary(1), "database.windows.net. to prod+test"; !strings.Contains(got, want) {
		t.Errorf("summary = %q, want it to contain %q", got, want)
	}
}

func TestSitesReportMistakes(t *testing.T) {
	const groups = "upstream a 10.0.0.4\nupstream b 10.0.0.5\n"
	tests := []struct{ name, body, rules, want string }{
		{"a group twice", groups + "route . a b a", "", `Corefile:4: found upstream group "a" twice on one route`},
		{"an unknown group", groups + "route . a c", "", `Corefile:4: found upstream group "c", expected one of a, b`},
		{"a group behind an option", groups + "route . a missing=b b", "", `Corefile:4: found "b", expected missing=GROUP`},
		{"an option for a group", groups + "route . missing=b", "", `Corefile:4: found upstream group "missing=b"`},
		{"client networks of a group that is no site", "upstream a 10.0.0.4 clients=10.1.0.0/16\nroute . a", "", `Corefile:2: found clients= for upstream group "a", which no route names beside another group`},
		{"client networks that are none", "upstream a 10.0.0.4 clients=here\nupstream b 10.0.0.5\nroute . a b", "", `Corefile:2: upstream group "a": found clients=here: found "here", expected a network`},
		{"client networks of two sites", "upstream a 10.0.0.4 clients=10.1.0.0/16\nupstream b 10.0.0.5 clients=10.1.0.0/16\nroute . a b", "", "Corefile:3: found clients=10.1.0.0/16 a second time"},
		{"a mapping in a rules file", groups + "route . a b", "routes:\n  - suffix: a.example\n    group: {a: b}\n", "rules.yaml:3: cannot unmarshal"},
		{"a group twice in a rules file", groups + "route . a b", "routes:\n  - {suffix: a.example, group: [a, a]}\n", `rules.yaml:2: found upstream group "a" twice`},
		{"no group in a rules file", groups + "route . a b", "routes:\n  - {suffix: a.example, group: []}\n", `rules.yaml:2: found upstream group ""`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			directory := t.TempDir()
			if err := os.WriteFile(filepath.Join(directory, "rules.yaml"), []byte(tc.rules), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := parseText(directory, "privatelink {\n"+tc.body+"\nrules rules.yaml\n}")
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("parse(%q) = %v, want %q", tc.body, err, tc.want)
			}
		})
	}
}

// Clients with a site of their own cost nothing more: their answers are kept apart.
func TestReadLoopKeepsSitesApartWithoutAllocating(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n network
		a, b := n.site(linkedSite(0, "db1=10.0.1.4")), n.site(linkedSite(0, "db1=10.0.2.4"))
		handler := withSitesIn(t, n.slot(), a.address, b.address, "upstream a "+a.address+"\nupstream b "+b.address+" clients=10.30.0.0/16")
		warm(t, handler, "db1.database.windows.net.")
		loop, datagram, buffer := newReadLoop(handler), packed(t, "db1.database.windows.net.", dns.TypeA), make([]byte, 0, wire.AdvertisedSize)
		reply := new(dns.Msg)
		if err := reply.Unpack(loop.Answer(datagram, clientPeer, buffer)); err != nil {
			t.Fatal(err)
		}
		if got := lastAddress(reply); got != "10.0.2.4" {
			t.Errorf("Answer() = %s, want 10.0.2.4, of the client's own site", got)
		}
		if got := testing.AllocsPerRun(100, func() { loop.Answer(datagram, clientPeer, buffer) }); got != 0 {
			t.Errorf("Answer() of a kept answer allocates %v times, want 0", got)
		}
	})
}
