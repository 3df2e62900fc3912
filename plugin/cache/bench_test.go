package cache

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func chainEntry(t testing.TB, i int) (*Key, Entry) {
	t.Helper()
	name := fmt.Sprintf("db%06d.database.windows.net.", i)
	end := fmt.Sprintf("db%06d.privatelink.database.windows.net.", i)
	key := keyOf(t, name, dns.TypeA)
	return key, mustMake(t, key, 0, start, []string{name + " 60 IN CNAME " + end, end + " 10 IN A 10.0.2.4"}, nil)
}

func BenchmarkGet(b *testing.B) {
	for _, count := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			c := New(Limits{Entries: 2 * count}, 1)
			var keys []*Key
			for i := range count {
				key, entry := chainEntry(b, i)
				c.Put(entry)
				if i%max(1, count/10_000) == 0 {
					keys = append(keys, key)
				}
			}
			now := start.Add(time.Second)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if hit := c.Get(keys[i*7919%len(keys)], now); hit.State != Fresh {
					b.Fatal(hit.State)
				}
			}
		})
	}
}

func BenchmarkPut(b *testing.B) {
	_, entry := chainEntry(b, 1)
	c := newCache()
	b.ReportAllocs()
	for b.Loop() {
		c.Put(entry)
	}
}

func BenchmarkMake(b *testing.B) {
	key := keyOf(b, db1, dns.TypeA)
	reply := replyOf(b, 0, []string{toLink, atLink}, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Make(key, reply, Meta{}, generous, start); err != nil {
			b.Fatal(err)
		}
	}
}
