package privatelink

import (
	"bytes"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestStandingSignalsAreLogged: what stands wrong around the server is told in words,
// too, and not again with every query.
func TestStandingSignalsAreLogged(t *testing.T) {
	known := map[string]func(*dns.Msg){
		"new.service.example. A":                records("new.service.example. 60 IN CNAME new.privatelink.service.example.", "new.privatelink.service.example. 10 IN A 10.0.2.9"),
		"made.up.privatelink.nobody.example. A": func(reply *dns.Msg) { reply.Rcode = dns.RcodeNameError },
		sqlZone + ". SOA":                       records(publicSOA),
	}
	known["db1.database.windows.net. A"] = sql["db1.database.windows.net. A"]
	run := newRunning(t, "clients: []\n", "upstream own "+answers(t, known)+"\nroute catalog own\nroute example own")
	if err := run.start(); err != nil {
		t.Fatal(err)
	}
	said, before := new(bytes.Buffer), log.Writer()
	log.SetOutput(said)
	defer log.SetOutput(before)
	now := time.Now()
	for range 3 {
		for _, name := range []string{"db1.database.windows.net.", "new.service.example.", "made.up.privatelink.nobody.example."} {
			ask(t, run.handler, "10.30.0.4", name, dns.TypeA)
		}
		run.shared.truncations.truncated(run.handler.current.Load().service.policy.Probe, now)
		run.askLink(t.Context(), now)
		run.tellUncatalogued()
	}
	run.tellSilentNetworks(now.Add(followTime))
	run.tellSilentNetworks(now.Add(2 * followTime))
	if err := run.stop(); err != nil { // nobody writes to the log any more
		t.Fatal(err)
	}
	text := said.String()
	for _, line := range []string{
		`zone "` + sqlZone + `" is not linked to the network of upstream group "own"`,
		`zone "privatelink.service.example" is not in the catalog`,
		"clients in 168.63.129.0/24 were sent 3 truncated answers",
	} {
		if got := strings.Count(text, line); got != 1 {
			t.Errorf("the log has %d lines with %s, want 1:\n%s", got, line, text)
		}
	}
	if strings.Contains(text, "nobody") {
		t.Errorf("the log tells of a zone that was made up:\n%s", text)
	}
}
