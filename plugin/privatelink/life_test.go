package privatelink

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy/caddyfile"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/policy"
)

// newRunning returns a stanza that has been set up but not started, with a
// rules file "rules.yaml" in its directory.
func newRunning(t *testing.T, rules, body string) *running {
	t.Helper()
	return newRunningIn(t, map[string]string{"rules.yaml": rules}, body)
}

// newRunningIn is newRunning with files in the directory, "rules.yaml" among them.
func newRunningIn(t *testing.T, files map[string]string, body string) *running {
	t.Helper()
	directory := t.TempDir()
	for name, text := range files {
		writeFile(t, filepath.Join(directory, name), text)
	}
	text := "privatelink {\nupstream azure " + answers(t, sql) + "\nroute . azure\nrules rules.yaml\n" + body + "\n}"
	stanza := caddyfile.NewDispenser(filepath.Join(directory, "Corefile"), strings.NewReader(text))
	unread := stanza
	parsed, err := parse(&stanza)
	if err != nil {
		t.Fatal(err)
	}
	shared := newSlot()
	built, err := build(parsed, shared)
	if err != nil {
		t.Fatal(err)
	}
	return &running{
		stanza: unread, config: parsed, handler: handlerOf(built), shared: shared,
		log: clog.NewWithPlugin(pluginName), stamps: stampsOf(parsed.files), stopWatching: make(chan struct{}),
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const direct = "db1.privatelink.database.windows.net."

func TestChangedRulesTakeEffectAndMistakesDoNot(t *testing.T) {
	run := newRunning(t, "clients: []\n", "")
	if err := run.start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.stop() }()
	rules := filepath.Join(run.config.directory, "rules.yaml")
	lastReload := func() float64 {
		return gathered(t, run.handler.current.Load().metrics.collectors.config)["config_last_reload_successful"]
	}

	writeFile(t, rules, "clients:\n  - {class: stub, networks: [10.20.0.0/16]}\n")
	run.reloadChangedFiles()
	if got := ask(t, run.handler, "10.20.0.9", direct, dns.TypeA).Rcode; got != dns.RcodeRefused || lastReload() != 1 {
		t.Errorf("a stub of the changed file = %s, reload successful %v; want REFUSED, 1", dns.RcodeToString[got], lastReload())
	}

	writeFile(t, rules, "clients:\n  - {class: stub, networks: [10.20.0.0/99]}\n")
	run.reloadChangedFiles()
	if got := ask(t, run.handler, "10.20.0.9", direct, dns.TypeA).Rcode; got != dns.RcodeRefused || lastReload() != 0 {
		t.Errorf("after a mistake = %s, reload successful %v; want REFUSED as before, 0", dns.RcodeToString[got], lastReload())
	}

	writeFile(t, rules, "clients: []\n")
	run.reloadChangedFiles()
	if got := ask(t, run.handler, "10.20.0.9", direct, dns.TypeA).Rcode; got != dns.RcodeSuccess || lastReload() != 1 {
		t.Errorf("with the mistake mended = %s, reload successful %v; want NOERROR in doubt, 1", dns.RcodeToString[got], lastReload())
	}
}

func TestUnchangedFilesAreNotReadAgain(t *testing.T) {
	run := newRunning(t, "clients: []\n", "")
	before := run.handler.current.Load()
	run.reloadChangedFiles()
	if run.handler.current.Load() != before {
		t.Error("the configuration was replaced although no file changed")
	}
}

func TestChasesSurviveARestart(t *testing.T) {
	state := t.TempDir()
	first := newRunning(t, "clients: []\n", "state "+state)
	if err := first.start(); err != nil {
		t.Fatal(err)
	}
	// The first process is old enough to be in no doubt.
	first.handler.current.Load().service.policy.Chains = policy.NewChaseMemory(1, longAgo)
	ask(t, first.handler, "10.30.0.4", "db1.database.windows.net.", dns.TypeA)
	for _, end := range []func() error{first.stop, first.save} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}

	second := newRunning(t, "clients: []\n", "state "+state)
	if err := second.start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.stop() }()
	if got := ask(t, second.handler, "10.30.0.4", direct, dns.TypeA).Rcode; got != dns.RcodeSuccess {
		t.Errorf("the chase of a chain given before the restart = %s, want NOERROR", dns.RcodeToString[got])
	}
	if got := ask(t, second.handler, "10.30.0.5", direct, dns.TypeA).Rcode; got != dns.RcodeRefused {
		t.Errorf("a direct lookup out of the blue after the restart = %s, want REFUSED", dns.RcodeToString[got])
	}
	if _, err := os.Stat(filepath.Join(state, chasesFile)); err == nil {
		t.Error("the snapshot is still there: after a crash it would be believed")
	}
}

func TestAnswersSurviveARestartWithoutUpstream(t *testing.T) {
	state := t.TempDir()
	first := newRunning(t, "clients: []\n", "state "+state)
	if err := first.start(); err != nil {
		t.Fatal(err)
	}
	ask(t, first.handler, "10.30.0.4", "db1.database.windows.net.", dns.TypeA)
	for _, end := range []func() error{first.stop, first.save} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	second := newRunning(t, "clients: []\n", "state "+state)
	second.restoreAnswers(second.handler.current.Load().service.cache)
	second.shared.release(second.handler.current.Load().service.lease) // its servers answer no more
	_, reply := askAt(t, second.handler, "db1.database.windows.net.", time.Since(start)+30*time.Second)
	if code, _ := extendedError(reply); lastAddress(reply) != "10.0.2.4" || code != 3 {
		t.Errorf("after the restart %v, want the kept address with EDE 3", reply)
	}
}

func TestFlushedAnswersDoNotComeBack(t *testing.T) {
	state := t.TempDir()
	run := newRunning(t, "clients: []\n", "state "+state)
	if err := run.start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.stop(); _ = run.save() }()
	ask(t, run.handler, "10.30.0.4", "db1.database.windows.net.", dns.TypeA)
	run.saveAnswers()
	answers := run.handler.current.Load().service.cache
	if _, err := answers.Flush(".", true); err != nil {
		t.Fatal(err)
	}
	run.restoreAnswers(answers) // as the start of the next configuration does
	if got := answers.Len(); got != 0 {
		t.Errorf("%d flushed answers are back after a reload, want none", got)
	}

	ask(t, run.handler, "10.30.0.4", "db1.database.windows.net.", dns.TypeA)
	run.saveAnswers()
	reply := httptest.NewRecorder()
	run.shared.admin.server.Handler.ServeHTTP(reply, httptest.NewRequest(http.MethodDelete, "/cache/answers?name=.&suffix=true", nil))
	after := cache.New(cache.Limits{Entries: 10}, 1)
	if count, err := restoreAnswers(state, after, time.Now()); reply.Code != http.StatusOK || count != 0 || err != nil {
		t.Errorf("flush = %d; a process that starts after a crash then has %d answers, %v; want none", reply.Code, count, err)
	}
}

func TestDamagedAnswersAreIgnored(t *testing.T) {
	state := t.TempDir()
	writeFile(t, filepath.Join(state, answersFile), "not a snapshot")
	answers := cache.New(cache.Limits{Entries: 10}, 1)
	if count, err := restoreAnswers(state, answers, time.Now()); count != 0 || err == nil || answers.Len() != 0 {
		t.Errorf("restoreAnswers = %d, %v with %d entries; want nothing and an error", count, err, answers.Len())
	}
	if count, err := restoreAnswers(t.TempDir(), answers, time.Now()); count != 0 || err != nil {
		t.Errorf("restoreAnswers of nothing = %d, %v; want neither", count, err)
	}
}

func TestDamagedStateIsIgnored(t *testing.T) {
	state := t.TempDir()
	writeFile(t, filepath.Join(state, chasesFile), "not a snapshot")
	if memory, err := restoreChases(state, time.Now()); memory != nil || err == nil || !strings.Contains(err.Error(), "expected") {
		t.Errorf("restoreChases = %v, %v; want nothing and what is wrong", memory, err)
	}
	if memory, err := restoreChases(t.TempDir(), time.Now()); memory != nil || err != nil {
		t.Errorf("restoreChases of nothing = %v, %v; want nothing and no error", memory, err)
	}
}

func TestQueryLogIsComplete(t *testing.T) {
	run := newRunning(t, "clients: []\n", "clients stub 10.20.0.0/16\nquerylog query.log")
	if err := run.start(); err != nil {
		t.Fatal(err)
	}
	ask(t, run.handler, "10.30.0.4", "db1.database.windows.net.", dns.TypeA)
	ask(t, run.handler, "10.20.0.9", direct, dns.TypeA)
	ask(t, run.handler, "168.63.129.16", "db1.database.windows.net.", dns.TypeA)
	if err := run.stop(); err != nil {
		t.Fatal(err)
	}
	written := readFile(t, filepath.Join(run.config.directory, "query.log"))
	lines := strings.Split(strings.TrimSpace(written), "\n")
	if len(lines) != 2 {
		t.Fatalf("the query log has %d lines, want 2 without the probe:\n%s", len(lines), written)
	}
	for index, wants := range [][]string{
		{`"verdict":"private"`, `"answers":["10.0.2.4"]`, `"chain":["db1.privatelink.database.windows.net."]`, `"namespace":"database.windows.net"`, `"route":"."`},
		{`"rcode":"REFUSED"`, `"direct":true`, `"policy_rule":"direct-lookup"`, `"policy_action":"refuse"`, `"client_class":"stub"`, `"ede_code":15`},
	} {
		for _, want := range wants {
			if !strings.Contains(lines[index], want) {
				t.Errorf("line %d = %s, want it to contain %s", index+1, lines[index], want)
			}
		}
	}
}

func TestStartFailsWhereTheQueryLogCannotBeWritten(t *testing.T) {
	run := newRunning(t, "clients: []\n", "querylog nowhere/query.log")
	if err := run.start(); err == nil || !strings.Contains(err.Error(), "opening the query log") {
		t.Errorf("start = %v, want the query log named", err)
	}
}

func TestAddrPortOfAnyAddress(t *testing.T) {
	want := netip.MustParseAddrPort("10.20.0.9:53")
	if got := addrPort(textAddress("[::ffff:10.20.0.9]:53")); got != want {
		t.Errorf("addrPort = %v, want %v", got, want)
	}
}

type textAddress string

func (textAddress) Network() string  { return "quic" }
func (a textAddress) String() string { return string(a) }

// TestMain keeps the plugin's own log out of the test's output.
func TestMain(m *testing.M) {
	clog.Discard()
	os.Exit(m.Run())
}
