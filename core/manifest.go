package core

// manifest notes what datagrams held, entry by entry, so that a loss reaches the
// messages and they are packed again. It is a ring, which starts small, because
// most connections are idle, and is given back when one is.
type manifest struct {
	entries []entry
	next    uint32 // number of the entry that comes next
}

// entry is one message or fragment in a datagram. It is void once the message has
// another id.
type entry struct {
	message  *outgoing
	id       uint32
	fragment uint32
}

const minEntries = 16

func (m *manifest) at(i uint32) *entry { return &m.entries[i&uint32(len(m.entries)-1)] }

// note adds a message, or a fragment of it. Entries before settled are over.
func (m *manifest) note(o *outgoing, fragment int, settled uint32) {
	if int(m.next-settled) == len(m.entries) {
		m.grow(settled)
	}
	*m.at(m.next) = entry{o, o.id, uint32(fragment)}
	m.next++
}

func (m *manifest) grow(settled uint32) {
	grown := make([]entry, max(minEntries, 2*len(m.entries)))
	for i := settled; i != m.next; i++ {
		grown[i&uint32(len(grown)-1)] = *m.at(i)
	}
	m.entries = grown
}

// shrink gives the ring back if all is over.
func (m *manifest) shrink(settled uint32) {
	if m.next == settled {
		m.entries = nil
	}
}
