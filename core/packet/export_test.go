package packet

import (
	"fmt"
	"time"
)

// How long a handshake is kept that is over, but perhaps not for the other side.
const (
	FailureLinger = failureLinger
	Afterwards    = afterwards
)

// Inside is a connection as stories know it: they forge datagrams, bring numbers
// to where they wrap, and check that little is held.
type Inside struct {
	Index, Token             uint32 // in what comes in
	RemoteIndex, RemoteToken uint32 // in what goes out
	Next, Expected           uint64 // packet numbers: that will be sent, and received
	Challenged               bool   // a client's new address is looked at
	Rings, LeastRings        int    // records of packets: now, and of an idle connection
	InFlight, Bytes, Window  int
	Credits, MaxMTU          int
	PingEvery                time.Duration
	ProbeTimeout, Pause      time.Duration
}

// Inside shows what there is now.
func (c *Conn) Inside() Inside {
	return Inside{
		Index: c.index, Token: c.token, RemoteIndex: c.remoteIndex, RemoteToken: c.remoteToken,
		Next: c.next, Expected: c.in.next, Challenged: c.check != nil,
		Rings: len(c.packets), LeastRings: minPackets, InFlight: c.inFlight, Bytes: c.bytes, Window: c.window,
		Credits: c.credits, MaxMTU: c.maxMTU, PingEvery: c.pingEvery, ProbeTimeout: c.probeTimeout(), Pause: c.pause,
	}
}

// Abandon gives the connection up, as one that ended without a word.
func (c *Conn) Abandon(reason string) { c.lost(reason, nil) }

// Renumber has the two ends of a connection with nothing under way go on at
// another packet number, in the direction from c to the other.
func (c *Conn) Renumber(other *Conn, next uint64) {
	c.first, c.next, c.largestAcked, c.lostFloor = next, next, next, 0
	other.in = received{next: next, floor: [2]uint64{next, next}}
}

// Held is how much an endpoint holds at present, of what may take memory.
type Held struct {
	Conns, Dialed, Accepted, MostAccepted int
	Timers, Paced, Strays, Exchanges      int
	Built, Lent                           int // packets: not handed down; heads of the transport's beside them
}

// Held counts what the endpoint holds, and checks its accounts. The error says
// which of them is wrong.
func (e *Endpoint) Held() (Held, error) {
	h := Held{
		Conns: len(e.conns), Dialed: len(e.dialed), Accepted: len(e.accepted), MostAccepted: e.mostAccepted,
		Timers: len(e.timers.heap), Paced: e.wheel.Len(), Strays: len(e.strays), Exchanges: len(e.exchanges),
		Built: e.burst.ready - e.burst.sent, Lent: e.burst.reserved - e.burst.ready,
	}
	connected, paced := 0, 0
	for c := range e.Conns() {
		if c.state == Connected {
			connected++
			if c.place.Waiting() {
				paced++
			}
		}
		if err := c.sent.audit(); err != nil {
			return h, err
		}
	}
	if connected != e.connected || paced != h.Paced {
		return h, fmt.Errorf("%d connected and %d paced; the accounts say %d and %d", connected, paced, e.connected, h.Paced)
	}
	if h.Strays > burstSize+h.Conns {
		return h, fmt.Errorf("%d routes to forget", h.Strays)
	}
	return h, nil
}

func (s *sent) audit() error {
	packets, bytes := 0, 0
	for number := s.first; number < s.next; number++ {
		if p := s.packet(number); p.state == packetInFlight {
			packets++
			bytes += int(p.size)
		}
	}
	if len(s.packets) > maxPackets || packets != s.inFlight || bytes != s.bytes {
		return fmt.Errorf("a ring of %d; %d packets of %d bytes in flight; the accounts say %d of %d",
			len(s.packets), packets, bytes, s.inFlight, s.bytes)
	}
	return nil
}
