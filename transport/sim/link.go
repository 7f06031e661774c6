package sim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Node is an end of a link: a *Host or a *Switch.
type Node interface {
	// Name is what the node was given, for traces and errors.
	Name() string

	network() *Network
	attach(out *Pipe) // a new link
	arrive(*Packet)
}

// LinkConfig describes both directions of a link. They have a queue each.
type LinkConfig struct {
	// Rate is in bits per second; 0 is infinite: nothing ever waits.
	Rate uint64
	// Delay is the propagation delay, one way.
	Delay time.Duration
	// QueueBytes bounds the queue of a switch's output, in bytes on the wire;
	// 0 is unlimited. A datagram that finds an idle output always goes.
	QueueBytes int
	// MarkBytes is the length of that queue, in bytes on the wire, beyond which
	// datagrams that understand ECN are marked; 0 is never.
	MarkBytes int
	// MTU is the longest IP packet in bytes, up to 65535; 0 is 1500. Longer ones
	// are dropped.
	MTU int
	// Faults are those of the wire.
	Faults Faults
}

const (
	// WireOverhead is how many bytes of the link's time a datagram takes beside
	// its payload: 42 of Ethernet, IPv4 and UDP headers, and 24 of preamble,
	// frame check sequence and the gap between frames.
	WireOverhead = 42 + 24

	ipOverhead = 28 // of MTU: the IPv4 and UDP headers
	defaultMTU = 1500
)

// Link is a duplex link between two nodes.
type Link struct {
	pipes [2]*Pipe
}

// Link connects two nodes. A host has one link, made before it opens a port.
func (n *Network) Link(a, b Node, cfg LinkConfig) *Link {
	if a == b || a.network() != n || b.network() != n {
		panic(fmt.Sprintf("sim: cannot link %s and %s: a link is between two nodes of its network", a.Name(), b.Name()))
	}
	if cfg.MTU == 0 {
		cfg.MTU = defaultMTU
	}
	if cfg.MTU <= ipOverhead || cfg.MTU > 1<<16-1 || cfg.Delay < 0 || cfg.QueueBytes < 0 || cfg.MarkBytes < 0 {
		panic(fmt.Sprintf("sim: the link of %s and %s has an impossible setting: %+v", a.Name(), b.Name(), cfg))
	}
	there, back := n.newPipe(a, b, cfg), n.newPipe(b, a, cfg)
	there.back, back.back = back, there
	a.attach(there)
	b.attach(back)
	n.routed = false
	return &Link{[2]*Pipe{there, back}}
}

func (n *Network) newPipe(from, to Node, cfg LinkConfig) *Pipe {
	l := &Pipe{net: n, from: from, to: to, rate: cfg.Rate, delay: cfg.Delay}
	l.random = rand.New(rand.NewPCG(n.random.Uint64(), n.random.Uint64()))
	l.set(cfg.Faults)
	l.SetMTU(cfg.MTU)
	if cfg.Rate > 0 {
		l.longest = l.duration(cfg.QueueBytes)
		l.marking = l.duration(cfg.MarkBytes)
	}
	return l
}

// Toward returns the direction that leads to a node.
func (l *Link) Toward(to Node) *Pipe {
	for _, p := range l.pipes {
		if p.to == to {
			return p
		}
	}
	a, b := l.pipes[0].from, l.pipes[0].to
	panic(fmt.Sprintf("sim: %s is no end of the link between %s and %s", to.Name(), a.Name(), b.Name()))
}

// Partition cuts both directions: see [Pipe.Down].
func (l *Link) Partition() {
	for _, p := range l.pipes {
		p.Down(true)
	}
}

// Heal ends a partition.
func (l *Link) Heal() {
	for _, p := range l.pipes {
		p.Down(false)
	}
}
