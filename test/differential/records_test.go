//go:build linux

package differential

import (
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
	tick := time.NewTicker(200 * time.Millisecond)
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

// ownFields are those that tell times, which every line has, and those of the
// connection.
var ownFields = []string{"time", "duration_seconds", "server_port", "client_port"}

// causeFields tell why an upstream did not answer, and how long that text is.
var causeFields = []string{"error", "ede_text", "reply_size"}

// records counts equal records of a query log. A line's fields have one order.
func records(t *testing.T, text []byte) map[string]int {
	t.Helper()
	found := map[string]int{}
	for line := range strings.Lines(string(text)) {
		for _, field := range ownFields {
			short := without(line, field)
			if short == line {
				t.Fatalf("query log: found no field %s in %q", field, line)
			}
			line = short
		}
		line = without(line, "upstream_duration_seconds")
		if strings.Contains(line, "."+dead+`"`) {
			for _, field := range causeFields {
				line = without(line, field)
			}
		}
		found[line]++
	}
	return found
}

// without returns a line of JSON without a field that holds a number or a string.
func without(line, field string) string {
	key := `"` + field + `":`
	start := strings.Index(line, key)
	if start < 0 {
		return line
	}
	end := start + len(key)
	if line[end] == '"' {
		for end++; line[end] != '"'; end++ {
			if line[end] == '\\' {
				end++
			}
		}
	}
	for line[end] != ',' && line[end] != '}' {
		end++
	}
	return line[:start] + line[end:]
}
