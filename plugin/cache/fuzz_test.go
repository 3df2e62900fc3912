package cache

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/privatelink-dns/privatelink-dns/plugin/wire"
)

// FuzzMake makes entries of any reply to any question: what is made can be told to
// the question's client, with TTLs within the bounds, and kept only while it lives.
func FuzzMake(f *testing.F) {
	add := func(rcode int, answer, authority []string, do bool) {
		reply := replyOf(f, rcode, answer, authority)
		reply.Question = []dns.Question{{Name: db1, Qtype: dns.TypeA, Qclass: dns.ClassINET}}
		reply.Compress = true
		packed, err := reply.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed, do)
	}
	add(0, []string{toLink, atLink}, nil, false)
	add(dns.RcodeNameError, []string{toLink}, []string{linkSOA}, true)
	add(dns.RcodeServerFailure, nil, nil, false)
	bounds := Lifetimes{MaxTTL: time.Hour, MaxNegativeTTL: time.Minute, MaxStale: time.Hour, FailureTTL: 5 * time.Second, RefreshHold: 30 * time.Second}
	f.Fuzz(func(t *testing.T, packet []byte, do bool) {
		reply := new(dns.Msg)
		if reply.Unpack(packet) != nil || len(reply.Question) == 0 {
			return
		}
		asked := reply.Question[0]
		question, err := wire.NewQuestion(asked.Name, asked.Qtype, asked.Qclass)
		if err != nil {
			return
		}
		key := &Key{Question: question, DO: do}
		entry, err := Make(key, reply, Meta{}, bounds, start)
		if err != nil {
			return
		}
		checkTold(t, key, entry)
		checkPicked(t, key, reply, entry, bounds)
		c := newCache()
		c.Put(entry)
		want := Miss
		switch {
		case entry.Kept() && entry.Kind() == Failure:
			want = Failed
		case entry.Kept():
			want = Fresh
		}
		expect(t, c, key, 0, want)
	})
}

// checkPicked compares an entry, which may have been packed the short way, with one that
// was not.
func checkPicked(t *testing.T, key *Key, reply *dns.Msg, entry Entry, bounds Lifetimes) {
	t.Helper()
	want, err := makePicked(key, key.Question.Presentation(), reply, Meta{}, bounds, start)
	if err != nil || !bytes.Equal(entry.block, want.block) {
		t.Fatalf("Make(%v) = %x, want %x (%v)", reply, entry.block, want.block, err)
	}
}

func checkTold(t *testing.T, key *Key, entry Entry) {
	t.Helper()
	if entry.Key() != *key {
		t.Fatalf("Key() = %v, want %v", entry.Key(), *key)
	}
	request := &dns.Msg{Question: []dns.Question{{Name: key.Question.Presentation(), Qtype: key.Question.Type, Qclass: key.Question.Class}}}
	var query wire.Query
	if err := wire.QueryOf(request, true, &query); err != nil {
		t.Fatal(err)
	}
	told := new(dns.Msg)
	if err := told.Unpack(wire.AppendReply(nil, entry.Message(), &query, wire.Presentation{})); err != nil {
		t.Fatalf("the reply cannot be read: %v", err)
	}
	for _, section := range [][]dns.RR{told.Answer, told.Ns} {
		for _, record := range section {
			ttl := time.Duration(record.Header().Ttl) * time.Second
			if ttl > time.Hour || entry.Kept() && ttl < entry.TTL() {
				t.Fatalf("%v in an entry that lives %v", record, entry.TTL())
			}
			if record.Header().Rrtype == dns.TypeOPT {
				t.Fatalf("the stored message holds %v", record)
			}
		}
	}
	if len(told.Answer) > 0 && entry.Kind() == Positive && told.Answer[0].Header().Rrtype != dns.TypeDNAME &&
		!strings.EqualFold(told.Answer[0].Header().Name, key.Question.Presentation()) {
		t.Fatalf("the first owner is %q, want %q", told.Answer[0].Header().Name, key.Question.Presentation())
	}
}
