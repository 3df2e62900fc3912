package privatelink

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestDeadlinesAreSharedForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d deadlines
		begun := time.Now()
		for range 100 {
			deadline, _ := d.after(time.Second).Deadline()
			if left := time.Until(deadline); left > time.Second || left <= time.Second-sharing {
				t.Fatalf("after %v the context has %v left, want a second or up to %v less", time.Since(begun), left, sharing)
			}
			time.Sleep(sharing / 3) // virtual
		}
		first := d.after(time.Second)
		if second := d.after(time.Second); second != first {
			t.Error("two of the same moment differ, want one")
		}
		<-first.Done()
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("the last context ended after %v", took)
		}
	})
}
