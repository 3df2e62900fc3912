package privatelink

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/batch"
	"github.com/privatelink-dns/privatelink-dns/plugin/stream"
)

func TestSuccessors(t *testing.T) {
	const here, there = "dns://127.0.0.1:53", "dns://127.0.0.2:53"
	tests := []struct {
		name string
		do   func(s *successors)
		want time.Duration // that leaving takes
	}{
		{"no reload: the program ends", func(*successors) {}, 0},
		{"both have begun", func(s *successors) { s.expect(); s.begin(there); s.begin(here) }, 0},
		{"they begin later", func(s *successors) {
			s.expect()
			time.AfterFunc(time.Second, func() { s.begin(here); s.begin(there); s.begin(here) })
		}, time.Second},
		{"an address is given up", func(s *successors) { s.expect(); s.begin(here) }, successorTime},
		{"the reload has failed", func(s *successors) { s.expect(); s.expect(); s.stay() }, 0},
		{"begun in the reload before", func(s *successors) {
			s.expect()
			s.begin(here)
			s.begin(there)
			s.leave([]string{here, there})
			s.expect()
		}, successorTime},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s successors
				tc.do(&s)
				started := time.Now()
				s.leave([]string{here, there})
				if got := time.Since(started); got != tc.want {
					t.Errorf("leave() took %s, want %s", got, tc.want)
				}
			})
		})
	}
}

// TestAFrontWaitsForItsSuccessor: the old stanza of a reload leaves before the new server
// has begun, which CoreDNS starts in a goroutine of its own.
func TestAFrontWaitsForItsSuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const name = "dns://127.0.0.1:53"
		shared, before, after := newSlot(), &Handler{}, &Handler{}
		standing := &front{group: &batch.Group{}, streams: &stream.Server{}}
		standing.serving.Store(&serving{handler: before})
		shared.fronts[name] = standing
		shared.commit()
		time.AfterFunc(time.Second, func() {
			standing.serving.Store(&serving{handler: after})
			shared.successors.begin(name)
		})
		shared.endFronts(before)
		if shared.fronts[name] != standing {
			t.Error("endFronts() ended a front that the new server was about to serve with")
		}
	})
}
