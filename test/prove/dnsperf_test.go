//go:build linux

package prove

import (
	"testing"
	"time"
)

const dnsperfStatistics = `DNS Performance Testing Tool
Version 2.10.0

[Status] Testing complete (time limit)

Statistics:

  Queries sent:         159999
  Queries completed:    153225 (95.77%)
  Queries lost:         6774 (4.23%)

  Response codes:       SERVFAIL 8905 (5.81%), NOERROR 144320 (94.19%)
  Average packet size:  request 43, response 167
  Run time (s):         20.000046
  Queries per second:   7661.232379

  Average Latency (s):  0.205067 (min 0.000030, max 4.160695)
  Latency StdDev (s):   0.839095
`

const dnsperfNoAnswer = `Statistics:

  Queries sent:         10
  Queries completed:    0 (0.00%)
  Queries lost:         10 (100.00%)

  Run time (s):         5.0
  Queries per second:   0.000000

  Average Latency (s):  0.000000 (min 0.000000, max 0.000000)
`

func TestParseDnsperf(t *testing.T) {
	tests := []struct {
		name, text string
		want       dnsperfResult
		fails      bool
	}{
		{"answers and losses", dnsperfStatistics, dnsperfResult{completed: 153225, lost: 6774, noError: 144320, average: 205067 * time.Microsecond}, false},
		{"no answer at all", dnsperfNoAnswer, dnsperfResult{lost: 10}, false},
		{"no statistics", "Error: unable to open input file\n", dnsperfResult{}, true},
		{"no number", "  Queries lost: none\n", dnsperfResult{}, true},
		{"no latency", "  Average Latency (s):\n", dnsperfResult{}, true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseDnsperf(tc.text)
			if got != tc.want || (err != nil) != tc.fails {
				t.Errorf("parseDnsperf = %+v, %v, want %+v, an error %v", got, err, tc.want, tc.fails)
			}
		})
	}
}
