package udp

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/udpsock"
	"github.com/peregrine-rpc/peregrine/transport"
)

const (
	// rxMessages bounds a recvmmsg. While messages are large, rxFew does: what it
	// fills is to be in the cache when it is read.
	rxMessages = 32
	rxFew      = 8
	rxLarge    = 16 << 10
	// rxBuffers is how many buffers the caller can hold while the messages of
	// a call have theirs.
	rxBuffers = 256
)

// receiver fills buffers with messages, each of one datagram or, with UDP_GRO,
// of several of one sender, and lends views of them.
type receiver struct {
	// The kernel's view.
	msgs    [rxMessages]unix.Mmsghdr
	iovs    [rxMessages]unix.Iovec
	names   [rxMessages]udpsock.Sockaddr
	control [rxMessages][udpsock.RxControl]byte

	buffer [rxMessages]uint32 // that each message reads into, or none
	batch  int                // how many messages the next call asks for, unless they are large
	small  int                // messages since the latest large one

	memory []byte
	size   int      // of a buffer
	free   []uint32 // the last one back is lent first: it is in the cache
	views  []uint32 // of each buffer, not yet released

	looked        time.Time     // when the latest Recv began
	next, arrived int           // messages of the last call: to be cut next, and all
	cut           udpsock.Burst // the one before next, if it is not all lent yet
}

const none = ^uint32(0)

const (
	// noBuffers stands for a call that would have had nothing to read into.
	noBuffers = unix.ENOBUFS
	// maxTries bounds how often a call is made again that failed for what became
	// of earlier packets.
	maxTries = 8
)

// rxAll is how many buffers there are.
const rxAll = rxBuffers + rxMessages

// rxSize is the size of one.
func rxSize(caps transport.Caps) int {
	if caps.SegmentRx {
		return udpsock.RxAggregate
	}
	return caps.MaxPayload
}

// rxMemory is what all of them take.
func rxMemory(caps transport.Caps) int { return rxAll * udpsock.Stride(rxSize(caps)) }

func (r *receiver) init(caps transport.Caps, memory []byte) {
	r.size, r.memory = rxSize(caps), memory
	r.views = make([]uint32, rxAll)
	r.free = make([]uint32, 0, rxAll)
	for b := range uint32(rxAll) {
		r.free = append(r.free, b)
	}
	for i := range r.msgs {
		h := &r.msgs[i].Hdr
		h.Name = r.names[i].Ptr()
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Control = &r.control[i][0]
		r.iovs[i].SetLen(r.size)
		r.buffer[i] = none
	}
	r.batch, r.small = 1, rxMessages
}

// Recv implements [transport.Transport].
func (s *socket) Recv(pkts []transport.RxPacket) (int, error) {
	if s.closed.Load() {
		return 0, errClosed
	}
	r := &s.rx
	if s.sock.Caps.RxTimestamps {
		r.looked = time.Now()
		r.cut.Look(r.looked)
	}
	for tries := 0; !r.pending() && tries < maxTries; tries++ {
		switch errno := s.receive(len(pkts)); {
		case errno == 0:
		case errno == unix.EBADF || errno == unix.ENOTSOCK:
			return 0, fmt.Errorf("udp: the socket is gone: %w", errno)
		case errno == unix.EAGAIN || errno == noBuffers || s.sock.DrainErrors() == 0:
			return 0, nil
		}
	}
	n, bytes := 0, 0
	for n < len(pkts) && s.nextBurst() {
		k, b := r.cut.Cut(pkts[n:])
		n += k
		bytes += b
	}
	if n > 0 {
		s.stats.RxPackets.Add(uint64(n))
		s.stats.RxBytes.Add(uint64(bytes))
	}
	return n, nil
}

// receive makes one call for at most limit messages.
func (s *socket) receive(limit int) unix.Errno {
	r := &s.rx
	batch := min(r.batch, limit)
	if r.small < rxMessages {
		batch = min(batch, rxFew)
	}
	batch = r.arm(batch)
	if batch == 0 {
		return noBuffers
	}
	n, errno := udpsock.Receive(s.sock.FD, r.msgs[:batch])
	s.stats.RxCalls.Add(1)
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
			r.iovs[i].Base = &r.memory[int(b)*udpsock.Stride(r.size)]
		}
		h := &r.msgs[i].Hdr
		h.Namelen = udpsock.SizeofSockaddr
		h.SetControllen(udpsock.RxControl)
	}
	return n
}

// armed tells whether the next call can receive anything.
func (r *receiver) armed() bool { return r.buffer[0] != none || len(r.free) > 0 }

// pending tells whether datagrams are here that no Recv has returned yet.
func (r *receiver) pending() bool { return r.cut.Left() || r.next < r.arrived }

// nextBurst makes cut a message with something left, if there is one.
func (s *socket) nextBurst() bool {
	r := &s.rx
	for !r.cut.Left() {
		if r.next == r.arrived {
			return false
		}
		i := r.next
		r.next++
		m := &r.msgs[i]
		if m.Hdr.Flags&unix.MSG_TRUNC != 0 {
			s.stats.RxTruncated.Add(1)
			continue // the message keeps its buffer
		}
		if r.small++; m.Len > rxLarge {
			r.small = 0
		}
		b := r.buffer[i]
		r.buffer[i] = none
		start := int(b) * udpsock.Stride(r.size)
		control := r.control[i][:min(int(m.Hdr.Controllen), udpsock.RxControl)]
		r.cut.Fill(r.memory[start:start+int(m.Len)], r.names[i].AddrPort(s.sock.Zones), control, s.sock.Zones, uint64(b), r.looked)
		r.views[b] = uint32(r.cut.Packets())
	}
	return true
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
