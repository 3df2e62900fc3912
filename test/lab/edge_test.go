//go:build linux

package lab

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	edgeDNS      = "10.30.0.53"
	secondHubDNS = "10.1.0.5"

	briefName, briefPrivate = "brief.database.windows.net", "10.0.2.9" // its TTL is 2 s
	webName, webPublic      = "web1.database.windows.net", "203.0.113.10"
	blobName, blobPrivate   = "st1.blob.core.windows.net", "10.0.2.6"

	edeStale = 3

	// recoveryTime is how soon answers are fresh again once the path is: a second
	// for the longest pause between two probes, the rest for a busy machine. Who
	// waits for the next try of a failed question needs 30 s.
	recoveryTime = 4 * time.Second
)

// edgeStanza is our program on premises: what may have a private endpoint it
// asks the hub for, the rest of the world without it.
var edgeStanza = []string{
	"catalog azure",
	"upstream hub " + hubDNS + " " + secondHubDNS,
	"upstream public " + internetDNS,
	"route catalog hub outage=public",
	"route . public",
	"must-private vault.azure.net",
}

// TestEdge: a site on premises has the same program, with those in the hub as
// its upstreams. When the path to the cloud is cut it goes on: a private name
// that is known is answered from what is kept, names without a private
// endpoint from public DNS, and no name that has one, or must, gets a public
// address. When the path is back, so are the answers.
func TestEdge(t *testing.T) {
	t.Parallel()
	l := New(t)
	l.Host("Azure", azureDNS).Azure(world)
	l.Host("internet", internetDNS).Azure(world)
	path := []*Host{l.Host("us", hubDNS), l.Host("us", secondHubDNS)}
	for _, hub := range path {
		hub.Serve(slices.Concat(toAzure, []string{"clients resolver " + edgeDNS})...)
	}
	edge := l.Host("edge", edgeDNS)
	edge.Serve(edgeStanza...)
	path = append(path, edge)
	client := l.Host("on premises", "10.30.0.50")
	digAddress(t, client, edgeDNS, briefName, briefPrivate)
	digAddress(t, client, edgeDNS, "www.example.org", "198.51.100.80")

	l.Cut(path...)
	digStale(t, client, briefName, briefPrivate)
	digAddress(t, client, edgeDNS, webName, webPublic)
	digAddress(t, client, edgeDNS, "example.org", "198.51.100.81")
	for _, name := range []string{blobName, vaultName} {
		if answer := dig(t, client, edgeDNS, name, "A"); len(answer.Records) != 0 {
			t.Errorf("%s A, which has a private endpoint: got %s, want nothing", name, answer)
		}
	}
	digStale(t, client, briefName, briefPrivate)

	mended := time.Now()
	l.Mend(path...)
	for _, wanted := range [][2]string{{briefName, briefPrivate}, {blobName, blobPrivate}, {vaultName, "10.0.2.5"}} {
		fresh := Eventually(recoveryTime-time.Since(mended), func() bool {
			answer := dig(t, client, edgeDNS, wanted[0], "A")
			return answer.EDE == nil && slices.Equal(answer.Data("A"), wanted[1:])
		})
		if !fresh {
			t.Errorf("%s A is not answered %s, and fresh, within %s of the path's return: %s", wanted[0], wanted[1], recoveryTime, dig(t, client, edgeDNS, wanted[0], "A"))
		}
	}
	t.Logf("all answers were fresh %s after the path's return", time.Since(mended).Round(time.Millisecond))
	checkAskedPublicly(t, client)
}

// digStale asks until the kept answer has expired.
func digStale(t *testing.T, client *Host, name, address string) {
	t.Helper()
	var answer *Answer
	stale := Eventually(patience, func() bool {
		answer = dig(t, client, edgeDNS, name, "A")
		return answer.EDE != nil && answer.EDE.Code == edeStale
	})
	if !stale || !slices.Equal(answer.Data("A"), []string{address}) {
		t.Errorf("%s A: got %s, want %s with EDE %d", name, answer, address, edeStale)
	}
}

// checkAskedPublicly looks at what the public resolver was asked. A name that
// is nowhere known to have a private endpoint may be asked there, to see
// whether it has: what is kept as private, or must be private, may not.
func checkAskedPublicly(t *testing.T, client *Host) {
	t.Helper()
	// In lower case: the spelling of names is random.
	log := strings.ToLower(strings.Join(dig(t, client, internetDNS, "log.azuresim", "TXT", "+tcp").Data("TXT"), "\n"))
	for name, want := range map[string]bool{webName: true, blobName: true, briefName: false, vaultName: false} {
		if got := strings.Contains(log, name); got != want {
			t.Errorf("public DNS was asked for %s: %v, want %v; its log:\n%s", name, got, want, log)
		}
	}
}
