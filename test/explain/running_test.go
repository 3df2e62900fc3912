package explain

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// These faults are in the memory of the running server, which is asked through its
// admin socket.

// ends reports whether the last line of a command has a text.
func ends(t *testing.T, want string, arguments ...string) bool {
	t.Helper()
	output, _ := run(t, arguments...)
	return strings.Contains(lastLine(output), want)
}

func TestStaleAnswerIsNamed(t *testing.T) {
	t.Parallel()
	upstream := azure()
	socket, listener := listenBoth(t)
	_ = listener.Close()
	var dead atomic.Bool
	server := &dns.Server{PacketConn: socket, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, request *dns.Msg) {
		if !dead.Load() {
			upstream.ServeDNS(w, request)
		}
	})}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown() })
	s := write(t, usual, map[string]string{"UP": socket.LocalAddr().String()})
	s.start(t)
	resolve(t, s, db1)
	dead.Store(true)
	// The private record lives for a second, and is of use for an hour after that.
	eventually(t, "explain names the stale answer", func() bool {
		return ends(t, "of use for ", "explain", db1, "--state", s.state) &&
			ends(t, "because upstream azure does not reply", "explain", db1, "--state", s.state)
	})
	output, _ := run(t, "doctor", "-c", s.corefile, db1)
	if last := lastLine(output); !strings.Contains(output, "clients get an expired answer") || !strings.Contains(last, "replies neither over UDP nor over TCP") {
		t.Errorf("doctor said\n%s\nwant the stale answer in it, and its cause last", output)
	}
}

func TestLoopIsNamed(t *testing.T) {
	t.Parallel()
	back := azure()
	upstream := &cloud{}
	address := upstream.serve(t)
	s := write(t, "upstream azure "+back.serve(t)+"\nupstream company UP\nroute corp.example company\nroute . azure", map[string]string{"UP": address})
	upstream.sendTo(s.address)
	s.start(t)
	eventually(t, "explain names the loop", func() bool {
		return ends(t, "sends questions below \"corp.example\" back to this server: a forwarding loop", "explain", "db.corp.example", "--state", s.state) &&
			ends(t, "a forwarding loop", "doctor", "-c", s.corefile, "db.corp.example")
	})
}

func TestSpentBudgetIsNamed(t *testing.T) {
	t.Parallel()
	upstream := azure()
	s := write(t, "upstream azure UP budget=10/5\nroute catalog azure\nroute . azure", map[string]string{"UP": upstream.serve(t)})
	s.start(t)
	socket, err := net.Dial("udp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	asked := 0
	// Names below another parent would have their turn.
	flood := func() {
		for range 200 {
			asked++
			question := new(dns.Msg)
			question.SetQuestion(fmt.Sprintf("x%d.database.windows.net.", asked), dns.TypeA)
			packed, err := question.Pack()
			if err != nil {
				t.Fatal(err)
			}
			_, _ = socket.Write(packed)
		}
	}
	eventually(t, "explain names the budget", func() bool {
		flood()
		return ends(t, "the budget of upstream azure is spent", "explain", db1, "--state", s.state)
	})
	eventually(t, "doctor names the budget", func() bool {
		flood()
		output, _ := run(t, "doctor", "-c", s.corefile)
		last := lastLine(output)
		return strings.Contains(last, "the budget is spent") || strings.Contains(last, "were not sent for want of budget")
	})
}

func TestOverrideIsNamed(t *testing.T) {
	t.Parallel()
	s := write(t, usual, map[string]string{"UP": azure().serve(t)})
	s.start(t)
	if said, code := run(t, "override", "add", db1, "A", "10.9.9.9", "--reason", "INC42", "--state", s.state); code != 0 {
		t.Fatal(said)
	}
	if !ends(t, "\"privatelink-dns override remove "+db1+"\" ends it", "explain", db1, "--state", s.state) {
		t.Error("explain does not name the override")
	}
	if !ends(t, "1 override in force: "+db1, "doctor", "-c", s.corefile) {
		output, _ := run(t, "doctor", "-c", s.corefile)
		if !strings.Contains(output, "1 override in force: "+db1) {
			t.Errorf("doctor said\n%s\nwant the override named", output)
		}
	}
}

// resolve asks the server for a name that it has an answer to.
func resolve(t *testing.T, s site, name string) {
	t.Helper()
	question := new(dns.Msg)
	question.SetQuestion(dns.Fqdn(name), dns.TypeA)
	reply, err := dns.Exchange(question, s.address)
	if err != nil || len(reply.Answer) == 0 {
		t.Fatalf("asking for %s: %v, %v", name, reply, err)
	}
}
