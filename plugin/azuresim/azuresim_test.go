package azuresim

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"
)

// listener is a response writer with a listening address of its own.
type listener struct {
	test.ResponseWriter
	local string
}

func (l *listener) LocalAddr() net.Addr {
	if l.local == "" {
		l.local = "168.63.129.16"
	}
	return &net.UDPAddr{IP: net.ParseIP(l.local), Port: 53}
}

// from returns a writer for a client; TCP or UDP.
func from(client string, tcp bool) *dnstest.Recorder {
	return dnstest.NewRecorder(&listener{ResponseWriter: test.ResponseWriter{RemoteIP: client, TCP: tcp}})
}

func query(name string, kind uint16) *dns.Msg {
	return new(dns.Msg).SetQuestion(name, kind)
}

// serve asks s as the hub's machine 10.1.0.4 over UDP and returns the answer,
// or nil for silence.
func serve(t testing.TB, s *Simulator, name string, kind uint16) *dns.Msg {
	t.Helper()
	w := from("10.1.0.4", false)
	if rcode, err := s.ServeDNS(context.Background(), w, query(name, kind)); rcode != dns.RcodeSuccess || err != nil {
		t.Errorf("ServeDNS(%q) = %d, %v, want 0, nil", name, rcode, err)
	}
	return w.Msg
}

// stats returns the counters that differ from 0, as "name=value ...".
func stats(t testing.TB, s *Simulator) string {
	t.Helper()
	w := from("203.0.113.7", true)
	if _, err := s.ServeDNS(context.Background(), w, query(statsName, dns.TypeTXT)); err != nil || w.Msg == nil {
		t.Fatalf("ServeDNS(%q) = %v, %v, want an answer", statsName, w.Msg, err)
	}
	figures := w.Msg.Answer[0].(*dns.TXT).Txt
	figures = slices.DeleteFunc(figures, func(f string) bool { return strings.HasSuffix(f, "=0") })
	return strings.Join(figures, " ")
}

func simulator(t testing.TB, f faults, l limits) *Simulator {
	t.Helper()
	return newSimulator(demoWorld(t), f, l, 1)
}

func TestServeDNS(t *testing.T) {
	s := simulator(t, faults{}, limits{})
	r := query("db1.database.windows.net.", dns.TypeA)
	r.CheckingDisabled = true
	w := from("10.1.0.4", false)
	if rcode, err := s.ServeDNS(context.Background(), w, r); rcode != dns.RcodeSuccess || err != nil {
		t.Fatalf("ServeDNS() = %d, %v, want 0, nil", rcode, err)
	}
	want := dns.MsgHdr{Id: r.Id, Response: true, RecursionDesired: true, CheckingDisabled: true, RecursionAvailable: true}
	if w.Msg.MsgHdr != want {
		t.Errorf("ServeDNS() header = %v, want %v", w.Msg.MsgHdr, want)
	}
	if len(w.Msg.Answer) != 2 || w.Msg.IsEdns0() != nil {
		t.Errorf("ServeDNS() = %v, want two records and no OPT", w.Msg)
	}
	if s.Name() != "azuresim" {
		t.Errorf("Name() = %q, want azuresim", s.Name())
	}
	if got, want := stats(t, s), "received=1 answered=1 peak_per_second=1 peak_outstanding=1"; got != want {
		t.Errorf("stats = %q, want %q", got, want)
	}
}

type brokenWriter struct{ test.ResponseWriter }

func (brokenWriter) WriteMsg(*dns.Msg) error { return errors.New("broken") }

func TestServeDNSWriteError(t *testing.T) {
	s := simulator(t, faults{}, limits{})
	rcode, err := s.ServeDNS(context.Background(), &brokenWriter{test.ResponseWriter{RemoteIP: "10.1.0.4"}}, query("www.example.org.", dns.TypeA))
	if rcode != dns.RcodeServerFailure || err == nil || err.Error() != "answering 10.1.0.4:40212: broken" {
		t.Errorf("ServeDNS() = %d, %v, want SERVFAIL and the writer's error", rcode, err)
	}
}

// Which VNet asks is told by the listening address, then by the client.
func TestServeDNSAsker(t *testing.T) {
	s := simulator(t, faults{}, limits{})
	for _, tc := range []struct {
		name, local, client string
		want                string // the last record's data, "" for silence
	}{
		{"hub", "168.63.129.16", "10.1.0.4", "10.0.2.4"},
		{"spoke", "168.63.129.16", "10.2.0.4", "203.0.113.10"},
		{"mapped address", "168.63.129.16", "::ffff:10.1.0.4", "10.0.2.4"},
		{"inbound endpoint", "10.1.0.68", "10.2.0.4", "10.0.2.4"},
		{"inbound endpoint, public client", "10.1.0.68", "203.0.113.9", ""},
		{"outside", "168.63.129.16", "203.0.113.9", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := dnstest.NewRecorder(&listener{test.ResponseWriter{RemoteIP: tc.client}, tc.local})
			rcode, err := s.ServeDNS(context.Background(), w, query("db1.database.windows.net.", dns.TypeA))
			if rcode != dns.RcodeSuccess || err != nil {
				t.Errorf("ServeDNS() = %d, %v, want 0, nil", rcode, err)
			}
			if (w.Msg == nil) != (tc.want == "") {
				t.Fatalf("ServeDNS() wrote %v, want %q", w.Msg, tc.want)
			}
			if tc.want == "" {
				return
			}
			if last := w.Msg.Answer[len(w.Msg.Answer)-1].(*dns.A).A.String(); last != tc.want {
				t.Errorf("ServeDNS() address = %s, want %s", last, tc.want)
			}
		})
	}
	if got, want := stats(t, s), "received=6 answered=4 ignored=2 peak_per_second=2 peak_outstanding=1"; got != want {
		t.Errorf("stats = %q, want %q", got, want)
	}
}

// The answer must be right behind the writer that CoreDNS puts in front.
func TestServeDNSSize(t *testing.T) {
	const large, huge = "large.corp.example.", "_ldap._tcp.dc._msdcs.corp.example."
	s := simulator(t, faults{}, limits{})
	for _, tc := range []struct {
		name      string
		question  *dns.Msg
		size      uint16 // the client's, 0 without EDNS
		tcp       bool
		truncated bool
		least     int
		most      int
		announced uint16
	}{
		{"small", query("www.example.org.", dns.TypeA), 1232, false, false, 0, 1232, payload},
		{"small, client announces little", query("www.example.org.", dns.TypeA), 100, false, false, 0, 512, payload},
		{"TXT without EDNS", query(large, dns.TypeTXT), 0, false, true, 0, 512, 0},
		{"TXT at 1232", query(large, dns.TypeTXT), 1232, false, true, 0, 1232, payload},
		{"TXT at 4096", query(large, dns.TypeTXT), 4096, false, false, 1233, 4096, 4096},
		{"TXT over TCP", query(large, dns.TypeTXT), 1232, true, false, 1233, 65535, payload},
		{"SRV without EDNS", query(huge, dns.TypeSRV), 0, false, true, 0, 512, 0},
		{"SRV at 1232", query(huge, dns.TypeSRV), 1232, false, true, 0, 1232, payload},
		{"SRV over TCP without EDNS", query(huge, dns.TypeSRV), 0, true, false, 1233, 65535, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.size > 0 {
				tc.question.SetEdns0(tc.size, false)
			}
			w := from("10.1.0.4", tc.tcp)
			if _, err := s.ServeDNS(context.Background(), request.NewScrubWriter(tc.question, w), tc.question); err != nil {
				t.Fatal(err)
			}
			wire, err := w.Msg.Pack()
			if err != nil {
				t.Fatalf("Pack() = %v", err)
			}
			if len(wire) > tc.most || w.Msg.Truncated != tc.truncated {
				t.Errorf("answer of %d bytes, TC %v, want %d at most, TC %v", len(wire), w.Msg.Truncated, tc.most, tc.truncated)
			}
			if len(wire) < tc.least {
				t.Errorf("answer of %d bytes, want %d at least", len(wire), tc.least)
			}
			if got := announces(w.Msg); got != tc.announced {
				t.Errorf("answer announces %d, want %d", got, tc.announced)
			}
			if got := announces(tc.question); got != tc.size {
				t.Errorf("the question announces %d afterwards, want %d", got, tc.size)
			}
		})
	}
}

// announces returns the size in a message's OPT record, or 0 without one.
func announces(m *dns.Msg) uint16 {
	if opt := m.IsEdns0(); opt != nil {
		return opt.UDPSize()
	}
	return 0
}

func TestServeDNSOptions(t *testing.T) {
	s := simulator(t, faults{}, limits{})
	r := query("www.example.org.", dns.TypeA)
	r.SetEdns0(1232, true)
	opt := r.IsEdns0()
	opt.Option = []dns.EDNS0{
		&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"},
		&dns.EDNS0_NSID{Code: dns.EDNS0NSID},
	}
	w := from("10.1.0.4", false)
	if _, err := s.ServeDNS(context.Background(), w, r); err != nil {
		t.Fatal(err)
	}
	answer := w.Msg.IsEdns0()
	if answer == nil || !answer.Do() || len(answer.Option) != 1 || answer.Option[0].String() != "0123456789abcdef" {
		t.Errorf("answer's OPT = %v, want DO and the cookie as it came", answer)
	}
}

func TestServeDNSDead(t *testing.T) {
	s := simulator(t, faults{dead: true}, limits{})
	if m := serve(t, s, "www.example.org.", dns.TypeA); m != nil {
		t.Errorf("ServeDNS() wrote %v, want silence", m)
	}
	if got, want := stats(t, s), "received=1 ignored=1"; got != want {
		t.Errorf("stats = %q, want %q", got, want)
	}
}

func TestServeDNSChance(t *testing.T) {
	for _, tc := range []struct {
		name   string
		faults faults
		tcp    bool
		want   string
	}{
		{"none", faults{}, false, "received=1000 answered=1000 peak_per_second=1000 peak_outstanding=1"},
		{"all lost", faults{loss: 100}, false, "received=1000 lost=1000"},
		{"TCP loses nothing", faults{loss: 100}, true, "received=1000 answered=1000 peak_per_second=1000 peak_outstanding=1"},
		{"some lost", faults{loss: 25}, false, "received=1000 answered=763 lost=237 peak_per_second=763 peak_outstanding=1"},
		{"some fail", faults{servfail: 1}, false, "received=1000 answered=987 servfail=13 peak_per_second=1000 peak_outstanding=1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := simulator(t, tc.faults, limits{})
				failed := 0
				for range 1000 {
					w := from("10.1.0.4", tc.tcp)
					if _, err := s.ServeDNS(context.Background(), w, query("www.example.org.", dns.TypeA)); err != nil {
						t.Fatal(err)
					}
					if w.Msg != nil && w.Msg.Rcode == dns.RcodeServerFailure {
						failed++
						if len(w.Msg.Answer)+len(w.Msg.Ns) > 0 {
							t.Errorf("SERVFAIL = %v, want no records", w.Msg)
						}
					}
				}
				if got := stats(t, s); got != tc.want {
					t.Errorf("stats = %q, want %q", got, tc.want)
				}
				if (failed > 0) != (tc.faults.servfail > 0) {
					t.Errorf("SERVFAIL answers = %d, want some only if asked for", failed)
				}
			})
		})
	}
}

// Two hundred answers wait out their latency at once; what comes on top is
// dropped, and there is room again when they leave.
func TestServeDNSLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulator(t, faults{latency: 50 * time.Millisecond, jitter: 10 * time.Millisecond}, azureLimits())
		start := time.Now()
		var mu sync.Mutex
		var waits []time.Duration
		var group sync.WaitGroup
		for range 205 {
			group.Go(func() {
				if m := serve(t, s, "www.example.org.", dns.TypeA); m != nil {
					mu.Lock()
					defer mu.Unlock()
					waits = append(waits, time.Since(start))
				}
			})
		}
		synctest.Wait()
		if got, want := stats(t, s), "received=205 dropped_outstanding=5 peak_per_second=205 peak_outstanding=200"; got != want {
			t.Errorf("stats while waiting = %q, want %q", got, want)
		}
		group.Wait()
		slices.Sort(waits)
		if len(waits) != 200 || waits[0] < 50*time.Millisecond || waits[199] > 60*time.Millisecond || waits[0] == waits[199] {
			t.Errorf("%d answers after %v to %v, want 200 spread over 50ms to 60ms", len(waits), waits[0], waits[len(waits)-1])
		}
		if m := serve(t, s, "www.example.org.", dns.TypeA); m == nil {
			t.Error("ServeDNS() after the others left = silence, want an answer")
		}
		want := "received=206 answered=201 dropped_outstanding=5 peak_per_second=206 peak_outstanding=200"
		if got := stats(t, s); got != want {
			t.Errorf("stats = %q, want %q", got, want)
		}
	})
}

func TestServeDNSRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := simulator(t, faults{}, azureLimits())
		ask := func(count int) (heard int) {
			for range count {
				if serve(t, s, "www.example.org.", dns.TypeA) != nil {
					heard++
				}
			}
			return heard
		}
		if got := ask(1100); got != 1000 {
			t.Errorf("answers to 1100 questions at once = %d, want 1000", got)
		}
		<-time.After(999 * time.Millisecond)
		if got := ask(1); got != 0 {
			t.Errorf("answers 999 ms later = %d, want 0", got)
		}
		<-time.After(time.Millisecond)
		if got := ask(1001); got != 1000 {
			t.Errorf("answers a second later = %d, want 1000", got)
		}
		want := "received=2102 answered=2000 dropped_rate=102 peak_per_second=1101 peak_outstanding=1"
		if got := stats(t, s); got != want {
			t.Errorf("stats = %q, want %q", got, want)
		}
	})
}

func TestServeDNSStop(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(*Simulator, context.CancelFunc)
	}{
		{"shutdown", func(s *Simulator, _ context.CancelFunc) { s.stop(); s.stop() }},
		{"context", func(_ *Simulator, cancel context.CancelFunc) { cancel() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := simulator(t, faults{latency: time.Minute}, limits{})
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				w := from("10.1.0.4", false)
				start := time.Now()
				time.AfterFunc(time.Second, func() { tc.end(s, cancel) })
				if _, err := s.ServeDNS(ctx, w, query("www.example.org.", dns.TypeA)); err != nil {
					t.Error(err)
				}
				if waited := time.Since(start); w.Msg != nil || waited != time.Second {
					t.Errorf("ServeDNS() wrote %v after %v, want silence after 1s", w.Msg, waited)
				}
				if got, want := stats(t, s), "received=1 ignored=1 peak_per_second=1 peak_outstanding=1"; got != want {
					t.Errorf("stats = %q, want %q", got, want)
				}
			})
		})
	}
}
