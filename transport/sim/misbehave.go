package sim

import (
	"net/netip"
	"time"

	"github.com/peregrine-rpc/peregrine/transport"
)

// Linger keeps each datagram that Send takes from now on in the network card
// for so long, unread.
func (p *Port) Linger(d time.Duration) { p.linger = d }

// Withhold makes Completed report so many fewer than have left.
func (p *Port) Withhold(packets uint64) { p.withheld = packets }

// Stuck makes Reserve and Send take nothing, or ends that.
func (p *Port) Stuck(stuck bool) {
	p.stuck = stuck
	p.wake()
}

// Full makes Send take nothing, while Reserve lends, or ends that.
func (p *Port) Full(full bool) {
	p.jammed = full
	p.wake()
}

// Fail makes Recv return an error, for good.
func (p *Port) Fail(err error) {
	p.failure = err
	p.wake()
}

// Deliver makes a datagram arrive now, as if from an address, past the network.
// Data is copied. A closed port loses it.
func (p *Port) Deliver(from netip.AddrPort, data []byte, ecn transport.ECN) {
	if p.closed {
		return
	}
	net := p.host.net
	pkt := net.newPacket(len(data))
	net.lastID++
	pkt.ID, pkt.From, pkt.To, pkt.ECN, pkt.at = net.lastID, from, p.addr, ecn, net.now
	pkt.Data = pkt.buf[:copy(pkt.buf, data)]
	p.arrive(pkt)
}
