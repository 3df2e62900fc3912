package stream

import (
	"encoding/binary"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// The listeners of one address form a group, an array in the kernel: a new member is
// appended, and when one closes the last takes its place (net/core/sock_reuseport.c).
// A classic BPF program attached to the group names the member that gets a connection by
// its index, when its first segment comes; an index beyond the end means a member by the
// hash of the addresses. So no program whatever makes a connection vanish as long as all
// members accept, but which index is ours has to be known to steer.

const (
	// networkHeader is from where on a program loads from the IP header: SKF_NET_OFF
	// (linux/filter.h). What is before it, the data behind the TCP header, is empty.
	networkHeader = 1<<32 - 0x100000
	// ancillaryRandom is where it loads a random number from: SKF_AD_OFF + SKF_AD_RANDOM.
	ancillaryRandom = 1<<32 - 0x1000 + 56
	// nobody is an index beyond the end.
	nobody = 1<<32 - 1
)

// program is a classic BPF program.
type program []unix.SockFilter

func (p *program) add(code uint16, k uint32) { *p = append(*p, unix.SockFilter{Code: code, K: k}) }

// unless compares the accumulator and skips the given number of instructions if it is
// another value.
func (p *program) unless(k uint32, skipped uint8) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: skipped, K: k})
}

// steering is the program that spreads connections evenly over the members with the given
// indexes; none means by hash over all.
func (p program) steering(indexes []int) program {
	if len(indexes) == 0 {
		p.add(unix.BPF_RET|unix.BPF_K, nobody)
		return p
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

// probing begins a program with what sends a connection from one address to one index.
// The IP header of a probe has no options: it never leaves this machine.
func probing(from netip.AddrPort, index int) program {
	source, words, port := uint32(12), from.Addr().AsSlice(), uint32(20)
	if from.Addr().Is6() {
		source, port = 8, 40
	}
	var p program
	rest := uint8(len(words)/2 + 3)
	for word := 0; word < len(words); word += 4 {
		rest -= 2
		p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, networkHeader+source+uint32(word))
		p.unless(binary.BigEndian.Uint32(words[word:]), rest)
	}
	p.add(unix.BPF_LD|unix.BPF_H|unix.BPF_ABS, networkHeader+port)
	p.unless(uint32(from.Port()), 1)
	p.add(unix.BPF_RET|unix.BPF_K, uint32(index))
	return p
}

// attach makes the program the one of the whole group, in place of any other. The next
// connection is chosen by it.
func (p program) attach(fd int) error {
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]})
	return os.NewSyscallError("attaching a steering program", err)
}
