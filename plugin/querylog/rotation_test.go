package querylog

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// Nothing but a period that is over begins a new file: a clock that is set back does
// not, and the file is then one of the period that the clock shows.
func TestFileGoesOnWhenTheClockIsSetBack(t *testing.T) {
	noon := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	f := &file{options: FileOptions{RotateEvery: time.Hour}}
	f.period = f.periodOf(noon)
	for _, step := range []struct {
		name  string
		after time.Duration
		want  bool
	}{
		{"the same period", time.Minute, false},
		{"set back by a day", -24 * time.Hour, false},
		{"later in that period", -24*time.Hour + 59*time.Minute, false},
		{"the period after that", -23 * time.Hour, true},
		{"set back to 1970", -time.Duration(noon.Unix()) * time.Second, false},
		{"set right", time.Minute, true},
	} {
		if got := f.isOver(noon.Add(step.after)); got != step.want {
			t.Errorf("%s: isOver = %v, want %v", step.name, got, step.want)
		}
		if step.want {
			f.period = f.periodOf(noon.Add(step.after)) // of the new file
		}
	}
}

// A crash in a rotation leaves its lock, with a date that says nothing if the clock was
// set since. One that somebody holds is not taken from them.
func TestLockOfACrashHoldsRotationUpForAMinute(t *testing.T) {
	for name, age := range map[string]time.Duration{"old": 24 * time.Hour, "of now": 0, "of tomorrow": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "query.log")
				left := path + ".rotating"
				mark := func(age time.Duration) {
					if err := errorOf(os.WriteFile(left, nil, fileMode), os.Chtimes(left, time.Time{}, time.Now().Add(-age))); err != nil {
						t.Fatal(err)
					}
				}
				f := &file{options: FileOptions{Path: path}}
				mustLock := func(want bool) {
					t.Helper()
					unlock, err := f.lock(time.Now())
					if err != nil || (unlock != nil) != want {
						t.Fatalf("lock gave %v, %v, want it %v", unlock != nil, err, want)
					}
					if unlock != nil {
						unlock()
					}
				}
				mark(age + time.Hour)
				mustLock(false)
				time.Sleep(lockAge - 1)
				mark(age) // another rotates
				mustLock(false)
				time.Sleep(lockAge - 1)
				mustLock(false)
				time.Sleep(1)
				mustLock(false) // it is removed
				mustLock(true)
			})
		})
	}
}
