package wire

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func fromHex(t *testing.T, text string) []byte {
	t.Helper()
	decoded, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// cookieQuery is a query with a COOKIE option.
func cookieQuery(t *testing.T, cookie []byte) *Query {
	t.Helper()
	request := new(dns.Msg)
	request.SetQuestion("example.com.", dns.TypeA)
	request.SetEdns0(1232, false)
	request.IsEdns0().Option = append(request.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: hex.EncodeToString(cookie)})
	packed, err := request.Pack()
	if err != nil {
		t.Fatal(err)
	}
	query := new(Query)
	if err := ReadQuery(packed, false, query); err != nil {
		t.Fatalf("ReadQuery() = %v, want nil", err)
	}
	return query
}

// The test vectors of RFC 9018, appendix A.
func TestCookiesOfRFC9018(t *testing.T) {
	tests := []struct {
		name, secret, cookie, client string
		made                         int64
	}{
		{"A.1 learning a new server cookie", "e5e973e5a6b2a43f48e7dc849e37bfcf", "2464c4abcf10c957010000005cf79f111f8130c3eee29480", "198.51.100.100", 1559731985},
		{"A.2 the same client learning a renewed cookie", "e5e973e5a6b2a43f48e7dc849e37bfcf", "2464c4abcf10c957010000005cf7a871d4a564a1442aca77", "198.51.100.100", 1559734385},
		{"A.4 IPv6 query with a rolled over secret", "445536bcd2513298075a5d379663c962", "22681ab97d52c298010000005cf7c609a6bb79d16625507a", "2001:db8:220:1:59de:d0f4:8769:82b8", 1559741961},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			cookies, client := &Cookies{Secret: [16]byte(fromHex(t, tc.secret))}, netip.MustParseAddr(tc.client)
			whole, now := fromHex(t, tc.cookie), time.Unix(tc.made, 0)
			first := cookieQuery(t, whole[:clientCookieSize])
			if got, want := cookies.AppendOption(nil, first, client, now), append([]byte{0, 10, 0, 24}, whole...); !bytes.Equal(got, want) {
				t.Errorf("AppendOption() = %x, want %x", got, want)
			}
			again := cookieQuery(t, whole)
			for _, check := range []struct {
				later  time.Duration
				client netip.Addr
				want   bool
			}{
				{0, client, true}, {cookieLife, client, true}, {cookieLife + time.Second, client, false},
				{-cookieAhead, client, true}, {-cookieAhead - time.Second, client, false},
				{0, client.Next(), false},
			} {
				if got := cookies.Valid(again, check.client, now.Add(check.later)); got != check.want {
					t.Errorf("Valid() of %s, %s later = %v, want %v", check.client, check.later, got, check.want)
				}
			}
			if cookies.Valid(first, client, now) {
				t.Error("Valid() = true without a server's part, want false")
			}
		})
	}
}

// TestSecretsThatRollOver follows two servers through the steps of RFC 9018 section 5: at
// none does one disown what the other gave.
func TestSecretsThatRollOver(t *testing.T) {
	before, after := [16]byte{1}, [16]byte{2}
	client, now := netip.MustParseAddr("192.0.2.1"), time.Unix(1559731985, 0)
	first := cookieQuery(t, []byte{1, 2, 3, 4, 5, 6, 7, 8})
	steps := []*Cookies{{Secret: before}, {Secret: before, Previous: &after}, {Secret: after, Previous: &before}, {Secret: after}}
	for step, ours := range steps {
		for other, theirs := range steps {
			given := cookieQuery(t, ours.AppendOption(nil, first, client, now)[4:])
			want := theirs.Secret == ours.Secret || theirs.Previous != nil && *theirs.Previous == ours.Secret
			if together := max(step, other)-min(step, other) <= 1; together && !want {
				t.Fatalf("steps %d and %d have no secret in common", step, other)
			}
			if got := theirs.Valid(given, client, now); got != want {
				t.Errorf("Valid() in step %d of a cookie of step %d = %v, want %v", other, step, got, want)
			}
		}
	}
}

func TestKeepAliveIsAnsweredInTenthsOfASecond(t *testing.T) {
	if got := AppendKeepAlive(nil, &Query{}, time.Second); got != nil {
		t.Errorf("AppendKeepAlive() = %x without the option, want nothing", got)
	}
	if got, want := AppendKeepAlive(nil, &Query{KeepAlive: true}, 10*time.Second), []byte{0, 11, 0, 2, 0, 100}; !bytes.Equal(got, want) {
		t.Errorf("AppendKeepAlive() = %x, want %x", got, want)
	}
}
