//go:build linux

package lab

// Cut drops whatever any two of the hosts send each other, in silence, as a
// route into a dead link does. Between each of them and all other hosts
// everything passes as before.
func (l *Lab) Cut(hosts ...*Host) {
	l.t.Helper()
	for _, h := range hosts {
		// A neighbour that is known stays known: on a real path, which has routers,
		// a host does not notice that the far end has gone.
		l.ip(h.namespace, "ntable change name arp_cache dev eth0 base_reachable 3600000")
	}
	l.isolate("on", hosts)
}

// Mend undoes Cut.
func (l *Lab) Mend(hosts ...*Host) {
	l.t.Helper()
	l.isolate("off", hosts)
}

// isolate has the bridge pass nothing from one isolated port to another.
func (l *Lab) isolate(state string, hosts []*Host) {
	l.t.Helper()
	var commands []string
	for _, h := range hosts {
		commands = append(commands, "link set "+h.port+" type bridge_slave isolated "+state)
	}
	l.ip(l.bridge, commands...)
}
