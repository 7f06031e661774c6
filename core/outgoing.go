package core

import (
	"time"

	"github.com/peregrine-rpc/peregrine/wire"
)

// outgoing is a message on its way to the remote: a request in a client's slot, a
// response in a server's, or a control message. It stays until its owner
// recycles it; packets sent earlier then refer to an id that is gone.
//
// What every small message touches comes first, in 128 bytes.
type outgoing struct {
	id         uint32
	size       int32 // in a datagram, uncut
	flags      uint8 // wire.FlagDeadline, wire.FlagTrace: what its header has besides
	started    bool  // some packet went out
	acked      bool  // all packets arrived
	waits      bool  // in its connection's sendQueue
	next, prev *outgoing
	queue      *outgoingQueue // of long messages; nil: in none
	lead       wire.MessageLead
	data       []byte
	deadline   time.Duration // with FlagDeadline: when the call times out
	stride     int32         // bytes a fragment; 0: not cut
	padding    int32         // MTU probe: length of the datagram
	// payloadEnd is one more than the transmit number of the last packet that
	// lent data to the transport; 0: none did.
	payloadEnd uint64
	response   *Request // whose response this is
	owner      *mux     // of a control message
	trace      *Trace   // with FlagTrace: the caller's

	// For messages of several packets.
	fragments int
	cut       int      // fragments sent at least once
	allowed   int      // fragments that may be sent, of a stream's message fewer than there are at first
	unacked   int      // fragments not acknowledged
	arrived   []uint64 // bitmap of acknowledged fragments
	lost      []uint32 // fragments to send again

	part *sending // that this is of, if it is a stream's message
}

// split cuts m in fragments of stride bytes, from the start again if it was cut
// otherwise before.
func (m *outgoing) split(stride int) {
	m.stride = int32(stride)
	m.fragments = (len(m.data) + stride - 1) / stride
	m.cut, m.allowed, m.unacked = 0, m.fragments, m.fragments
	m.lost = m.lost[:0]
	words := (m.fragments + 63) / 64
	if cap(m.arrived) < words {
		m.arrived = make([]uint64, words)
	}
	m.arrived = m.arrived[:words]
	clear(m.arrived)
}

// expire has the message say when its call times out.
func (m *outgoing) expire(at time.Duration) { m.flags, m.deadline = m.flags|wire.FlagDeadline, at }

// options is the size of what m's flags add to its header.
func (m *outgoing) options() int {
	size := 0
	if m.flags&wire.FlagDeadline != 0 {
		size += wire.DeadlineSize
	}
	if m.flags&wire.FlagTrace != 0 {
		size += wire.TraceSize
	}
	return size
}

// take returns the fragment to send next, if any is left.
func (m *outgoing) take() (fragment int, ok bool) {
	for len(m.lost) > 0 {
		f := m.lost[len(m.lost)-1]
		m.lost = m.lost[:len(m.lost)-1]
		if m.arrived[f/64]&(1<<(f%64)) == 0 {
			return int(f), true
		}
	}
	if m.cut < m.allowed {
		m.cut++
		return m.cut - 1, true
	}
	return 0, false
}

// put encodes the header of m, or of one of its fragments, at the start of b, for so
// many bytes of data, and returns its size.
func (m *outgoing) put(b []byte, fragment, length int, now time.Duration) int {
	h := m.lead.Header()
	h.Flags |= m.flags
	if m.flags&wire.FlagDeadline != 0 {
		h.Deadline = wire.EncodeTimeout(m.deadline - now)
	}
	if m.flags&wire.FlagTrace != 0 {
		h.Trace = *m.trace
	}
	if m.stride != 0 {
		h.Flags |= wire.FlagFragment
		h.Total, h.Index, h.Stride = uint32(len(m.data)), uint32(fragment), uint16(m.stride)
	}
	return h.Put(b, length)
}

// fragmentArrived notes that the remote has a fragment, and says whether it has all
// of them only now.
func (m *outgoing) fragmentArrived(fragment uint32) bool {
	word, bit := &m.arrived[fragment/64], uint64(1)<<(fragment%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	m.unacked--
	return m.unacked == 0
}

// body is the piece of data that fragment holds.
func (m *outgoing) body(fragment int) []byte {
	start := fragment * int(m.stride)
	return m.data[start:min(start+int(m.stride), len(m.data))]
}

// outgoingQueue is a doubly linked FIFO.
type outgoingQueue struct {
	head, tail *outgoing
	length     int
}

func (q *outgoingQueue) push(m *outgoing) {
	m.queue, m.prev, m.next = q, q.tail, nil
	if q.tail == nil {
		q.head = m
	} else {
		q.tail.next = m
	}
	q.tail = m
	q.length++
}

// dequeue removes m from the queue of long messages that it is in, if any.
func (m *outgoing) dequeue() {
	q := m.queue
	if q == nil {
		return
	}
	if m.prev == nil {
		q.head = m.next
	} else {
		m.prev.next = m.next
	}
	if m.next == nil {
		q.tail = m.prev
	} else {
		m.next.prev = m.prev
	}
	m.queue, m.next, m.prev = nil, nil, nil
	q.length--
}
