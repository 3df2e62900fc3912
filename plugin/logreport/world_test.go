package logreport

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/querylog"
)

// start is when the logs of these tests begin.
var start = time.Date(2026, time.March, 1, 3, 0, 0, 0, time.UTC)

// kind is one sort of query in the log of a hub: what it sets, and how often it
// comes in a thousand.
type kind struct {
	perMille int
	set      func(r *querylog.Record, random *rand.Rand)
}

func kinds() []kind {
	azure := func(r *querylog.Record, random *rand.Rand) {
		r.Cache, r.Upstream, r.UpstreamTransport = "miss", "168.63.129.16:53", "udp"
		r.UpstreamDuration = time.Duration(2000+random.IntN(9000)) * time.Microsecond
		r.Duration = r.UpstreamDuration + 90*time.Microsecond
	}
	return []kind{
		{560, func(r *querylog.Record, random *rand.Rand) { // a private endpoint, from the cache
			*r = sqlRecord(*r, fmt.Sprintf("db%d", random.IntN(40)))
		}},
		{150, func(r *querylog.Record, random *rand.Rand) {
			*r = sqlRecord(*r, fmt.Sprintf("db%d", random.IntN(40)))
			azure(r, random)
		}},
		{120, func(r *querylog.Record, random *rand.Rand) {
			r.Name, r.Verdict, r.Route = fmt.Sprintf("www%d.example.org.", random.IntN(900)), "public", "."
			azure(r, random)
		}},
		{60, func(r *querylog.Record, random *rand.Rand) { // HTTPS: the name exists, the type does not
			*r = sqlRecord(*r, fmt.Sprintf("db%d", random.IntN(40)))
			r.Type, r.Verdict, r.Answers = dns.TypeHTTPS, "nodata", nil
		}},
		{40, func(r *querylog.Record, random *rand.Rand) {
			r.Name, r.Verdict, r.Namespace, r.PrivatelinkZone = fmt.Sprintf("kv%d.vault.azure.net.", random.IntN(3)), "unlinked", "vault.azure.net", "privatelink.vaultcore.azure.net"
			azure(r, random)
		}},
		{9, func(r *querylog.Record, random *rand.Rand) { // somebody else's, from public DNS
			r.Name, r.Verdict = fmt.Sprintf("partner%d.blob.core.windows.net.", random.IntN(9)), "unlinked"
			r.Namespace, r.PrivatelinkZone, r.Fallback, r.Group = "blob.core.windows.net", "privatelink.blob.core.windows.net", "missing", "public"
			azure(r, random)
		}},
		{6, func(r *querylog.Record, random *rand.Rand) {
			r.Name, r.Verdict, r.Rcode = fmt.Sprintf("deleted%d.blob.core.windows.net.", random.IntN(9)), "missing", dns.RcodeNameError
			r.Namespace, r.PrivatelinkZone, r.Group = "blob.core.windows.net", "privatelink.blob.core.windows.net", "azure"
			azure(r, random)
		}},
		{20, func(r *querylog.Record, random *rand.Rand) {
			r.Client = netip.MustParseAddrPort("10.40.0.9:5353")
			r.Name, r.Direct, r.PolicyRule, r.PolicyAction, r.Cache = "db7.privatelink.database.windows.net.", true, "direct-lookup", "refuse", ""
			r.Rcode, r.HasEDE, r.EDECode, r.EDEText, r.Duration = dns.RcodeRefused, true, 15, "direct privatelink lookup; ask for db7.database.windows.net", 4*time.Microsecond
		}},
		{5, func(r *querylog.Record, random *rand.Rand) {
			r.Name, r.Verdict, r.PolicyRule, r.PolicyAction = "payroll.database.windows.net.", "unlinked", "must-be-private", "withhold"
			r.Namespace, r.PrivatelinkZone = "database.windows.net", "privatelink.database.windows.net"
			azure(r, random)
		}},
		{20, func(r *querylog.Record, random *rand.Rand) {
			r.Name, r.Route, r.Group, r.Cache, r.Rcode = "dc1.corp.example.", "corp.example", "corp", "miss", dns.RcodeServerFailure
			r.Error, r.Duration = fmt.Sprintf(`group "corp": 10.10.0.4:53/udp no reply; 10.10.0.5:53/udp read udp 10.1.0.4:40%d->10.10.0.5:53: read: connection refused`, 100+random.IntN(900)), time.Duration(3800+random.IntN(200))*time.Millisecond
		}},
		{6, func(r *querylog.Record, random *rand.Rand) {
			r.Name, r.PolicyRule, r.Duration = "old.database.windows.net.", "override", 20*time.Microsecond
		}},
		{4, func(r *querylog.Record, random *rand.Rand) {
			r.Name, r.Verdict, r.UncataloguedPrivatelink = "x.example.net.", "public", "x.privatelink.newservice.azure.net."
			azure(r, random)
		}},
	}
}

// sqlRecord is a hit for a database with a private endpoint.
func sqlRecord(r querylog.Record, host string) querylog.Record {
	r.Name, r.Chain = host+".database.windows.net.", []string{host + ".privatelink.database.windows.net."}
	r.Answers = []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 2, 4})}
	r.Verdict, r.Namespace, r.PrivatelinkZone = "private", "database.windows.net", "privatelink.database.windows.net"
	r.Cache, r.Duration = "hit", 9*time.Microsecond
	return r
}

// recordAt makes a record like those of a hub.
func recordAt(at time.Time, random *rand.Rand) *querylog.Record {
	r := querylog.Record{
		Time: at, Client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 20, 0, byte(random.IntN(60))}), uint16(1024+random.IntN(60000))),
		Server: netip.MustParseAddrPort("10.1.0.4:53"), Transport: "udp", ClientClass: "other", ID: uint16(random.Uint32()),
		Type: dns.TypeA, Class: dns.ClassINET, QueryFlags: querylog.FlagRD, ReplyFlags: querylog.FlagRD | querylog.FlagRA, QuerySize: 53, ReplySize: 117,
		PolicyRule: "none", PolicyAction: "allow", Route: "catalog", Group: "azure",
	}
	drawn := random.IntN(1000)
	for _, k := range kinds() {
		if drawn -= k.perMille; drawn < 0 {
			k.set(&r, random)
			break
		}
	}
	return &r
}

// hubLog is the log of a hub: so many lines over an hour, with a silence of
// five minutes after half an hour. It is the same each time.
func hubLog(lines int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var log []byte
	step := time.Hour / time.Duration(lines)
	for line := range lines {
		at := start.Add(time.Duration(line) * step)
		if minute := at.Minute(); minute >= 30 && minute < 35 {
			continue
		}
		log = querylog.AppendJSON(log, recordAt(at, random))
	}
	return log
}

// logOf is a source with the given content.
func logOf(name string, content []byte) Source {
	return Source{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }}
}

// read reads logs that can all be read.
func read(t testing.TB, options Options, sources ...Source) *Report {
	t.Helper()
	report, err := Read(context.Background(), sources, options)
	if err != nil {
		t.Fatalf("Read() = %v", err)
	}
	return report
}

// line is a line of the log with what set changes in a plain record.
func line(set func(r *querylog.Record)) []byte {
	r := &querylog.Record{Time: start, Client: netip.MustParseAddrPort("10.20.0.7:53124"), Name: "www.example.org.", Type: 1, Class: 1, PolicyRule: "none", PolicyAction: "allow"}
	set(r)
	return querylog.AppendJSON(nil, r)
}

func nothingSet(*querylog.Record) {}

// sampled makes a line stand for so many queries.
func sampled(line []byte, count int) []byte {
	return []byte(strings.Replace(string(line), `"schema":1`, fmt.Sprintf(`"schema":1,"sample":%d`, count), 1))
}
