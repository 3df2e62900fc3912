package querylog

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
)

// ClientPrivacy is what a sink is shown of a client's address.
type ClientPrivacy uint8

// The ways to show a client.
const (
	// ClientShown writes the whole address.
	ClientShown ClientPrivacy = iota
	// ClientTruncated writes the client's network: /24 for IPv4, /56 for IPv6.
	ClientTruncated
	// ClientHashed writes a keyed hash in place of the address: the same client
	// has the same hash, and without the key nobody can tell whose it is.
	ClientHashed
	// ClientHidden writes nothing of the client.
	ClientHidden
)

const (
	truncatedBits4 = 24
	truncatedBits6 = 56

	// minPrivacyKey is the least key, in bytes, that cannot be guessed.
	minPrivacyKey = 16
	hashBlock     = sha256.BlockSize
	// hashLength is how much of the hash is written: among a million clients,
	// two share 64 bits with a chance of one in 36 million.
	hashLength = 8
)

// privacy is ClientPrivacy with its key, as HMAC (RFC 2104) uses it.
type privacy struct {
	mode         ClientPrivacy
	inner, outer [hashBlock]byte
}

func newPrivacy(mode ClientPrivacy, key []byte) (*privacy, error) {
	p := &privacy{mode: mode}
	if mode > ClientHidden {
		return nil, fmt.Errorf("found client privacy %d, expected one of the constants", mode)
	}
	if mode != ClientHashed {
		return p, nil
	}
	if len(key) < minPrivacyKey {
		return nil, fmt.Errorf("found a key of %d bytes for hashed clients, expected at least %d", len(key), minPrivacyKey)
	}
	if len(key) > hashBlock {
		sum := sha256.Sum256(key)
		key = sum[:]
	}
	copy(p.inner[:], key)
	copy(p.outer[:], key)
	for index := range hashBlock {
		p.inner[index] ^= 0x36
		p.outer[index] ^= 0x5c
	}
	return p, nil
}

// appendClient writes client_ip or what stands in its place.
func (p *privacy) appendClient(line []byte, address netip.Addr) []byte {
	switch p.mode {
	case ClientHidden:
		return line
	case ClientHashed:
		return p.appendAddressHash(append(line, `,"client_hash":"`...), address.Unmap(), -1)
	case ClientTruncated:
		address = truncated(address)
	}
	return appendAddress(append(line, `,"client_ip":`...), address)
}

// appendRealClient writes real_client and real_client_id, or what stands in
// their place. An ID has no network to truncate it to.
func (p *privacy) appendRealClient(line []byte, r *Record) []byte {
	if p.mode == ClientHidden {
		return line
	}
	if r.RealClient.IsValid() {
		line = p.appendRealNetwork(line, r.RealClient)
	}
	if r.RealClientID == "" || p.mode == ClientTruncated {
		return line
	}
	if p.mode == ClientHashed {
		return append(p.appendHash(append(line, `,"real_client_id_hash":"`...), []byte(cut(r.RealClientID))), '"')
	}
	return appendText(line, `,"real_client_id":`, cut(r.RealClientID))
}

func (p *privacy) appendRealNetwork(line []byte, network netip.Prefix) []byte {
	address, bits := network.Masked().Addr(), network.Bits()
	if bits == address.BitLen() {
		bits = -1 // one machine's address, as client_ip writes it
	}
	switch p.mode {
	case ClientHashed:
		return p.appendAddressHash(append(line, `,"real_client_hash":"`...), address, bits)
	case ClientTruncated:
		if truncation := truncationOf(address); bits < 0 || bits > truncation {
			network, bits = netip.PrefixFrom(address, truncation).Masked(), truncation
		}
	}
	line = append(line, `,"real_client":"`...)
	if bits < 0 {
		return append(address.AppendTo(line), '"')
	}
	return append(network.Masked().AppendTo(line), '"')
}

// appendAddressHash writes the hash of an address, with the length of its
// network unless that is negative, and the closing quote.
func (p *privacy) appendAddressHash(line []byte, address netip.Addr, bits int) []byte {
	var message [17]byte
	length := 0
	if address.IsValid() {
		length = copy(message[:], address.AsSlice())
	}
	if bits >= 0 {
		message[length] = byte(bits)
		length++
	}
	return append(p.appendHash(line, message[:length]), '"')
}

// appendHash writes the first half of HMAC-SHA256 of a message that is not
// longer than maxText, in hexadecimal. It is HMAC by hand because crypto/hmac
// allocates.
func (p *privacy) appendHash(line, message []byte) []byte {
	var inner [hashBlock + maxText]byte
	copy(inner[:], p.inner[:])
	sum := sha256.Sum256(inner[:hashBlock+copy(inner[hashBlock:], message)])
	var outer [hashBlock + sha256.Size]byte
	copy(outer[:], p.outer[:])
	copy(outer[hashBlock:], sum[:])
	sum = sha256.Sum256(outer[:])
	for _, octet := range sum[:hashLength] {
		line = append(line, hexDigits[octet>>4], hexDigits[octet&15])
	}
	return line
}

// truncated is the address of the network that an address is truncated to; an
// invalid address stays as it is.
func truncated(address netip.Addr) netip.Addr {
	address = address.Unmap().WithZone("")
	if !address.IsValid() {
		return address
	}
	return netip.PrefixFrom(address, truncationOf(address)).Masked().Addr()
}

func truncationOf(address netip.Addr) int {
	if address.Is4() {
		return truncatedBits4
	}
	return truncatedBits6
}
