package sim

import (
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Packet is a datagram on its way.
type Packet struct {
	// ID numbers the network's datagrams. A duplicate has the ID of its original.
	ID uint64
	// From and To are the sender and the destination.
	From, To netip.AddrPort
	// ECN is the code point of its IP header.
	ECN transport.ECN
	// Data is the payload.
	Data []byte
	// Unreachable, if set, says that this is no datagram, but word from a host that
	// nobody has From open: Data is of the datagram that was sent there.
	Unreachable error

	buf     []byte // what Data is in
	index   int    // in Network.packets
	class   int    // in Network.pool
	next    *Packet
	payload []byte  // of the sender, to be read when it leaves
	refused *uint64 // what counts it instead, when it would leave
	to      *Host
	damaged bool
	pipe    *Pipe
	holder  *Port         // lent to by Recv
	at      time.Duration // when it leaves, or arrives
	order   uint64
}

// happen is the arrival of a packet that lost its place in the pipe's order.
func (p *Packet) happen(uint64) { p.pipe.to.arrive(p) }

// sizes are the classes of packet buffers, in bytes. The last holds any
// datagram.
var sizes = [...]int{256, 2048, 9216, 65536}

// newPacket returns a packet with room for size bytes of data.
func (n *Network) newPacket(size int) *Packet {
	class := 0
	for class < len(sizes)-1 && sizes[class] < size {
		class++
	}
	p := n.pool[class]
	if p != nil {
		n.pool[class], p.next = p.next, nil
	} else {
		p = &Packet{buf: make([]byte, sizes[class]), index: len(n.packets), class: class}
		n.packets = append(n.packets, p)
	}
	return p
}

// BufferBytes is what the buffers of packets take, in bytes: as many as were under way at once, which the network keeps.
func (n *Network) BufferBytes() int {
	total := 0
	for _, p := range n.packets {
		total += len(p.buf)
	}
	return total
}

// free takes back a packet that is no longer anywhere.
func (n *Network) free(p *Packet) {
	p.Data, p.payload, p.refused, p.damaged, p.Unreachable = nil, nil, nil, false, nil
	p.next, n.pool[p.class] = n.pool[p.class], p // last out first: it may be in the cache
}

// gather reads the payload. From here on the sender may change it. While a
// packet waits to leave its buffer holds the head alone.
func (n *Network) gather(p *Packet) *Packet {
	if p.payload == nil || p.refused != nil {
		return p
	}
	size := len(p.Data) + len(p.payload)
	if size > len(p.buf) {
		larger := n.clone(p, size)
		larger.payload = p.payload
		n.free(p)
		p = larger
	}
	copy(p.buf[len(p.Data):], p.payload)
	p.Data, p.payload = p.buf[:size], nil
	return p
}

// clone copies a packet, into a buffer for size bytes.
func (n *Network) clone(p *Packet, size int) *Packet {
	c := n.newPacket(size)
	c.at = p.at
	c.ID, c.From, c.To, c.ECN = p.ID, p.From, p.To, p.ECN
	c.to, c.damaged, c.pipe, c.Unreachable = p.to, p.damaged, p.pipe, p.Unreachable
	c.Data = c.buf[:copy(c.buf, p.Data)]
	return c
}

// list is packets in order.
type list struct {
	head, tail *Packet
}

func (l *list) push(p *Packet) {
	p.next = nil
	if l.head == nil {
		l.head = p
	} else {
		l.tail.next = p
	}
	l.tail = p
}

func (l *list) pop() *Packet {
	p := l.head
	if p != nil {
		l.head, p.next = p.next, nil
	}
	return p
}
