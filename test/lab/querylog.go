//go:build linux

package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// loggingTime bounds how long a record may take into the file: the log is
// written beside the answers, not before them.
const loggingTime = 10 * time.Second

// LogRecord is a line of our query log, with the fields that tests look at.
type LogRecord struct {
	Time         time.Time `json:"time"`
	Client       string    `json:"client_ip"`
	Class        string    `json:"client_class"`
	Transport    string    `json:"transport"`
	Name         string    `json:"qname"`
	Type         string    `json:"qtype"`
	Rcode        string    `json:"rcode"`
	Verdict      string    `json:"verdict"`
	Zone         string    `json:"privatelink_zone"`
	Direct       bool      `json:"direct"`
	Chase        bool      `json:"chase"`
	PolicyRule   string    `json:"policy_rule"`
	PolicyAction string    `json:"policy_action"`
	Route        string    `json:"route"`
	Upstream     string    `json:"upstream"`
}

// Logged returns the query log so far. A line that is being written does not
// count yet; a line that is no record is an error.
func (s *Server) Logged() ([]LogRecord, error) {
	data, err := os.ReadFile(s.logPath)
	if err != nil {
		return nil, err
	}
	var records []LogRecord
	for line := range bytes.Lines(data) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		var record LogRecord
		if err := json.Unmarshal(line, &record); err != nil {
			return nil, fmt.Errorf("%s: %w in %q", s.logPath, err, line)
		}
		records = append(records, record)
	}
	return records, nil
}

// AwaitLogged returns the first record that matches, once it is in the query
// log; an error with the whole log if that does not happen.
func (s *Server) AwaitLogged(matches func(LogRecord) bool) (found LogRecord, err error) {
	var records []LogRecord
	there := Eventually(loggingTime, func() bool {
		if records, err = s.Logged(); err != nil {
			return true
		}
		for _, record := range records {
			if matches(record) {
				found = record
				return true
			}
		}
		return false
	})
	if err == nil && !there {
		err = fmt.Errorf("the query log has no such record in %s; it has:\n%s", loggingTime, table(records))
	}
	return found, err
}

func table(records []LogRecord) string {
	var text bytes.Buffer
	for _, record := range records {
		fmt.Fprintf(&text, "%+v\n", record)
	}
	return text.String()
}
