package privatelink

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/override"
)

// adminSocket starts the admin socket of a handler's slot and returns a way to send
// it a body and to read what it says.
func adminSocket(t *testing.T, run *running) func(method, path, body string) (status int, said string) {
	t.Helper()
	directory := t.TempDir()
	if err := run.shared.startAdmin(directory); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = run.shared.stopAdmin() })
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(directory, AdminSocket))
	}}}
	t.Cleanup(client.CloseIdleConnections)
	return func(method, path, body string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, "http://admin"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		reply, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = reply.Body.Close() }()
		said, err := io.ReadAll(reply.Body)
		if err != nil {
			t.Fatal(err)
		}
		return reply.StatusCode, string(said)
	}
}

// tellChange is a change that the socket told, on one line.
func tellChange(t *testing.T, status int, said string) string {
	t.Helper()
	var change OverrideChange
	if err := json.Unmarshal([]byte(said), &change); err != nil || status != http.StatusOK || change.Warning != "" {
		t.Fatalf("the socket said %d, %s; want a change without a warning", status, said)
	}
	o := change.Override
	line := o.Name + " " + o.Answer() + " by " + o.Who + " for " + o.Expires.Sub(o.Created).String()
	if change.Replaced != nil {
		line += " in place of " + change.Replaced.Answer()
	}
	return line
}

func TestAdminAddsListsAndRemovesOverrides(t *testing.T) {
	run := newRunning(t, "clients: []\n", "")
	admin := adminSocket(t, run)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct{ name, method, path, body, want string }{
		{"an address", http.MethodPost, "/overrides", `{"name":"DB1.database.windows.net","type":"a","values":["10.9.9.9"],"for":"2h","reason":"INC42","as":"kim"}`,
			sqlName + " A 10.9.9.9 by kim (" + me.Username + ") for 2h0m0s"},
		{"a group in its place", http.MethodPost, "/overrides", `{"name":"db1.database.windows.net","type":"resolve","values":["azure"],"reason":"INC43"}`,
			sqlName + " resolve azure by " + me.Username + " for 4h0m0s in place of A 10.9.9.9"},
		{"a name with a line break", http.MethodPost, "/overrides", `{"name":"db1.database.windows.net","type":"AAAA","values":["fd00::4"],"reason":"INC43","as":"kim\n[ERROR]"}`,
			sqlName + " AAAA fd00::4 by kim[ERROR] (" + me.Username + ") for 4h0m0s in place of resolve azure"},
		{"none", http.MethodDelete, "/overrides/db1.database.windows.net?as=kim", "",
			sqlName + " AAAA fd00::4 by kim[ERROR] (" + me.Username + ") for 4h0m0s"},
	}
	for index, step := range steps {
		status, said := admin(step.method, step.path, step.body)
		if got := tellChange(t, status, said); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
		want := index < len(steps)-1
		if _, inForce := run.handler.current.Load().service.overrides.Find(sqlName, time.Now()); inForce != want {
			t.Errorf("%s: in force %v, want %v", step.name, inForce, want)
		}
		if _, list := admin(http.MethodGet, "/overrides", ""); (strings.Count(list, `"name"`) == 1) != want || !strings.HasPrefix(list, "[") {
			t.Errorf("%s: the list is %s", step.name, list)
		}
	}
}

func TestAdminRefusesOverrides(t *testing.T) {
	run := newRunning(t, "clients: []\n", "")
	admin := adminSocket(t, run)
	tests := []struct {
		name, method, path, body string
		wantStatus               int
		want                     string
	}{
		{"no JSON", http.MethodPost, "/overrides", "A 10.9.9.9", 400, "reading the request"},
		{"an unknown field", http.MethodPost, "/overrides", `{"nam":"a.example"}`, 400, `unknown field "nam"`},
		{"a wrong name", http.MethodPost, "/overrides", `{"name":"a..b","type":"A","values":["10.9.9.9"],"reason":"r"}`, 400, `found name "a..b."`},
		{"no reason", http.MethodPost, "/overrides", `{"name":"a.example","type":"A","values":["10.9.9.9"]}`, 400, "found no reason"},
		{"no such group", http.MethodPost, "/overrides", `{"name":"a.example","type":"Resolve","values":["public"],"reason":"r"}`, 400, `found upstream group "public", expected one of azure`},
		{"a duration without a unit", http.MethodPost, "/overrides", `{"name":"a.example","type":"A","values":["10.9.9.9"],"reason":"r","for":"4"}`, 400, `found duration "4"`},
		{"a duration of nothing", http.MethodPost, "/overrides", `{"name":"a.example","type":"A","values":["10.9.9.9"],"reason":"r","for":"0s"}`, 400, `found duration "0s"`},
		{"too long", http.MethodPost, "/overrides", `{"name":"a.example","type":"A","values":["10.9.9.9"],"reason":"r","for":"1000h"}`, 400, "found a duration of 1000h0m0s"},
		{"a huge request", http.MethodPost, "/overrides", `{"reason":"` + strings.Repeat("r", maxRequestSize) + `"}`, 400, "too large"},
		{"nothing to remove", http.MethodDelete, "/overrides/a.example", "", 404, "no override of a.example"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if status, said := admin(tc.method, tc.path, tc.body); status != tc.wantStatus || !strings.Contains(said, tc.want) {
				t.Errorf("%s = %d, %s; want %d, %s", tc.method, status, said, tc.wantStatus, tc.want)
			}
		})
	}
	if list := run.shared.overrides.List(time.Now()); len(list) != 0 {
		t.Errorf("%v are in force, want none", list)
	}
}

func TestAdminSaysWhatWillNotSurvive(t *testing.T) {
	run := newRunning(t, "clients: []\n", "")
	state := filepath.Join(t.TempDir(), "gone")
	if _, err := run.shared.overrides.Restore(filepath.Join(state, overridesFile), time.Now()); err != nil {
		t.Fatal(err)
	}
	status, said := adminSocket(t, run)(http.MethodPost, "/overrides", `{"name":"a.example","type":"A","values":["10.9.9.9"],"reason":"r"}`)
	var change OverrideChange
	if err := json.Unmarshal([]byte(said), &change); err != nil || status != http.StatusOK || !strings.Contains(change.Warning, override.ErrNotWritten.Error()) {
		t.Errorf("POST = %d, %s; want it in force with a warning", status, said)
	}
}

func TestGroupNamesFollowTheLeases(t *testing.T) {
	shared := newSlot()
	first, second := &lease{}, &lease{}
	shared.nameGroups(first, map[string]*groupConfig{"azure": {}, "public": {}})
	shared.nameGroups(second, map[string]*groupConfig{"corp": {}, "azure": {}})
	if got := strings.Join(shared.groupNames(), " "); got != "azure corp public" {
		t.Errorf("groups %s, want azure corp public", got)
	}
	shared.release(first)
	if got := strings.Join(shared.groupNames(), " "); got != "azure corp" {
		t.Errorf("after the first lease %s, want azure corp", got)
	}
}

// TestOverrideOfANameThatIsRefused: it would be added and do nothing.
func TestOverrideOfANameThatIsRefused(t *testing.T) {
	for _, tc := range []struct{ name, body, overridden, want string }{
		{"its public name is known", "", "DB1.privatelink.database.windows.net", "override db1.database.windows.net instead"},
		{"of another suffix", "", "v1.privatelink.vaultcore.azure.net.", "override v1.vault.azure.net instead"},
		{"its public name is not known", "", "x.y.privatelink.database.windows.net", "instead"},
		{"declared resolvers may", "clients resolver 10.30.0.4", "db1.privatelink.database.windows.net", "override db1.database.windows.net instead"},
		{"all may", "direct other allow", "db1.privatelink.database.windows.net", ""},
		{"answered and recorded", "direct other audit", "db1.privatelink.database.windows.net", ""},
		{"meant to be asked for directly", "", "c1.privatelink.westeurope.azmk8s.io", ""},
		{"the zone itself", "", "privatelink.database.windows.net", ""},
		{"not in the catalog", "", "x.privatelink.nobody.example", ""},
		{"a public name", "", "db1.database.windows.net", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			run := newRunning(t, "clients: []\n", tc.body)
			run.shared.enlist(run.handler, "Corefile:1")
			status, said := adminSocket(t, run)(http.MethodPost, "/overrides", `{"name":"`+tc.overridden+`","type":"A","values":["10.9.9.9"],"reason":"r"}`)
			if refused := status == http.StatusBadRequest; refused != (tc.want != "") || refused && !strings.Contains(said, tc.want) {
				t.Errorf("override of %s = %d, %s; want %q", tc.overridden, status, said, tc.want)
			}
		})
	}
}

// TestOverrideThatOneStanzaAnswers: it does something there.
func TestOverrideThatOneStanzaAnswers(t *testing.T) {
	run := newRunning(t, "clients: []\n", "")
	other := newRunning(t, "clients: []\n", "direct other allow")
	run.shared.enlist(run.handler, "Corefile:1")
	run.shared.enlist(other.handler, "Corefile:20")
	if err := run.shared.checkOverridden(direct); err != nil {
		t.Errorf("checkOverridden(%q) = %v, want nil", direct, err)
	}
}
