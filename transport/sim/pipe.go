package sim

import (
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Pipe is one direction of a link: an output queue, and a wire.
//
// The queue is first in, first out, so how long a datagram waits is known when
// it comes: there is no event for its departure.
type Pipe struct {
	net        *Network
	from, to   Node
	rate       uint64 // bits per second, 0: infinite
	delay      time.Duration
	maxPayload int
	// longest and marking are the queue's limit and threshold, as the time that
	// so many bytes take; 0: none.
	longest, marking time.Duration

	free  time.Duration // when all that was accepted is sent
	carry uint64        // and so many ns/rate later
	sent  list          // on their way, in order; the first has an event
	last  time.Duration // when the last of them arrives

	down      bool
	intercept func(*Packet) Verdict
	observe   func(wait time.Duration, bytes int)
	stats     PipeStats
	back      *Pipe // the link's other direction
	wire
}

// PipeStats counts since the link was made.
type PipeStats struct {
	// Packets and Bytes (of payload) that arrived or are on their way.
	Packets, Bytes uint64
	// Drops, by cause.
	Overflows   uint64 // the queue was full
	Lost        uint64 // by Faults
	TooLarge    uint64 // for the MTU
	Cut         uint64 // the pipe was down
	Intercepted uint64
	// What else befell datagrams.
	Marked, Duplicated, Corrupted, Reordered uint64
	// MaxWait is the longest time a datagram waited in the queue, and TotalWait
	// the sum over all that were sent.
	MaxWait, TotalWait time.Duration
	// Queued and MaxQueued are the bytes on the wire yet to be sent, now and at
	// most, the rest of the datagram that is being sent included.
	Queued, MaxQueued int
}

// Verdict is what an interceptor wants done with a datagram. The zero Verdict
// lets it pass.
type Verdict struct {
	Drop bool
	// Delay is added to the pipe's; later datagrams may overtake.
	Delay time.Duration
}

// SetFaults replaces the faults of the wire.
func (l *Pipe) SetFaults(f Faults) { l.set(f) }

// SetMTU sets the longest IP packet in bytes, for datagrams that come from now
// on. The ports of a host keep the MaxPayload they were opened with.
func (l *Pipe) SetMTU(mtu int) { l.maxPayload = mtu - ipOverhead }

// SetRate sets the rate in bits per second, above 0, for datagrams that come from
// now on. The queue's limit and threshold stay what they are in bytes.
func (l *Pipe) SetRate(rate uint64) {
	if rate == 0 || l.rate == 0 {
		panic("sim: a pipe whose rate changes has one before and after")
	}
	longest, marking := l.length(l.longest), l.length(l.marking)
	l.rate, l.carry = rate, 0
	l.longest, l.marking = l.duration(longest), l.duration(marking)
}

// Down cuts the pipe, or mends it. A pipe that is down drops what comes; what
// has been accepted arrives.
func (l *Pipe) Down(down bool) {
	state := "up"
	if l.down = down; down {
		state = "down"
	}
	if t := l.net.tracer; t != nil {
		t.note(state, l.from.Name()+">"+l.to.Name())
	}
}

// Intercept sets a rule for each datagram that enters the pipe, before its
// queue, or removes it with nil. The rule may change the datagram's ECN and its
// Data, in place or by reslicing, and must not keep it.
func (l *Pipe) Intercept(rule func(*Packet) Verdict) { l.intercept = rule }

// Observe sets a function that is told of each datagram the queue accepts how
// long it waits there and how many bytes of payload it has, or removes it with
// nil.
func (l *Pipe) Observe(f func(wait time.Duration, bytes int)) { l.observe = f }

// Stats returns the counters so far.
func (l *Pipe) Stats() PipeStats {
	st := l.stats
	st.Queued = l.length(l.free - l.net.now)
	st.MaxQueued = l.length(st.MaxWait)
	return st
}

// duration is how long so many bytes take to send.
func (l *Pipe) duration(bytes int) time.Duration {
	return time.Duration(float64(bytes) * 8 * float64(time.Second) / float64(l.rate))
}

// length is how many bytes are sent in d.
func (l *Pipe) length(d time.Duration) int {
	return int(float64(max(d, 0)) * float64(l.rate) / (8 * float64(time.Second)))
}

// enter takes a datagram that is to go this way.
func (l *Pipe) enter(p *Packet) {
	p.pipe = l
	if l.down {
		l.drop(p, &l.stats.Cut, "cut")
		return
	}
	var extra time.Duration
	if l.intercept != nil {
		v := l.intercept(p)
		if v.Drop {
			l.drop(p, &l.stats.Intercepted, "intercepted")
			return
		}
		extra = v.Delay
	}
	if len(p.Data) > l.maxPayload {
		l.drop(p, &l.stats.TooLarge, "too-large")
		return
	}
	if !l.accept(p) {
		l.drop(p, &l.stats.Overflows, "overflow")
		return
	}
	if l.faulty {
		if l.loses() {
			l.drop(p, &l.stats.Lost, "lost")
			return
		}
		if l.chance(l.faults.Duplicate) {
			l.stats.Duplicated++
			l.trace("duplicate", p)
			l.travel(l.net.clone(p, len(p.Data)), extra)
		}
		if l.chance(l.faults.Corrupt) && len(p.Data) > 0 {
			l.stats.Corrupted++
			l.damage(p.Data)
			p.damaged = true
			l.trace("corrupt", p)
		}
	}
	l.travel(p, extra)
}

// accept finds the datagram its time on the wire, or no room in the queue.
func (l *Pipe) accept(p *Packet) bool {
	if l.rate == 0 {
		l.free = l.net.now
		l.waits(0, p)
		return true
	}
	start, carry := l.free, l.carry
	if start < l.net.now {
		start, carry = l.net.now, 0
	}
	work := uint64(len(p.Data)+WireOverhead)*8*uint64(time.Second) + carry
	end := start + time.Duration(work/l.rate)
	wait := start - l.net.now
	if l.longest > 0 && wait > 0 && end-l.net.now > l.longest {
		return false
	}
	if l.marking > 0 && wait > l.marking && p.ECN != transport.NotECT {
		p.ECN = transport.CE
		l.stats.Marked++
		l.trace("mark", p)
	}
	l.free, l.carry = end, work%l.rate
	l.waits(wait, p)
	return true
}

func (l *Pipe) waits(wait time.Duration, p *Packet) {
	l.stats.MaxWait = max(l.stats.MaxWait, wait)
	l.stats.TotalWait += wait
	if l.observe != nil {
		l.observe(wait, len(p.Data))
	}
}

// travel puts a datagram on the wire, to arrive when it is sent and the delay
// has passed.
func (l *Pipe) travel(p *Packet, extra time.Duration) {
	n := l.net
	p.at = l.free + l.delay + extra
	if l.faulty {
		late, reordered := l.late()
		p.at += late
		if reordered {
			l.stats.Reordered++
			l.trace("reorder", p)
		}
	}
	l.stats.Packets++
	l.stats.Bytes += uint64(len(p.Data))
	l.trace("send", p)
	n.order++
	p.order = n.order
	switch {
	case l.sent.head == nil:
		l.sent.push(p)
		n.agenda.push(event{p.at, p.order, l})
	case p.at >= l.last:
		l.sent.push(p)
	default:
		n.agenda.push(event{p.at, p.order, p})
		return
	}
	l.last = p.at
}

// happen is the arrival of the first datagram on the way.
func (l *Pipe) happen(uint64) {
	p := l.sent.pop()
	if next := l.sent.head; next != nil {
		l.net.agenda.push(event{next.at, next.order, l})
	}
	l.to.arrive(p)
}

func (l *Pipe) drop(p *Packet, cause *uint64, name string) {
	*cause++
	l.trace(name, p)
	l.net.free(p)
}

func (l *Pipe) trace(what string, p *Packet) {
	if t := l.net.tracer; t != nil {
		t.packet(what, l.from.Name(), l.to.Name(), p)
	}
}
