package cc_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// neck is a simulated network in which senders with links of their own share one
// link, with one queue, to a receiver. Connections are those of core/packet.
type neck struct {
	*sim.Network
	t        *testing.T
	near     *sim.Switch
	cable    sim.LinkConfig // of senders
	pipe     *sim.Pipe      // what they share
	receiver *packet.Endpoint
	at       netip.AddrPort
	datagram int
	full     float64 // bytes a second of payload that the pipe carries

	// late is by how much longer what arrives at a time takes to be noticed.
	late  func(now time.Duration) time.Duration
	heard time.Duration // when that was last
	// waits are queueing delays since measured began.
	waits    []time.Duration
	flows    []*flow
	arriving []*flow
}

// shape is what a neck is like.
type shape struct {
	gigabits float64
	uplinks  float64 // of the senders' links, in necks; 0: 1
	trip     time.Duration
	datagram int
	buffer   int // bytes; 0: endless
	mark     int // bytes queued from which CE is set; 0: never
}

func newNeck(t *testing.T, s shape) *neck {
	n := &neck{Network: sim.New(1), t: t, datagram: s.datagram, late: func(time.Duration) time.Duration { return 0 }}
	rate, mtu := s.gigabits*1e9, s.datagram+28
	far, host := n.Switch("far"), n.Host("receiver", sim.HostConfig{})
	n.near = n.Switch("near")
	n.cable = sim.LinkConfig{Rate: uint64(rate * max(s.uplinks, 1)), Delay: s.trip / 4, MTU: mtu}
	n.pipe = n.Link(n.near, far, sim.LinkConfig{Rate: uint64(rate), QueueBytes: s.buffer, MarkBytes: s.mark, MTU: mtu}).Toward(far)
	n.pipe.Observe(func(wait time.Duration, _ int) { n.waits = append(n.waits, wait) })
	n.Link(far, host, sim.LinkConfig{Delay: s.trip / 4, MTU: mtu}).Toward(host).Intercept(func(*sim.Packet) sim.Verdict {
		n.heard = max(n.heard, n.Now()+n.late(n.Now()))
		return sim.Verdict{Delay: n.heard - n.Now()}
	})
	n.full = rate / 8 * float64(s.datagram-wire.HeaderSize) / float64(s.datagram+sim.WireOverhead)

	port := host.Open(1)
	n.at = port.LocalAddr()
	n.receiver = n.endpoint(port, cc.None(cc.DefaultWindow), func(c *packet.Conn) packet.Layer {
		f := &flow{conn: c}
		n.arriving = append(n.arriving, f)
		return f
	})
	host.Run(n.receiver, port)
	return n
}

func (n *neck) endpoint(port *sim.Port, f cc.Factory, layers func(*packet.Conn) packet.Layer) *packet.Endpoint {
	cfg := packet.Config{
		Peers: 1 << 11, Credits: 1 << 11, MaxDatagram: n.datagram, AckDelay: 500 * time.Microsecond,
		KeepAlive: time.Minute, ConnectTimeout: time.Minute, Controller: f,
	}
	binary.LittleEndian.PutUint64(cfg.Seed[:], n.Rand().Uint64())
	e, err := packet.New(cfg, port, layers, n.Now())
	require.NoError(n.t, err)
	return e
}

// flow is one direction of a connection: at its sender it always has data, while it
// is active, and at its receiver it counts what arrives.
type flow struct {
	conn       *packet.Conn
	host       *sim.Host
	controller cc.Controller
	active     bool
	pings      []int // their sizes
	delivered  int
	received   *flow
}

func (f *flow) Next() packet.Next {
	switch {
	case len(f.pings) > 0 && f.pings[0] > 0:
		return packet.Padded
	case len(f.pings) > 0:
		return wire.MessageHeaderSize
	case f.active:
		return packet.Bulk
	}
	return packet.Nothing
}

func (f *flow) Fill(r *packet.Run) (filled int, next packet.Next) {
	for filled < len(r.Packets) && f.Next() != packet.Nothing && (filled == 0 || f.Next() != packet.Padded) {
		t := &r.Packets[filled]
		n := min(r.Limit, len(t.Head)-r.Skip, f.conn.Room())
		if len(f.pings) > 0 {
			n = max(f.pings[0], wire.MessageHeaderSize)
			f.pings = f.pings[1:]
		}
		t.Head = t.Head[:r.Skip+n]
		clear(t.Head[r.Skip:])
		r.Entries[filled] = 1
		filled++
	}
	return filled, f.Next()
}

func (f *flow) Ping(size int) {
	f.pings = append(f.pings, size)
	f.conn.Touch()
}

func (f *flow) Take(b []byte)                { f.delivered += len(b) }
func (f *flow) Expects(int) ([]byte, int)    { return nil, 0 }
func (f *flow) TakeApart(_, _ []byte) bool   { return false }
func (f *flow) Offer(own *wire.Params)       { own.Slots, own.Sessions = 1, 1 }
func (f *flow) Arrived(uint32, int)          {}
func (f *flow) Lost(uint32, int)             {}
func (f *flow) Up(*wire.Params)              {}
func (f *flow) Measured(time.Duration)       {}
func (f *flow) Quiet()                       {}
func (f *flow) Down(*packet.Failure)         {}
func (f *flow) Failed(*packet.Failure, bool) {}
func (f *flow) Rested()                      {}
func (f *flow) Gone()                        {}

// add adds a sender, and has it send.
func (n *neck) add(factory cc.Factory) *flow {
	f := n.join(factory)
	f.begin()
	return f
}

// begin has a sender send from now on.
func (f *flow) begin() {
	f.active = true
	f.conn.Touch()
	f.host.Kick()
}

// join adds a sender that is connected, knows its MTU, and sends nothing yet.
func (n *neck) join(factory cc.Factory) *flow {
	f := &flow{host: n.Host("sender", sim.HostConfig{})}
	n.Link(f.host, n.near, n.cable)
	port := f.host.Open(1)
	e := n.endpoint(port, func(p cc.Path) cc.Controller {
		f.controller = factory(p)
		return f.controller
	}, nil)
	var err error
	f.conn, err = e.Dial(n.at, f)
	require.NoError(n.t, err)
	f.conn.Connect()
	f.host.Run(e, port)
	require.NoError(n.t, n.Until(time.Minute, func() bool { return f.conn.MTU() == n.datagram }))
	f.received = n.arriving[len(n.arriving)-1]
	n.flows = append(n.flows, f)
	return f
}

// measure runs for d, and returns the median queueing delay and what each flow
// delivered, as a part of what the pipe carries.
func (n *neck) measure(d time.Duration) (queue time.Duration, goodput []float64) {
	before := make([]int, len(n.flows))
	for i, f := range n.flows {
		before[i] = f.received.delivered
	}
	n.waits = n.waits[:0]
	n.Run(d)
	for i, f := range n.flows {
		goodput = append(goodput, float64(f.received.delivered-before[i])/d.Seconds()/n.full)
	}
	if len(n.waits) == 0 {
		return 0, goodput
	}
	slices.Sort(n.waits)
	return n.waits[len(n.waits)/2], goodput
}

// jain is Jain's fairness index: 1 for equal shares, 1/n for one that has all.
func jain(shares []float64) float64 {
	var sum, squares float64
	for _, x := range shares {
		sum += x
		squares += x * x
	}
	return sum * sum / (float64(len(shares)) * squares)
}

func total(shares []float64) (sum float64) {
	for _, x := range shares {
		sum += x
	}
	return sum
}
