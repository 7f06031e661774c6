package udpsock

import (
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

// RxAggregate is the size of a receive buffer where datagrams come up as one.
const RxAggregate = 1 << 16

// Burst is a received message on its way to the caller: datagrams of one sender
// in one buffer, all but the last of the same length.
type Burst struct {
	data    []byte
	left    bool // also an empty message is one datagram
	segment int
	from    netip.AddrPort
	control Control
	waited  time.Duration
	handle  uint64
}

// Fill makes b a message in buffer handle, of a sender and with control messages,
// looked at at a time, or the zero Time where there are no time stamps.
func (b *Burst) Fill(data []byte, from netip.AddrPort, control []byte, z Zones, handle uint64, looked time.Time) {
	b.control.parse(control, z)
	b.data, b.left, b.from, b.handle = data, true, from, handle
	b.segment = len(data)
	if b.control.Segment > 0 {
		b.segment = b.control.Segment
	}
	b.Look(looked)
}

// Packets is how many datagrams the message holds, all told.
func (b *Burst) Packets() int {
	if b.segment < len(b.data) {
		return (len(b.data) + b.segment - 1) / b.segment
	}
	return 1
}

// To is the address of this host that the message was sent to, if it is told.
func (b *Burst) To() netip.Addr { return b.control.To }

// Left tells whether Cut has not returned all of it.
func (b *Burst) Left() bool { return b.left }

// Look says that what is left is looked at now: it has waited since.
func (b *Burst) Look(now time.Time) {
	b.waited = waited(now, b.control.Stamp)
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

// Cut fills pkts from the front and returns how many datagrams, of how many
// bytes, it was.
func (b *Burst) Cut(pkts []transport.RxPacket) (n, bytes int) {
	if !b.left {
		return 0, 0
	}
	data := b.data
	for n < len(pkts) && b.left {
		size := min(b.segment, len(data))
		p := &pkts[n] // field by field: a whole packet would be made first, and copied
		p.Data = data[:size:size]
		p.From, p.To, p.Port = b.from, b.control.To, 0
		p.ECN, p.Waited, p.Handle = b.control.ECN, b.waited, b.handle
		data = data[size:]
		b.left = len(data) > 0
		n++
	}
	bytes = len(b.data) - len(data)
	b.data = data
	return n, bytes
}
