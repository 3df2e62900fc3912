//go:build linux

package prove

import (
	"fmt"
	"net/netip"
	"strings"
)

// subject is what a run measures: plugins of our binary.
type subject struct {
	name  string
	title string
	// judged tells whether a figure that misses its bound fails the test.
	judged bool
	// routes tells whether the subject knows upstream groups and fallbacks.
	routes bool
	// cacheLine and budget are what a privatelink stanza says of them.
	cacheLine, budget string
}

var subjects = map[string]subject{
	"privatelink": {title: "privatelink-dns", judged: true, routes: true, cacheLine: "cache 200000", budget: " budget=azure"},
	"bare":        {title: "privatelink without cache and budget", routes: true},
	"coredns":     {title: "CoreDNS cache and forward"},
}

// server is a subject that serves one address. Its methods belong to the
// goroutine of its proof.
type server struct {
	*process
	proof    *proof
	address  netip.AddrPort
	corefile string
}

// forwarder starts the subject with one upstream for everything.
func (p *proof) forwarder(azure netip.AddrPort) *server {
	p.t.Helper()
	if p.subject.routes {
		return p.privatelink("state", azure, "route . azure")
	}
	return p.start(fmt.Sprintf(`cache {
        success 200000
        denial 200000
        prefetch 1
        serve_stale 1h verify 100ms 30s 30s
    }
    forward . %s`, azure))
}

// privatelink starts our plugin with the upstream group azure and further
// lines of its stanza. Servers with the same state directory share memory.
func (p *proof) privatelink(state string, azure netip.AddrPort, stanza ...string) *server {
	p.t.Helper()
	lines := append([]string{
		"upstream azure " + azure.String() + p.subject.budget,
		p.subject.cacheLine,
		"state " + p.subdirectory(state),
		"clients resolver 127.0.0.0/8",
	}, stanza...)
	return p.start("privatelink {\n        " + strings.Join(lines, "\n        ") + "\n    }")
}

// start serves plugins at a free address. The plugin errors is left out: a log
// line for every failure would be a load of its own.
func (p *proof) start(plugins string) *server {
	p.t.Helper()
	s := &server{proof: p}
	s.process, s.address = p.serveAnywhere(nil, func(address netip.AddrPort) string {
		s.corefile = p.file(fmt.Sprintf("Corefile.%d", address.Port()), fmt.Sprintf(`.:%d {
    bind %s
    %s
}`, address.Port(), address.Addr(), plugins))
		return s.corefile
	})
	return s
}

// restart stops the server as an operator does and starts it again from the
// same Corefile.
func (s *server) restart() {
	s.proof.t.Helper()
	if code := s.stop(); code != 0 {
		s.proof.t.Errorf("after SIGTERM the exit code is %d, want 0; the server said:\n%s", code, s.output.tail())
	}
	s.process = s.proof.serve(nil, s.corefile)
}
