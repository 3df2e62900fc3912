package privatelink

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// FuzzRules: a rules file is refused with its name and a line, or leaves routes of
// names that can be asked for.
func FuzzRules(f *testing.F) {
	f.Add("routes:\n  - {suffix: corp.example, group: corp}\n  - {name: db9.database.windows.net, group: [azure, corp], missing: public}\n")
	f.Add("clients:\n  - {class: stub, networks: [10.20.0.0/16]}\nprivate: [198.51.100.0/24]\nmust_private: [vault.azure.net, =db1.database.windows.net]\n")
	f.Add("routes:\n  -\n")
	f.Add("private: [null]\n---\nprivate: []\n")
	f.Add("a: &a [*a]\n")
	f.Add("clients: [{class: allow, networks: [::/0, 0.0.0.0/33]}]")
	path := filepath.Join(f.TempDir(), "rules.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		parsed := newConfig(path)
		if err := parsed.addRules(path, []byte(text)); err != nil {
			if !strings.Contains(err.Error(), path) {
				t.Errorf("addRules(%q) = %v, want the file's name in it", text, err)
			}
			return
		}
		for _, route := range parsed.routes {
			if _, valid := dns.IsDomainName(route.suffix + route.name); !valid {
				t.Errorf("addRules(%q) accepted the route %+v", text, route)
			}
		}
	})
}

// FuzzAdmin: whatever comes through the admin socket is answered, with a status that says
// whose fault it is, and never with a failure of ours.
func FuzzAdmin(f *testing.F) {
	f.Add(http.MethodGet, "/cache/answers", "name=db1.database.windows.net", "")
	f.Add(http.MethodDelete, "/cache/answers", "name=.&suffix=true", "")
	f.Add(http.MethodGet, "/upstreams", "", "")
	f.Add(http.MethodPost, "/explain", "", `{"name":"db1.database.windows.net","type":"TYPE65535","client":"10.0.0.1"}`)
	f.Add(http.MethodPost, "/overrides", "", `{"name":"db1.database.windows.net","type":"A","values":["10.0.2.4"],"for":"4h","reason":"INC42"}`)
	f.Add(http.MethodPost, "/overrides", "", `{"name":"a","type":"CNAME","values":["b"],"for":"-1h"} {}`)
	f.Add(http.MethodDelete, "/overrides/a..b", "as=%00", "")
	f.Add(http.MethodGet, "/overrides", "", "")
	shared := newSlot()
	buildOn(f, shared, "upstream azure "+answers(f, sql)+"\nroute . azure\n")
	routes := (&admin{shared: shared, directory: f.TempDir()}).routes()
	f.Fuzz(func(t *testing.T, method, path, parameters, body string) {
		request := httptest.NewRequest(http.MethodGet, "/", strings.NewReader(body))
		request.Method, request.URL.Path, request.URL.RawQuery = method, path, parameters
		reply := httptest.NewRecorder()
		routes.ServeHTTP(reply, request)
		if reply.Code >= 500 && reply.Code != http.StatusInsufficientStorage {
			t.Errorf("%s %q?%q with %q is answered with %d: %s", method, path, parameters, body, reply.Code, reply.Body)
		}
	})
}

// FuzzAnswer: whatever comes off the wire into our own sockets is dropped, passed on, or
// answered with a message that is a reply to it and not longer than its sender takes.
func FuzzAnswer(f *testing.F) {
	f.Add(packed(f, "db1.database.windows.net.", dns.TypeA))
	f.Add(packed(f, "db1.privatelink.database.windows.net.", dns.TypeA))
	f.Add(packed(f, ".", dns.TypeANY))
	f.Add([]byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	f.Add([]byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\xc0\x0c\x00\x01\x00\x01"))
	handler := newHandler(f, answers(f, sql), "", longAgo)
	warm(f, handler, "db1.database.windows.net.")
	handler.waiting.fillUp() // what is not answered in place is refused: it would need sockets
	loop, buffer := newReadLoop(handler), make([]byte, 0, 4096)
	f.Fuzz(func(t *testing.T, datagram []byte) {
		reply := loop.Answer(datagram, clientPeer, buffer)
		if len(reply) == 0 {
			return
		}
		if len(reply) < 12 || reply[0] != datagram[0] || reply[1] != datagram[1] || reply[2]&0x80 == 0 {
			t.Errorf("Answer(%x) = %x, want a reply with its id", datagram, reply)
		}
		if len(reply) > 1232 {
			t.Errorf("Answer(%x) has %d bytes, want 1232 at most", datagram, len(reply))
		}
	})
}
