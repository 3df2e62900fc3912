package upstream

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/miekg/dns"
)

// explaining makes a reply fail and say why, as often as told.
func explaining(code int, times int, text string) func(*dns.Msg) {
	return func(m *dns.Msg) {
		m.Rcode = code
		for n := range times {
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeDNSBogus + uint16(n), ExtraText: text})
		}
	}
}

// Who asks a group learns why its servers failed, and no more than is good.
func TestExtendedErrorsOfFailures(t *testing.T) {
	long := strings.Repeat("x", 200)
	tests := []struct {
		name string
		edit func(*dns.Msg)
		want string
	}{
		{"none", rcode(dns.RcodeServerFailure), ""},
		{"SERVFAIL", explaining(dns.RcodeServerFailure, 1, "bogus"), "6 bogus"},
		{"REFUSED", explaining(dns.RcodeRefused, 1, "bogus"), "6 bogus"},
		{"no text", explaining(dns.RcodeServerFailure, 2, ""), "6 ; 7 "},
		{"many", explaining(dns.RcodeServerFailure, 9, "a"), "6 a; 7 a; 8 a; 9 a"},
		{"long", explaining(dns.RcodeServerFailure, 1, long), "6 " + long[:mostErrorText]},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, _ := testGroup(t, always(t, tc.edit))
				defer closeAll(g)
				_, err := g.Exchange(ctxFor(t, 4*time.Second), testQuestion)
				failed, ok := errors.AsType[*FailedError](err)
				if !ok || len(failed.Attempts) != 1 {
					t.Fatalf("Exchange = %v, want one attempt that failed", err)
				}
				var said []string
				for _, e := range failed.Attempts[0].EDE {
					said = append(said, fmt.Sprintf("%d %s", e.InfoCode, e.ExtraText))
				}
				if got := strings.Join(said, "; "); got != tc.want {
					t.Errorf("the attempt's errors are %q, want %q", got, tc.want)
				}
			})
		})
	}
}

func FuzzErrorText(f *testing.F) {
	for _, text := range []string{"", "bogus", "ends in zero\x00", "\xff\xfe", strings.Repeat("é", 100), "x" + strings.Repeat("\u65e5", 50)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := errorText(text)
		switch {
		case len(got) > mostErrorText || !utf8.ValidString(got):
			t.Errorf("errorText(%q) = %q, too long or no UTF-8", text, got)
		case utf8.ValidString(text) && !strings.HasPrefix(text, got):
			t.Errorf("errorText(%q) = %q, not its beginning", text, got)
		case utf8.ValidString(text) && len(got) < min(len(strings.TrimRight(text, "\x00")), mostErrorText-3):
			t.Errorf("errorText(%q) = %q, cut too short", text, got)
		}
	})
}
