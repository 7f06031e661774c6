package udpsock

import (
	"encoding/binary"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/transport"
)

// RxControl has room for the control messages of a received message: a time
// stamp, a segment size, an address and a code point.
const RxControl = 128

// Control is what control messages say about a received message.
type Control struct {
	// Segment is the size of all datagrams in the message but the last, which may
	// be shorter; 0 if it is one datagram.
	Segment int
	ECN     transport.ECN
	// Stamp is the arrival, since 1970; 0 if it is unknown.
	Stamp time.Duration
	// To is the address of this host that an answer comes from, if it is told.
	To netip.Addr
}

// nextControl takes the first of control messages as the kernel lays them out: a
// length, of the machine's word, a level, a type and data. ok is false at the end,
// and at what is cut short.
func nextControl(control []byte) (level, kind uint32, data, rest []byte, ok bool) {
	const header = unix.SizeofCmsghdr
	if len(control) < header {
		return 0, 0, nil, nil, false
	}
	length := controlLength(control)
	if length < header || length > uint64(len(control)) {
		return 0, 0, nil, nil, false
	}
	level = binary.NativeEndian.Uint32(control[header-8:])
	kind = binary.NativeEndian.Uint32(control[header-4:])
	data = control[header:length]
	return level, kind, data, control[min(len(control), unix.CmsgSpace(len(data))):], true
}

// parse reads the control messages of a received message. What is cut short or
// unknown says nothing.
func (c *Control) parse(control []byte, z Zones) {
	*c = Control{}
	for {
		level, kind, data, rest, ok := nextControl(control)
		if !ok {
			return
		}
		control = rest
		switch {
		case level == unix.SOL_UDP && kind == unix.UDP_GRO && len(data) >= 4:
			c.Segment = int(max(0, int32(binary.NativeEndian.Uint32(data))))
		case level == unix.SOL_IP && kind == unix.IP_TOS && len(data) >= 1:
			c.ECN = transport.ECN(data[0] & 3)
		case level == unix.SOL_IPV6 && kind == unix.IPV6_TCLASS && len(data) >= 4:
			c.ECN = transport.ECN(binary.NativeEndian.Uint32(data) & 3)
		case level == unix.SOL_SOCKET && kind == unix.SO_TIMESTAMPNS_NEW && len(data) >= 16:
			c.Stamp = time.Duration(binary.NativeEndian.Uint64(data))*time.Second +
				time.Duration(binary.NativeEndian.Uint64(data[8:]))
		case level == unix.SOL_IP && kind == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			// An interface, the address to answer from, the one in the header.
			c.To = netip.AddrFrom4([4]byte(data[4:]))
		case level == unix.SOL_IPV6 && kind == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			c.To = answering(netip.AddrFrom16([16]byte(data)), binary.NativeEndian.Uint32(data[16:]), z)
		}
	}
}

func controlLength(h []byte) uint64 {
	if unix.SizeofCmsghdr == 16 {
		return binary.NativeEndian.Uint64(h)
	}
	return uint64(binary.NativeEndian.Uint32(h))
}

// answering is the address to answer from of one in an IPv6 header.
func answering(to netip.Addr, scope uint32, z Zones) netip.Addr {
	switch {
	case to.IsMulticast():
		return netip.Addr{}
	case to.IsLinkLocalUnicast():
		return to.WithZone(z.name(scope))
	}
	return to.Unmap()
}

// TxControl has room for all control messages of a sent message.
const TxControl = 24 + 24 + sourceSpace // what CmsgSpace says of 4, 2 and 20 bytes

const sourceSpace = 40

// appendControl makes room for a control message with size bytes of data behind
// b, which has the capacity, and returns all and the data.
func appendControl(b []byte, level, kind uint32, size int) (all, data []byte) {
	n := len(b)
	b = b[:n+unix.CmsgSpace(size)]
	h := b[n:]
	clear(h)
	if unix.SizeofCmsghdr == 16 {
		binary.NativeEndian.PutUint64(h, uint64(unix.CmsgLen(size)))
	} else {
		binary.NativeEndian.PutUint32(h, uint32(unix.CmsgLen(size)))
	}
	binary.NativeEndian.PutUint32(h[unix.SizeofCmsghdr-8:], level)
	binary.NativeEndian.PutUint32(h[unix.SizeofCmsghdr-4:], kind)
	return b, h[unix.SizeofCmsghdr:]
}

// AppendSegment adds the size at which the kernel cuts a run apart.
func AppendSegment(b []byte, size int) []byte {
	// Two bytes exactly: the kernel refuses four.
	b, data := appendControl(b, unix.SOL_UDP, unix.UDP_SEGMENT, 2)
	binary.NativeEndian.PutUint16(data, uint16(size))
	return b
}

// AppendECN adds a code point. An IPv4 packet takes it from the IPv4 message
// only, also on a socket for IPv6.
func AppendECN(b []byte, ipv4 bool, ecn transport.ECN) []byte {
	level, kind := uint32(unix.SOL_IPV6), uint32(unix.IPV6_TCLASS)
	if ipv4 {
		level, kind = unix.SOL_IP, unix.IP_TOS
	}
	b, data := appendControl(b, level, kind, 4)
	binary.NativeEndian.PutUint32(data, uint32(ecn))
	return b
}

// AppendSource adds the address that a packet leaves from, on a socket of either
// family. Only a link-local one, which needs it, pins the interface as well.
func AppendSource(b []byte, source netip.Addr, scope uint32, ipv6 bool) []byte {
	if !ipv6 {
		b, data := appendControl(b, unix.SOL_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
		ip := source.As4()
		copy(data[4:], ip[:])
		return b
	}
	b, data := appendControl(b, unix.SOL_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
	ip := source.As16()
	copy(data, ip[:])
	binary.NativeEndian.PutUint32(data[16:], scope)
	return b
}
