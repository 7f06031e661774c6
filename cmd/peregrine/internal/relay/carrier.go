package relay

import (
	"github.com/peregrine-rpc/peregrine/transport"
)

// carrier brings datagrams from where one transport received them to the other,
// which sends them.
type carrier interface {
	// carry takes all of pkts, pkts[i] to go by routes[i], and returns how many it
	// brought over, the first ones. For the others there is no room, and they are
	// lost.
	carry(pkts []transport.RxPacket, routes []transport.Route) (n int, err error)
	// copies is how often it copies a datagram.
	copies() int
}

// between is the best carrier from one side to another.
func between(from, to *side) carrier {
	if f, ok := to.tr.(transport.Forwarder); ok && f.Forwards(from.tr) {
		return &forwarder{from.tr, f}
	}
	return &copier{from.tr, to}
}

// forwarder has a datagram sent from where it lies.
type forwarder struct {
	from transport.Transport
	to   transport.Forwarder
}

func (*forwarder) copies() int { return 0 }

func (f *forwarder) carry(pkts []transport.RxPacket, routes []transport.Route) (int, error) {
	n, err := f.to.Forward(f.from, pkts, routes)
	f.from.Release(pkts[n:])
	return n, err
}

// copier copies a datagram into the other transport's memory.
type copier struct {
	from transport.Transport
	to   *side
}

func (*copier) copies() int { return 1 }

func (c *copier) carry(pkts []transport.RxPacket, routes []transport.Route) (int, error) {
	heads := c.to.reserve(len(pkts))
	for i := range heads {
		h := &heads[i]
		h.Route, h.ECN = routes[i], pkts[i].ECN
		h.Head = h.Head[:copy(h.Head, pkts[i].Data)]
	}
	c.from.Release(pkts)
	return len(heads), c.to.flush()
}

// side is a transport and what waits to be sent by it.
type side struct {
	tr         transport.Transport
	maxPayload int
	descriptor int                           // to poll; negative: there is none
	reporter   transport.UnreachableReporter // or nil
	unsent     []transport.TxPacket          // filled in, and lent

	watched bool // by the sleeper
	listed  bool // among those that Poll looks at

	// Of an exit:
	flow    *flow            // whose it is, if it has only one
	ports   map[uint16]*flow // or whose each port is
	inward  carrier          // from here to the clients
	outward carrier          // from the clients to here
}

func newSide(tr transport.Transport) *side {
	s := &side{tr: tr, maxPayload: tr.Caps().MaxPayload, descriptor: -1}
	if p, ok := tr.(transport.Pollable); ok {
		s.descriptor = p.Descriptor()
	}
	s.reporter, _ = tr.(transport.UnreachableReporter)
	return s
}

// reserve returns packets with buffers to fill, n at most, that flush sends.
func (s *side) reserve(n int) []transport.TxPacket {
	before := len(s.unsent)
	for range n {
		s.unsent = append(s.unsent, transport.TxPacket{})
	}
	n = s.tr.Reserve(s.unsent[before:])
	s.unsent = s.unsent[:before+n]
	return s.unsent[before:]
}

// flush sends what waits, as far as there is room. There are only as many buffers as
// the transport has: what comes to a side that does not get rid of them is lost, as
// at a router.
func (s *side) flush() error {
	if len(s.unsent) == 0 {
		return nil
	}
	n, err := s.tr.Send(s.unsent)
	s.unsent = s.unsent[:copy(s.unsent, s.unsent[n:])]
	return err
}
