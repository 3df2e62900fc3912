package batch

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bufferStride keeps the receive buffers from starting at the same place of a page,
// where the first octets of all of them would compete for the same lines of the
// processor's cache.
const bufferStride = MaxDatagram + 64

// message is the kernel's struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32 // octets of the datagram
}

// control is a control message about the local address, in the form in which the
// kernel gives it with a datagram and takes it with a reply. It is IP_PKTINFO on an
// IPv4 socket and IPV6_PKTINFO on an IPv6 one, the IPv4 traffic of a dual-stack socket
// included (ip(7), ipv6(7), RFC 3542 section 6).
type control struct {
	header unix.Cmsghdr
	data   [24]byte
}

// controlSize is the room for either kind.
var controlSize = unix.CmsgSpace(unix.SizeofInet6Pktinfo)

// arrivals are the datagrams of one batch with the memory they are received into. The
// pointers are set once.
type arrivals struct {
	messages [size]message
	vectors  [size]unix.Iovec
	names    [size]unix.RawSockaddrInet6
	controls [size]control
	buffers  [size * bufferStride]byte
}

// newArrivals returns arrivals ready to receive; also the addresses the datagrams were
// sent to, if those vary.
func newArrivals(variable bool) *arrivals {
	a := new(arrivals)
	for i := range a.messages {
		header := &a.messages[i].header
		a.vectors[i].Base = &a.buffers[i*bufferStride]
		a.vectors[i].SetLen(MaxDatagram)
		header.Iov = &a.vectors[i]
		header.SetIovlen(1)
		header.Name = (*byte)(unsafe.Pointer(&a.names[i]))
		if variable {
			header.Control = (*byte)(unsafe.Pointer(&a.controls[i]))
		}
	}
	a.reset(size)
	return a
}

// reset makes the first n headers, which the kernel has written to, ready again.
func (a *arrivals) reset(n int) {
	for i := range a.messages[:n] {
		header := &a.messages[i].header
		header.Namelen = unix.SizeofSockaddrInet6
		if header.Control != nil {
			header.SetControllen(controlSize)
		}
	}
}

// datagram is the i-th received one, and whether it is whole.
func (a *arrivals) datagram(i int) (datagram []byte, whole bool) {
	start, message := i*bufferStride, &a.messages[i]
	end := start + int(message.length)
	return a.buffers[start:end:end], message.header.Flags&unix.MSG_TRUNC == 0
}

// identify fills in where the i-th datagram came from and, if the kernel told, came to.
// What the kernel told is left fit for sending a reply.
func (a *arrivals) identify(i int, peer *Peer) {
	name := &a.names[i]
	if name.Family == unix.AF_INET {
		name := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		peer.Remote = netip.AddrPortFrom(netip.AddrFrom4(name.Addr), hostOrder(name.Port))
	} else {
		peer.Remote = netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), hostOrder(name.Port))
	}
	peer.scope = 0
	if header := &a.messages[i].header; header.Control != nil {
		peer.Local, peer.scope = a.controls[i].local(int(header.Controllen))
	}
	if name.Family == unix.AF_INET6 && name.Scope_id != 0 {
		peer.scope = name.Scope_id
	}
}

// local reads the local address from length octets of control message, and clears the
// interface: a reply may leave by another one than the question came by. A link-local
// address keeps it, as it means nothing without, and it is returned as the scope.
func (c *control) local(length int) (local netip.Addr, scope uint32) {
	switch {
	case length >= unix.CmsgLen(unix.SizeofInet6Pktinfo) && c.header.Level == unix.IPPROTO_IPV6 && c.header.Type == unix.IPV6_PKTINFO:
		info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&c.data))
		local = netip.AddrFrom16(info.Addr).Unmap()
		if local.Is4() || !local.IsLinkLocalUnicast() {
			info.Ifindex = 0
		}
		return local, info.Ifindex
	case length >= unix.CmsgLen(unix.SizeofInet4Pktinfo) && c.header.Level == unix.IPPROTO_IP && c.header.Type == unix.IP_PKTINFO:
		info := (*unix.Inet4Pktinfo)(unsafe.Pointer(&c.data))
		info.Ifindex = 0
		return netip.AddrFrom4(info.Spec_dst), 0
	}
	return netip.Addr{}, 0
}

// controlFor returns the control message that makes a late reply leave from the
// address the datagram came to, and its length; on an IPv4 socket or one of IPv6.
func controlFor(peer Peer, ipv6 bool) (c control, length int) {
	if !ipv6 {
		c.header.Level, c.header.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		c.header.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		(*unix.Inet4Pktinfo)(unsafe.Pointer(&c.data)).Spec_dst = peer.Local.As4()
		return c, unix.CmsgSpace(unix.SizeofInet4Pktinfo)
	}
	c.header.Level, c.header.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
	c.header.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
	info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&c.data))
	info.Addr = peer.Local.As16()
	if peer.Local.Is6() && peer.Local.IsLinkLocalUnicast() {
		info.Ifindex = peer.scope
	}
	return c, unix.CmsgSpace(unix.SizeofInet6Pktinfo)
}

// setName writes the address of a peer as a socket of a family takes it, and returns its
// length.
func setName(name *unix.RawSockaddrInet6, peer *Peer, ipv6 bool) uint32 {
	address, port := peer.Remote.Addr(), hostOrder(peer.Remote.Port())
	if !ipv6 {
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(name)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: address.As4()}
		return unix.SizeofSockaddrInet4
	}
	*name = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: address.As16()}
	if address.Is6() && address.IsLinkLocalUnicast() {
		name.Scope_id = peer.scope
	}
	return unix.SizeofSockaddrInet6
}

// hostOrder is a port as socket addresses hold it, in network order, as a number.
func hostOrder(port uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&port))[:])
}

// departures are the replies to one batch of arrivals. Their addresses are the
// arrivals' own, and their octets lie in one block one after the other, so that
// a batch of short replies touches little memory.
type departures struct {
	messages [size]message
	vectors  [size]unix.Iovec
	count    int // messages to be sent
	block    [size * MaxDatagram]byte
	used     int // octets of the block
}

func newDepartures() *departures {
	d := new(departures)
	d.prepare()
	return d
}

// prepare sets the pointers that stay.
func (d *departures) prepare() {
	for i := range d.messages {
		d.messages[i].header.Iov = &d.vectors[i]
		d.messages[i].header.SetIovlen(1)
	}
}

// room is where the next reply is written. There is room for MaxDatagram octets for
// every message of a batch.
func (d *departures) room() []byte { return d.block[d.used : d.used : d.used+MaxDatagram] }

// add takes a reply, which was written to room or else is kept alive by being here,
// to where the datagram of a header came from.
func (d *departures) add(reply []byte, to *unix.Msghdr) {
	header := &d.messages[d.count].header
	header.Name, header.Namelen = to.Name, to.Namelen
	header.Control, header.Controllen = to.Control, to.Controllen
	d.vectors[d.count].Base = &reply[0]
	d.vectors[d.count].SetLen(len(reply))
	if &reply[0] == &d.block[d.used:][0] {
		d.used += len(reply)
	}
	d.count++
}

func (d *departures) clear() { d.count, d.used = 0, 0 }
