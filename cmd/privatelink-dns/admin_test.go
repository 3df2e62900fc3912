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
		{"cache flush db1.database.windows.net", 0, "0 answers forgotten"},
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
