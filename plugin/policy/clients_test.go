package policy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// declared is one line of a configuration.
type declared struct{ word, network string }

func declareAll(t testing.TB, lines []declared) *Clients {
	t.Helper()
	clients := &Clients{}
	for _, line := range lines {
		if err := clients.Declare(line.word, netip.MustParsePrefix(line.network)); err != nil {
			t.Fatalf("Declare(%q, %s) = %v, want nil", line.word, line.network, err)
		}
	}
	return clients
}

func TestClassOf(t *testing.T) {
	tests := []struct {
		name  string
		lines []declared
		want  map[string]Class
	}{
		{
			name: "nobody is declared",
			want: map[string]Class{"10.0.0.1": Other, "2001:db8::1": Other, "::ffff:10.0.0.1": Other, "fe80::1%eth0": Other},
		},
		{
			name:  "declarations without allow",
			lines: []declared{{"stub", "10.20.0.0/16"}, {"resolver", "10.30.0.4/32"}, {"deny", "192.0.2.0/24"}},
			want: map[string]Class{
				"10.20.0.0": Stub, "10.20.255.255": Stub, "10.19.255.255": Other, "10.21.0.0": Other,
				"10.30.0.3": Other, "10.30.0.4": Resolver, "10.30.0.5": Other,
				"192.0.2.0": Denied, "192.0.2.255": Denied, "192.0.3.0": Other, "2001:db8::1": Other,
			},
		},
		{
			name: "the longest network wins, whatever is written first",
			lines: []declared{
				{"stub", "10.0.0.0/8"}, {"deny", "10.30.0.0/16"}, {"resolver", "10.30.0.4/32"}, {"stub", "10.30.0.0/24"},
			},
			want: map[string]Class{"10.1.2.3": Stub, "10.30.1.1": Denied, "10.30.0.9": Stub, "10.30.0.4": Resolver, "11.0.0.0": Other},
		},
		{
			name:  "the first allow denies the rest",
			lines: []declared{{"allow", "10.0.0.0/8"}},
			want:  map[string]Class{"10.1.2.3": Other, "11.0.0.0": Denied, "2001:db8::1": Denied},
		},
		{
			name:  "declared stubs and resolvers are served beside an allow list",
			lines: []declared{{"stub", "172.16.0.0/12"}, {"allow", "10.0.0.0/8"}, {"resolver", "192.0.2.53/32"}},
			want:  map[string]Class{"172.16.0.1": Stub, "10.0.0.1": Other, "192.0.2.53": Resolver, "192.0.2.54": Denied},
		},
		{
			name:  "deny inside allow inside deny",
			lines: []declared{{"deny", "10.0.0.0/8"}, {"allow", "10.1.0.0/16"}, {"deny", "10.1.1.0/24"}, {"allow", "10.1.1.1/32"}},
			want:  map[string]Class{"10.2.0.0": Denied, "10.1.0.1": Other, "10.1.1.2": Denied, "10.1.1.1": Other, "192.0.2.1": Denied},
		},
		{
			name:  "everybody of one address family",
			lines: []declared{{"stub", "0.0.0.0/0"}},
			want:  map[string]Class{"0.0.0.0": Stub, "255.255.255.255": Stub, "::ffff:10.0.0.1": Stub, "::1": Other, "2001:db8::1": Other},
		},
		{
			name:  "everybody of the other family",
			lines: []declared{{"stub", "::/0"}},
			want:  map[string]Class{"::": Stub, "2001:db8::1": Stub, "10.0.0.1": Other, "::ffff:10.0.0.1": Other},
		},
		{
			name:  "the same length in both families",
			lines: []declared{{"stub", "10.0.0.0/16"}, {"resolver", "2001::/16"}, {"deny", "2001:db8::/32"}, {"resolver", "192.0.2.1/32"}},
			want:  map[string]Class{"10.0.9.9": Stub, "2001:1::": Resolver, "2001:db8::1": Denied, "192.0.2.1": Resolver, "10.1.0.0": Other},
		},
		{
			name:  "IPv4-mapped clients are IPv4 clients",
			lines: []declared{{"resolver", "10.30.0.0/16"}, {"allow", "fd00::/8"}},
			want:  map[string]Class{"::ffff:10.30.0.4": Resolver, "::ffff:10.31.0.4": Denied, "fd00::1": Other},
		},
		{
			name:  "link-local clients of every interface",
			lines: []declared{{"stub", "fe80::/10"}, {"resolver", "fe80::53/128"}},
			want:  map[string]Class{"fe80::1": Stub, "fe80::1%eth0": Stub, "fe80::1%2": Stub, "fe80::53%eth1": Resolver, "fec0::1%eth0": Other},
		},
		{
			name:  "bits beyond the length mean nothing",
			lines: []declared{{"stub", "10.20.30.40/8"}, {"resolver", "2001:db8::1/32"}},
			want:  map[string]Class{"10.0.0.1": Stub, "2001:db8:ffff::": Resolver},
		},
		{
			name:  "every IPv4-mapped address is everybody of IPv4",
			lines: []declared{{"stub", "::ffff:0.0.0.0/96"}},
			want:  map[string]Class{"10.0.0.1": Stub, "::ffff:10.0.0.1": Stub, "::1": Other, "2001:db8::1": Other},
		},
		{
			name:  "IPv4-mapped networks are IPv4 networks",
			lines: []declared{{"stub", "::ffff:10.0.0.0/104"}, {"resolver", "::ffff:10.30.0.4/128"}},
			want:  map[string]Class{"10.0.0.1": Stub, "::ffff:10.0.0.1": Stub, "10.30.0.4": Resolver, "11.0.0.1": Other, "2001:db8::1": Other},
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			for range 4 {
				clients := declareAll(t, tc.lines)
				for address, want := range tc.want {
					if got := clients.ClassOf(netip.MustParseAddr(address)); got != want {
						t.Errorf("ClassOf(%s) = %v, want %v, with %v", address, got, want, tc.lines)
					}
				}
				random.Shuffle(len(tc.lines), func(i, j int) { tc.lines[i], tc.lines[j] = tc.lines[j], tc.lines[i] })
			}
		})
	}
}

// A client without an address cannot be in a network that was declared.
func TestClassOfNoAddress(t *testing.T) {
	clients := declareAll(t, []declared{{"stub", "0.0.0.0/0"}, {"stub", "::/0"}})
	if got := clients.ClassOf(netip.Addr{}); got != Other {
		t.Errorf("ClassOf(zero) = %v, want %v", got, Other)
	}
	if err := clients.Declare("allow", netip.MustParsePrefix("10.0.0.0/8")); err != nil {
		t.Fatalf("Declare() = %v, want nil", err)
	}
	if got := clients.ClassOf(netip.Addr{}); got != Denied {
		t.Errorf("ClassOf(zero) = %v with an allow list, want %v", got, Denied)
	}
}

func TestDeclareTwice(t *testing.T) {
	tests := []struct {
		name          string
		first, second declared
		network       string
	}{
		{name: "the same line", first: declared{"stub", "10.0.0.0/8"}, second: declared{"stub", "10.0.0.0/8"}, network: "10.0.0.0/8"},
		{name: "another class", first: declared{"resolver", "10.0.0.0/8"}, second: declared{"stub", "10.0.0.0/8"}, network: "10.0.0.0/8"},
		{name: "bits beyond the length", first: declared{"stub", "10.0.0.0/8"}, second: declared{"resolver", "10.9.9.9/8"}, network: "10.0.0.0/8"},
		{name: "one address", first: declared{"stub", "2001:db8::1/128"}, second: declared{"deny", "2001:db8::1/128"}, network: "2001:db8::1/128"},
		{name: "allow after stub", first: declared{"stub", "10.0.0.0/8"}, second: declared{"allow", "10.0.0.0/8"}, network: "10.0.0.0/8"},
		{name: "stub after allow", first: declared{"allow", "10.0.0.0/8"}, second: declared{"stub", "10.0.0.0/8"}, network: "10.0.0.0/8"},
		{name: "stub after deny", first: declared{"deny", "10.0.0.0/8"}, second: declared{"stub", "10.0.0.0/8"}, network: "10.0.0.0/8"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			clients := declareAll(t, []declared{tc.first})
			inside, outside := netip.MustParsePrefix(tc.network).Addr(), netip.MustParseAddr("192.0.2.1")
			before := [2]Class{clients.ClassOf(inside), clients.ClassOf(outside)}
			err := clients.Declare(tc.second.word, netip.MustParsePrefix(tc.second.network))
			var duplicate *DuplicateNetworkError
			if !errors.As(err, &duplicate) {
				t.Fatalf("Declare(%q, %s) = %v, want a *DuplicateNetworkError", tc.second.word, tc.second.network, err)
			}
			want := DuplicateNetworkError{Network: netip.MustParsePrefix(tc.network), First: tc.first.word, Second: tc.second.word}
			if *duplicate != want {
				t.Errorf("Declare() reports %+v, want %+v", *duplicate, want)
			}
			for _, part := range []string{tc.network, tc.first.word, tc.second.word} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("Declare() = %q, want it to tell %q", err, part)
				}
			}
			if after := [2]Class{clients.ClassOf(inside), clients.ClassOf(outside)}; after != before {
				t.Errorf("classes inside and outside are %v after the error, want %v as before", after, before)
			}
		})
	}
}

func TestDeclareUnknownWord(t *testing.T) {
	for _, word := range []string{"", "Stub", "stubs", "other", "denied", "allow ", "Classes"} {
		t.Run(fmt.Sprintf("%q", word), func(t *testing.T) {
			var clients Clients
			err := clients.Declare(word, netip.MustParsePrefix("10.0.0.0/8"))
			if err == nil {
				t.Fatalf("Declare(%q) = nil, want an error", word)
			}
			for _, part := range []string{fmt.Sprintf("%q", word), "stub", "resolver", "allow", "deny"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("Declare(%q) = %q, want it to tell %s", word, err, part)
				}
			}
			if got := [2]Class{clients.ClassOf(netip.MustParseAddr("10.0.0.1")), clients.ClassOf(netip.MustParseAddr("192.0.2.1"))}; got != [2]Class{Other, Other} {
				t.Errorf("classes are %v after the error, want everybody to be %v", got, Other)
			}
		})
	}
}

// A network that is none must not be taken as if it were one: an "allow" of it
// would deny everybody.
func TestDeclareInvalidNetwork(t *testing.T) {
	for name, network := range map[string]netip.Prefix{
		"zero":           {},
		"33 bits":        netip.PrefixFrom(netip.MustParseAddr("10.0.0.0"), 33),
		"negative":       netip.PrefixFrom(netip.MustParseAddr("10.0.0.0"), -1),
		"without a host": netip.PrefixFrom(netip.Addr{}, 8),
	} {
		t.Run(name, func(t *testing.T) {
			var clients Clients
			if err := clients.Declare("allow", network); err == nil {
				t.Errorf("Declare(allow, %v) = nil, want an error", network)
			}
			if got := clients.ClassOf(netip.MustParseAddr("10.0.0.1")); got != Other {
				t.Errorf("ClassOf() = %v after the error, want %v", got, Other)
			}
		})
	}
}

func TestClassString(t *testing.T) {
	want := map[Class]string{Other: "other", Stub: "stub", Resolver: "resolver", Denied: "denied"}
	if len(want) != int(Classes) {
		t.Fatalf("Classes = %d, want %d", Classes, len(want))
	}
	for class, word := range want {
		if got := class.String(); got != word {
			t.Errorf("Class(%d).String() = %q, want %q", class, got, word)
		}
	}
}

func TestClassOfDoesNotAllocate(t *testing.T) {
	clients := declareAll(t, []declared{{"stub", "10.0.0.0/8"}, {"resolver", "10.30.0.0/16"}, {"deny", "fe80::/10"}, {"allow", "fd00::/8"}})
	for _, address := range []string{"10.30.0.4", "192.0.2.1", "::ffff:10.1.1.1", "fd00::1", "2001:db8::1"} {
		client := netip.MustParseAddr(address)
		if got := testing.AllocsPerRun(100, func() { clients.ClassOf(client) }); got != 0 {
			t.Errorf("ClassOf(%s) allocates %v times, want 0", address, got)
		}
	}
}

// ClassOf must agree with the plain reading of its contract.
func FuzzClassOf(f *testing.F) {
	f.Add([]byte{10, 0, 0, 0, 8, 0, 10, 30, 0, 0, 16, 1, 10, 30, 0, 4, 32, 3}, []byte{10, 30, 0, 4})
	f.Add([]byte{10, 0, 0, 0, 8, 2}, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1})
	words := []string{"stub", "resolver", "allow", "deny"}
	f.Fuzz(func(t *testing.T, lines, address []byte) {
		client, ok := netip.AddrFromSlice(address)
		if !ok || len(lines) > 600 {
			return
		}
		var clients Clients
		want, longest, allowed := Other, -1, false
		for line := range slices.Chunk(lines, 6) {
			if len(line) < 6 {
				break
			}
			network := netip.PrefixFrom(netip.AddrFrom4([4]byte(line[:4])), int(line[4]%33))
			word := words[line[5]%4]
			if clients.Declare(word, network) != nil {
				continue
			}
			allowed = allowed || word == "allow"
			if network.Contains(client.Unmap()) && network.Bits() > longest {
				longest, want = network.Bits(), map[string]Class{"stub": Stub, "resolver": Resolver, "allow": Other, "deny": Denied}[word]
			}
		}
		if longest < 0 && allowed {
			want = Denied
		}
		if got := clients.ClassOf(client); got != want {
			t.Errorf("ClassOf(%v) = %v, want %v", client, got, want)
		}
	})
}
