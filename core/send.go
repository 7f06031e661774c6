package core

import (
	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// Sending, from top to bottom: messages queue, datagrams are filled with them, and
// what was lost queues again.

const (
	// copyLimit is the longest body that is copied beside others; longer ones
	// are lent to the transport as the datagram's payload.
	copyLimit = 1024
	// turn is how many fragments of a message go before another message's: long
	// enough to read and write memory in order.
	turn = 16
)

// outbox is what a connection has to send, and has sent.
type outbox struct {
	queue    sendQueue
	bulk     outgoingQueue // messages longer than a datagram
	controls int           // control messages under way
	queued   int           // bytes of streams' messages that are not acknowledged
}

// enqueue queues o for sending.
func (m *mux) enqueue(o *outgoing) {
	o.size = wire.MessageHeaderSize + int32(len(o.data))
	limit := m.singleLimit()
	if o.flags != 0 {
		o.size += int32(o.options())
		limit = m.limitOf(o)
	}
	if len(o.data) <= limit {
		if settled := m.conn.Settled(); m.queue.full(settled) {
			m.queue.makeRoom(settled)
		}
		m.queue.put(o) // that is push, in line, since it is done for each message
	} else {
		m.bulk.push(o)
	}
	m.conn.Touch()
}

// void takes o out of its queue, and makes datagrams that held it mean nothing.
func (m *mux) void(o *outgoing) {
	o.dequeue()
	m.queue.void(o)
}

// singleLimit is how long a message without a trace may be to travel in one datagram.
func (m *mux) singleLimit() int { return m.conn.Room() - wire.MessageHeaderSize - wire.DeadlineSize }

// limitOf is how long o may be.
func (m *mux) limitOf(o *outgoing) int {
	if o.flags&wire.FlagTrace != 0 {
		return m.singleLimit() - wire.TraceSize
	}
	return m.singleLimit()
}

// stride is the length of the fragments of o, if it is longer.
func (m *mux) stride(o *outgoing) int { return m.limitOf(o) - wire.FragmentSize }

// Ping queues a message whose arrival is all that matters. One that is to be alone in a
// datagram which every path carries goes behind the next datagram and no more: where the
// path has narrowed nothing else may pass, and what it overtakes is found out to be lost.
func (m *mux) Ping(size int) {
	o := m.control(wire.NewMessageLead(wire.Ping, 0, 0, 0, 0, 0), maxPings)
	if o == nil {
		return
	}
	o.padding = int32(size)
	if size == 0 || size > wire.MinHello {
		m.enqueue(o)
		return
	}
	o.size = o.padding
	m.queue.pushSoon(o, m.conn.Settled(), m.conn.Room())
	m.conn.Touch()
}

// Next is the head of the queues.
func (m *mux) Next() packet.Next {
	if o := m.queue.first(); o != nil {
		if o.padding > 0 {
			return packet.Padded
		}
		return packet.Next(o.size)
	}
	if m.bulk.head != nil {
		return packet.Bulk
	}
	return packet.Nothing
}

// Fill packs as many small messages as fit in each datagram, or else a fragment of a
// bulk message.
func (m *mux) Fill(r *packet.Run) (filled int, next packet.Next) {
	e, q, run := m.e, &m.queue, r.Packets
	messages := uint64(0)
	for ; filled < len(run) && filled < len(r.Entries); filled++ {
		t := &run[filled]
		limit := min(r.Limit, len(t.Head))
		b := t.Head[:limit:limit]
		n, entries := r.Skip, 0
		if q.length == 0 {
			n, entries = m.fragment(b, n, t, filled)
		}
		for q.length > 0 {
			held := q.at(q.head)
			o := held.message
			if held.id != o.id {
				q.head++ // void
				continue
			}
			if o.padding > 0 {
				if filled+entries == 0 {
					n, entries = m.padded(b, n)
				}
				break
			}
			if n+int(o.size) > len(b) {
				if entries == 0 {
					q.skip(o) // queued when the MTU was larger
					m.bulk.push(o)
				}
				break
			}
			q.send(o)
			entries++
			o.started = true
			if o.flags == 0 {
				o.lead.Put(b[n:], len(o.data))
				n += wire.MessageHeaderSize
			} else {
				n += o.put(b[n:], 0, len(o.data), e.packets.Now())
			}
			if len(o.data) > copyLimit {
				m.lend(o, o.data, t, filled)
				break
			}
			n += copyShort(b[n:], o.data)
			if e.cfg.NoCoalesce {
				break
			}
		}
		if entries == 0 {
			break
		}
		t.Head = t.Head[:n]
		r.Entries[filled] = uint16(entries)
		messages += uint64(entries)
	}
	e.stats.TxMessages += messages
	if q.length == 0 && m.bulk.head == nil {
		return filled, packet.Nothing
	}
	return filled, m.Next()
}

// padded packs a ping that fills a datagram to its size, from b[n] on. What it returns
// is where it ends, and one entry.
func (m *mux) padded(b []byte, n int) (end, entries int) {
	o := m.queue.first()
	m.queue.send(o)
	end = n + int(o.padding)
	o.lead.Put(b[n:], int(o.padding)-wire.MessageHeaderSize)
	clear(b[n+wire.MessageHeaderSize : end])
	return end, 1
}

// fragment packs one fragment of the message whose turn it is, if there is any, from b[n]
// of the next datagram but ahead. It returns where its head ends, and whether that is one
// entry or none.
func (m *mux) fragment(b []byte, n int, t *transport.TxPacket, ahead int) (end, entries int) {
	o := m.bulk.head
	if o == nil {
		return n, 0
	}
	if o.stride == 0 && len(o.data) <= m.limitOf(o) {
		o.dequeue()
		m.queue.push(o, m.conn.Settled()) // queued when the MTU was smaller
		return n, 0
	}
	if stride := m.stride(o); o.stride == 0 || int(o.stride) > stride {
		m.e.restamp(o)
		o.split(stride)
		if o.part != nil {
			o.part.open()
		}
	}
	fragment, ok := o.take()
	left := len(o.lost) > 0 || o.cut < o.allowed
	if !left || fragment%turn == turn-1 {
		o.dequeue()
	}
	if left && o.queue == nil {
		m.bulk.push(o)
	}
	if !ok {
		return n, 0
	}
	m.queue.note(o, fragment, m.conn.Settled())
	o.started = true
	body := o.body(fragment)
	m.lend(o, body, t, ahead)
	return n + o.put(b[n:], fragment, len(body), m.e.packets.Now()), 1
}

// lend has data, of o's, follow what is in the next datagram but ahead, and notes until
// when the transport reads it.
func (m *mux) lend(o *outgoing, data []byte, t *transport.TxPacket, ahead int) {
	t.Payload = data
	o.payloadEnd = m.e.packets.Placed() + uint64(ahead) + 1
}

// Arrived tells the messages that datagrams held.
func (m *mux) Arrived(first uint32, count int) {
	for i, end := first, first+uint32(count); i != end; i++ {
		held := m.queue.at(i)
		o := held.message
		if o.id != held.id || o.stride != 0 && !o.fragmentArrived(held.fragment) {
			continue
		}
		o.acked = true
		switch {
		case o.response != nil:
			o.response.received()
		case o.part != nil:
			m.e.partArrived(o.part)
		case o.owner != nil:
			m.e.recycleControl(o)
		default:
			continue // a request, which its slot keeps for the response
		}
		if m.conn.State() != packet.Connected {
			return // a callback closed the endpoint
		}
	}
}

// Lost queues again what a datagram held.
func (m *mux) Lost(first uint32, count int) {
	for i := range uint32(count) {
		held := m.queue.at(first + i)
		if held.message.id == held.id {
			m.retransmit(held.message, held.fragment)
		}
	}
}

// retransmit queues a lost message, or a lost fragment of it, again.
func (m *mux) retransmit(o *outgoing, fragment uint32) {
	switch {
	case o.acked:
		return
	case o.lead.Kind() == wire.Ping:
		m.e.recycleControl(o)
		return
	case o.stride != 0:
		o.lost = append(o.lost, fragment)
		if o.queue == nil {
			m.bulk.push(o)
		}
	case o.queue == nil && !o.waits:
		m.queue.push(o, m.conn.Settled())
	}
	m.e.stats.Retransmits++
	if m.e.cfg.Recorder != nil {
		m.recordAgain(o)
	}
	m.conn.Touch()
}

// drop forgets all that is queued or under way, since the connection is no more.
func (m *mux) drop() {
	for _, index := range m.unclosed {
		m.clients[index].unclosed = false
	}
	m.unclosed = nil
	for i := range m.queue.entries {
		if held := &m.queue.entries[i]; held.message != nil && held.message.id == held.id {
			held.message.waits = false
			m.e.recycleControl(held.message)
		}
	}
	m.queue = sendQueue{}
	for m.bulk.head != nil {
		o := m.bulk.head
		o.dequeue()
		m.e.recycleControl(o)
	}
}
