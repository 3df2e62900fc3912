package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// yesterday is the log of a server that had every zone linked, and some trouble.
const yesterday = `{"client_ip":"10.20.0.9","client_class":"stub","qname":"db1.database.windows.net.","qtype":"A","rcode":"NOERROR","chain":["db1.privatelink.database.windows.net."],"answers":["10.0.2.4"],"verdict":"private","policy_rule":"none","policy_action":"allow"}
{"client_ip":"10.30.0.4","client_class":"other","qname":"db1.database.windows.net.","qtype":"A","rcode":"NOERROR","chain":["db1.privatelink.database.windows.net."],"answers":["10.0.2.4"],"verdict":"private","policy_rule":"none","policy_action":"allow"}
{"client_ip":"10.20.0.9","client_class":"stub","qname":"db1.database.windows.net.","qtype":"AAAA","rcode":"NOERROR","chain":["db1.privatelink.database.windows.net."],"verdict":"nodata","policy_rule":"none","policy_action":"allow"}
{"client_ip":"10.20.0.9","client_class":"stub","qname":"app1.azurewebsites.net.","qtype":"A","rcode":"NOERROR","chain":["app1.privatelink.azurewebsites.net."],"answers":["10.0.2.7"],"verdict":"private","policy_rule":"none","policy_action":"allow","sample":40}
{"client_ip":"10.20.0.9","client_class":"stub","qname":"db9.database.windows.net.","qtype":"A","rcode":"NOERROR","chain":["db9.privatelink.database.windows.net."],"answers":["10.0.2.9"],"verdict":"private","policy_rule":"none","policy_action":"allow"}
{"client_ip":"10.20.0.9","client_class":"stub","qname":"waws-prod-bl5-001.sip.azurewebsites.windows.net.","qtype":"A","rcode":"NOERROR","answers":["203.0.113.41"],"verdict":"public","policy_rule":"none","policy_action":"allow"}
{"client_ip":"10.20.0.9","client_class":"stub","qname":"www.corp.example.","qtype":"A","rcode":"SERVFAIL","policy_rule":"none","policy_action":"allow","error":"group \"azure\": 10.10.0.4:53/udp no reply"}
{"client_ip":"10.20.0.10","client_class":"stub","qname":"mail.corp.example.","qtype":"A","rcode":"SERVFAIL","policy_rule":"none","policy_action":"allow","error":"group \"azure\": 10.10.0.4:53/udp no reply"}
{"client_ip":"10.20.0.9","client_class":"stub","qname":"db1.privatelink.database.windows.net.","qtype":"A","rcode":"REFUSED","direct":true,"policy_rule":"direct-lookup","policy_action":"refuse"}
{"client_ip":"10.30.0.4","client_class":"other","qname":"db1.privatelink.database.windows.net.","qtype":"A","rcode":"NOERROR","answers":["10.0.2.4"],"verdict":"private","direct":true,"chase":true,"policy_rule":"chase","policy_action":"allow"}
{"client_ip":"10.20.0.9","client_class":"stub","qname":"old.example.","qtype":"A","rcode":"NOERROR","policy_rule":"override","policy_action":"allow"}
{"client_ip":"10.20.0.9","client_class":"stub","qname":"two words.example.","qtype":"A","rcode":"NXDOMAIN","verdict":"other","policy_rule":"none","policy_action":"allow"}
`

// logOf makes a log of lines without times, a second apart.
func logOf(lines string) string {
	var log strings.Builder
	second := 0
	for line := range strings.Lines(lines) {
		fmt.Fprintf(&log, `{"time":"2026-03-01T03:00:%02d.000000Z","schema":1,%s`, second, strings.TrimPrefix(line, "{"))
		second++
	}
	return log.String()
}

func TestReplayPrints(t *testing.T) {
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	log := inDirectory(t, "query.log", logOf(yesterday)+"nonsense\n")
	inSite(t, smallCloud(t))
	if err := os.Symlink(log, "query.log"); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		file, arguments string
		wantCode        int
	}{
		{"replay.golden", "", codeFound},
		{"replay-strict.golden", "--strict --top 1", codeFound},
		{"replay-json.golden", "--json", codeFound},
		{"replay-nothing.golden", "--namespace db1.database.windows.net --until 2026-03-01", codeFailed},
	} {
		t.Run(tc.file, func(t *testing.T) {
			got := run(t, append(strings.Fields("replay query.log -c Corefile --rate 10000"), strings.Fields(tc.arguments)...)...)
			if got.code != tc.wantCode {
				t.Errorf("replay %s = %+v, want code %d", tc.arguments, got, tc.wantCode)
			}
			t.Chdir(filepath.Dir(testdata))
			if tc.wantCode == codeFailed {
				got.out += got.err
			}
			golden(t, tc.file, got.out)
		})
	}
}

func TestReplayHelp(t *testing.T) { runGolden(t, "replay-help.golden", "replay", "--help") }

func TestReplayOfTheSame(t *testing.T) {
	log := inDirectory(t, "query.log", logOf(yesterday))
	inSite(t, smallCloud(t))
	got := run(t, "replay", log, "-c", "Corefile", "--namespace", "db1.database.windows.net", "--rate", "10000")
	if want := "2 questions asked of Corefile:3: 2 answered as before, no answer changes\n"; got.code != 0 || !strings.HasSuffix(got.out, want) {
		t.Errorf("replay of what is the same = %+v, want code 0 and %q", got, want)
	}
}

func TestReplaySaysWhatToDo(t *testing.T) {
	log := inDirectory(t, "query.log", logOf(yesterday))
	empty := inDirectory(t, "empty.log", "nonsense\n")
	inSite(t, "127.0.0.1:9")
	for _, tc := range []struct{ name, arguments, want string }{
		{"no log", "-c Corefile", `found no argument, expected "privatelink-dns replay LOG... `},
		{"nobody to ask", log, "at least one of the flags in the group [config against] is required"},
		{"two to ask", log + " -c Corefile --against 10.1.0.5", "none of the others can be"},
		{"no such log", "absent.log -c Corefile", "absent.log: no such file or directory"},
		{"no questions", empty + " -c Corefile", "found no question to ask in " + empty},
		{"no server", log + " --against dns.example", `--against: found "dns.example", expected an IP address`},
		{"no client", log + " -c Corefile --client host9", `--client: found "host9"`},
		{"too fast", log + " -c Corefile --rate 20000", "--rate: found 20000, expected 1 to 10000"},
		{"no Corefile", log + " -c Corefil", "no such file"},
		{"a catalog beside a Corefile", log + " -c Corefile --catalog azure-china", "none of the others can be"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := run(t, append([]string{"replay"}, strings.Fields(tc.arguments)...)...)
			if got.code != codeFailed || got.out != "" || !strings.Contains(got.err, tc.want) {
				t.Errorf("replay %s = %+v, want code 1, no output and %q", tc.arguments, got, tc.want)
			}
		})
	}
}

// The progress is told in a line that fits beside its bar.
func TestAskedSoFar(t *testing.T) {
	if got, want := askedSoFar(250, 1000, 3, 5*time.Second), "250 of 1000 questions, 3 changed, 15s left"; got != want {
		t.Errorf("askedSoFar() = %q, want %q", got, want)
	}
}

// hub is a server with the simulator behind it.
type hub struct{ corefile, address, log string }

// startHub starts one, with lines of the simulator's, until the end of the test or stop.
func startHub(t *testing.T, simulator string) (started hub, stop func()) {
	t.Helper()
	directory := t.TempDir()
	started = hub{corefile: filepath.Join(directory, "Corefile"), log: filepath.Join(directory, "query.log")}
	cloud := freePort(t)
	port := freePort(t)
	for port == cloud {
		port = freePort(t)
	}
	started.address = fmt.Sprintf("127.0.0.1:%d", port)
	text := fmt.Sprintf(".:%d {\n bind 127.0.0.1\n privatelink {\n upstream azure 127.0.0.1:%d\n route catalog azure\n route . azure\n querylog %s\n clients stub 127.0.0.0/8\n }\n}\n.:%d {\n bind 127.0.0.1\n azuresim {\n seed 1\n %s\n }\n}\n",
		port, cloud, started.log, cloud, simulator)
	if err := os.WriteFile(started.corefile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log := &console{written: make(chan struct{}, 1)}
	server := exec.Command(program, "serve", "-c", started.corefile)
	server.Env = append(os.Environ(), "PRIVATELINK_DNS_TEST_SERVE=1")
	server.Stderr = log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = server.Process.Signal(syscall.SIGTERM)
			_ = server.Wait()
		}
	}
	t.Cleanup(stop)
	log.waitFor(t, "serving on "+started.address)
	log.waitFor(t, fmt.Sprintf("serving on 127.0.0.1:%d", cloud))
	return started, stop
}

// A day at the hub is asked again of one whose link to a zone was forgotten, by its
// configuration and over the network.
func TestReplayFindsTheForgottenLink(t *testing.T) {
	before, stop := startHub(t, "")
	for _, name := range []string{"db1.database.windows.net.", "v1.vault.azure.net.", "web1.database.windows.net.", "nothing.example.", "v1.privatelink.vaultcore.azure.net."} {
		client := &dns.Client{Timeout: 10 * time.Second}
		if _, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), before.address); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	after, _ := startHub(t, "unlink hub privatelink.database.windows.net")
	for _, tc := range []struct {
		name      string
		of        []string
		wantAsked int
	}{
		{"the configuration", []string{"-c", after.corefile}, 5},
		{"the server", []string{"--against", after.address}, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := run(t, append([]string{"replay", before.log, "--json"}, tc.of...)...)
			var document replayedDocument
			if err := json.Unmarshal([]byte(got.out), &document); err != nil {
				t.Fatalf("%+v: %v", got, err)
			}
			if got.code != codeFound || document.Asked != tc.wantAsked || document.Changed != 1 || document.Changes[0].Name != "db1.database.windows.net." {
				t.Fatalf("replay = code %d, %s, want %d asked and db1 alone changed", got.code, got.out, tc.wantAsked)
			}
			if change := document.Changes[0]; change.From != "private" || change.To != "unlinked" || change.Was.Addresses[0].String() != "10.0.2.4" || change.Now.Addresses[0].String() != "203.0.113.10" {
				t.Errorf("db1 changed as %+v, want 10.0.2.4 to become 203.0.113.10", change)
			}
		})
	}
	// The other way about, what was forgotten has been linked.
	if got := run(t, "replay", before.log, "--against", after.address, "--namespace", "vault.azure.net"); got.code != 0 {
		t.Errorf("replay of a zone that is linked = %+v, want code 0", got)
	}
}
