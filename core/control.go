package core

import "github.com/peregrine-rpc/peregrine/wire"

// maxControls bounds the control messages under way to a remote, which takes them in and
// may acknowledge none. Of what is over the bound, a cancel is not sent, since it only
// hastens what happens anyway, and the end of a session waits. Pings have a bound that is a
// little higher: where the path has narrowed nothing else may pass.
const (
	maxControls = 1 << 12
	maxPings    = maxControls + 1<<6
)

// What bounds the refusals under way, which a server owes for requests that it
// does not remember: those of a client, those of all clients, and those that a
// client may have even so. Beyond, its datagrams are dropped as if lost, and come
// again once it has acknowledged.
const (
	maxRefusals = 256
	allRefusals = 1 << 14
	fewRefusals = 16
)

// control returns a new control message, or nil if there are most, or more.
func (m *mux) control(lead wire.MessageLead, most int) *outgoing {
	if m.controls >= most {
		return nil
	}
	return m.newControl(lead)
}

func (m *mux) newControl(lead wire.MessageLead) *outgoing {
	e := m.e
	m.controls++
	e.controlling++
	o := e.controls.get()
	e.begin(o)
	o.lead = lead
	o.owner = m
	return o
}

// recycleControl takes a message that is under way no more, if it is a control
// message; requests and responses belong to their slots.
func (e *Endpoint) recycleControl(m *outgoing) {
	if m.owner == nil {
		return
	}
	m.owner.void(m)
	owner := m.owner
	owner.controls--
	m.data, m.owner = nil, nil
	e.controlling--
	owner.weighRefusals()
	if len(owner.unclosed) > 0 {
		owner.tellClosed()
	}
	e.controls.put(m)
	if len(e.controls.free) > few {
		e.tidySoon()
	}
}

// tellClosed tells the server which sessions are closed, as far as there is room.
func (m *mux) tellClosed() {
	for len(m.unclosed) > 0 && m.controls < maxControls {
		n := len(m.unclosed) - 1
		index := m.unclosed[n]
		m.unclosed = m.unclosed[:n]
		entry := &m.clients[index]
		entry.unclosed = false
		if entry.session == nil { // else the former one ends with what is sent in that
			m.enqueue(m.newControl(wire.NewMessageLead(wire.CloseSession, index, entry.generation, 0, 0, 0)))
		}
	}
}

// weighRefusals takes in no more of a client's datagrams while it owes too many
// acknowledgements of refusals.
func (m *mux) weighRefusals() {
	if !m.conn.Dialed() {
		m.conn.Full(m.controls >= maxRefusals || m.controls >= fewRefusals && m.e.controlling >= allRefusals)
	}
}

// begin makes m new: packets that held it mean nothing now.
func (e *Endpoint) begin(m *outgoing) {
	e.restamp(m)
	m.flags, m.started, m.acked = 0, false, false
	m.padding, m.stride, m.payloadEnd = 0, 0, 0
}

func (e *Endpoint) restamp(m *outgoing) {
	if e.lastID++; e.lastID == 0 {
		e.lastID = 1
	}
	m.id = e.lastID
}
