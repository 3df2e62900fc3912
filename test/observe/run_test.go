package observe

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// binary builds the program once.
var binary = sync.OnceValues(func() (string, error) {
	directory, err := os.MkdirTemp("", "privatelink-dns")
	if err != nil {
		return "", err
	}
	path := filepath.Join(directory, "privatelink-dns")
	command := exec.Command("go", "build", "-o", path, "./cmd/privatelink-dns")
	command.Dir = root
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building: %w\n%s", err, output)
	}
	return path, nil
})

func build(t *testing.T) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// run is a server with a simulator on either side of it: Azure's DNS, and public DNS.
type run struct {
	t                        *testing.T
	directory                string
	server, metrics, watcher int // ports
	azure                    *exec.Cmd
	// lost is when Azure's DNS was, over when the load after that was.
	lost, over time.Time
	// asked is how many questions were asked so far.
	asked int
}

// corefile is the server's. Its words in capitals are filled in.
const corefile = `.:SERVER {
    bind 127.0.0.1
    errors
    prometheus 127.0.0.1:METRICS
    privatelink {
        upstream azure  127.0.0.1:AZURE budget=azure
        upstream public 127.0.0.3:PUBLIC
        route    catalog azure missing=public outage=public
        route    .       azure outage=public
        clients  stub 127.0.0.0/8
        must-private app1.azurewebsites.net
        querylog query.log
        state    state
    }
}
`

// simulator is a Corefile of either simulator: who asks 127.0.0.3 is in a network
// without links, and sees what the public sees.
const simulator = `.:PORT {
    bind ADDRESS
    azuresim {
        latency 4ms 6ms
        servfail 0.5
        seed 7
    }
}
`

// scraping is Prometheus's configuration.
const scraping = `global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [alerts.yaml]
scrape_configs:
  - job_name: privatelink-dns
    static_configs: [{targets: ['127.0.0.1:METRICS']}]
`

func startRun(t *testing.T) *run {
	t.Helper()
	need(t, "prometheus")
	ports := freePorts(t, 5)
	r := &run{t: t, directory: t.TempDir(), server: ports[0], metrics: ports[1], watcher: ports[2]}
	fill := strings.NewReplacer("SERVER", fmt.Sprint(ports[0]), "METRICS", fmt.Sprint(ports[1]), "AZURE", fmt.Sprint(ports[3]), "PUBLIC", fmt.Sprint(ports[4]))
	simulated := func(address string, port int) string {
		return strings.NewReplacer("ADDRESS", address, "PORT", fmt.Sprint(port)).Replace(simulator)
	}
	for name, text := range map[string]string{
		"Corefile": fill.Replace(corefile), "prometheus.yml": fill.Replace(scraping),
		"azure": simulated("127.0.0.1", ports[3]), "public": simulated("127.0.0.3", ports[4]),
		"alerts.yaml": read(t, deploy, "prometheus", "alerts.yaml"),
	} {
		if err := os.WriteFile(filepath.Join(r.directory, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := build(t)
	r.azure = r.start(program, "serve", "-c", "azure")
	r.start(program, "serve", "-c", "public")
	r.start(program, "serve", "-c", "Corefile")
	r.start("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", fmt.Sprintf("--web.listen-address=127.0.0.1:%d", r.watcher), "--log.level=warn")
	return r
}

// start starts a program that is ended with the test.
func (r *run) start(program string, arguments ...string) *exec.Cmd {
	r.t.Helper()
	command := exec.Command(program, arguments...)
	var said bytes.Buffer
	command.Dir, command.Stdout, command.Stderr = r.directory, &said, &said
	if err := command.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		r.end(command)
		if r.t.Failed() {
			r.t.Logf("%s %v said:\n%s", filepath.Base(program), arguments, said.String())
		}
	})
	return command
}

// end ends a program. It may be called more than once.
func (r *run) end(command *exec.Cmd) {
	_ = command.Process.Signal(syscall.SIGTERM)
	_ = command.Wait()
}

// load asks a hundred questions a second for a while, and waits for the replies.
func (r *run) load(length time.Duration) {
	address := fmt.Sprintf("127.0.0.1:%d", r.server)
	clients := []*dns.Client{{Net: "udp", Timeout: 5 * time.Second}, {Net: "tcp", Timeout: 5 * time.Second}}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var asking sync.WaitGroup
	begin, before := time.Now(), r.asked
	for time.Since(begin) < length {
		<-tick.C
		for ; r.asked-before < int(time.Since(begin)/(10*time.Millisecond)); r.asked++ { // ticks get lost
			client, question := clients[0], questionOf(r.asked)
			if r.asked%25 == 0 {
				client = clients[1]
			}
			asking.Go(func() { _, _, _ = client.Exchange(question, address) })
		}
	}
	asking.Wait()
}

// names are what clients ask for.
var names = []string{
	"db1.database.windows.net.", "v1.vault.azure.net.", "st1.blob.core.windows.net.", // private
	"web1.database.windows.net.", "st2.blob.core.windows.net.", "v2.vault.azure.net.", // public
	"partner1.database.windows.net.", "stpartner.blob.core.windows.net.", // missing
	"app1.azurewebsites.net.",                // unlinked, and must be private
	"db1.privatelink.database.windows.net.",  // a direct lookup
	"x.privatelink.notinthecatalog.example.", // a zone that nobody knows
	"www.example.org.", "sql.corp.example.", "",
}

// questionOf is the question of a number. The empty name stands for one that was
// never asked before.
func questionOf(number int) *dns.Msg {
	question, name := new(dns.Msg), names[number%len(names)]
	if name == "" {
		name = fmt.Sprintf("n%d.apps.example.org.", number)
	}
	kind := dns.TypeA
	if number%5 == 0 {
		kind = dns.TypeAAAA
	}
	question.SetQuestion(name, kind)
	return question.SetEdns0(1232, false)
}

// freePorts returns ports of loopback that the kernel gives to no client.
func freePorts(t *testing.T, count int) []int {
	t.Helper()
	var ports []int
	for range 1000 {
		port := 10_000 + rand.IntN(20_000)
		if listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = listener.Close()
			if ports = append(ports, port); len(ports) == count {
				return ports
			}
		}
	}
	t.Fatal("found no free ports")
	return nil
}
