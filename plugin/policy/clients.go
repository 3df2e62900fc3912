package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Class is what a client was declared to be.
type Class uint8

// The classes of clients.
const (
	// Other is everybody who was not declared.
	Other Class = iota
	// Stub is a machine that asks for itself: it never chases a chain.
	Stub
	// Resolver is a downstream resolver: it may chase every chain.
	Resolver
	// Denied is a client that is not served.
	Denied
	// Classes is the number of classes.
	Classes
)

var classNames = []string{Other: "other", Stub: "stub", Resolver: "resolver", Denied: "denied"}

// String returns the class as the configuration and the query log write it.
func (c Class) String() string { return classNames[c] }

// IsResolver reports whether clients of the class are declared downstream resolvers.
func (c Class) IsResolver() bool { return c == Resolver }

// Clients tells the class of a client from its address. The longest network
// that holds the address decides. The zero value declares nobody: everybody is
// Other. It is safe for concurrent use once built.
type Clients struct {
	networks    map[netip.Prefix]declaration
	lengths     []int
	onlyAllowed bool
}

type declaration struct {
	word  string
	class Class
}

// DuplicateNetworkError reports a network that was declared twice.
type DuplicateNetworkError struct {
	Network netip.Prefix
	// First and Second are the words of the two declarations.
	First, Second string
}

func (e *DuplicateNetworkError) Error() string {
	return fmt.Sprintf("found network %s declared as %s and again as %s, expected one declaration", e.Network, e.First, e.Second)
}

// clientWords are the configuration's words for what a network can be declared as.
var clientWords = map[string]Class{"stub": Stub, "resolver": Resolver, "deny": Denied, "allow": Other}

// CheckClass reports whether a word is one that Declare knows.
func CheckClass(word string) error {
	if _, known := clientWords[word]; !known {
		return fmt.Errorf("found client class %q, expected one of stub, resolver, allow, deny", word)
	}
	return nil
}

// Declare says what the clients of a network are: "stub", "resolver", "deny"
// or "allow". The first "allow" turns everybody who is not declared into
// Denied. A network declared twice is a *DuplicateNetworkError. IPv4-mapped
// networks are IPv4 networks. An error changes nothing.
func (c *Clients) Declare(word string, network netip.Prefix) error {
	if err := CheckClass(word); err != nil {
		return err
	}
	class := clientWords[word]
	network = unmap(network)
	if !network.IsValid() {
		return errors.New("found an invalid network, expected one such as 10.20.0.0/16")
	}
	if first, declared := c.networks[network]; declared {
		return &DuplicateNetworkError{Network: network, First: first.word, Second: word}
	}
	if c.networks == nil {
		c.networks = map[netip.Prefix]declaration{}
	}
	c.networks[network] = declaration{word, class}
	if !slices.Contains(c.lengths, network.Bits()) {
		c.lengths = append(c.lengths, network.Bits())
		slices.Sort(c.lengths)
		slices.Reverse(c.lengths)
	}
	c.onlyAllowed = c.onlyAllowed || word == "allow"
	return nil
}

// unmap turns ::ffff:10.30.0.4/128 into 10.30.0.4/32.
func unmap(network netip.Prefix) netip.Prefix {
	const mapping = 96
	if network.Addr().Is4In6() && network.Bits() >= mapping {
		network = netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-mapping)
	}
	return network.Masked()
}

// ClassOf returns the class of a client. It does not allocate; its cost grows
// with the number of different prefix lengths, not of networks.
func (c *Clients) ClassOf(client netip.Addr) Class {
	client = client.Unmap()
	for _, length := range c.lengths {
		network, err := client.Prefix(length)
		if err != nil {
			continue
		}
		if found, declared := c.networks[network]; declared {
			return found.class
		}
	}
	if c.onlyAllowed {
		return Denied
	}
	return Other
}
