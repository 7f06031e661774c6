package pcapng

import (
	"net/netip"
	"slices"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// filter passes what concerns certain methods: their requests, and what answers or
// cancels these. What is no message passes, save bare acknowledgements: it says how
// the connection stands.
type filter struct {
	methods []uint16
	open    map[slot]uint32 // sequences of requests that passed
	message wire.Message
}

// slot is where a request travels.
type slot struct {
	transport     int
	peer          netip.AddrPort
	called        bool // by this host
	session, slot uint16
}

// maxOpen bounds the memory for slots; beyond it all are forgotten.
const maxOpen = 1 << 16

func newFilter(methods []uint16) *filter {
	return &filter{methods: methods, open: map[slot]uint32{}}
}

// passes says whether a datagram is wanted. It looks at all its messages, also
// where the first decides, to know the requests.
func (f *filter) passes(id int, frame *transport.Frame) (wanted bool) {
	if len(f.methods) == 0 {
		return true
	}
	var h wire.Header
	rest, err := h.Parse(frame.Data)
	if err != nil || h.Type > wire.Ack || h.Flags&wire.FlagSealed != 0 {
		return true
	}
	m := &f.message
	for h.Type == wire.Data && len(rest) >= wire.MessageHeaderSize {
		whole := rest
		if rest, err = m.Parse(whole); err != nil {
			// What was cut off behind the header does not matter here.
			if rest = nil; padded(m, whole) != nil {
				break
			}
		}
		at := slot{id, frame.Peer, (frame.Direction != transport.Inbound) != (m.Kind == wire.Response), m.Session, m.Slot}
		switch m.Kind {
		case wire.Request:
			if !slices.Contains(f.methods, m.Method) {
				delete(f.open, at)
				continue
			}
			if len(f.open) >= maxOpen {
				clear(f.open)
			}
			f.open[at] = m.Sequence
			wanted = true
		case wire.Response, wire.Cancel:
			if sequence, ok := f.open[at]; ok && sequence == m.Sequence {
				wanted = true
			}
		}
	}
	return wanted
}

// padded parses the message that begins b, of which the end may be cut off.
func padded(m *wire.Message, b []byte) error {
	const length = 2 // where it is in the header
	size := wire.MessageHeaderSize + wire.DeadlineSize + wire.FragmentSize + wire.TraceSize + int(b[length]) + int(b[length+1])<<8
	_, err := m.Parse(append(b[:len(b):len(b)], make([]byte, size)...))
	return err
}
