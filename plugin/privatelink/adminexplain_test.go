package privatelink

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// explainOver asks an admin socket's handler to explain, and returns the reply.
func explainOver(t *testing.T, shared *slot, body string) (code int, said string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	(&admin{shared: shared}).routes().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/explain", strings.NewReader(body)))
	return recorder.Code, recorder.Body.String()
}

func TestAdminExplainsTheStanzaThatIsNamed(t *testing.T) {
	shared := newSlot()
	if code, said := explainOver(t, shared, `{"name":"db1.database.windows.net"}`); code != http.StatusBadRequest || !strings.Contains(said, "found stanza") {
		t.Errorf("without a stanza: %d %q, want it refused", code, said)
	}
	upstream := answers(t, sql)
	first, second := newHandler(t, upstream, "", longAgo), newHandler(t, upstream, "private 203.0.113.0/24", longAgo)
	shared.enlist(first, "Corefile:3")
	explanation := Explanation{}
	code, said := explainOver(t, shared, `{"name":"db1.database.windows.net"}`)
	if err := json.Unmarshal([]byte(said), &explanation); err != nil || code != http.StatusOK || !explanation.Running || explanation.Told.Verdict != "private" {
		t.Errorf("the only stanza: %d, %v, %q; want a private answer", code, err, said)
	}
	shared.enlist(second, "Corefile:20")
	if code, said := explainOver(t, shared, `{"name":"db1.database.windows.net"}`); code != http.StatusBadRequest || !strings.Contains(said, "expected one of Corefile:20, Corefile:3") {
		t.Errorf("two stanzas: %d %q, want their places", code, said)
	}
	if code, _ := explainOver(t, shared, `{"name":"db1.database.windows.net","stanza":"Corefile:20"}`); code != http.StatusOK {
		t.Errorf("the second stanza: %d, want 200", code)
	}
	// The lease is that of another slot in this test; a reload releases it likewise.
	first.current.Load().service.lease.released = true
	if working := shared.enlisted(); len(working) != 1 || working["Corefile:20"] != second {
		t.Errorf("after the first has ended: %v, want the second alone", working)
	}
}

func TestAdminExplainsNoNonsense(t *testing.T) {
	shared := newSlot()
	shared.enlist(newHandler(t, "127.0.0.1:9", "", longAgo), "Corefile:3")
	for _, body := range []string{"", "{", `{"name":5}`, `{"nam":"x.example"}`, `{"name":"x..example"}`, `{"name":"x.example","type":"X"}`, `{"name":"x.example","client":"host9"}`} {
		if code, said := explainOver(t, shared, body); code != http.StatusBadRequest {
			t.Errorf("explain %q = %d %q, want 400", body, code, said)
		}
	}
}
