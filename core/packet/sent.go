package packet

import (
	"time"

	"github.com/peregrine-rpc/peregrine/wire"
)

// sent is the ring of packets sent and not yet accounted for, each with the
// entries that the layer made of what it holds, so that an acknowledgement or a
// loss reaches it.
type sent struct {
	first, next uint64 // packet numbers [first, next) are in the ring
	packets     []sentPacket
	// Of the layer's entries, [firstEntry, nextEntry) are of packets in the ring.
	firstEntry, nextEntry uint32
	inFlight              int // packets
	bytes                 int // in flight
}

type sentPacket struct {
	at    time.Duration
	first uint32 // entry
	size  uint32
	count uint16 // of entries
	state packetState
}

type packetState uint8

const (
	packetInFlight packetState = iota + 1
	packetSounding             // a probe of the MTU; counts for nothing else
	packetAcked                // or a probe that was given up
	packetLost                 // overtaken
	packetProbed               // sent again by a probe
)

// Ring sizes, all powers of two. A ring starts small, because most connections
// are idle, and is given back when one is.
const (
	minPackets = 8
	maxPackets = 4 * MaxCredits
	// lateSpan is how many packets are remembered once one was overtaken, at least:
	// for as long as the remote can still tell that it was only late.
	lateSpan = 512
	// MaxEntries is how many entries of a layer are of packets that are not yet
	// accounted for, at most.
	MaxEntries = 1 << 16
	// maxMessages is the most messages that fit in a datagram.
	maxMessages = 65507 / wire.MessageHeaderSize
)

func (s *sent) packet(n uint64) *sentPacket { return &s.packets[n&uint64(len(s.packets)-1)] }

// Settled is the number of entries whose packets are all accounted for: the layer
// hears of none before it any more.
func (s *sent) Settled() uint32 { return s.firstEntry }

// full says whether nothing more can be recorded until the oldest packet is
// accounted for. Short of that there is room for any one packet.
func (s *sent) full() bool {
	return s.next-s.first >= maxPackets || s.nextEntry-s.firstEntry > MaxEntries-maxMessages
}

// makeRoom readies the ring for so many more packets.
func (s *sent) makeRoom(count int) {
	if most := int(s.next-s.first) + count; most > len(s.packets) {
		size := max(minPackets, len(s.packets))
		for size < most {
			size *= 2
		}
		s.growPackets(size)
	}
}

func (s *sent) growPackets(size int) {
	grown := make([]sentPacket, size)
	for n := s.next - min(s.next, uint64(len(s.packets))); n < s.next; n++ {
		grown[n&uint64(len(grown)-1)] = *s.packet(n)
	}
	s.packets = grown
}

// delayed notes that packet n, put before now, left only now.
func (s *sent) delayed(n uint64, now time.Duration) {
	if n < s.first || n >= s.next {
		return // of a former connection
	}
	if p := s.packet(n); p.state <= packetSounding {
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
	for s.first < s.next && s.packet(s.first).state > packetSounding {
		s.first++
	}
	s.firstEntry = s.nextEntry
	if s.first < s.next {
		s.firstEntry = s.packet(s.first).first
	}
}

// shrink gives the ring of an idle connection back.
func (s *sent) shrink() {
	if s.first == s.next {
		s.packets = nil
	}
}
