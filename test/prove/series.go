//go:build linux

package prove

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
)

// series returns what a series of a server that tells its metrics at an address says,
// and ends the proof where there is none. The name has its labels behind it, in the
// alphabet's order.
func (p *proof) series(metrics, name string) float64 {
	p.t.Helper()
	// No connection may stay open: it would be among what is counted.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	response, err := client.Get("http://" + metrics + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if text, found := strings.CutPrefix(lines.Text(), name+" "); found {
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return value
		}
	}
	p.t.Fatalf("found no series %s", name)
	return 0
}
