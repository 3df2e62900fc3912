package replay

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/logreport"
)

func questions(count int) []logreport.Question {
	var list []logreport.Question
	for index := range count {
		list = append(list, logreport.Question{Name: fmt.Sprintf("q%d.example.", index), Type: "A", Queries: uint64(index), Answer: answer("NOERROR", "public")})
	}
	return list
}

func TestRunKeepsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		var last atomic.Int64
		result := Run(t.Context(), questions(51), func(context.Context, logreport.Question) (logreport.Answer, error) {
			last.Store(int64(time.Since(started)))
			return answer("NOERROR", "public"), nil
		}, Options{Rate: 50})
		if took := time.Duration(last.Load()); took != time.Second || result.Asked != 51 || result.Same != 51 {
			t.Errorf("Run asked %d in %s, %d the same; want 51 in 1s", result.Asked, took, result.Same)
		}
	})
}

// A server that does not answer is not buried, and what was late is no burst afterwards.
func TestRunBoundsWhatIsOutstanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var outstanding, most atomic.Int64
		result := Run(t.Context(), questions(350), func(context.Context, logreport.Question) (logreport.Answer, error) {
			if now := outstanding.Add(1); now > most.Load() {
				most.Store(now)
			}
			<-time.After(4 * time.Second) // by the bubble's clock
			outstanding.Add(-1)
			return answer("SERVFAIL", ""), nil
		}, Options{Rate: 1000})
		if most.Load() != maxOutstanding || len(result.Changes) != 350 || result.Changes[0].Name != "q349.example." {
			t.Errorf("Run had %d outstanding and %d changes, the first of %s; want %d, 350, and the most frequent first", most.Load(), len(result.Changes), result.Changes[0].Name, maxOutstanding)
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		result := Run(ctx, questions(100), func(ctx context.Context, question logreport.Question) (logreport.Answer, error) {
			if question.Name == "q9.example." {
				cancel()
			}
			return answer("NOERROR", "public"), nil
		}, Options{Rate: 10})
		if result.Asked != 9 || result.Left != 91 || len(result.Changes) != 0 {
			t.Errorf("Run = %+v, want 9 asked and 91 left", result)
		}
	})
}

func TestRunTellsWhatCannotBeAsked(t *testing.T) {
	var seen []string
	result := Run(t.Context(), questions(10), func(_ context.Context, question logreport.Question) (logreport.Answer, error) {
		if question.Name == "q0.example." {
			return answer("NOERROR", "private", "10.0.2.4"), nil
		}
		return logreport.Answer{}, errors.New("found no name")
	}, Options{Rate: MaxRate, Progress: func(done, changed int) { seen = append(seen, fmt.Sprint(done, changed)) }})
	if result.Asked != 1 || result.Unasked != 9 || len(result.Unaskable) != maxUnaskable || result.Unaskable[0].Reason != "found no name" || result.Changes[0].Kind != Covered {
		t.Errorf("Run = %+v, want 1 asked, 9 unasked, %d of them told", result, maxUnaskable)
	}
	if len(seen) != 10 || seen[9] != "10 1" {
		t.Errorf("Progress was told %q, want 10 steps to \"10 1\"", seen)
	}
}
