// Package wire reads a client's question and composes the reply to it, straight
// on bytes and without allocating.
//
// It knows the DNS message: RFC 1035, EDNS (RFC 6891), Extended DNS Errors
// (RFC 8914), and what a reply made from a kept answer owes. It knows nothing of
// caches, policy, upstream servers or clocks: what is to be said, and how old it
// is, comes from the caller.
//
// There is one composition, AppendReply, so that UDP, TCP, DoT and DoH cannot
// differ.
package wire

// Sizes of the parts of a message (RFC 1035 sections 2.3.4 and 4.1, RFC 6891
// section 6.1.2, RFC 8914 section 2).
const (
	headerSize    = 12
	maxNameSize   = 255
	maxLabelSize  = 63
	typeAndClass  = 4
	recordFixed   = 10 // type, class, TTL and RDLENGTH
	optSize       = 11
	optionFixed   = 4 // OPTION-CODE and OPTION-LENGTH
	errorCodeSize = 2 // INFO-CODE
)

// Sizes of whole messages, in bytes.
const (
	// MinimumSize is what every client takes over UDP (RFC 1035 section 2.3.4).
	MinimumSize = 512
	// AdvertisedSize is the UDP size we take and the most we send: what fits into
	// IPv6's least MTU with its headers, so that no reply is fragmented on any path
	// (DNS flag day 2020, RFC 9715).
	AdvertisedSize = 1232
	// MaximumSize is the most that a message over TCP can hold (RFC 1035 section 4.2.2).
	MaximumSize = 65535
)

// Bits of the header's flags (RFC 1035 section 4.1.1, RFC 4035 section 3).
const (
	flagQR = 1 << 15
	flagTC = 1 << 9
	flagRD = 1 << 8
	flagRA = 1 << 7
	flagAD = 1 << 5
	flagCD = 1 << 4

	opcodeShift = 11
	opcodeMask  = 0xf
	rcodeMask   = 0xf
)

// flagDO stands in the OPT record's TTL (RFC 6891 section 6.1.3).
const flagDO = 1 << 15
