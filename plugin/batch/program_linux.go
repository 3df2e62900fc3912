package batch

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// The sockets of one address form a group, an array in the kernel: a new member is
// appended, and when one closes the last takes its place (net/core/sock_reuseport.c).
// A classic BPF program attached to the group names the member that gets a datagram by
// its index; an index beyond the end means a member by the hash of the datagram's
// addresses. So no program whatever makes a datagram vanish as long as
// all members are read, but which index is whose has to be known to steer.

// ancillaryRandom is where a classic BPF program loads a random number from: SKF_AD_OFF +
// SKF_AD_RANDOM (linux/filter.h).
const ancillaryRandom = 1<<32 - 0x1000 + 56

// program is a classic BPF program.
type program []unix.SockFilter

func (p *program) add(code uint16, k uint32) { *p = append(*p, unix.SockFilter{Code: code, K: k}) }

// unless compares the accumulator and skips the given number of instructions if it is
// another value.
func (p *program) unless(k uint32, skipped uint8) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: skipped, K: k})
}

// steering is the program that spreads datagrams evenly over the members with the given
// indexes, at least one. A probe with the given mark, if any, goes to the index it names.
//
// The spread is random. The receiving processor and the packet's own hash would keep one
// client's datagrams together, which is worth nothing here, and both are
// concentrated where it hurts: a network card with one queue, or one that hashes
// addresses only, with the two forwarders of a company behind it, would leave all
// work to one loop; on loopback the hash is 0.
func steering(indexes []int, probes *mark) program {
	var p program
	if probes != nil {
		p.routeProbes(probes)
	}
	if len(indexes) > 1 {
		p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, ancillaryRandom)
		p.add(unix.BPF_ALU|unix.BPF_MOD|unix.BPF_K, uint32(len(indexes)))
		for choice, index := range indexes[1:] {
			p.unless(uint32(choice+1), 1)
			p.add(unix.BPF_RET|unix.BPF_K, uint32(index))
		}
	}
	p.add(unix.BPF_RET|unix.BPF_K, uint32(indexes[0]))
	return p
}

// routeProbes returns the index a probe names. A load beyond the end of a datagram would
// end the program with 0: the length comes first.
func (p *program) routeProbes(probes *mark) {
	words := len(probes) / 4
	rest := uint8(2*words + 3)
	p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_LEN, 0)
	p.unless(uint32(probeSize), rest)
	for word := range words {
		rest -= 2
		p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, uint32(4*word))
		p.unless(binary.BigEndian.Uint32(probes[4*word:]), rest)
	}
	p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, uint32(len(probes)))
	p.add(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, indexMask)
	p.add(unix.BPF_RET|unix.BPF_A, 0)
}

// attach makes the program the one of the whole group of sockets, in place of any
// other. The next datagram is chosen by it.
func (p program) attach(fd int) error {
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]})
	return os.NewSyscallError("attaching a steering program", err)
}
