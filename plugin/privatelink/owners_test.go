package privatelink

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestFlushForgetsTheOwner(t *testing.T) {
	const name = "db2.database.windows.net."
	tests := []struct {
		name, flushed string
		suffix        bool
		want          string
	}{
		{"the name", name, false, "10.0.1.9"},
		{"a suffix", "database.windows.net.", true, "10.0.1.9"},
		{"everything", ".", true, "10.0.1.9"},
		{"the name at the end of its chain", "db2.privatelink.database.windows.net.", false, "10.0.1.9"},
		{"another name", "database.windows.net.", false, "10.0.2.4"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n network
				a, b, shared := n.site(linkedSite(0)), n.site(linkedSite(0, "db2=10.0.2.4")), n.slot()
				handler := withSitesIn(t, shared, a.address, b.address, "")
				askAt(t, handler, name, 0)
				a.move("db2", "10.0.1.9") // the preferred site has one now
				if _, err := shared.flush(tc.flushed, tc.suffix); err != nil {
					t.Fatal(err)
				}
				if _, reply := askAt(t, handler, name, time.Second); lastAddress(reply) != tc.want {
					t.Errorf("after a flush of %s = %q, want %s", tc.flushed, lastAddress(reply), tc.want)
				}
			})
		})
	}
}
