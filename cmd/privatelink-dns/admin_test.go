package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

// Programs tell by the exit code what people read.
func TestAdminCommandsEndWithWhatTheyFound(t *testing.T) {
	state := t.TempDir()
	serveFor(t, state)
	for _, tc := range []struct {
		arguments string
		wantCode  int
		wantOut   string
	}{
		{"cache get db1.database.windows.net", codeFailed, ""},
		{"cache get db1.database.windows.net --json", codeFailed, "[]"},
		{"cache stats --json", 0, `"entries":0`},
		{"cache flush DB1.database.windows.net.", 0, "nothing to forget: no answer is kept for db1.database.windows.net, and no chain leads there; --suffix"},
		{"cache flush --suffix database.windows.net", 0, "nothing to forget: no answer is kept for database.windows.net or a name below it"},
	} {
		t.Run(tc.arguments, func(t *testing.T) {
			got := run(t, append(strings.Fields(tc.arguments), "--state", state)...)
			if got.code != tc.wantCode || !strings.Contains(strings.ToLower(got.out), tc.wantOut) {
				t.Errorf("%s = %+v, want code %d and %q", tc.arguments, got, tc.wantCode, tc.wantOut)
			}
		})
	}
	// Nobody listens at its upstream: the server finds out when it likes.
	var states []privatelink.UpstreamState
	got := run(t, "upstreams", "--json", "--state", state)
	if err := json.Unmarshal([]byte(got.out), &states); err != nil || len(states) != 1 || (got.code == 0) != (states[0].State == "up") {
		t.Errorf("upstreams --json = %+v, %v, want one server, and code %d unless it is up", got, err, codeFound)
	}
	if got, never := milliseconds(0.00042), milliseconds(0); got != "0.4 ms" || never != "-" {
		t.Errorf("milliseconds = %q, and %q of a server that never replied; want 0.4 ms and -", got, never)
	}
	for _, tc := range []struct {
		state    string
		wantCode int
	}{{"up", 0}, {"suspected", codeFound}, {"down", codeFound}} {
		code := 0
		if err := unlessUp([]privatelink.UpstreamState{{State: "up"}, {State: tc.state}}); err != nil {
			code = exitCode(err)
		}
		if code != tc.wantCode {
			t.Errorf("upstreams with a server that is %s ends with %d, want %d", tc.state, code, tc.wantCode)
		}
	}
}

func TestUpstreamsShowGroupAndTier(t *testing.T) {
	var out strings.Builder
	states := []privatelink.UpstreamState{
		{Server: "10.0.0.4:53", State: "up", Groups: []privatelink.UpstreamGroup{{Name: "hub", Tier: 1}}},
		{Server: "10.0.0.5:53", State: "up", Groups: []privatelink.UpstreamGroup{{Name: "edge", Tier: 1}, {Name: "hub", Tier: 2}}},
	}
	if err := printUpstreams(&out, states); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"SERVER       GROUP      TIER           STATE  ", "10.0.0.4:53  hub        1              up  ", "10.0.0.5:53  edge, hub  1, 2 (backup)  up  "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("upstreams prints\n%s\nwant %q in it", out.String(), want)
		}
	}
}

func TestFlushTellsWhatWasForgotten(t *testing.T) {
	for _, tc := range []struct {
		flushed privatelink.Flushed
		want    string
	}{
		{privatelink.Flushed{Removed: 1}, "1 answer forgotten"},
		{privatelink.Flushed{Removed: 3, Through: 2}, "3 answers forgotten, 2 of them for other names whose chain leads there"},
		{privatelink.Flushed{Removed: 2, Through: 2}, "2 answers forgotten, for other names whose chain leads there"},
	} {
		if got := describeFlushed(tc.flushed, "db1.privatelink.database.windows.net", false); got != tc.want {
			t.Errorf("describeFlushed(%+v) = %q, want %q", tc.flushed, got, tc.want)
		}
	}
}

// A failure that is kept tells why wherever it is shown.
func TestKeptFailuresTellTheirReason(t *testing.T) {
	const reason = `group "azure": 168.63.129.16:53/udp no reply`
	var out strings.Builder
	printKept(&out, privatelink.KeptAnswer{Name: "db1.database.windows.net.", Type: "A", Kind: "failure", Reason: reason})
	if want := "db1.database.windows.net A: failure, told for 0s: " + reason + "\n"; out.String() != want {
		t.Errorf("cache get prints %q, want %q", out.String(), want)
	}
	for told, want := range map[string]string{
		"failed in the last 0.4 s: " + reason: "the question failed in the last 0.4 s: " + reason + "; clients are told so, and nobody is asked",
		"":                                    "the question failed a moment ago; clients are told so, and nobody is asked",
	} {
		x := &privatelink.Explanation{Told: privatelink.ExplainedAnswer{Cache: "failed", Error: told}}
		if got := cacheLine(x); got != want {
			t.Errorf("the cache step of explain = %q, want %q", got, want)
		}
	}
}
