package observe

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"
)

// line is one series that a query returned.
type line struct {
	Labels map[string]string `json:"metric"`
	Values [][2]any          `json:"values"`
}

// numbers are the samples that are numbers, by time.
func (l line) numbers() (times, values []float64) {
	for _, sample := range l.Values {
		at, _ := sample[0].(float64)
		text, _ := sample[1].(string)
		if value, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(value) && !math.IsInf(value, 0) {
			times, values = append(times, at), append(values, value)
		}
	}
	return times, values
}

// get asks Prometheus's API. It returns what the API says of a failure.
func (r *run) get(path string, parameters url.Values, into any) error {
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/api/v1/%s?%s", r.watcher, path, parameters.Encode()))
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var reply struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return fmt.Errorf("%s: %w", body, err)
	}
	if reply.Status != "success" {
		return fmt.Errorf("%s", reply.Error)
	}
	return json.Unmarshal(reply.Data, into)
}

// lines returns what a query had between two moments.
func (r *run) lines(query string, from, to time.Time) ([]line, error) {
	var data struct{ Result []line }
	err := r.get("query_range", url.Values{
		"query": {query}, "step": {"1"},
		"start": {fmt.Sprint(from.Unix())}, "end": {fmt.Sprint(to.Unix())},
	}, &data)
	return data.Result, err
}

// waitUntil waits until a query has something to tell.
func (r *run) waitUntil(query string, patience time.Duration) {
	r.t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	over := time.After(patience)
	for {
		var data struct{ Result []json.RawMessage }
		if err := r.get("query", url.Values{"query": {query}}, &data); err == nil && len(data.Result) > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-over:
			r.t.Fatalf("in %s nothing came of %s", patience, query)
		}
	}
}

// story serves for a while, loses Azure's DNS, and serves on. It returns when it began.
func (r *run) story(healthy, outage time.Duration) (from time.Time) {
	r.t.Helper()
	r.waitUntil(`up{job="privatelink-dns"} == 1`, time.Minute)
	from = time.Now()
	r.load(healthy)
	r.waitUntil("count(coredns_privatelink_zone_linked) >= 2", time.Minute)
	r.end(r.azure)
	r.lost = time.Now()
	r.load(outage)
	r.over = time.Now()
	r.waitUntil(`coredns_privatelink_upstream_group_up{group="azure"} == 0`, time.Minute)
	return from
}

func TestDashboardShowsARealRun(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	r := startRun(t)
	from := r.story(10*time.Second, 14*time.Second)
	for _, one := range readDashboard(t).Panels {
		for _, each := range one.Targets {
			found, err := r.lines(each.query(), from, time.Now())
			if err != nil {
				t.Errorf("%q: %s: %v", one.Title, each.query(), err)
				continue
			}
			samples := 0
			for _, series := range found {
				_, values := series.numbers()
				samples += len(values)
			}
			if samples == 0 {
				t.Errorf("%q shows nothing: %s", one.Title, each.query())
			}
		}
	}
	r.checkRules()
}

// checkRules holds that Prometheus could evaluate all alerts, and that the story has
// brought those up that it should.
func (r *run) checkRules() {
	r.t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct{ Name, State, Health, LastError string }
		}
	}
	if err := r.get("rules", nil, &data); err != nil {
		r.t.Fatal(err)
	}
	states := map[string]string{}
	for _, group := range data.Groups {
		for _, rule := range group.Rules {
			states[rule.Name] = rule.State
			if rule.Health != "ok" {
				r.t.Errorf("%s is %s: %s", rule.Name, rule.Health, rule.LastError)
			}
		}
	}
	for _, name := range []string{"PrivatelinkMustPrivateWithheld", "PrivatelinkUpstreamsDown", "PrivatelinkUpstreamDown", "PrivatelinkStaleServed", "PrivatelinkPublicFallback"} {
		if states[name] != "pending" && states[name] != "firing" {
			r.t.Errorf("after the loss of Azure's DNS %s is %q, want it pending or firing", name, states[name])
		}
	}
	for _, name := range []string{"PrivatelinkServerGone", "PrivatelinkReloadFailed", "PrivatelinkQueryLogDropped", "PrivatelinkRouteLoop"} {
		if states[name] != "inactive" {
			r.t.Errorf("%s is %q, want inactive", name, states[name])
		}
	}
}
