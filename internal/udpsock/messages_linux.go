package udpsock

import (
	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/routes"
	"github.com/peregrine-rpc/peregrine/transport"
)

const (
	// MaxMessages bounds what is built at a time, and so the time that a thread,
	// which does not tell the runtime of the call, keeps the collector waiting.
	MaxMessages = 32
	// txIovecs serve the messages together.
	txIovecs = 512
	// joinLimit is the size up to which the packets of a run are copied together.
	joinLimit = 512
)

// Messages turns packets into messages as the kernel wants them, each a run or a
// lone packet. It points into the packets' memory, and to the routes, until the
// kernel has read them: not longer than a call that copies.
type Messages struct {
	// Msgs are what Build made, from the front, and Runs what each consists of.
	Msgs [MaxMessages]unix.Mmsghdr
	Runs [MaxMessages]Run

	// Marking may be shared by several; Init makes one where there is none.
	Marking *Marking

	maxPayload int
	iovs       [txIovecs]unix.Iovec
	used       int // of iovs
	control    [MaxMessages][TxControl]byte
	// join holds the packets of runs that are copied together.
	join   [MaxSegments * joinLimit]byte
	joined int
}

// Init prepares for a socket that obtained caps.
func (m *Messages) Init(caps transport.Caps) {
	m.maxPayload = caps.MaxPayload
	if m.Marking == nil {
		m.Marking = new(Marking)
	}
	m.Marking.enabled = caps.ECN
}

// Build makes messages of packets at the front, up to one that cannot be sent,
// and returns their number. With segment, packets that can be are runs.
func (m *Messages) Build(pkts []transport.TxPacket, dests *routes.Table[Dest], segment bool) (messages int) {
	m.joined, m.used = 0, 0
	for len(pkts) > 0 && messages < MaxMessages {
		first := &pkts[0]
		size := len(first.Head) + len(first.Payload)
		dest := dests.Get(uint32(first.Route))
		if dest == nil || size > m.maxPayload {
			break
		}
		r := Run{1, size}
		if segment {
			r = LongestRun(pkts)
		}
		if m.used+2*r.Packets > txIovecs {
			break
		}
		h := &m.Msgs[messages].Hdr
		h.Name = dest.Name.Ptr()
		h.Namelen = dest.Name.Len()
		h.Iov = &m.iovs[m.used]
		h.SetIovlen(m.gather(pkts[:r.Packets], r))

		c := m.control[messages][:0]
		if m.Marking.differs(first.ECN) {
			c = AppendECN(c, dest.Name.IsIPv4(), first.ECN)
		}
		if r.Packets > 1 {
			c = AppendSegment(c, size)
		}
		if dest.fixed > 0 {
			c = append(c, dest.Source()...)
		}
		h.Control = nil
		if len(c) > 0 {
			h.Control = &c[0]
		}
		h.SetControllen(len(c))

		m.Runs[messages] = r
		messages++
		pkts = pkts[r.Packets:]
	}
	return messages
}

// Joined tells whether message i was copied together.
func (m *Messages) Joined(i int) bool {
	return m.Runs[i].Packets > 1 && m.Msgs[i].Hdr.Iovlen == 1
}

// Clear lets go of the memory that the messages point to.
func (m *Messages) Clear() { clear(m.iovs[:m.used]) }

// gather points iovecs at the parts of a run, and returns how many. Many small
// parts cost the kernel more than a copy costs here.
func (m *Messages) gather(pkts []transport.TxPacket, r Run) (parts int) {
	if r.Packets > 1 && r.Bytes <= r.Packets*joinLimit && r.Bytes <= len(m.join)-m.joined {
		together := m.join[m.joined:][:r.Bytes]
		m.joined += r.Bytes
		m.part(together)
		for i := range pkts {
			p := &pkts[i]
			together = together[copy(together, p.Head):]
			if len(p.Payload) > 0 {
				together = together[copy(together, p.Payload):]
			}
		}
		return 1
	}
	for i := range pkts {
		for _, part := range [2][]byte{pkts[i].Head, pkts[i].Payload} {
			if len(part) > 0 {
				m.part(part)
				parts++
			}
		}
	}
	return parts
}

func (m *Messages) part(b []byte) {
	iov := &m.iovs[m.used]
	iov.Base = &b[0]
	iov.SetLen(len(b))
	m.used++
}
