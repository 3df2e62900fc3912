package batch

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// echo replies with what it is sent.
type echo struct{}

func (echo) Answer(datagram []byte, _ Peer, buffer []byte) []byte { return append(buffer, datagram...) }
func (echo) Flush()                                               {}

func TestNothingIsAllocatedForADatagram(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::]:0"} {
		g := serve(t, address, 1, echo{})
		conn := client(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), g.Addr().Port()))
		datagram, buffer := make([]byte, 40), make([]byte, 512)
		allocations := testing.AllocsPerRun(2000, func() {
			if _, err := conn.Write(datagram); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(buffer); err != nil {
				t.Fatal(err)
			}
		})
		if allocations != 0 {
			t.Errorf("%s: %v allocations for a datagram, want 0", address, allocations)
		}
	}
}

// BenchmarkEcho is what a datagram and its reply cost this process on one processor: the
// floor for a server that also has to look something up. The metric µs-cpu/op is its user
// and system time; the sender is another process on another processor. At full speed
// 256 datagrams are under way; at a rate they are sent one by one.
func BenchmarkEcho(b *testing.B) {
	tests := []struct {
		name, bind string
		loops      int
		rate       int // datagrams a second, 0 for full speed
	}{
		{"specific", "127.0.0.1:0", 1, 0},
		{"wildcard", "[::]:0", 1, 0},
		{"two loops", "127.0.0.1:0", 2, 0},
		{"two loops, 20000 per second", "127.0.0.1:0", 2, 20000},
		{"1000 per second", "127.0.0.1:0", 1, 1000},
		{"20000 per second", "127.0.0.1:0", 1, 20000},
	}
	pin(b, 0)
	for _, tc := range tests {
		b.Run(tc.name, func(b *testing.B) {
			g := serve(b, tc.bind, tc.loops, echo{})
			start, wait := startGenerator(b, g.Addr().Port(), b.N, tc.rate)
			b.ReportAllocs()
			b.ResetTimer()
			before, statsBefore := processorTime(b), g.Stats()
			start()
			wait()
			b.StopTimer()
			s := g.Stats()
			received := s.Received - statsBefore.Received
			b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/1000/float64(received), "µs-cpu/op")
			b.ReportMetric(float64(received)/float64(s.Batches-statsBefore.Batches), "datagrams/batch")
			b.ReportMetric(float64(received)/b.Elapsed().Seconds(), "datagrams/s")
		})
	}
}

func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// pin keeps all threads of this process on one processor.
func pin(tb testing.TB, processor int) {
	tb.Helper()
	var set unix.CPUSet
	set.Set(processor)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		tb.Fatal(err)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err == nil {
			_ = unix.SchedSetaffinity(id, &set) // the thread may be gone
		}
	}
}

// generatorVariable tells the process of the generator what to do: port, datagrams, rate
// and processor.
const generatorVariable = "BATCH_GENERATOR"

// startGenerator starts this program again as a sender. It sends after start, and wait
// returns when it is done.
func startGenerator(b *testing.B, port uint16, count, rate int) (start, wait func()) {
	b.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestGenerate$", "-test.v")
	command.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %d %d", generatorVariable, port, count, rate, min(1, runtime.NumCPU()-1)))
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	await := func(text string) {
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		b.Fatalf("the generator did not say %q", text)
	}
	await("ready")
	b.Cleanup(func() { _ = command.Wait() })
	return func() { input.Close() }, func() { await("done") }
}

// TestGenerate is the generator, where it is started as one.
func TestGenerate(t *testing.T) {
	var port, count, rate, processor int
	if _, err := fmt.Sscan(os.Getenv(generatorVariable), &port, &count, &rate, &processor); err != nil {
		t.Skip("is a part of BenchmarkEcho")
	}
	pin(t, processor)
	runtime.LockOSThread()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	timeout := unix.NsecToTimeval(int64(200 * time.Millisecond))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready")
	_, _ = os.Stdin.Read(make([]byte, 1))
	g := newGenerator(fd)
	if rate == 0 {
		g.window(count)
	} else {
		g.paced(count, rate)
	}
	fmt.Println("done")
}

// generator sends on a connected socket.
type generator struct {
	fd  int
	in  *arrivals
	out *departures
}

func newGenerator(fd int) *generator {
	g := &generator{fd: fd, in: newArrivals(false), out: newDepartures()}
	for range size {
		g.out.add(append(g.out.room(), make([]byte, 40)...), &unix.Msghdr{})
	}
	return g
}

// send sends at most n datagrams of a batch, and says how many.
func (g *generator) send(n int) int {
	sent, _, _ := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(g.fd), uintptr(unsafe.Pointer(&g.out.messages)), uintptr(min(n, size)), 0, 0, 0)
	return max(0, int(sent))
}

// receive waits for at least one reply, and says how many came; none if they are lost.
func (g *generator) receive(flags uintptr) int {
	g.in.reset(size)
	received, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(g.fd), uintptr(unsafe.Pointer(&g.in.messages)), size, flags, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(received)
}

// window keeps 256 datagrams under way.
func (g *generator) window(count int) {
	underway := 0
	for count > 0 || underway > 0 {
		for count > 0 && underway <= 256-size {
			sent := g.send(count)
			count -= sent
			underway += sent
		}
		received := g.receive(unix.MSG_WAITFORONE)
		if received == 0 {
			underway = 0
		}
		underway -= received
	}
}

// paced sends one datagram at a time.
func (g *generator) paced(count, rate int) {
	begin := time.Now()
	for i := range count {
		due := begin.Add(time.Duration(i) * time.Second / time.Duration(rate))
		for time.Now().Before(due) {
			g.receive(unix.MSG_DONTWAIT)
		}
		g.send(1)
	}
	g.receive(unix.MSG_WAITFORONE)
}
