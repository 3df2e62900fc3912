package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/privatelink-dns/privatelink-dns/plugin/privatelink"
)

// examineConfiguration lints, and tells of the remarks in one finding.
func (c *checkup) examineConfiguration(context.Context) {
	check := &checkOptions{corefile: c.options.corefile, machine: privatelink.ThisMachine}
	remarks, err := check.check()
	mistakes, warnings := countRemarks(remarks)
	next := "privatelink-dns check -c " + c.options.corefile + " tells them all"
	switch {
	case err != nil:
		c.add(skipped, "configuration", "", err.Error(), "")
	case mistakes > 0:
		c.add(privatelink.Fault, "configuration", "", fmt.Sprintf("%s, the first: %s: %s", plural(mistakes, "mistake"), remarks[0].Where, remarks[0].Text), next)
	case warnings > 0:
		c.add(privatelink.Warning, "configuration", "", fmt.Sprintf("%s, the first: %s: %s", plural(warnings, "warning"), remarks[0].Where, remarks[0].Text), next)
	default:
		c.add(privatelink.Fine, "configuration", "", c.options.corefile+" is clean", "")
	}
}

// examinePorts sees that the server's addresses are free or served by it.
func (c *checkup) examinePorts(context.Context) {
	hosts, ports := c.stanza.Listens()
	for _, host := range hosts {
		for _, port := range ports {
			address := net.JoinHostPort(host, port)
			c.examinePort("udp", address)
			c.examinePort("tcp", address)
		}
	}
}

func (c *checkup) examinePort(network, address string) {
	err := tryToListen(network, address)
	subject := network + " " + address
	switch {
	case err == nil && c.running:
		c.add(privatelink.Fault, "ports", subject, "nobody listens here, though the server runs", "see in the server's log why; the Corefile may have changed since it started")
	case err == nil:
		c.add(privatelink.Fine, "ports", subject, "free", "")
	case errors.Is(err, syscall.EADDRINUSE):
		c.tellTaken(subject, "ss -lnp 'sport = :"+portOf(address)+"' shows it")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		c.add(privatelink.Fault, "ports", subject, "this machine has no such address", "correct bind in the Corefile, or give the machine the address")
	case errors.Is(err, syscall.EACCES):
		c.add(privatelink.Warning, "ports", subject, "this user may not listen on a port below 1024, so nobody knows whether it is free", "run doctor as root; the server needs root or CAP_NET_BIND_SERVICE")
	default:
		c.add(privatelink.Fault, "ports", subject, err.Error(), "")
	}
}

// tellTaken says by whom a port is taken, as far as that is known. Shown is how to see it.
func (c *checkup) tellTaken(subject, shown string) {
	switch {
	case c.running:
		c.add(privatelink.Fine, "ports", subject, "served by the running server", "")
	case c.forbidden:
		c.add(skipped, "ports", subject, "in use, perhaps by this server", "run doctor with sudo to know; as root "+shown)
	default:
		c.add(privatelink.Fault, "ports", subject, "in use by another process", shown+"; stop it, often systemd-resolved or another DNS server")
	}
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// tryToListen opens a socket and closes it again.
func tryToListen(network, address string) error {
	if network == "tcp" {
		listener, err := net.Listen(network, address)
		if err != nil {
			return err
		}
		return listener.Close()
	}
	socket, err := net.ListenPacket(network, address)
	if err != nil {
		return err
	}
	return socket.Close()
}

const (
	// wantedFiles is what a server with a thousand TCP clients needs, and as much again.
	wantedFiles = 4096
	// wantedBuffer is what a burst that arrives while the server is not scheduled needs, and
	// more than replies that nobody takes fill.
	wantedBuffer = 8 << 20
)

// examineMachine looks at file limits, socket buffers and the clock.
func (c *checkup) examineMachine(context.Context) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil {
		text := fmt.Sprintf("%d for this user", limit.Max)
		if limit.Max < wantedFiles {
			c.add(privatelink.Warning, "machine", "open files", text, fmt.Sprintf("LimitNOFILE=%d in the service's unit, or ulimit -n: every TCP client takes one", wantedFiles*16))
		} else {
			c.add(privatelink.Fine, "machine", "open files", text, "")
		}
	}
	c.examineBuffer("rmem_max", "a burst of queries may be lost in the socket")
	c.examineBuffer("wmem_max", "replies to addresses that nobody has may hold up all others")
	c.examineClock()
}

// examineBuffer looks at the limit of sockets' buffers in a file of net/core; danger is what
// may happen where it is low.
func (c *checkup) examineBuffer(file, danger string) {
	subject := "net.core." + file
	data, err := os.ReadFile(filepath.Join(c.options.machine.proc, "sys/net/core", file))
	size, convErr := strconv.Atoi(strings.TrimSpace(string(data)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.add(skipped, "machine", subject, "there is no such setting here", "")
	case err != nil || convErr != nil:
		c.add(skipped, "machine", subject, "it cannot be read", "")
	case size < wantedBuffer:
		c.add(privatelink.Warning, "machine", subject, fmt.Sprintf("%d bytes: %s", size, danger), fmt.Sprintf("sysctl -w %s=%d, and the same in /etc/sysctl.d", subject, wantedBuffer))
	default:
		c.add(privatelink.Fine, "machine", subject, fmt.Sprintf("%d bytes", size), "")
	}
}

// earliest is before every sensible clock: this program did not exist then.
var earliest = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

func (c *checkup) examineClock() {
	now := c.options.machine.now()
	synchronised, known := c.options.machine.clock()
	switch {
	case now.Before(earliest):
		c.add(privatelink.Fault, "machine", "clock", "it says "+now.UTC().Format(time.RFC3339), "set it, and keep it with chrony or systemd-timesyncd: certificates, overrides and logs go by it")
	case known && !synchronised:
		c.add(privatelink.Warning, "machine", "clock", "the kernel knows of nobody who keeps it", "timedatectl or chronyc tracking shows why; logs of several servers cannot be compared otherwise")
	case !known:
		c.add(skipped, "machine", "clock", "whether it is kept cannot be told here", "")
	default:
		c.add(privatelink.Fine, "machine", "clock", "kept", "")
	}
}
