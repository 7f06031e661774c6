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
	if s := q.port.spreading(); len(s.table) > 0 {
		if port, ok := netstack.SourcePort(s.hash, s.table, q.index, own, peer, q.port.dialed.take); ok {
			return port
		}
	}
	return q.local.Port()
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
