//go:build dpdk

package dpdk

import (
	"net/netip"
	"sync/atomic"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
	"github.com/peregrine-rpc/peregrine/transport"
)

// Dial implements [transport.Dialer]. A device that spreads packets by a hash
// sends the answers to each source port to one queue, and here it is chosen to be
// this one; so connections of several queues to one peer are several flows as
// well, which clouds limit one by one.
func (q *queue) Dial(addr netip.AddrPort) (transport.Route, error) {
	return q.resolve(addr, netip.Addr{}, q.sourcePort)
}

// sourcePort returns one whose answers from peer arrive at q, or the port's own
// if the device does not let us choose.
func (q *queue) sourcePort(own netip.Addr, peer netip.AddrPort) uint16 {
	if table := q.port.redirection(); len(table) > 0 {
		key, _ := q.port.cfg.rssKey() // an open port's is valid
		if port, ok := chooseSource(key, table, q.index, own, peer, &q.port.dialed); ok {
			return port
		}
	}
	return q.local.Port()
}

// chooseSource takes a port such that the hash under key of what peer sends to it
// leads, by the device's table, to queue.
func chooseSource(key []byte, table []uint16, queue int, own netip.Addr, peer netip.AddrPort, taken *portSet) (uint16, bool) {
	return netstack.SourcePort(key, table, queue, own, peer, taken.take)
}

// portSet is the UDP ports that connections begin from, beside the port's own.
// Each route holds its own; any goroutine may use the set.
type portSet [1 << 16 / 64]atomic.Uint64

// take adds n; false means that it was taken.
func (s *portSet) take(n uint16) bool {
	bit := uint64(1) << (n % 64)
	return s[n/64].Or(bit)&bit == 0
}

func (s *portSet) drop(n uint16) { s[n/64].And(^(uint64(1) << (n % 64))) }

func (s *portSet) has(n uint16) bool { return s[n/64].Load()>>(n%64)&1 != 0 }
