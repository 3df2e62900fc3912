package observe

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

var (
	root   = filepath.Join("..", "..")
	deploy = filepath.Join(root, "deploy")
)

// ruleFile is what Prometheus reads from alerts.yaml.
type ruleFile struct {
	Groups []struct {
		Rules []alert `yaml:"rules"`
	} `yaml:"groups"`
}

type alert struct {
	Name        string            `yaml:"alert"`
	Expression  string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func read(t testing.TB, elements ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var file ruleFile
	if err := yaml.Unmarshal([]byte(read(t, deploy, "prometheus", "alerts.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) < 10 {
		t.Fatalf("found %d alerts, expected more", len(all))
	}
	return all
}

// need fails where a program is missing: what was not tried is not shown.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%s is not installed: make tools installs it", program)
		}
	}
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	need(t, "promtool")
	for _, arguments := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts.test.yaml"}} {
		command := exec.Command("promtool", arguments...)
		command.Dir = filepath.Join(deploy, "prometheus")
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(arguments, " "), err, output)
		}
	}
}

// backticked is what a description says to type.
var backticked = regexp.MustCompile("`[^`]+`")

func TestEveryAlertIsTestedAndSaysWhatToTypeNext(t *testing.T) {
	tests := read(t, deploy, "prometheus", "alerts.test.yaml")
	for _, one := range alerts(t) {
		if !slices.Contains([]string{"critical", "warning", "info"}, one.Labels["severity"]) {
			t.Errorf("%s has severity %q, want critical, warning or info", one.Name, one.Labels["severity"])
		}
		if one.Annotations["summary"] == "" || !backticked.MatchString(one.Annotations["description"]) {
			t.Errorf("%s: annotations = %v, want a summary, and a description with a command", one.Name, one.Annotations)
		}
		if !strings.Contains(tests, `"`+one.Name+`"`) && !strings.Contains(tests, "alertname: "+one.Name+"\n") {
			t.Errorf("alerts.test.yaml has no story in which %s fires", one.Name)
		}
	}
}

var (
	ourCommand = regexp.MustCompile("privatelink-dns ((?:[a-z]+[ `])+)")
	jqProgram  = regexp.MustCompile(`jq -r (?:'([^']+)'|(\S+))`)
	jqField    = regexp.MustCompile(`\.([a-z_]+)`)
)

// TestAlertsSayWhatExists holds the commands and the fields of the query log that
// descriptions name against the program and the manual.
func TestAlertsSayWhatExists(t *testing.T) {
	program, manual := build(t), read(t, root, "plugin", "querylog", "README.md")
	tried := map[string]bool{}
	for _, one := range alerts(t) {
		for _, typed := range backticked.FindAllString(one.Annotations["description"], -1) {
			if found := ourCommand.FindStringSubmatch(typed); found != nil && !strings.Contains(typed, "-u privatelink-dns") {
				words := strings.Trim(found[1], " `")
				tried[words] = true
				output, err := exec.Command(program, append(strings.Fields(words), "--help")...).CombinedOutput()
				if err != nil || !strings.Contains(string(output), "privatelink-dns "+words) {
					t.Errorf("%s says %s, but privatelink-dns %s: %v", one.Name, typed, words, err)
				}
			}
			for _, found := range jqProgram.FindAllStringSubmatch(typed, -1) {
				for _, field := range jqField.FindAllStringSubmatch(found[1]+found[2], -1) {
					if !strings.Contains(manual, "| `"+field[1]+"`") {
						t.Errorf("%s says %s, but the query log has no field %s", one.Name, typed, field[1])
					}
				}
			}
		}
	}
	if len(tried) < 4 {
		t.Errorf("the descriptions name %d commands of ours, expected more", len(tried))
	}
}

// foreign are metrics of CoreDNS and Prometheus that alerts and panels use.
var foreign = []string{
	"coredns_dns_requests_total", "coredns_dns_responses_total", "coredns_dns_request_duration_seconds", "coredns_panics_total", "up",
}

var metricName = regexp.MustCompile(`\b(coredns_[a-z0-9_]+|up)\b`)

// checkMetrics reports names in a query that are not in the manual, which a test of the
// plugin holds against the registry.
func checkMetrics(t *testing.T, where, query, manual string) {
	t.Helper()
	for _, name := range metricName.FindAllString(query, -1) {
		name = strings.TrimSuffix(name, "_bucket")
		explained := strings.Contains(manual, "\n* `"+name+"`") || strings.Contains(manual, "\n* `"+name+"{")
		if !explained && !slices.Contains(foreign, name) {
			t.Errorf("%s asks for %s, which does not exist", where, name)
		}
	}
}

func TestAlertsAskForMetricsThatExist(t *testing.T) {
	manual := read(t, root, "plugin", "privatelink", "README.md")
	for _, one := range alerts(t) {
		checkMetrics(t, one.Name, one.Expression, manual)
	}
}
