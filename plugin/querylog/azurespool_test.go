package querylog

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// An outage goes to the spool, survives a restart, and is sent when it is over.
func TestAzureMonitorSpoolSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, directory := newFakeAzure(t), filepath.Join(t.TempDir(), "spool")
		withSpool := func(o *AzureMonitorOptions) { o.SpoolDirectory = directory }
		fake.unreachable = true
		log := newAzureLog(t, fake, withSpool)
		for number := range 5 {
			adder(log.Log).numbered(1000*number, 1000)
			time.Sleep(10 * time.Second)
		}
		begin := time.Now()
		mustClose(t, log)
		if waited := time.Since(begin); waited > time.Second {
			t.Errorf("Close() took %v with the outage known, want no waiting", waited)
		}
		if s := log.Statistics()[0]; s.Written != 5000 {
			t.Errorf("Statistics() = %+v, want all in the spool", s)
		}
		if err := os.WriteFile(filepath.Join(directory, "00000000000000000099-7.json.gz.new"), []byte("torn"), 0o600); err != nil {
			t.Fatal(err)
		}
		fake.set(func() { fake.unreachable = false })
		log = newAzureLog(t, fake, withSpool)
		time.Sleep(10 * time.Second)
		expectAll(t, fake.names(), 5000)
		mustClose(t, log)
		checkTotals(t, log, 0)
		if entries, err := os.ReadDir(directory); err != nil || len(entries) != 1 || entries[0].Name() != spoolLock {
			t.Errorf("the spool has %v, %v, want its lock only", entries, err)
		}
	})
}

// While a reload is under way, the old instance keeps its spool; the new one
// takes it over when the old has closed, and no row is sent twice.
func TestTwoInstancesShareASpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, directory := newFakeAzure(t), t.TempDir()
		withSpool := func(o *AzureMonitorOptions) { o.SpoolDirectory = directory }
		fake.unreachable = true
		old := newAzureLog(t, fake, withSpool)
		adder(old.Log).numbered(0, 1000)
		time.Sleep(10 * time.Second)
		young := newAzureLog(t, fake, withSpool)
		adder(old.Log).numbered(1000, 1000)
		adder(young.Log).numbered(2000, 1000)
		time.Sleep(10 * time.Second)
		mustClose(t, old)
		time.Sleep(10 * time.Second)
		adder(young.Log).numbered(3000, 1000)
		time.Sleep(10 * time.Second)
		fake.set(func() { fake.unreachable = false })
		time.Sleep(2 * time.Minute)
		mustClose(t, young)
		expectAll(t, fake.names(), 4000)
		checkTotals(t, old, 2000)
		checkTotals(t, young, 2000)
	})
}

// A shutdown in a hung call gives up in time and keeps what was under way.
func TestAzureMonitorCloseInAHungCall(t *testing.T) {
	for _, spooled := range []bool{false, true} {
		t.Run("spool "+strconv.FormatBool(spooled), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hung := func(ctx context.Context, _ []byte) error { <-ctx.Done(); return ctx.Err() }
				directory := t.TempDir()
				var kept *spool
				if spooled {
					var err error
					if kept, err = openSpool(directory, 1<<20); err != nil {
						t.Fatal(err)
					}
				}
				log, err := New(Destination{Name: "azure", Sink: &azureMonitor{batch: newBatcher(), shipper: newShipper(hung, kept)}})
				if err != nil {
					t.Fatal(err)
				}
				adder(log.Log).numbered(0, 100)
				begin := time.Now()
				err = log.Close(context.Background())
				if waited := time.Since(begin); waited > closeTimeout {
					t.Errorf("Close() took %v, want at most %v", waited, closeTimeout)
				}
				s := log.Statistics()[0]
				files, _ := filepath.Glob(filepath.Join(directory, "*"+spoolSuffix))
				if spooled && (err != nil || s.Written != 100 || len(files) != 1) || !spooled && (err == nil || s.Refused != 100) {
					t.Errorf("Close() = %v, Statistics() = %+v, want the records in the spool if there is one, or lost", err, s)
				}
				checkTotals(t, log, 100)
			})
		})
	}
}

// The spool is bounded: the oldest go, and are counted.
func TestAzureMonitorSpoolIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, directory := newFakeAzure(t), t.TempDir()
		fake.unreachable = true
		log := newAzureLog(t, fake, func(o *AzureMonitorOptions) { o.SpoolDirectory, o.SpoolBytes = directory, 20_000 })
		const count = 100
		for number := range count {
			adder(log.Log).numbered(100*number, 100)
			time.Sleep(6 * time.Second)
		}
		var size int64
		entries, err := os.ReadDir(directory)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			information, err := entry.Info()
			if err != nil {
				t.Fatal(err)
			}
			size += information.Size()
		}
		if size > 20_000 || size < 10_000 {
			t.Errorf("the spool has %d bytes, want at most 20,000 and most of it used", size)
		}
		fake.set(func() { fake.unreachable = false })
		time.Sleep(2 * time.Minute)
		mustClose(t, log)
		names, s := fake.names(), log.Statistics()[0]
		if uint64(len(names)) != s.Written || s.Refused == 0 {
			t.Errorf("Azure Monitor has %d rows, Statistics() = %+v, want them to agree and some refused", len(names), s)
		}
		if !slices.Contains(names, strconv.Itoa(100*count-1)) || slices.Contains(names, "100") {
			t.Error("the newest records are gone or old ones are left, want the oldest to go")
		}
		checkTotals(t, log, 100*count)
	})
}

func TestSpoolOnAFullDisk(t *testing.T) {
	s, err := openSpool(t.TempDir(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if !s.claim() {
		t.Fatal("claim() = false, want the spool")
	}
	if err := os.RemoveAll(s.directory); err != nil {
		t.Fatal(err)
	}
	down := newShipper(func(context.Context, []byte) error { return errors.New("down") }, s)
	down.failing = errors.New("down")
	down.add(shipment{body: []byte("x"), records: 3})
	if lost, err := down.news(); lost != 0 || err == nil || len(down.waiting) != 1 {
		t.Errorf("news() = %d, %v with %d in memory, want the shipment kept in memory where the disk fails", lost, err, len(down.waiting))
	}
}
