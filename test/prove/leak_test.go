//go:build linux

package prove

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// leakResources are what is asked for. The vaults and db5 are must-private.
var leakResources = resources{
	{name: "db1.database.windows.net.", alias: "db1.privatelink.database.windows.net.", private: "10.0.2.4", public: "203.0.113.10"},
	{name: "db5.database.windows.net.", alias: "db5.privatelink.database.windows.net.", private: "10.0.2.5", public: "203.0.113.15"},
	{name: "v1.vault.azure.net.", alias: "v1.privatelink.vaultcore.azure.net.", private: "10.0.2.6", public: "203.0.113.21"},
	// Its private endpoint is somebody else's, and it must be private all the same.
	{name: "v9.vault.azure.net.", alias: "v9.privatelink.vaultcore.azure.net.", public: "203.0.113.29"},
	{name: partnerName, alias: partnerAlias, public: partnerAddress},
	{name: "web1.database.windows.net.", public: "203.0.113.11"},
	{name: "www.example.org.", public: "192.0.2.80"},
	{name: "db.example.org.", target: "db1.database.windows.net."},
	{name: "vault1.example.org.", target: "v1.vault.azure.net."},
	{name: "vault9.example.org.", target: "v9.vault.azure.net."},
	{name: "vault1.corp.example.", target: "v1.vault.azure.net."},
}

const mustPrivate = "must-private vault.azure.net =db5.database.windows.net"

// ownPublicName has a route to the public group, so that the group is in use
// where no route falls back to it.
const ownPublicName = "www.example.net."

// secret lists the names that are must-private, their chases included. Those
// of hidden lead there, which is known once Azure has said so.
var (
	secret = []string{
		"db5.database.windows.net.", "db5.privatelink.database.windows.net.", "v1.vault.azure.net.", "v1.privatelink.vaultcore.azure.net.",
		"v9.vault.azure.net.", "v9.privatelink.vaultcore.azure.net.", "vault1.corp.example.",
	}
	hidden = []string{"vault1.example.org.", "vault9.example.org."}
)

// fault is something that goes wrong at Azure.
type fault struct {
	name   string
	happen func(*simulator)
	// silent tells that Azure says nothing of a chain any more.
	silent bool
	stanza string // a line for our program
}

var faults = []fault{
	{"missing record", func(*simulator) {}, false, ""},
	{"silent", func(s *simulator) { s.freeze() }, true, ""},
	{"SERVFAIL", func(s *simulator) { s.replace("servfail 100") }, true, ""},
	{"gone", func(s *simulator) { s.stop() }, true, ""},
	{"unlinked", func(s *simulator) { s.replace("unlink hub "+privateZones[0], "unlink hub "+privateZones[1]) }, false, "unlinked withhold"},
}

// proveNoLeak: whatever fails, what must stay inside stays inside: questions
// as well as answers. With and without memory of better days.
func proveNoLeak(p *proof, fallbacks bool) {
	l := &leakProof{proof: p, fallbacks: fallbacks}
	for number, f := range faults {
		for _, remembers := range []bool{false, true} {
			if short := number < 3 && !remembers || f.name == "silent"; p.full || short {
				l.fail(f, remembers)
			}
		}
	}
	if fallbacks {
		p.require("must-private names asked publicly", float64(l.leaked), "questions", exactly(0))
		p.require("answers from the public group where it may be asked", float64(l.worked), "", atLeast(1))
	} else {
		p.require("questions of a route without fallback asked publicly", float64(l.leaked), "questions", exactly(0))
		p.require("answers from the public group for its own route", float64(l.worked), "", atLeast(1))
	}
	p.require("public addresses given for names with a private endpoint", float64(l.given), "", exactly(0))
	p.require("private addresses given while all is well", float64(l.private), "", atLeast(1))
	p.require("questions without any reply", float64(l.silence), "", exactly(0))
	p.note("asked", float64(l.asked), "questions")
}

type leakProof struct {
	*proof
	fallbacks bool

	mutex                                          sync.Mutex
	asked, leaked, given, silence, private, worked int
}

// stanza returns the lines for our program.
func (l *leakProof) stanza(f fault, public, corporate netip.AddrPort) []string {
	lines := []string{"upstream public " + public.String(), "upstream corp " + corporate.String(), "route corp.example corp", "route example.net public", mustPrivate}
	if f.stanza != "" {
		lines = append(lines, f.stanza)
	}
	if l.fallbacks {
		return append(lines, "route catalog azure missing=public outage=public", "route . azure missing=public outage=public")
	}
	return append(lines, "route catalog azure", "route . azure")
}

// fail lets one thing go wrong and asks everything, twice.
func (l *leakProof) fail(f fault, remembers bool) {
	l.t.Helper()
	azure := l.azure(leakResources[:len(leakResources)-1].world(1, 1))
	public, corporate := l.public(append(leakResources, resource{name: ownPublicName, public: "192.0.2.81"})), l.public(leakResources)
	where := f.name
	if remembers {
		where += ", remembered"
	}
	start := func() *server {
		return l.privatelink(strings.NewReplacer(",", "", " ", "-").Replace(where), azure.address, l.stanza(f, public.address, corporate.address)...)
	}
	var us *server
	if remembers {
		us = start()
		l.askAll(us, where+", before")
		pass(1200 * time.Millisecond) // all TTLs are one second
		f.happen(azure)
	} else {
		f.happen(azure)
		us = start()
	}
	for range 2 {
		l.askAll(us, where)
	}
	for _, q := range public.questions() {
		if l.isLeak(q.Name, f.silent && !remembers) {
			l.leaked++
			l.t.Logf("%s: %s %s was asked publicly", where, q.Name, dns.Type(q.Qtype))
		}
	}
	us.stop()
	azure.stop()
}

// isLeak reports whether a name may not be asked publicly. Questions for names
// that no client asks for, such as those of probes, are none.
func (l *leakProof) isLeak(name string, unknown bool) bool {
	if !l.fallbacks {
		return slices.ContainsFunc([]string{"windows.net.", "azure.net.", "example.org.", "corp.example."}, func(zone string) bool {
			return dns.IsSubDomain(zone, name)
		})
	}
	return slices.Contains(secret, name) || !unknown && slices.Contains(hidden, name)
}

// askAll asks for all names and all their chases at once.
func (l *leakProof) askAll(us *server, where string) {
	names := []string{ownPublicName}
	for _, r := range leakResources {
		names = append(names, r.name)
		if r.alias != "" {
			names = append(names, r.alias)
		}
	}
	var all sync.WaitGroup
	for _, name := range names {
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeTXT} {
			all.Go(func() { l.ask(us, where, name, kind) })
		}
	}
	all.Wait()
}

func (l *leakProof) ask(us *server, where, name string, kind uint16) {
	client := dns.Client{Timeout: 6 * time.Second}
	reply, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, kind).SetEdns0(1232, false), us.address.String())
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.asked++
	if err != nil {
		l.silence++
		l.t.Logf("%s: %s %s: %v", where, name, dns.Type(kind), err)
		return
	}
	addresses := publicAddresses(reply)
	if len(addresses) > 0 && isPrivate(name) {
		l.given += len(addresses)
		l.t.Logf("%s: %s %s was answered with %v", where, name, dns.Type(kind), addresses)
	}
	switch {
	case kind != dns.TypeA:
	case name == "db1.database.windows.net." && strings.Contains(fmt.Sprint(reply.Answer), "10.0.2.4"):
		l.private++
	case l.fallbacks && name == partnerName && slices.Contains(addresses, partnerAddress):
		l.worked++
	case !l.fallbacks && name == ownPublicName && len(addresses) > 0:
		l.worked++
	}
}

// isPrivate reports whether a name, or one that its chain leads through, has
// a private endpoint of ours or is must-private.
func isPrivate(name string) bool {
	if slices.Contains(secret, name) || slices.Contains(hidden, name) {
		return true
	}
	return slices.ContainsFunc(leakResources, func(r resource) bool {
		return r.private != "" && (name == r.name || name == r.alias) || name == r.name && r.target != "" && isPrivate(r.target)
	})
}
