package privatelink

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
)

// unreached are the plugins that stand below this one, which always answers
// itself, with what to do instead.
var unreached = []struct{ name, instead string }{
	{"cache", "it would keep what must not be kept; privatelink keeps answers itself"},
	{"forward", "name the servers in upstream and the suffixes in route"},
	{"template", "serve these names from a server block of their own"},
	{"hosts", "serve these names from a server block of their own"},
	{"azuresim", "give the simulator a server block of its own, on another port"},
	{"whoami", "remove it"},
}

// checkNeighbours refuses what is in the same block and would never be reached.
func checkNeighbours(server *dnsserver.Config, where string) error {
	var mistakes []error
	for _, neighbour := range unreached {
		if server.Handler(neighbour.name) != nil {
			mistakes = append(mistakes, plugin.Error(pluginName, fmt.Errorf("%s: found %s in the same server block, where it is never reached: %s", where, neighbour.name, neighbour.instead)))
		}
	}
	return errors.Join(mistakes...)
}

// checkAddressFree refuses an address that another process serves. CoreDNS
// listens with SO_REUSEPORT, so that two processes would share the questions and
// a forgotten old one would answer half of them.
func checkAddressFree(server *dnsserver.Config) error {
	for _, host := range server.ListenHosts {
		address := net.JoinHostPort(host, server.Port)
		socket, err := net.ListenPacket("udp", address)
		if err == nil {
			_ = socket.Close()
			continue
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			return plugin.Error(pluginName, fmt.Errorf("found %s in use by another process, expected it free; stop that process first (ss -lunp shows it)", address))
		}
	}
	return nil
}
