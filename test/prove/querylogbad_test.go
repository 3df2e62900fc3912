//go:build linux

package prove

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// badDays is our program with four destinations that all go wrong.
type badDays struct {
	*logged
	// small is on a disk that fills up, gone in a directory that is deleted, pipe has no
	// reader that reads, and tap has one that accepts and hangs.
	small, gone, pipe, tap string
	// disk is where small's directory is seen from here: the disk is the program's own.
	disk string
}

// proveQueryLogOnBadDays: whatever happens to the destinations of the log, no client
// notices; what they cannot take is counted; and when the trouble is over they go on by
// themselves.
func proveQueryLogOnBadDays(p *proof) {
	databases := endpoints{200, time.Hour}
	azure := p.azure(databases.world(), "limit azure", "latency 1ms")
	us := newBadDays(p, azure.address)
	questions := p.file("questions", strings.Join(databases.names(databases.number), " A\n")+" A")
	p.dnsperf(us.server, dnsperfRun{questions: questions, rate: 900})
	begun := time.Now()
	deleted := make(chan error, 1)
	time.AfterFunc(2*time.Second, func() { deleted <- os.RemoveAll(filepath.Dir(us.gone)) })
	result := p.dnsperf(us.server, dnsperfRun{questions: questions, rate: 8000, length: pick(p.run, 30*time.Second, 8*time.Second)})
	if err := <-deleted; err != nil {
		p.t.Error(err)
	}
	p.note("asked", float64(result.asked()), "questions")
	p.note("answered", float64(result.completed)/time.Since(begun).Seconds(), "a second")
	p.require("without a reply", float64(result.lost), "questions", exactly(0))
	p.require("answered, but not with NOERROR", float64(result.completed-result.noError), "questions", exactly(0))
	p.note("average latency", milliseconds(result.average), "ms")
	p.require("full disk: dropped", us.dropped(us.small), "lines", atLeast(1))
	p.require("pipe without a reader: dropped", us.dropped(us.pipe), "lines", atLeast(1))
	p.require("dnstap reader that hangs: dropped", us.dropped(us.tap), "records", atLeast(1))
	p.require("deleted directory: written of 100 lines", 100*us.records(us.gone, "written")/float64(result.asked()), "", atLeast(50))
	us.judgeRecovery(questions, databases.number)
}

func newBadDays(p *proof, azure netip.AddrPort) *badDays {
	p.t.Helper()
	if os.Geteuid() != 0 {
		p.t.Skip("only root can make a small disk")
	}
	disk := p.subdirectory("disk")
	b := &badDays{
		small: filepath.Join(disk, "query.log"), gone: filepath.Join(p.subdirectory("gone"), "query.log"),
		pipe: filepath.Join(p.directory, "pipe.log"), tap: filepath.Join(p.directory, "tap"),
	}
	if err := syscall.Mkfifo(b.pipe, 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.hang(b.tap)
	b.logged = &logged{&server{proof: p}, freeAddress(p.t).String()}
	// The mount is seen by the program alone, and ends with it.
	before := []string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs -o size=3m none "$0" && exec "$@"`, disk}
	b.process, b.address = p.serveAnywhere(before, func(address netip.AddrPort) string {
		b.corefile = p.file("Corefile.bad", fmt.Sprintf(`.:%d {
    bind %s
    prometheus %s
    privatelink {
        upstream azure %s
        route . azure
        querylog %s
        querylog %s
        querylog %s
        querylog dnstap+unix://%s
    }
}`, address.Port(), address.Addr(), b.metrics, azure, b.small, b.gone, b.pipe, b.tap))
		return b.corefile
	})
	b.disk = fmt.Sprintf("/proc/%d/root%s", b.command.Process.Pid, b.small)
	b.tap = "dnstap+unix://" + b.tap
	return b
}

// hang is a reader of dnstap that accepts every connection and reads nothing, until the
// end of the proof.
func (p *proof) hang(path string) {
	p.t.Helper()
	listener, err := net.Listen("unix", path)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = listener.Close() })
	go func() {
		var connections []net.Conn
		for {
			connection, err := listener.Accept()
			if err != nil {
				break
			}
			connections = append(connections, connection)
		}
		for _, connection := range connections {
			_ = connection.Close()
		}
	}()
}

// judgeRecovery ends the trouble and holds that the log goes on.
func (b *badDays) judgeRecovery(questions string, number int) {
	p := b.proof
	if err := os.Truncate(b.disk, 0); err != nil {
		p.t.Fatal(err)
	}
	pipe, err := os.Open(b.pipe)
	if err != nil {
		p.t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, pipe) // until the program ends
	}()
	pass(2 * time.Second)
	var before [3]float64
	mended := []string{b.small, b.gone, b.pipe}
	for index, destination := range mended {
		before[index] = b.records(destination, "written")
	}
	p.dnsperf(b.server, dnsperfRun{questions: questions, rate: 900})
	pass(time.Second)
	for index, destination := range mended {
		p.require(filepath.Base(filepath.Dir(destination))+"/"+filepath.Base(destination)+": lines after the trouble", b.records(destination, "written")-before[index], "", exactly(float64(number)))
	}
	b.stop()
	<-read
}
