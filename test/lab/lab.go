//go:build linux

package lab

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Lab is a set of hosts that reach one another, and nothing else, as if every
// network were routed to every other. It belongs to one test and vanishes with
// it.
type Lab struct {
	t         *testing.T
	directory string
	bridge    *namespace
	hosts     int
}

// New returns a lab without hosts. It skips the test where the machine cannot
// run one.
func New(t *testing.T) *Lab {
	t.Helper()
	require(t)
	l := &Lab{t: t, directory: t.TempDir()}
	l.bridge = l.namespace()
	l.ip(l.bridge, "link add lan type bridge forward_delay 0 mcast_snooping 0", "link set lan up")
	return l
}

// namespace returns a new one that is closed with the test.
func (l *Lab) namespace() *namespace {
	l.t.Helper()
	made, err := newNamespace()
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(made.close)
	return made
}

// ip runs commands of iproute2 in a namespace. The open files are theirs as
// /proc/self/fd/3 and on.
func (l *Lab) ip(inside *namespace, commands ...string) { l.ipWith(inside, nil, commands...) }

func (l *Lab) ipWith(inside *namespace, files []*os.File, commands ...string) {
	l.t.Helper()
	path, err := findTool("ip")
	if err != nil {
		l.t.Fatal(err)
	}
	command := exec.Command(path, "-batch", "-")
	command.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	command.ExtraFiles = files
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	inside.do(func() { err = command.Run() })
	if err != nil {
		l.t.Fatalf("ip: %v: %s\nwhile doing:\n%s", err, said.String(), strings.Join(commands, "\n"))
	}
}

// Host is a machine with its own network namespace. Dig and Dial may be called
// by goroutines at once; what starts servers fails the test by itself and
// belongs to the test's goroutine.
type Host struct {
	lab       *Lab
	name      string
	port      string // the bridge's end of its link
	addresses []string
	directory string
	namespace *namespace
}

// Host adds a machine with its IPv4 addresses; the first is the one it asks
// from.
func (l *Lab) Host(name string, addresses ...string) *Host {
	l.t.Helper()
	l.hosts++
	port := "port" + strconv.Itoa(l.hosts)
	h := &Host{lab: l, name: name, port: port, addresses: addresses, namespace: l.namespace()}
	h.directory = filepath.Join(l.directory, port)
	if err := os.Mkdir(h.directory, 0o755); err != nil {
		l.t.Fatal(err)
	}
	l.ipWith(l.bridge, []*os.File{h.namespace.handle},
		"link add "+port+" type veth peer name eth0 netns /proc/self/fd/3",
		"link set "+port+" master lan up")
	commands := []string{"link set lo up", "link set eth0 up"}
	for _, address := range addresses {
		commands = append(commands, "addr add "+netip.MustParseAddr(address).String()+"/32 dev eth0")
	}
	// Every address is on the link, whatever its network: no routers are needed.
	l.ip(h.namespace, append(commands, "route add default dev eth0 src "+addresses[0])...)
	return h
}

// String returns the host's name and address.
func (h *Host) String() string { return h.name + " " + h.Address() }

// Address returns the host's first address.
func (h *Host) Address() string { return h.addresses[0] }

// Dial connects from the host to a name server at an address, port 53. The
// caller closes the connection.
func (h *Host) Dial(network, server string) (net.Conn, error) {
	var connection net.Conn
	var err error
	h.namespace.do(func() { connection, err = net.Dial(network, net.JoinHostPort(server, "53")) })
	return connection, err
}

// write makes a file in the host's own directory, or makes it anew, and
// returns its path.
func (h *Host) write(name, format string, arguments ...any) string {
	h.lab.t.Helper()
	path := filepath.Join(h.directory, name)
	if err := os.WriteFile(path, fmt.Appendf(nil, format, arguments...), 0o644); err != nil {
		h.lab.t.Fatal(err)
	}
	return path
}
