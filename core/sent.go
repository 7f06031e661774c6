package core

import (
	"time"

	"github.com/peregrine-rpc/peregrine/wire"
)

// sent is the ring of packets sent and not yet accounted for, and what each
// one held, so that an acknowledgement or a loss reaches the messages.
type sent struct {
	first, next uint64 // packet numbers [first, next) are in the ring
	packets     []sentPacket
	refs        []sentRef // ring; packets hold runs of it
	refFirst    uint32
	refNext     uint32
	inFlight    int // packets
	bytes       int // in flight
}

type sentPacket struct {
	at    time.Duration
	refs  uint32 // first of count
	size  uint32
	count uint16
	state packetState
}

type packetState uint8

const (
	packetInFlight packetState = iota + 1
	packetAcked
	packetLost   // overtaken
	packetProbed // sent again by a probe
)

// sentRef is one message or fragment in a packet. It is void once the message
// has another id.
type sentRef struct {
	message  *outgoing
	id       uint32
	fragment uint32
}

// Ring sizes, in entries, all powers of two. A ring starts small, because most
// sessions are idle, and is given back when the peer is.
const (
	minPackets = 8
	maxPackets = 4 * 512
	minRefs    = 16
	maxRefs    = 1 << 16
	// maxMessages is the most messages that fit in a datagram.
	maxMessages = 65507 / wire.MessageHeaderSize
)

func (s *sent) packet(n uint64) *sentPacket { return &s.packets[n&uint64(len(s.packets)-1)] }
func (s *sent) ref(i uint32) *sentRef       { return &s.refs[i&uint32(len(s.refs)-1)] }

// full says whether nothing more can be recorded until the oldest packet is
// accounted for. Short of that there is room for any one packet.
func (s *sent) full() bool {
	return s.next-s.first >= maxPackets || s.refNext-s.refFirst > maxRefs-maxMessages
}

// hold adds a message to the packet that push will record next.
func (s *sent) hold(m *outgoing, fragment int) {
	if int(s.refNext-s.refFirst) == len(s.refs) {
		s.growRefs()
	}
	*s.ref(s.refNext) = sentRef{m, m.id, uint32(fragment)}
	s.refNext++
}

func (s *sent) growRefs() {
	grown := make([]sentRef, max(minRefs, 2*len(s.refs)))
	for i := s.refFirst; i != s.refNext; i++ {
		grown[i&uint32(len(grown)-1)] = *s.ref(i)
	}
	s.refs = grown
}

// push records packet next, sent now, with the count messages held last. The
// ring must not be full.
func (s *sent) push(now time.Duration, size, count int) {
	if s.next-s.first == uint64(len(s.packets)) {
		s.growPackets()
	}
	*s.packet(s.next) = sentPacket{now, s.refNext - uint32(count), uint32(size), uint16(count), packetInFlight}
	s.next++
	s.inFlight++
	s.bytes += size
}

func (s *sent) growPackets() {
	grown := make([]sentPacket, max(minPackets, 2*len(s.packets)))
	for n := s.first; n < s.next; n++ {
		grown[n&uint64(len(grown)-1)] = *s.packet(n)
	}
	s.packets = grown
}

// delayed notes that packet n, pushed before now, left only now.
func (s *sent) delayed(n uint64, now time.Duration) {
	if n < s.first || n >= s.next {
		return // of a former connection
	}
	if p := s.packet(n); p.state == packetInFlight {
		p.at = now
	}
}

// settle takes a packet out of flight.
func (s *sent) settle(p *sentPacket, state packetState) {
	p.state = state
	s.inFlight--
	s.bytes -= int(p.size)
}

// advance forgets settled packets from the front.
func (s *sent) advance() {
	for s.first < s.next && s.packet(s.first).state != packetInFlight {
		s.first++
	}
	s.refFirst = s.refNext
	if s.first < s.next {
		s.refFirst = s.packet(s.first).refs
	}
}

// shrink gives the rings of an idle peer back.
func (s *sent) shrink() {
	if s.first == s.next {
		s.packets, s.refs = nil, nil
	}
}
