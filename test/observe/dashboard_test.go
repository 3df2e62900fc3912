package observe

import (
	"encoding/json"
	"strings"
	"testing"
)

// dashboard is what Grafana reads from dashboard.json, as far as it matters here.
type dashboard struct {
	Title  string  `json:"title"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Place       place  `json:"gridPos"`
	Targets     []target
	FieldConfig struct {
		Defaults struct {
			Unit   string `json:"unit"`
			Custom struct {
				Stacking struct {
					Mode string `json:"mode"`
				} `json:"stacking"`
			} `json:"custom"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
}

// place is where a panel stands, in a grid of 24 columns.
type place struct{ X, Y, W, H int }

func (p place) overlaps(q place) bool {
	return p.X < q.X+q.W && q.X < p.X+p.W && p.Y < q.Y+q.H && q.Y < p.Y+p.H
}

type target struct {
	Expression string `json:"expr"`
	Legend     string `json:"legendFormat"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, deploy, "grafana", "dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Panels) < 20 {
		t.Fatalf("found %d panels, expected more", len(d.Panels))
	}
	return d
}

// query is what a target asks when all instances are chosen.
func (t target) query() string {
	return strings.NewReplacer("$instance", ".*", "$__rate_interval", "5s").Replace(t.Expression)
}

func TestDashboardHangsTogether(t *testing.T) {
	manual := read(t, root, "plugin", "privatelink", "README.md")
	d := readDashboard(t)
	for index, one := range d.Panels {
		for _, other := range d.Panels[:index] {
			if one.ID == other.ID || one.Title == other.Title || one.Place.overlaps(other.Place) {
				t.Errorf("%q and %q have one id, title or place", one.Title, other.Title)
			}
		}
		if one.Place.X+one.Place.W > 24 || (one.Type == "row") != (len(one.Targets) == 0) {
			t.Errorf("%q: place %+v, %d queries; want 24 columns, and queries in all but rows", one.Title, one.Place, len(one.Targets))
		}
		for _, each := range one.Targets {
			checkMetrics(t, one.Title, each.Expression, manual)
			if !strings.Contains(each.Expression, `instance=~"$instance"`) {
				t.Errorf("%q: %s does not keep to the chosen instances", one.Title, each.Expression)
			}
		}
	}
}
