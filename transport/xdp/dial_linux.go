package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
	"github.com/peregrine-rpc/peregrine/internal/udpsock"
	"github.com/peregrine-rpc/peregrine/transport"
)

// lines are the UDP ports that connections begin from, beside the port's own.
type lines struct {
	sync.Mutex
	open map[uint16]*dialed
}

// dialed is one of them, taken from the kernel too.
type dialed struct {
	port  uint16
	claim *udpsock.Socket
}

// Dial implements [transport.Dialer]. A device that spreads packets by a hash which
// it tells sends the answers to each source port to one queue, and here it is
// chosen to be this one. Elsewhere, as on veth, answers arrive at any queue.
func (q *queue) Dial(addr netip.AddrPort) (transport.Route, error) {
	return q.resolve(addr, netip.Addr{}, q.choose)
}

// DialApart implements [transport.ApartDialer]. The port is one of the kernel's, which
// it tells all ICMP about.
func (q *queue) DialApart(addr netip.AddrPort) (transport.Route, uint16, error) {
	var line *dialed
	var refusal error
	route, err := q.resolve(addr, netip.Addr{}, func(own netip.Addr, peer netip.AddrPort) *dialed {
		if line = q.choose(own, peer); line == nil {
			line, refusal = q.dial(0)
		}
		return line
	})
	switch {
	case err != nil:
		return 0, 0, err
	case refusal != nil:
		q.Forget(route)
		return 0, 0, refusal
	}
	return route, line.port, nil
}

// choose takes a port whose answers from peer arrive at q; nil means that any will do.
func (q *queue) choose(own netip.Addr, peer netip.AddrPort) *dialed {
	p := q.port
	rss := &p.device.rss
	if len(p.queues) == 1 || len(rss.table) == 0 {
		return nil
	}
	var line *dialed
	tries := 0
	netstack.SourcePort(netstack.Toeplitz(rss.key), rss.table, p.cfg.Queue+q.index, own, peer, func(udp uint16) bool {
		line, _ = q.dial(udp) // or another
		tries++
		return line != nil || tries == mostTries
	})
	return line
}

// mostTries bounds how many ports are tried. Those that others have are few; none is
// to be had by a thread that is in another network namespace than the interface.
const mostTries = 16

// dial takes a port, or any if it is 0, and has the program lead to us what arrives
// there.
func (q *queue) dial(udp uint16) (*dialed, error) {
	p := q.port
	claim, udp, err := claimPort(&p.device, udp)
	if err != nil {
		return nil, err
	}
	d := &dialed{udp, claim}
	p.lines.Lock()
	defer p.lines.Unlock()
	if q.beside != nil {
		hearken(claim)
		err = q.beside.read(claim.FD, udp)
	}
	if err == nil {
		err = p.flip(udp)
	}
	if err == nil {
		err = p.tables.watch(claim.FD, unix.EPOLLERR)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("xdp: cannot lead packets to port %d to the socket: %w", udp, err), claim.Close())
	}
	if p.lines.open == nil {
		p.lines.open = make(map[uint16]*dialed)
	}
	p.lines.open[udp] = d
	return d, nil
}

func (p *port) hangUp(d *dialed) {
	p.lines.Lock()
	defer p.lines.Unlock()
	delete(p.lines.open, d.port)
	_ = p.flip(d.port)  // a port too many harms nobody
	_ = d.claim.Close() // nor does a socket that cannot be closed
}

// flip changes a port's place in the program's bitmap. The lines are locked.
func (p *port) flip(udp uint16) error {
	word := uint32(udp / 64)
	var bits uint64
	if err := p.maps.ports.Lookup(word, &bits); err != nil {
		return err
	}
	return p.maps.ports.Put(word, bits^1<<(udp%64))
}
