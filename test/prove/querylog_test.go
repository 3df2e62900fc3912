//go:build linux

package prove

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// logged is our program with a query log.
type logged struct {
	*server
	metrics string
}

// records tells how many records of a destination came to a result.
func (l *logged) records(destination, result string) float64 {
	l.proof.t.Helper()
	return l.proof.series(l.metrics, fmt.Sprintf("coredns_privatelink_querylog_records_total{destination=%q,result=%q}", destination, result))
}

// dropped is how many records a destination has lost.
func (l *logged) dropped(destination string) float64 {
	l.proof.t.Helper()
	return l.records(destination, "queue_full") + l.records(destination, "refused") + l.records(destination, "late")
}

// proveQueryLog: with the log on a file, in its default form, nothing is dropped at
// 30,000 queries a second, and SIGTERM in the moment of the last reply loses none. In
// the full form it is tried where dropping begins, and 2 GB of such lines are reported.
func proveQueryLog(p *proof) {
	databases := endpoints{1000, time.Hour}
	azure := p.azure(databases.world(), "limit azure", "latency 1ms")
	path, metrics := filepath.Join(p.directory, "query.log"), freeAddress(p.t).String()
	us := &logged{p.start(fmt.Sprintf(`prometheus %s
    privatelink {
        upstream azure %s
        route . azure
        querylog %s size=65536MiB
    }`, metrics, azure.address, path)), metrics}
	questions := p.file("questions", strings.Join(databases.names(databases.number), " A\n")+" A")
	replies := p.dnsperf(us.server, dnsperfRun{questions: questions, rate: 900}).completed

	for _, rate := range pick(p.run, []int{30_000, 60_000, 90_000}, []int{10_000}) {
		before, begun := us.dropped(path), time.Now()
		result := p.dnsperf(us.server, dnsperfRun{questions: questions, rate: rate, length: pick(p.run, 20*time.Second, 3*time.Second)})
		replies += result.completed
		what, dropped := "at "+count(rate)+"/s: ", us.dropped(path)-before
		p.note(what+"answered", float64(result.completed)/time.Since(begun).Seconds(), "a second")
		if rate > 30_000 {
			p.note(what+"dropped lines", dropped, "")
			continue
		}
		p.require(what+"dropped lines", dropped, "", exactly(0))
	}
	dropped := us.dropped(path)
	p.require("exit code after SIGTERM", float64(us.stop()), "", exactly(0))
	lines := linesIn(p, path)
	p.note("lines", float64(lines), "")
	p.require("replies without a line", max(0, float64(replies-lines)-dropped), "", exactly(0))
	p.proveReport(path, pick[int64](p.run, 2<<30, 0))
}

// linesIn counts the lines of a file, which must end with the last one.
func linesIn(p *proof, path string) (lines int) {
	p.t.Helper()
	file, err := os.Open(path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	piece, last := make([]byte, 1<<20), byte(0)
	for {
		length, err := file.Read(piece)
		if lines += bytes.Count(piece[:length], []byte{'\n'}); length > 0 {
			last = piece[length-1]
		}
		if err == io.EOF {
			break
		} else if err != nil {
			p.t.Fatal(err)
		}
	}
	if last != '\n' {
		p.t.Errorf("the last line of %s is torn", path)
	}
	return lines
}

// proveReport reports a log, repeated until it has so many bytes at least.
func (p *proof) proveReport(path string, size int64) {
	p.t.Helper()
	arguments := []string{"report"}
	bytesRead := int64(0)
	for bytesRead == 0 || bytesRead < size {
		information, err := os.Stat(path)
		if err != nil {
			p.t.Fatal(err)
		}
		arguments, bytesRead = append(arguments, path), bytesRead+information.Size()
	}
	busy, begun := newBusiness(p), time.Now()
	command := exec.Command(p.program, arguments...)
	said, err := command.CombinedOutput()
	if command.ProcessState == nil || command.ProcessState.ExitCode() == 1 { // 2 says that something in the log needs a look
		p.t.Fatalf("privatelink-dns report: %v\n%s", err, said)
	}
	p.note("report: log", float64(bytesRead)/1e6, "MB")
	took, used := time.Since(begun), command.ProcessState.UserTime()+command.ProcessState.SystemTime()
	p.note("report: time", took.Seconds(), "s")
	p.note("report: processor time", used.Seconds(), "s")
	if busy.others(used) > 0.25 {
		took = used / 2 // what it takes where two processors are its own
	}
	p.require("report: time, with two processors", took.Seconds(), "s", atMost(30))
	p.require("report: resident memory", float64(command.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)/1e3, "MB", atMost(200))
}
