package core

// sendQueue holds the messages of a connection in the order of sending, as TCP's
// does: first those that datagrams hold, until it is known what became of these, so
// that a loss reaches the messages and they are packed again; then those that wait.
// What is sent stays where it is.
//
// It is a ring, which starts small, because most connections are idle, and is given
// back when one is.
type sendQueue struct {
	entries []entry
	sent    uint32 // number of the entry that comes next in a datagram
	// Entries [head, tail) wait, and [sent, head) are free.
	head, tail uint32
	length     int // entries that wait and are not void
}

// entry is one message or fragment in a datagram, or one message that waits. It is
// void once the message has another id.
type entry struct {
	message  *outgoing
	id       uint32
	fragment uint32
}

const minEntries = 16

func (q *sendQueue) at(i uint32) *entry { return &q.entries[i&uint32(len(q.entries)-1)] }

// push has o wait. Entries before settled are over.
func (q *sendQueue) push(o *outgoing, settled uint32) {
	if q.full(settled) {
		q.makeRoom(settled)
	}
	q.put(o)
}

func (q *sendQueue) full(settled uint32) bool { return int(q.tail-settled) >= len(q.entries) }

// put is push where there is room.
func (q *sendQueue) put(o *outgoing) {
	held := q.at(q.tail)
	held.message, held.id, held.fragment = o, o.id, 0
	o.waits = true
	q.tail++
	q.length++
}

// pushSoon is push in front of what waits, but for so many bytes of it.
func (q *sendQueue) pushSoon(o *outgoing, settled uint32, bytes int) {
	q.push(o, settled)
	place := q.head
	for ; place != q.tail-1; place++ {
		held := q.at(place)
		if held.message.id != held.id {
			continue
		}
		if bytes -= int(held.message.size); bytes < 0 {
			break
		}
	}
	for i := q.tail - 1; i != place; i-- {
		*q.at(i), *q.at(i - 1) = *q.at(i - 1), *q.at(i)
	}
}

// note adds a fragment that a datagram holds, where nothing waits.
func (q *sendQueue) note(o *outgoing, fragment int, settled uint32) {
	q.head, q.tail = q.sent, q.sent
	q.push(o, settled)
	q.at(q.sent).fragment = uint32(fragment)
	q.send(o)
}

// first is the message that has waited for longest; nil: none waits.
func (q *sendQueue) first() *outgoing {
	if q.length == 0 {
		return nil
	}
	for q.at(q.head).message.id != q.at(q.head).id {
		q.head++
	}
	return q.at(q.head).message
}

// send notes that a datagram holds o, which first returned.
func (q *sendQueue) send(o *outgoing) {
	if q.sent != q.head {
		*q.at(q.sent) = *q.at(q.head)
	}
	q.sent++
	q.skip(o)
}

// skip has o, which first returned, wait no more.
func (q *sendQueue) skip(o *outgoing) {
	o.waits = false
	q.head++
	q.length--
}

// void makes all entries of o mean nothing.
func (q *sendQueue) void(o *outgoing) {
	if o.waits {
		o.waits = false
		q.length--
	}
	o.id = 0
}

// makeRoom leaves out what does not wait any more, and grows if that is little.
func (q *sendQueue) makeRoom(settled uint32) {
	to := q.sent
	for i := q.head; i != q.tail; i++ {
		if held := q.at(i); held.message.id == held.id {
			*q.at(to) = *held
			to++
		}
	}
	q.head, q.tail = q.sent, to
	if 2*int(q.tail-settled) < len(q.entries) {
		return
	}
	grown := make([]entry, max(minEntries, 2*len(q.entries)))
	for i := settled; i != q.tail; i++ {
		grown[i&uint32(len(grown)-1)] = *q.at(i)
	}
	q.entries = grown
}

// shrink gives the ring back if all is over.
func (q *sendQueue) shrink(settled uint32) {
	if q.length == 0 && q.sent == settled {
		q.entries, q.head, q.tail = nil, q.sent, q.sent
	}
}
