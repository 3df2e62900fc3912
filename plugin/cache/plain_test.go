package cache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/miekg/dns"
)

// The short way packs what the long one does, of all sorts of answers that it may or may
// not know.
func TestPlainAnswersArePackedAlike(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const one = `a\.b.database.windows.net.`
	names := []string{db1, db1, db1, private, private, "DB1.Database.windows.NET.", "windows.net.", "x.example.", ".", one, "*.windows.net."}
	types := []uint16{dns.TypeA, dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeANY}
	pick := func() string { return names[random.IntN(len(names))] }
	record := func() string {
		owner, ttl, last := pick(), []int{0, 10, 10, 60, 90000, 3_000_000_000}[random.IntN(6)], random.IntN(3)
		switch random.IntN(8) {
		case 0, 1, 2:
			return fmt.Sprintf("%s %d IN CNAME %s", owner, ttl, pick())
		case 3, 4:
			return fmt.Sprintf("%s %d IN A 10.0.2.%d", owner, ttl, last)
		case 5:
			return fmt.Sprintf("%s %d IN AAAA fd00::%d", owner, ttl, last)
		case 6:
			return fmt.Sprintf("%s %d CH A 10.0.2.%d", owner, ttl, last)
		default:
			return []string{"windows.net. 60 IN DNAME example.", owner + " 60 IN TXT x", owner + ` 60 IN HTTPS 1 . alpn="h2"`}[last]
		}
	}
	short := 0
	for range 50_000 {
		key := keyOf(t, pick(), types[random.IntN(len(types))])
		key.DO = random.IntN(8) == 0
		var texts []string
		for range random.IntN(5) {
			texts = append(texts, record())
		}
		reply := replyOf(t, []int{0, 0, 0, 3}[random.IntN(4)], texts, nil)
		reply.AuthenticatedData, reply.Truncated = random.IntN(2) == 0, random.IntN(8) == 0
		if new(plain).pack(key, key.Question.Presentation(), reply, wholeSeconds(generous.MaxTTL)) {
			short++
		}
		got, err := Make(key, reply, Meta{}, generous, start)
		want, wantErr := makePicked(key, key.Question.Presentation(), reply, Meta{}, generous, start)
		if (err == nil) != (wantErr == nil) || !bytes.Equal(got.block, want.block) {
			t.Fatalf("Make(%v) = %x, %v; want %x, %v", reply, got.block, err, want.block, wantErr)
		}
	}
	if short < 1000 {
		t.Errorf("%d answers were packed the short way, want 1000 at least", short)
	}
}

// What is too much for the short way is packed all the same.
func TestPlainAnswersThatAreLarge(t *testing.T) {
	for _, count := range []int{1, 2, 31, 32, 33, 40, 300} {
		var texts []string
		for i := range count {
			texts = append(texts, fmt.Sprintf("%s 60 IN A 10.0.%d.%d", db1, i/250, i%250))
		}
		key, reply := keyOf(t, db1, dns.TypeA), replyOf(t, 0, texts, nil)
		got, err := Make(key, reply, Meta{}, generous, start)
		want, wantErr := makePicked(key, db1, reply, Meta{}, generous, start)
		if err != nil || wantErr != nil || !bytes.Equal(got.block, want.block) {
			t.Errorf("%d addresses: Make = %x, %v; want %x, %v", count, got.block, err, want.block, wantErr)
		}
	}
	chain, ends := chainTexts(20)
	for links := range chain {
		key, reply := keyOf(t, db1, dns.TypeA), replyOf(t, 0, append(chain[:links:links], ends[links]+" 60 IN A 10.0.2.4"), nil)
		got, err := Make(key, reply, Meta{}, generous, start)
		want, wantErr := makePicked(key, db1, reply, Meta{}, generous, start)
		if err != nil || wantErr != nil || !bytes.Equal(got.block, want.block) {
			t.Errorf("%d links: Make = %x, %v; want %x, %v", links, got.block, err, want.block, wantErr)
		}
	}
}

// chainTexts are so many CNAMEs that lead from db1 on, and the names that they lead over.
func chainTexts(count int) (texts, names []string) {
	names = []string{db1}
	for i := range count {
		names = append(names, fmt.Sprintf("l%d.example.", i+1))
		texts = append(texts, names[i]+" 60 IN CNAME "+names[i+1])
	}
	return texts, names
}
