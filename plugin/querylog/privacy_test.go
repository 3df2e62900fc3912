package querylog

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// hashed is what the README says of a hash: the first half of HMAC-SHA256.
func hashed(key, message []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(message)
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

func TestClientPrivacy(t *testing.T) {
	key := []byte("0123456789abcdef")
	v4, v6 := netip.MustParseAddr("10.20.0.7"), netip.MustParseAddr("2001:db8:1:2ff::53")
	with := func(client string, real string, id string) *Record {
		r := plainRecord("www.example.org.")
		r.Client = netip.AddrPortFrom(netip.MustParseAddr(client), 53)
		if real != "" {
			r.RealClient = netip.MustParsePrefix(real)
		}
		r.RealClientID = id
		return r
	}
	tests := []struct {
		name   string
		mode   ClientPrivacy
		record *Record
		want   string
	}{
		{"shown", ClientShown, with("10.20.0.7", "10.40.3.7/32", "mac"), `"client_ip":"10.20.0.7","client_port":53,"real_client":"10.40.3.7","real_client_id":"mac",`},
		{"truncated IPv4", ClientTruncated, with("10.20.0.7", "", ""), `"client_ip":"10.20.0.0","client_port":53,"transport"`},
		{"truncated IPv4 that came mapped", ClientTruncated, with("::ffff:10.20.0.7", "", ""), `"client_ip":"10.20.0.0",`},
		{"truncated IPv6", ClientTruncated, with("2001:db8:1:2ff::53", "", ""), `"client_ip":"2001:db8:1:200::",`},
		{"truncated, with a zone", ClientTruncated, with("fe80::1%eth0", "", ""), `"client_ip":"fe80::",`},
		{"truncated real client, and no ID", ClientTruncated, with("10.20.0.7", "10.40.3.7/32", "mac"), `"client_port":53,"real_client":"10.40.3.0/24","transport"`},
		{"a real network that is wider already", ClientTruncated, with("10.20.0.7", "10.40.0.0/16", ""), `"real_client":"10.40.0.0/16",`},
		{"hashed IPv4", ClientHashed, with("10.20.0.7", "", ""), `"client_hash":"` + hashed(key, v4.AsSlice()) + `","client_port":53,"transport"`},
		{"hashed IPv4 that came mapped", ClientHashed, with("::ffff:10.20.0.7", "", ""), `"client_hash":"` + hashed(key, v4.AsSlice()) + `"`},
		{"hashed IPv6", ClientHashed, with("2001:db8:1:2ff::53", "", ""), `"client_hash":"` + hashed(key, v6.AsSlice()) + `"`},
		{"hashed real client, the same as where it asks itself", ClientHashed, with("10.20.0.1", "10.20.0.7/32", "mac"),
			`"real_client_hash":"` + hashed(key, v4.AsSlice()) + `","real_client_id_hash":"` + hashed(key, []byte("mac")) + `",`},
		{"hashed real network", ClientHashed, with("10.20.0.1", "10.40.3.0/24", ""), `"real_client_hash":"` + hashed(key, []byte{10, 40, 3, 0, 24}) + `",`},
		{"hidden", ClientHidden, with("10.20.0.7", "10.40.3.7/32", "mac"), `"schema":1,"client_port":53,"transport"`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			p, err := newPrivacy(tc.mode, key)
			if err != nil {
				t.Fatal(err)
			}
			line := appendJSON(nil, tc.record, view{privacy: p, clock: &clock{}})
			decodeLine(t, line)
			if !strings.Contains(string(line), tc.want) {
				t.Errorf("the line is\n%s, want it to contain\n%s", line, tc.want)
			}
			if tc.mode != ClientShown && (bytes.Contains(line, []byte("10.20.0.7")) || bytes.Contains(line, []byte(`"mac"`))) {
				t.Errorf("the line shows the client: %s", line)
			}
		})
	}
}

func TestHashOfLongKeysAndMessages(t *testing.T) {
	for _, length := range []int{16, 64, 65, 200} {
		key := bytes.Repeat([]byte{0xa5}, length)
		p, err := newPrivacy(ClientHashed, key)
		if err != nil {
			t.Fatal(err)
		}
		message := bytes.Repeat([]byte("x"), maxText)
		if got, want := string(p.appendHash(nil, message)), hashed(key, message); got != want {
			t.Errorf("appendHash() with a key of %d bytes = %s, want %s", length, got, want)
		}
	}
}

func TestPrivacyDoesNotAllocate(t *testing.T) {
	for _, mode := range []ClientPrivacy{ClientShown, ClientTruncated, ClientHashed, ClientHidden} {
		p, err := newPrivacy(mode, []byte("0123456789abcdef"))
		if err != nil {
			t.Fatal(err)
		}
		buffer, record, v := make([]byte, 0, 4096), fullRecord(), view{privacy: p, clock: &clock{}}
		if allocations := testing.AllocsPerRun(100, func() { buffer = appendJSON(buffer[:0], record, v) }); allocations != 0 {
			t.Errorf("a line with client privacy %d allocates %v times, want 0", mode, allocations)
		}
	}
}
