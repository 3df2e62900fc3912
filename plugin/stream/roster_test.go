package stream

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneTooManyTakesThePlaceOfWhoIsIdle(t *testing.T) {
	tests := []struct {
		name    string
		options Options
		// addresses connect one after the other, a second apart, and say something.
		addresses, say string
		// want are those that are connected in the end.
		want    string
		counted func(Stats) uint64
	}{
		{"in all", Options{Connections: 3}, "1.1.1.1 2.2.2.2 3.3.3.3 4.4.4.4", "one", "2.2.2.2 3.3.3.3 4.4.4.4",
			func(s Stats) uint64 { return s.EvictedFull }},
		{"in all, none idle", Options{Connections: 3}, "1.1.1.1 2.2.2.2 3.3.3.3 4.4.4.4", "held", "1.1.1.1 2.2.2.2 3.3.3.3",
			func(s Stats) uint64 { return s.RefusedFull }},
		{"of a client", Options{PerClient: 2}, "1.1.1.1 2.2.2.2 2.2.2.2 2.2.2.2", "one", "1.1.1.1 2.2.2.2 2.2.2.2",
			func(s Stats) uint64 { return s.EvictedClient }},
		{"of a client, none idle", Options{PerClient: 2}, "1.1.1.1 2.2.2.2 2.2.2.2 2.2.2.2", "held", "1.1.1.1 2.2.2.2 2.2.2.2",
			func(s Stats) uint64 { return s.RefusedClient }},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSheet(tc.options)
				var clients []*client
				for number, address := range strings.Fields(tc.addresses) {
					c := s.connect(address + ":53").reads()
					c.say(fmt.Sprint(tc.say, number))
					defer c.Close()
					clients = append(clients, c)
					time.Sleep(time.Second)
				}
				var connected []string
				for _, c := range s.roster.everyone() {
					connected = append(connected, c.Remote().Addr().String())
				}
				if got := strings.Join(connected, " "); got != tc.want {
					t.Errorf("connected are %s, want %s", got, tc.want)
				}
				if stats := s.Stats(); tc.counted(stats) != 1 || stats.Accepted != 4 {
					t.Errorf("Stats() = %+v, want it counted once, and 4 connections", stats)
				}
				synctest.Wait()
				for message := range s.held {
					_ = s.release(message)
				}
				synctest.Wait()
				ended := 0
				for _, c := range clients {
					if !c.ended.IsZero() {
						ended++
					}
				}
				if ended != 1 {
					t.Errorf("%d connections have ended, want 1", ended)
				}
			})
		})
	}
}

func TestWhoIsUsedStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSheet(Options{Connections: 2})
		first := s.connect("192.0.2.1:1").reads()
		second := s.connect("192.0.2.2:1").reads()
		first.say("one")
		third := s.connect("192.0.2.3:1").reads()
		first.say("two")
		first.check(t, "one", "two")
		if second.ended.IsZero() || !third.ended.IsZero() {
			t.Errorf("the connection used least lately ended at %v, the new one at %v; want the former only", second.ended, third.ended)
		}
		first.Close()
		third.Close()
		synctest.Wait()
		if stats := s.Stats(); stats.Open != 0 || len(s.roster.clients) != 0 {
			t.Errorf("Stats() = %+v with %d clients, want none", stats, len(s.roster.clients))
		}
	})
}

func TestOptionsMayChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSheet(Options{Connections: 1})
		s.SetOptions(Options{Idle: time.Second})
		first, second := s.connect("192.0.2.1:1").reads(), s.connect("192.0.2.2:1").reads()
		begin := time.Now()
		first.say("one")
		second.say("one")
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := first.ended.Sub(begin); got != time.Second || !second.ended.Equal(first.ended) {
			t.Errorf("the connections ended after %s and %s, want both to have been open for %s", got, second.ended.Sub(begin), time.Second)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	long := strings.Repeat("x", 60000)
	tests := []struct {
		name string
		talk func(s *sheet, c *client)
	}{
		{"messages that do not end", func(_ *sheet, c *client) { c.write(framed(long)[:50000]) }},
		{"late replies that nobody takes", func(s *sheet, c *client) {
			c.say("held 1", "held 2", "held 3")
			for _, message := range []string{"held 1", "held 2", "held 3"} {
				_ = s.held[message].Reply([]byte(long))
				s.held[message].Release()
			}
		}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSheet(Options{Buffered: 100000})
				var clients []*client
				for number := range 10 {
					c := s.connect(fmt.Sprintf("192.0.2.%d:1", number))
					clients = append(clients, c)
					tc.talk(s, c)
					synctest.Wait()
					if got := s.buffered.Load(); got > 100000 {
						t.Errorf("%d octets are buffered, want 100000 at most", got)
					}
				}
				if stats := s.Stats(); stats.CutMemory == 0 {
					t.Errorf("Stats() = %+v, want connections cut", stats)
				}
				for _, c := range clients {
					c.Close()
				}
				synctest.Wait()
				if got := s.buffered.Load(); got != 0 {
					t.Errorf("%d octets are buffered in the end, want 0", got)
				}
			})
		})
	}
}
