//go:build linux

package prove

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// insideVariable is set for a test binary that was started again in a network of its own.
const insideVariable = "PRIVATELINK_DNS_PROVE_INSIDE"

// inOwnNetwork runs the test again, alone, in a network namespace of its own, and reports
// whether it did. Without root's rights it does not: then the test goes on in the network
// of the machine, whose addresses it must leave alone.
func inOwnNetwork(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 || os.Getenv(insideVariable) != "" {
		return false
	}
	arguments := []string{"-test.run=^" + t.Name() + "$", "-test.count=1", "-test.timeout=0"}
	if testing.Verbose() {
		arguments = append(arguments, "-test.v")
	}
	again := exec.Command("/proc/self/exe", arguments...)
	again.Env = append(os.Environ(), insideVariable+"=1")
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := again.Start(); err != nil {
		t.Logf("without a network of its own, so no address goes: %v", err)
		return false
	}
	err := again.Wait()
	if ended := (*exec.ExitError)(nil); errors.As(err, &ended) {
		t.Errorf("in a network of its own: %v; see above", err)
	} else if err != nil {
		t.Error(err)
	}
	return true
}

// network is where the addresses of our program and of its upstream are.
type network struct {
	t testing.TB
	// server is where our program listens, upstream where it asks.
	server, upstream netip.Addr
	// ours tells whether addresses may go and come. Then the upstream is asked from
	// the address asking.
	ours   bool
	asking netip.Addr
}

// newNetwork returns the network of the process. One of its own has the addresses of
// domain.md's lab; that of the machine has loopback only.
func newNetwork(t testing.TB) *network {
	t.Helper()
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	n := &network{t: t, server: loopback, upstream: loopback, ours: os.Getenv(insideVariable) != ""}
	if !n.ours {
		t.Log("in the network of this machine no address goes")
		return n
	}
	// In a new namespace loopback is down. In any other, addresses are somebody's.
	if lo, err := net.InterfaceByName("lo"); err != nil || lo.Flags&net.FlagUp != 0 {
		t.Fatalf("%s is set, but this network is not new: loopback is up, %v", insideVariable, err)
	}
	n.server, n.upstream, n.asking = netip.MustParseAddr("10.1.0.4"), netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("10.1.0.5")
	n.ip("link set lo up")
	for _, each := range []removable{n.serverAddress(), n.askingAddress(), n.upstreamAddress()} {
		n.ip(each.comes...)
	}
	return n
}

// ip runs commands of iproute2.
func (n *network) ip(commands ...string) {
	n.t.Helper()
	command := exec.Command("ip", "-batch", "-")
	command.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if said, err := command.CombinedOutput(); err != nil {
		n.t.Errorf("ip: %v: %s\nwhile doing:\n%s", err, said, strings.Join(commands, "\n"))
	}
}

// removable is how an address goes, and comes again.
type removable struct{ goes, comes []string }

func (n *network) serverAddress() removable {
	return removable{[]string{"addr del " + n.server.String() + "/32 dev lo"}, []string{"addr add " + n.server.String() + "/32 dev lo"}}
}

// upstreamRoute says from which address the upstream is asked.
func (n *network) upstreamRoute() string {
	return "route replace local " + n.upstream.String() + " dev lo table local src " + n.asking.String()
}

func (n *network) withoutRoute() string {
	return "route del local " + n.upstream.String() + " dev lo table local"
}

func (n *network) upstreamAddress() removable {
	return removable{
		[]string{"addr del " + n.upstream.String() + "/32 dev lo", n.withoutRoute()},
		[]string{"addr add " + n.upstream.String() + "/32 dev lo", n.upstreamRoute()},
	}
}

// askingAddress goes with the routes that need it.
func (n *network) askingAddress() removable {
	return removable{
		[]string{n.withoutRoute(), "addr del " + n.asking.String() + "/32 dev lo"},
		[]string{"addr add " + n.asking.String() + "/32 dev lo", n.upstreamRoute()},
	}
}

// gone is the mishap that an address vanishes for a while.
func gone(which func(*network) removable) func(*soak) func() {
	return func(s *soak) func() {
		if !s.network.ours {
			return func() {} // the machine's addresses are not ours to take
		}
		address := which(s.network)
		s.network.ip(address.goes...)
		return func() { s.network.ip(address.comes...) }
	}
}

// firstReply returns how long it took from a moment on until a new client over TCP had a
// reply, whatever it says; patience at most.
func (s *soak) firstReply(since time.Time) time.Duration {
	for time.Since(since) < patience {
		if s.repliesOverTCP() {
			break
		}
		pass(20 * time.Millisecond)
	}
	return time.Since(since)
}

func (s *soak) repliesOverTCP() bool {
	client := &persistent{server: s.address, within: time.Second}
	defer client.hangUp()
	if !client.connect() {
		return false
	}
	q, replied := client.exchange(s.databases.name(0))
	if text := s.wrongly(&q); replied && text != "" {
		s.proof.t.Errorf("over a new TCP connection %s", text)
	}
	return replied
}
