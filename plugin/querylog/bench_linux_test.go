package querylog

import (
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// processTime is the CPU time of this process, the kernel's part included.
func processTime(t testing.TB) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkFile is the whole price of a line: CPU time of the process, from
// Add to the kernel's copy of the data, in cpu-ns/op.
func BenchmarkFile(b *testing.B) {
	for _, compression := range []string{"", "zstd", "gzip"} {
		b.Run("compression="+compression, func(b *testing.B) {
			sink, err := NewFile(FileOptions{Path: filepath.Join(b.TempDir(), "query.log"), MaxFiles: 2, Compression: compression})
			if err != nil {
				b.Fatal(err)
			}
			log, err := New(Destination{Name: "file", Sink: sink})
			if err != nil {
				b.Fatal(err)
			}
			appender, record, queue := log.Appender(), hitRecord(), log.outlets[0].queue
			names := variedNames()
			before := processTime(b)
			b.ReportAllocs()
			for number := 0; b.Loop(); number++ {
				for number%16 == 0 && len(queue.full) > cap(queue.full)/2 {
					time.Sleep(time.Millisecond)
				}
				record.Name = names[number%len(names)]
				record.Time = record.Time.Add(33 * time.Microsecond)
				appender.Add(record)
			}
			_ = log.Close(b.Context())
			b.ReportMetric(float64(processTime(b)-before)/float64(b.N), "cpu-ns/op")
			if dropped := log.Statistics()[0].Dropped(); dropped != 0 {
				b.Errorf("%d records were dropped, want 0", dropped)
			}
		})
	}
}

func variedNames() []string {
	names := make([]string, 4096)
	for number := range names {
		digits := []byte{'a', 'a', 'a', 'a'}
		for place := range digits {
			digits[place] += byte(number >> (3 * place) & 7 * 3)
		}
		names[number] = "db" + string(digits) + ".database.windows.net."
	}
	return names
}

// BenchmarkWhereDroppingBegins offers lines as fast as one goroutine can, at
// the default queue size, and reports what a file takes.
func BenchmarkWhereDroppingBegins(b *testing.B) {
	sink, err := NewFile(FileOptions{Path: filepath.Join(b.TempDir(), "query.log"), MaxFiles: 1})
	if err != nil {
		b.Fatal(err)
	}
	log, err := New(Destination{Name: "file", Sink: sink})
	if err != nil {
		b.Fatal(err)
	}
	appender, record, names := log.Appender(), hitRecord(), variedNames()
	begin := time.Now()
	for number := 0; b.Loop(); number++ {
		record.Name = names[number%len(names)]
		appender.Add(record)
		if number%1024 == 0 {
			runtime.Gosched()
		}
	}
	seconds := time.Since(begin).Seconds()
	_ = log.Close(b.Context())
	s := log.Statistics()[0]
	b.ReportMetric(float64(s.Written)/seconds, "written/s")
	b.ReportMetric(float64(s.Dropped())/float64(b.N)*100, "%dropped")
}
