//go:build linux

package differential

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// sight is a field of the query log with a value that must have been seen: else there
// was nothing to compare.
type sight struct{ field, value string }

// missing lists what was not seen.
func missing(records map[string]int, wanted []sight) (unseen []sight) {
	for _, w := range wanted {
		part := `"` + w.field + `":"` + w.value
		if !slices.ContainsFunc(slices.Collect(maps.Keys(records)), func(record string) bool { return strings.Contains(record, part) }) {
			unseen = append(unseen, w)
		}
	}
	return unseen
}

// compareLogs compares the query logs: the same lines, but for times, in whatever
// order.
func compareLogs(t *testing.T, fast, slow *server, wanted []sight) (found []string) {
	t.Helper()
	one, other := records(t, settledLog(t, fast)), records(t, settledLog(t, slow))
	if unseen := missing(one, wanted); len(unseen) > 0 {
		t.Errorf("the query log has no record with %v", unseen)
	}
	both := maps.Clone(one)
	maps.Copy(both, other)
	for _, record := range slices.Sorted(maps.Keys(both)) {
		if one[record] != other[record] {
			found = append(found, fmt.Sprintf("%d times in the query log, %d times in the other: %s", one[record], other[record], record))
		}
	}
	return found
}

// settledLog returns a query log once nothing is written to it any more: lines follow
// the replies.
func settledLog(t *testing.T, s *server) (text []byte) {
	t.Helper()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for before := -1; len(text) != before; {
		<-tick.C
		before = len(text)
		var err error
		if text, err = os.ReadFile(filepath.Join(s.directory, "query.log")); err != nil {
			t.Fatal(err)
		}
	}
	return text
}

// timedFields are those that tell times.
var timedFields = []string{"time", "duration_seconds", "upstream_duration_seconds"}

// ownFields are the server's own.
var ownFields = []string{"server_port"}

// records counts equal records of a query log.
func records(t *testing.T, text []byte) map[string]int {
	t.Helper()
	found := map[string]int{}
	for line := range strings.Lines(string(text)) {
		fields := map[string]any{}
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("query log: found %q: %v", line, err)
		}
		for _, field := range timedFields {
			if _, told := fields[field]; !told && field != "upstream_duration_seconds" {
				t.Errorf("a record without %s: %s", field, line)
			}
			delete(fields, field)
		}
		for _, field := range ownFields {
			delete(fields, field)
		}
		if name, _ := fields["qname"].(string); strings.HasSuffix(name, "."+dead) {
			delete(fields, "error")
			delete(fields, "ede_text")
			delete(fields, "reply_size")
		}
		canonical, err := json.Marshal(fields) // sorts
		if err != nil {
			t.Fatal(err)
		}
		found[string(canonical)]++
	}
	return found
}
