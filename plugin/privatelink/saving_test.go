package privatelink

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
)

// A process that is killed has what it had kept a few minutes before.
func TestAnswersAreSavedEveryFewMinutes(t *testing.T) {
	state := t.TempDir()
	run := newRunning(t, "clients: []\n", "state "+state)
	synctest.Test(t, func(t *testing.T) {
		// saved is how many answers a process that starts now would have.
		saved := func() int {
			t.Helper()
			count, err := restoreAnswers(state, cache.New(cache.Limits{Entries: 10}, 1), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			return count
		}
		keep := func(name string) {
			t.Helper()
			kept := new(dns.Msg)
			records(name + " 10 IN A 10.0.2.4")(kept)
			entry, err := cache.Make(keyFor(t, name, dns.TypeA), kept, cache.Meta{}, cache.Lifetimes{MaxTTL: time.Minute, MaxStale: time.Hour}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			run.handler.current.Load().service.cache.Put(entry)
		}
		stop := make(chan struct{})
		go run.watch(stop)
		for interval, name := range []string{"db1.database.windows.net.", "db2.database.windows.net."} {
			keep(name)
			time.Sleep(saveInterval - time.Second) // virtual
			synctest.Wait()
			if got := saved(); got != interval {
				t.Errorf("%d answers are saved before the end of interval %d, want %d", got, interval+1, interval)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if got := saved(); got != interval+1 {
				t.Errorf("%d answers are saved after interval %d, want %d", got, interval+1, interval+1)
			}
		}
		close(stop)
	})
	if saveInterval > 5*time.Minute {
		t.Errorf("answers are saved every %s, want every few minutes", saveInterval)
	}
}
