package logreport

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// TestLargeLog states how fast a log is read and in how much memory: of 2 GB where PROVE
// is full, as make prove sets it, of a tenth where it is anything else. It is skipped
// without; PROVE_FIGURES names a directory for the figures.
func TestLargeLog(t *testing.T) {
	if os.Getenv("PROVE") == "" {
		t.Skip("PROVE is not set")
	}
	size := 200 << 20
	if os.Getenv("PROVE") == "full" {
		size = 2 << 30
	}
	part := hubLog(30_000)
	repeated := &repeatedLog{part: part, left: size / len(part) * len(part)}
	before, started := processorTime(t), time.Now()
	report := read(t, Options{}, Source{Name: "generated", Open: func() (io.ReadCloser, error) { return io.NopCloser(repeated), nil }})
	elapsed, used := time.Since(started), processorTime(t)-before
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	figures := map[string]any{
		"bytes": size, "lines": report.Lines, "seconds": elapsed.Seconds(), "processor_seconds": used.Seconds(), "megabytes_per_second": float64(size) / 1e6 / elapsed.Seconds(),
		"megabytes_per_processor_second": float64(size) / 1e6 / used.Seconds(), "memory_megabytes": float64(memory.Sys) / 1e6, "processors": runtime.GOMAXPROCS(0),
	}
	written, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", written)
	if directory := os.Getenv("PROVE_FIGURES"); directory != "" {
		if err := os.WriteFile(filepath.Join(directory, "report.json"), append(written, '\n'), 0o644); err != nil {
			t.Error(err)
		}
	}
	// 2 GB in 30 s on two processors are 30 s of each; others may use them too.
	if limit := time.Duration(float64(60*time.Second) * float64(size) / 2e9); used > limit {
		t.Errorf("%d bytes took %v of processor time, want at most %v", size, used, limit)
	}
	if memory.Sys > 200e6 {
		t.Errorf("%d bytes of memory, want at most 200 MB", memory.Sys)
	}
}

// repeatedLog says the same part again and again.
type repeatedLog struct {
	part []byte
	left int
	rest bytes.Reader
}

func (l *repeatedLog) Read(data []byte) (int, error) {
	if l.rest.Len() == 0 {
		if l.left <= 0 {
			return 0, io.EOF
		}
		l.left -= len(l.part)
		l.rest.Reset(l.part)
	}
	return l.rest.Read(data)
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Skipf("no processor time here: %v", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
