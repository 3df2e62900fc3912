//go:build linux

package lab

import (
	"bytes"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// forgedNetwork are the addresses that nobody has, in the network of our server.
const forgedNetwork = "10.1.7."

const (
	forgedAddresses = 100 // the kernel keeps 1,024 neighbours in all namespaces together
	forgedRate      = 300 // a second
	ordinaryRate    = 50  // a second
	untakenTime     = 4 * time.Second
	// neededBuffer is far more than three seconds of these replies, which take 750 KB; the
	// usual 208 KiB are full before one second is over.
	neededBuffer = 2 << 20
)

// TestRepliesThatNobodyTakes: the kernel keeps a reply to an address on the link that
// nobody has for three seconds, while it asks who has it, and counts it as unsent. That
// holds up nobody else.
func TestRepliesThatNobodyTakes(t *testing.T) {
	t.Parallel()
	l := New(t)
	startAzure(l)
	us := l.Host("us", hubDNS)
	serveOnOneProcessor(us)
	client := newSteadyClient(t, l.Host("VM in hub", "10.1.0.10"))
	spoofer := newSpoofer(t, l.Host("spoofer", "10.1.0.66"))
	if !mayEnlarge(t, spoofer.connection) {
		t.Skipf("send buffers of %d bytes need root, or net.core.wmem_max=8388608", neededBuffer)
	}

	var load sync.WaitGroup
	load.Go(func() { steadily(forgedRate, spoofer.ask) })
	load.Go(func() { steadily(ordinaryRate, client.ask) })
	load.Wait()
	sought := addressesSought(t, us)
	asked, inTime, slowest := client.result()
	t.Logf("%d of %d questions were answered within %s, the slowest of all after %s; %d addresses that nobody has were sought", inTime, asked, onTime, slowest, sought)
	if sought < forgedAddresses/2 {
		t.Errorf("our host looked for %d addresses that nobody has, want %d: the forged questions did not arrive", sought, forgedAddresses)
	}
	if inTime*100 < asked*99 {
		t.Errorf("%d of %d questions were answered within %s, want 99%%", inTime, asked, onTime)
	}
}

// serveOnOneProcessor starts our program so that it has one socket, however many processors
// this machine has: the replies of one are to fill its buffer.
func serveOnOneProcessor(h *Host) {
	h.lab.t.Helper()
	path, err := product()
	if err != nil {
		h.lab.t.Fatal(err)
	}
	corefile := h.write("Corefile", ".:53 {\n    bind %s\n    errors\n    privatelink {\n        %s\n    }\n}\n", h.Address(), strings.Join(toAzure, "\n        "))
	h.Start("privatelink-dns", servingLine, "env", "GOMAXPROCS=1", path, "serve", "-c", corefile)
}

// steadily calls a function with 0, 1, 2, … so many times a second.
func steadily(rate int, ask func(number int)) {
	start := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for asked, number := 0, int(untakenTime.Seconds())*rate; asked < number; {
		// What was missed while the machine was busy does not come all at once.
		due := min(number, int((<-tick.C).Sub(start).Seconds()*float64(rate)), asked+2)
		for ; asked < due; asked++ {
			ask(asked)
		}
	}
}

// spoofer asks in the name of addresses that nobody has.
type spoofer struct {
	connection *net.UDPConn
	packets    *ipv4.PacketConn
	question   []byte
}

func newSpoofer(t *testing.T, on *Host) *spoofer {
	t.Helper()
	var err error
	s := &spoofer{}
	if s.question, err = question(sqlName).Pack(); err != nil {
		t.Fatal(err)
	}
	on.namespace.do(func() { s.connection, err = net.ListenUDP("udp4", nil) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.connection.Close() })
	s.packets = ipv4.NewPacketConn(s.connection)
	onSocket(t, s.connection, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TRANSPARENT, 1) })
	return s
}

// ask sends one question. What does not leave is missed by addressesSought.
func (s *spoofer) ask(number int) {
	source := net.ParseIP(forgedNetwork + "1").To4()
	source[3] += byte(number % forgedAddresses)
	_, _ = s.packets.WriteTo(s.question, &ipv4.ControlMessage{Src: source}, &net.UDPAddr{IP: net.ParseIP(hubDNS), Port: 53})
}

func onSocket(t *testing.T, connection *net.UDPConn, do func(fd int) error) {
	t.Helper()
	raw, err := connection.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var done error
	if err := raw.Control(func(fd uintptr) { done = do(int(fd)) }); err != nil || done != nil {
		t.Fatal(err, done)
	}
}

// mayEnlarge tells whether a program of this test may have the send buffer that ours needs.
func mayEnlarge(t *testing.T, connection *net.UDPConn) bool {
	t.Helper()
	got := 0
	onSocket(t, connection, func(fd int) (err error) {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, neededBuffer) != nil {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, neededBuffer); err != nil {
				return err
			}
		}
		got, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
		return err
	})
	return got >= neededBuffer
}

// addressesSought returns how many of the addresses that nobody has the host looks for.
func addressesSought(t *testing.T, h *Host) int {
	t.Helper()
	var table []byte
	var err error
	h.namespace.do(func() { table, err = os.ReadFile("/proc/thread-self/net/arp") })
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(table, []byte("\n"+forgedNetwork))
}

// onTime is when a question is answered in time. Measured in good order: 5 ms; with the
// usual send buffer: three seconds.
const onTime = time.Second

// steadyClient asks for an address that our server keeps, and does not repeat itself.
type steadyClient struct {
	asker   *asker
	reading sync.WaitGroup

	mutex sync.Mutex
	asked []time.Time
	took  []time.Duration // 0 where there is no reply yet
}

// newSteadyClient asks once, so that the answer is kept and the hosts know each other.
func newSteadyClient(t *testing.T, on *Host) *steadyClient {
	t.Helper()
	c := &steadyClient{asker: newAsker(t, on, "udp", hubDNS)}
	if err := c.asker.askAddress(sqlName, "10.0.2.4"); err != nil {
		t.Fatal(err)
	}
	c.reading.Go(c.read)
	return c
}

func (c *steadyClient) ask(number int) {
	message := question(sqlName)
	message.Id = uint16(number)
	packet, _ := message.Pack() // it was packed before
	c.mutex.Lock()
	c.asked, c.took = append(c.asked, time.Now()), append(c.took, 0)
	c.mutex.Unlock()
	_ = c.asker.send(packet) // what is lost has no reply
}

// read ends when replies fail to come for as long as a question waits, or the connection
// is closed.
func (c *steadyClient) read() {
	for {
		reply, err := c.asker.receive()
		if err != nil {
			return
		}
		c.mutex.Lock()
		if number := int(reply.Id); number < len(c.asked) && len(reply.Answer) > 0 {
			c.took[number] = time.Since(c.asked[number])
		}
		c.mutex.Unlock()
	}
}

// result waits until the last question is answered, or can no longer be in time.
func (c *steadyClient) result() (asked, inTime int, slowest time.Duration) {
	timer := time.NewTimer(onTime)
	<-timer.C
	_ = c.asker.connection.Close()
	c.reading.Wait()
	for _, took := range c.took {
		if took > 0 && took <= onTime {
			inTime++
		}
	}
	return len(c.asked), inTime, slices.Max(c.took)
}
