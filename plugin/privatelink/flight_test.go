package privatelink

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestManyAskOneQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights[string, int]
		var asked atomic.Int32
		ask := func() (int, error) {
			asked.Add(1)
			time.Sleep(time.Second) // virtual: the upstream's round trip
			return 42, nil
		}
		var waiters sync.WaitGroup
		var alone atomic.Int32
		for range 5000 {
			waiters.Go(func() {
				joined, shared := f.join("db1", ask)
				if !shared {
					alone.Add(1)
				}
				if got, err := joined.wait(t.Context()); got != 42 || err != nil {
					t.Errorf("wait = %d, %v; want 42", got, err)
				}
			})
		}
		waiters.Wait()
		if asked.Load() != 1 || alone.Load() != 1 {
			t.Errorf("asked %d times, %d of them alone; want once", asked.Load(), alone.Load())
		}
		if again, shared := f.join("db1", ask); shared {
			t.Error("a question that has landed is shared, want a new one")
		} else if _, err := again.wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestWaiterLeavesWhenItsTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights[string, int]
		joined, _ := f.join("db1", func() (int, error) {
			time.Sleep(3 * time.Second) // virtual
			return 42, nil
		})
		hurried, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := joined.wait(hurried); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the hurried waiter got %v, want its deadline", err)
		}
		if got, err := joined.wait(t.Context()); got != 42 || err != nil {
			t.Errorf("the patient waiter got %d, %v; want 42", got, err)
		}
	})
}

func TestPanicReleasesTheWaiters(t *testing.T) {
	var f flights[string, int]
	joined, _ := f.join("db1", func() (int, error) { panic("broken") })
	if _, err := joined.wait(t.Context()); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("wait = %v, want the panic as an error", err)
	}
	if _, shared := f.join("db1", func() (int, error) { return 1, nil }); shared {
		t.Error("the key of a flight that panicked is still taken")
	}
}
