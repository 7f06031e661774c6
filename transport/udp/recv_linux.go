package udp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/transport"
)

const (
	// rxMessages bounds a recvmmsg.
	rxMessages = 32
	// rxBuffers is how many buffers the caller can hold while the messages of
	// a call have theirs.
	rxBuffers = 256
	// rxAggregate is the size of a buffer for datagrams that come up as one.
	rxAggregate = 1 << 16
	// rxControl has room for a code point, a segment size and a time stamp.
	rxControl = 96
)

// receiver fills buffers with messages, each of one datagram or, with UDP_GRO,
// of several of one sender, and lends views of them.
type receiver struct {
	// The kernel's view.
	msgs    [rxMessages]unix.Mmsghdr
	iovs    [rxMessages]unix.Iovec
	names   [rxMessages]sockaddr
	control [rxMessages][rxControl]byte

	buffer [rxMessages]uint32 // that each message reads into, or none
	batch  int                // how many messages the next call asks for

	memory []byte
	size   int      // of a buffer
	free   []uint32 // the last one back is lent first: it is in the cache
	views  []uint32 // of each buffer, not yet released

	looked        time.Time // when the latest Recv began
	next, arrived int       // messages of the last call: to be cut next, and all
	cut           burst     // the one before next, if it is not all lent yet

	zones zones
}

const none = ^uint32(0)

// burst is a received message: datagrams of one sender, all but the last of
// which have the length segment.
type burst struct {
	left    bool
	data    []byte
	segment int
	from    netip.AddrPort
	ecn     transport.ECN
	stamp   time.Duration // arrival, since 1970; 0: unknown
	waited  time.Duration
	buffer  uint32
}

func (r *receiver) init(caps transport.Caps) {
	const buffers = rxBuffers + rxMessages
	r.size = caps.MaxPayload
	if caps.SegmentRx {
		r.size = rxAggregate
	}
	r.memory = make([]byte, buffers*stride(r.size))
	r.views = make([]uint32, buffers)
	r.free = make([]uint32, 0, buffers)
	for b := range uint32(buffers) {
		r.free = append(r.free, b)
	}
	for i := range r.msgs {
		h := &r.msgs[i].Hdr
		h.Name = namePtr(&r.names[i])
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Control = &r.control[i][0]
		r.iovs[i].SetLen(r.size)
		r.buffer[i] = none
	}
	r.batch = 1
	r.zones = zones{}
}

// Recv implements [transport.Transport].
func (s *socket) Recv(pkts []transport.RxPacket) (int, error) {
	if s.closed.Load() {
		return 0, errClosed
	}
	r := &s.rx
	if s.caps.RxTimestamps {
		r.looked = time.Now()
		if r.cut.left {
			r.cut.waited = waited(r.looked, r.cut.stamp)
		}
	}
	if !r.pending() {
		switch errno := s.receive(len(pkts)); errno {
		case 0:
		case unix.EBADF, unix.ENOTSOCK:
			return 0, fmt.Errorf("udp: the socket is gone: %w", errno)
		default:
			// Nothing there, or an ICMP message about an earlier packet.
			return 0, nil
		}
	}
	n, bytes := 0, 0
	for n < len(pkts) && s.nextBurst() {
		k, b := r.lend(pkts[n:])
		n += k
		bytes += b
	}
	if n > 0 {
		s.stats.rxPackets.Add(uint64(n))
		s.stats.rxBytes.Add(uint64(bytes))
	}
	return n, nil
}

// receive makes one call for at most limit messages.
func (s *socket) receive(limit int) unix.Errno {
	r := &s.rx
	batch := r.arm(min(r.batch, limit))
	if batch == 0 {
		return unix.ENOBUFS
	}
	n, errno := recvmmsg(s.fd, r.msgs[:batch])
	s.stats.rxCalls.Add(1)
	r.next, r.arrived = 0, n
	// After a call that found nothing the next asks for one message, which is
	// the fastest way to get a lone one; the one after that takes what a burst
	// has brought meanwhile.
	switch n {
	case 0:
		r.batch = 1
	case batch:
		r.batch = rxMessages
	}
	return errno
}

// arm prepares at most n messages for a call and returns how many have a buffer.
func (r *receiver) arm(n int) int {
	for i := range n {
		if r.buffer[i] == none {
			if len(r.free) == 0 {
				return i
			}
			b := r.free[len(r.free)-1]
			r.free = r.free[:len(r.free)-1]
			r.buffer[i] = b
			r.iovs[i].Base = &r.memory[int(b)*stride(r.size)]
		}
		h := &r.msgs[i].Hdr
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(rxControl)
	}
	return n
}

// armed tells whether the next call can receive anything.
func (r *receiver) armed() bool { return r.buffer[0] != none || len(r.free) > 0 }

// pending tells whether datagrams are here that no Recv has returned yet.
func (r *receiver) pending() bool { return r.cut.left || r.next < r.arrived }

// nextBurst makes cut a message with something left, if there is one.
func (s *socket) nextBurst() bool {
	r := &s.rx
	for !r.cut.left {
		if r.next == r.arrived {
			return false
		}
		i := r.next
		r.next++
		m := &r.msgs[i]
		if m.Hdr.Flags&unix.MSG_TRUNC != 0 {
			s.stats.rxTruncated.Add(1)
			continue // the message keeps its buffer
		}
		b := r.buffer[i]
		r.buffer[i] = none
		start, length := int(b)*stride(r.size), int(m.Len)
		r.cut = burst{
			left:    true,
			data:    r.memory[start : start+length],
			segment: length,
			from:    r.names[i].addrPort(r.zones),
			buffer:  b,
		}
		r.cut.parse(r.control[i][:min(int(m.Hdr.Controllen), rxControl)])
		r.cut.waited = waited(r.looked, r.cut.stamp)
		r.views[b] = 1
		if r.cut.segment < length {
			r.views[b] = uint32((length + r.cut.segment - 1) / r.cut.segment)
		}
	}
	return true
}

// waited is how long a datagram lay in the socket. The system's clock may have
// been set meanwhile: what cannot be is 0.
func waited(looked time.Time, stamp time.Duration) time.Duration {
	d := time.Duration(looked.UnixNano()) - stamp
	if stamp == 0 || d < 0 || d > time.Minute {
		return 0
	}
	return d
}

// parse reads control messages.
func (c *burst) parse(control []byte) {
	const header = unix.SizeofCmsghdr
	for len(control) >= header {
		// The header is a length of the machine's word, a level and a type.
		level := binary.NativeEndian.Uint32(control[header-8:])
		kind := binary.NativeEndian.Uint32(control[header-4:])
		data := control[header:]
		size := 4 // of all but the last
		switch {
		case level == unix.SOL_UDP && kind == unix.UDP_GRO && len(data) >= 4:
			if size := int(binary.NativeEndian.Uint32(data)); size > 0 {
				c.segment = size
			}
		case level == unix.SOL_IP && kind == unix.IP_TOS && len(data) >= 1:
			c.ecn = transport.ECN(data[0] & 3)
		case level == unix.SOL_IPV6 && kind == unix.IPV6_TCLASS && len(data) >= 4:
			c.ecn = transport.ECN(binary.NativeEndian.Uint32(data) & 3)
		case level == unix.SOL_SOCKET && kind == unix.SO_TIMESTAMPNS_NEW && len(data) >= 16:
			size = 16
			c.stamp = time.Duration(binary.NativeEndian.Uint64(data))*time.Second +
				time.Duration(binary.NativeEndian.Uint64(data[8:]))
		}
		control = control[min(len(control), unix.CmsgSpace(size)):]
	}
}

// lend cuts the burst into pkts.
func (r *receiver) lend(pkts []transport.RxPacket) (n, bytes int) {
	c := &r.cut
	for n < len(pkts) && c.left {
		size := min(c.segment, len(c.data))
		pkts[n] = transport.RxPacket{
			Data:   c.data[:size:size],
			From:   c.from,
			ECN:    c.ecn,
			Waited: c.waited,
			Handle: uint64(c.buffer),
		}
		c.data = c.data[size:]
		c.left = len(c.data) > 0
		n++
		bytes += size
	}
	return n, bytes
}

// Release implements [transport.Transport].
func (s *socket) Release(pkts []transport.RxPacket) {
	r := &s.rx
	for i := range pkts {
		b := uint32(pkts[i].Handle)
		if r.views[b]--; r.views[b] == 0 {
			r.free = append(r.free, b)
		}
	}
}
