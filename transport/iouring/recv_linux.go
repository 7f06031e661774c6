package iouring

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/udpsock"
	"github.com/peregrine-rpc/peregrine/internal/uring"
	"github.com/peregrine-rpc/peregrine/transport"
)

const (
	// rxHeld is how many buffers the caller can hold while the kernel has its own.
	rxHeld = 256
	// rxProvided is how many the kernel has at most: enough for what arrives between
	// two calls. It fills them in the order in which they were given, so it has few
	// more than calls bring, from rxLeast on, and while messages are large rxFew at
	// most: then the same memory is filled again, which is in the cache.
	rxProvided = 64
	rxLeast    = 2
	rxFew      = 8
	rxLarge    = 16 << 10

	rxBuffers = rxHeld + rxProvided
	// rxName is the room for the sender, rxHeader that before the datagram.
	rxName   = 32
	rxHeader = uring.ReceivedHeader + rxName + udpsock.RxControl
)

// receiver has the kernel fill buffers with messages, each of one datagram or, with
// UDP_GRO, of several of one sender, and lends views of them.
type receiver struct {
	inquiry
	memory   []byte
	size     int              // of a buffer
	free     []uint16         // the last one back is used first: it is in the cache
	views    []uint32         // of each buffer, not yet released
	with     [rxBuffers]bool  // the kernel may choose it
	provided int              // how many those are
	places   int              // how many they may be
	asked    int              // how many they were when the kernel was last asked
	arrived  [rxBuffers]valid // messages that Recv has not come to, from next on
	next     int
	count    int
	small    int   // messages since the latest large one
	told     bool  // a request failed, maybe for what became of an earlier packet
	broken   error // what no other request would cure

	looked time.Time     // when the latest Recv that found something began
	cut    udpsock.Burst // the message before next, if it is not all lent yet
}

// valid is a buffer and how much of it is filled.
type valid struct {
	buffer uint16
	length int32
}

// rxSize is the size of a buffer.
func rxSize(caps transport.Caps) int {
	if caps.SegmentRx {
		return rxHeader + udpsock.RxAggregate
	}
	return rxHeader + caps.MaxPayload
}

// rxMemory is what all of them take.
func rxMemory(caps transport.Caps) int { return rxBuffers * udpsock.Stride(rxSize(caps)) }

func (r *receiver) init(caps transport.Caps, memory []byte) {
	r.size, r.memory = rxSize(caps), memory
	r.views = make([]uint32, rxBuffers)
	r.free = make([]uint16, 0, rxBuffers)
	for b := range uint16(rxBuffers) {
		r.free = append(r.free, b)
	}
	r.small, r.places = rxProvided, rxLeast
	r.inquiry.init()
}

// restart is for a new ring: the old one, if any, has nothing more to say.
func (r *receiver) restart() {
	r.out, r.provided = none, 0
	for b := range r.with {
		if r.with[b] {
			r.with[b] = false
			r.free = append(r.free, uint16(b))
		}
	}
}

func (r *receiver) buffer(b uint16) []byte {
	start := int(b) * udpsock.Stride(r.size)
	return r.memory[start : start+r.size : start+r.size]
}

// able tells whether the kernel has, or can be given, a buffer.
func (r *receiver) able() bool { return r.provided > 0 || r.mine != noBuffer || len(r.free) > 0 }

// pending tells whether datagrams are here that no Recv has returned yet.
func (r *receiver) pending() bool { return r.count > 0 || r.cut.Left() }

// Recv implements [transport.Transport].
func (q *queue) Recv(pkts []transport.RxPacket) (int, error) {
	if q.closed.Load() {
		return 0, q.gone()
	}
	r := &q.rx
	if !r.pending() {
		if err := q.look(); err != nil {
			return 0, err
		}
		if !r.pending() {
			return 0, nil
		}
	}
	if q.sock.Caps.RxTimestamps {
		r.looked = time.Now()
		r.cut.Look(r.looked)
	}
	n, bytes := 0, 0
	for n < len(pkts) && q.nextBurst() {
		k, b := r.cut.Cut(pkts[n:])
		n += k
		bytes += b
	}
	if n > 0 {
		q.stats.RxPackets.Add(uint64(n))
		q.stats.RxBytes.Add(uint64(bytes))
	}
	return n, nil
}

// nextBurst makes cut a message with something left, if there is one.
func (q *queue) nextBurst() bool {
	r := &q.rx
	for !r.cut.Left() {
		if r.count == 0 {
			return false
		}
		v := r.arrived[r.next]
		r.next = (r.next + 1) % rxBuffers
		r.count--
		m, ok := uring.ParseReceived(r.buffer(v.buffer), int(v.length), rxName, udpsock.RxControl)
		if !ok || m.Flags&unix.MSG_TRUNC != 0 {
			q.stats.RxTruncated.Add(1)
			r.free = append(r.free, v.buffer)
			continue
		}
		from := udpsock.ParseSockaddr(m.Name)
		r.cut.Fill(m.Payload, from.AddrPort(q.sock.Zones), m.Control, q.sock.Zones, uint64(v.buffer), r.looked)
		r.views[v.buffer] = uint32(r.cut.Packets())
	}
	return true
}

// Release implements [transport.Transport].
func (q *queue) Release(pkts []transport.RxPacket) {
	r := &q.rx
	for i := range pkts {
		b := uint16(pkts[i].Handle)
		if r.views[b]--; r.views[b] == 0 {
			r.free = append(r.free, b)
		}
	}
}
