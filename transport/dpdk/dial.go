//go:build dpdk

package dpdk

import (
	"errors"
	"fmt"
	"math/rand/v2"
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

// DialApart implements [transport.ApartDialer].
func (q *queue) DialApart(addr netip.AddrPort) (transport.Route, uint16, error) {
	if q.port.isolated {
		return 0, 0, errors.New("dpdk: the rules of an isolated device lead one UDP port to us, and others are wanted: give isolate=off")
	}
	own := q.local.Port()
	from := own
	route, err := q.resolve(addr, netip.Addr{}, func(local netip.Addr, peer netip.AddrPort) uint16 {
		if from = q.sourcePort(local, peer); from == own {
			from = q.port.dialed.any(own)
		}
		return from
	})
	switch {
	case err != nil:
		return 0, 0, err
	case from == own:
		q.Forget(route)
		return 0, 0, fmt.Errorf("dpdk: all ports from %d on are in use", netstack.FirstPort)
	}
	return route, from, nil
}

// any takes a dynamic port, or returns own, which is none, if all are taken.
func (s *portSet) any(own uint16) uint16 {
	const choices = 1<<16 - netstack.FirstPort
	start := rand.IntN(choices)
	for i := range choices {
		if n := uint16(netstack.FirstPort + (start+i)%choices); n != own && s.take(n) {
			return n
		}
	}
	return own
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
