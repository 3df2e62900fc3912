package azuresim

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
)

func TestSetup(t *testing.T) {
	c := caddy.NewTestController("dns", "azuresim")
	if err := setup(c); err != nil {
		t.Fatalf("setup() = %v, want nil", err)
	}
	plugins := dnsserver.GetConfig(c).Plugin
	if len(plugins) != 1 || plugins[0](nil).Name() != "azuresim" {
		t.Errorf("setup() added %d plugins, want azuresim", len(plugins))
	}
	err := setup(caddy.NewTestController("dns", "azuresim {\n nonsense\n}"))
	want := "plugin/azuresim: Testfile:2 - Error during parsing: unknown property 'nonsense'"
	if err == nil || err.Error() != want {
		t.Errorf("setup(nonsense) = %v, want %q", err, want)
	}
}

func parseText(text string) (*Simulator, error) {
	d := caddyfile.NewDispenser("Corefile", strings.NewReader(text))
	return parse(&d)
}

func TestParse(t *testing.T) {
	s, err := parseText(`azuresim {
		limit azure
		latency 5ms 2ms
		loss 1
		servfail 0.5
		unlink hub privatelink.database.windows.net
		unlink hub privatelink.vaultcore.azure.net.
		link spoke Privatelink.vaultcore.azure.net nxdomain_redirect
		seed 42
	}`)
	if err != nil {
		t.Fatalf("parse() = %v, want nil", err)
	}
	if want := (faults{latency: 5 * time.Millisecond, jitter: 2 * time.Millisecond, loss: 1, servfail: 0.5}); s.faults != want {
		t.Errorf("parse() faults = %+v, want %+v", s.faults, want)
	}
	if want := azureLimits(); s.limiter.limits != want {
		t.Errorf("parse() limits = %+v, want %+v", s.limiter.limits, want)
	}
	if a, b := s.dice.random.Uint64(), newDice(42).random.Uint64(); a != b {
		t.Errorf("parse() dice start with %d, want %d as seed 42 does", a, b)
	}
	for vnet, want := range map[string]string{"hub": "203.0.113.20", "spoke": "10.0.2.5"} {
		if got := ask(t, s.world, vnet, "v1.vault.azure.net A").String(); !strings.Contains(got, want) {
			t.Errorf("Resolve(%s, v1.vault.azure.net) = %s, want %s", vnet, got, want)
		}
	}
}

func TestParseLimit(t *testing.T) {
	q := quota{500, 100}
	for _, tc := range []struct {
		name, text string
		limits     limits
		dead       bool
	}{
		{"by default", "azuresim", limits{}, false},
		{"off", "azuresim {\n limit off\n}", limits{}, false},
		{"numbers, and dead", "azuresim {\n limit 500 100\n dead\n}", limits{q, q}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := parseText(tc.text)
			if err != nil {
				t.Fatalf("parse() = %v, want nil", err)
			}
			if s.limiter.limits != tc.limits || s.faults.dead != tc.dead {
				t.Errorf("parse() = %+v, dead %v, want %+v, %v", s.limiter.limits, s.faults.dead, tc.limits, tc.dead)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	const before = " - Error during parsing: "
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"several at once", "azuresim {\n limit fast\n limits off\n loss 101\n}", []string{
			"Corefile:2" + before + "limit: found 'fast', expected off, azure or two numbers",
			"Corefile:3" + before + "unknown property 'limits'",
			"Corefile:4" + before + "loss: found '101', expected a percentage from 0 to 100",
		}},
		{"two worlds", "azuresim a b", []string{"Corefile:1" + before + "found 2 arguments, expected one world file at most"}},
		{"no such world", "azuresim none.yaml", []string{"Corefile:1" + before + "loading a world: open none.yaml: no such file or directory"}},
		{"no such world, links unknown", "azuresim none.yaml {\n unlink hub a.example\n}", []string{
			"Corefile:1" + before + "loading a world: open none.yaml: no such file or directory",
		}},
		{"twice", "azuresim {\n seed 1\n}\nazuresim", []string{"Corefile:4" + before + plugin.ErrOnce.Error()}},
		{"property twice", "azuresim {\n loss 1\n loss 2\n}", []string{"Corefile:3" + before + "found a second 'loss', expected one"}},
		{"limit", "azuresim {\n limit 1 x\n}", []string{"Corefile:2" + before + "limit: found 'x', expected a whole number"}},
		{"limit arguments", "azuresim {\n limit\n}", []string{"Corefile:2" + before + "limit: found 0 arguments, expected 1 to 2"}},
		{"latency", "azuresim {\n latency 5\n}", []string{"Corefile:2" + before + "latency: found '5', expected a duration from 0s to 1m0s"}},
		{"jitter", "azuresim {\n latency 5ms 2m\n}", []string{"Corefile:2" + before + "latency: found '2m', expected a duration from 0s to 1m0s"}},
		{"latency arguments", "azuresim {\n latency 1s 1s 1s\n}", []string{"Corefile:2" + before + "latency: found 3 arguments, expected 1 to 2"}},
		{"servfail", "azuresim {\n servfail NaN\n}", []string{"Corefile:2" + before + "servfail: found 'NaN', expected a percentage from 0 to 100"}},
		{"servfail arguments", "azuresim {\n servfail\n}", []string{"Corefile:2" + before + "servfail: found 0 arguments, expected 1"}},
		{"seed", "azuresim {\n seed -1\n}", []string{"Corefile:2" + before + "seed: found '-1', expected a whole number"}},
		{"seed arguments", "azuresim {\n seed\n}", []string{"Corefile:2" + before + "seed: found 0 arguments, expected 1"}},
		{"dead", "azuresim {\n dead yes\n}", []string{"Corefile:2" + before + "dead: found 1 arguments, expected 0"}},
		{"unlink", "azuresim {\n unlink hub corp.example\n}", []string{
			"Corefile:2" + before + "unlink: found zone 'corp.example.', expected a private zone linked to VNet 'hub'",
		}},
		{"unlink name", "azuresim {\n unlink hub a*b\n}", []string{"Corefile:2" + before + "unlink: found 'a*b', expected a domain name"}},
		{"unlink arguments", "azuresim {\n unlink hub\n}", []string{"Corefile:2" + before + "unlink: found 1 arguments, expected 2"}},
		{"link", "azuresim {\n link hub privatelink.azurewebsites.net redirect\n}", []string{
			"Corefile:2" + before + "link: found 'redirect', expected nxdomain_redirect",
		}},
		{"link name", "azuresim {\n link hub a*b\n}", []string{"Corefile:2" + before + "link: found 'a*b', expected a domain name"}},
		{"link arguments", "azuresim {\n link hub\n}", []string{"Corefile:2" + before + "link: found 1 arguments, expected 2 to 3"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := parseText(tc.text)
			if err == nil || s != nil {
				t.Fatalf("parse() = %v, %v, want nil and an error", s, err)
			}
			if want := strings.Join(tc.want, "\n"); err.Error() != want {
				t.Errorf("parse() = %v\nwant %s", err, want)
			}
		})
	}
	if _, err := parseText("azuresim\nazuresim"); !errors.Is(err, plugin.ErrOnce) {
		t.Errorf("parse(twice) = %v, want plugin.ErrOnce", err)
	}
}

// A world file's path counts from the Corefile's directory.
func TestParseWorldFile(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "w.yaml")
	if err := os.WriteFile(path, []byte("vnets: [{name: a, nmae: b}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, argument := range []string{path, "w.yaml"} {
		d := caddyfile.NewDispenser(filepath.Join(directory, "Corefile"), strings.NewReader("\nazuresim "+argument))
		_, err := parse(&d)
		want := filepath.Join(directory, "Corefile") + ":2 - Error during parsing: " + path + `:1: found "nmae" in a VNet, expected name`
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("parse(%q) = %v, want %q", argument, err, want)
		}
	}
	if err := os.WriteFile(path, []byte("vnets: [{name: a}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := caddyfile.NewDispenser(filepath.Join(directory, "Corefile"), strings.NewReader("azuresim w.yaml"))
	s, err := parse(&d)
	if err != nil {
		t.Fatalf("parse() = %v, want nil", err)
	}
	if _, ok := s.world.VNet("a"); !ok {
		t.Error("parse() did not load the file's world")
	}
}
