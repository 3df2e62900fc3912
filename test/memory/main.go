// Command memory prints how much resident memory the cache takes for an answer.
//
// It puts a million different chains, a CNAME into a privatelink zone and the A
// record behind it, through Make and Put, as a server does, and compares the
// process's resident set before and after. It runs at GOGC=25 unless GOGC says
// otherwise, and exits with 1 where an entry takes more than -limit bytes.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/cache"
	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// gcPercent trades processor time for memory; a cache is long-lived data, of which
// the collector's default would keep twice as much.
const gcPercent = 25

func main() {
	entries := flag.Int("entries", 1_000_000, "how many chains to keep")
	limit := flag.Int64("limit", 420, "bytes an entry may take")
	flag.Parse()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	each, err := measure(*entries)
	if err != nil {
		fmt.Fprintln(os.Stderr, "memory:", err)
		os.Exit(1)
	}
	fmt.Printf("%d chains: %d bytes resident an entry, at most %d\n", *entries, each, *limit)
	if each > *limit {
		os.Exit(1)
	}
}

// measure returns the bytes that are resident for an entry, over the empty process.
func measure(entries int) (int64, error) {
	before, err := resident()
	if err != nil {
		return 0, err
	}
	answers := cache.New(cache.Limits{Entries: entries + entries/4}, 1)
	now := time.Unix(1_800_000_000, 0)
	for i := range entries {
		if err := put(answers, i, now); err != nil {
			return 0, err
		}
	}
	after, err := resident()
	if err != nil {
		return 0, err
	}
	if kept := answers.Len(); kept != entries {
		return 0, fmt.Errorf("the cache keeps %d of %d entries", kept, entries)
	}
	fmt.Printf("the cache itself counts %d bytes an entry\n", answers.Bytes()/int64(entries))
	runtime.KeepAlive(answers)
	return (after - before) / int64(entries), nil
}

func put(answers *cache.Cache, i int, now time.Time) error {
	name := fmt.Sprintf("db%06d.database.windows.net.", i)
	target := fmt.Sprintf("db%06d.privatelink.database.windows.net.", i)
	question, err := wire.NewQuestion(name, dns.TypeA, dns.ClassINET)
	if err != nil {
		return err
	}
	reply := new(dns.Msg)
	reply.Answer = []dns.RR{
		&dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 60}, Target: target},
		&dns.A{Hdr: dns.RR_Header{Name: target, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 10}, A: net.IPv4(10, byte(i>>16), byte(i>>8), byte(i))},
	}
	lifetimes := cache.Lifetimes{MaxTTL: time.Hour, MaxStale: time.Hour}
	entry, err := cache.Make(&cache.Key{Question: question}, reply, cache.Meta{}, lifetimes, now)
	if err != nil {
		return err
	}
	answers.Put(entry)
	return nil
}

// resident reads the resident set from the kernel.
func resident() (int64, error) {
	const path = "/proc/self/statm" // pages: size, resident, ...
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("reading the resident set, which needs linux: %w", err)
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0, fmt.Errorf("%s holds %q, expected two numbers at least", path, data)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return pages * int64(os.Getpagesize()), nil
}
