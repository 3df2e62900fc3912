package privatelink

import (
	"context"
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/miekg/dns"
)

// adminOf starts the admin socket of a handler's slot and returns a way to ask it.
func adminOf(t *testing.T, run *running) func(method, path string, answer any) int {
	t.Helper()
	directory := t.TempDir()
	if err := run.shared.startAdmin(directory); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = run.shared.stopAdmin() })
	socket := filepath.Join(directory, AdminSocket)
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
		t.Fatalf("the socket: %v, %v; want mode 0600", info, err)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	return func(method, path string, answer any) int {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, "http://admin"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		reply, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = reply.Body.Close() }()
		if reply.StatusCode == http.StatusOK {
			if err := json.NewDecoder(reply.Body).Decode(answer); err != nil {
				t.Fatal(err)
			}
		}
		return reply.StatusCode
	}
}

func TestAdminShowsAndFlushesWhatIsKept(t *testing.T) {
	run := newRunning(t, "clients: []\n", "")
	if err := run.start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.stop() }()
	admin := adminOf(t, run)
	ask(t, run.handler, "10.30.0.4", "db1.database.windows.net.", dns.TypeA)

	var kept []KeptAnswer
	if status := admin(http.MethodGet, "/cache/answers?name=DB1.database.windows.net", &kept); status != http.StatusOK || len(kept) != 1 || len(kept[0].Records) != 2 || kept[0].Kind != "positive" {
		t.Fatalf("GET = %d, %+v; want one positive answer with two records", status, kept)
	}
	var flushed Flushed
	if status := admin(http.MethodDelete, "/cache/answers?name=database.windows.net&suffix=false", &flushed); status != http.StatusOK || flushed.Removed != 0 {
		t.Errorf("flush of another name = %d, %d removed; want none", status, flushed.Removed)
	}
	if status := admin(http.MethodDelete, "/cache/answers?name=database.windows.net&suffix=true", &flushed); status != http.StatusOK || flushed.Removed != 1 {
		t.Errorf("flush of the suffix = %d, %d removed; want one", status, flushed.Removed)
	}
	ask(t, run.handler, "10.30.0.4", "db1.database.windows.net.", dns.TypeA)
	if admin(http.MethodDelete, "/cache/answers?name=db1.privatelink.database.windows.net", &flushed); flushed != (Flushed{Removed: 1, Through: 1}) {
		t.Errorf("flush of the private name = %+v; want the answer for the public one gone", flushed)
	}
	if admin(http.MethodGet, "/cache/answers?name=db1.database.windows.net", &kept); len(kept) != 0 {
		t.Errorf("after the flush %+v is kept, want nothing", kept)
	}
	if status := admin(http.MethodGet, "/cache/answers?name=a..b", &kept); status != http.StatusBadRequest {
		t.Errorf("GET of what is no name = %d, want 400", status)
	}
}

func TestAdminFlushesTheRoot(t *testing.T) {
	run := newRunning(t, "clients: []\n", "")
	if err := run.start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.stop() }()
	admin := adminOf(t, run)
	ask(t, run.handler, "10.30.0.4", "db1.database.windows.net.", dns.TypeA)
	var flushed Flushed
	if status := admin(http.MethodDelete, "/cache/answers?name=.&suffix=true", &flushed); status != http.StatusOK || flushed.Removed != 1 {
		t.Errorf("flush of everything = %d, %d removed; want 200, 1", status, flushed.Removed)
	}
	if status := admin(http.MethodDelete, "/cache/answers?suffix=true", &flushed); status != http.StatusBadRequest {
		t.Errorf("flush without a name = %d, want 400", status)
	}
}

func TestAdminShowsTheUpstreams(t *testing.T) {
	run := newRunning(t, "clients: []\n", "")
	if err := run.start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.stop() }()
	ask(t, run.handler, "10.30.0.4", "db1.database.windows.net.", dns.TypeA)
	var states []UpstreamState
	if status := adminOf(t, run)(http.MethodGet, "/upstreams", &states); status != http.StatusOK || len(states) != 1 || states[0].State != "up" || states[0].RTTSeconds <= 0 {
		t.Errorf("GET = %d, %+v; want one server that is up, with its round trip", status, states)
	}
}
