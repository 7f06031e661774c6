//go:build dpdk

package dpdk

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
	"github.com/peregrine-rpc/peregrine/internal/routes"
	"github.com/peregrine-rpc/peregrine/transport"
)

var (
	errClosed = fmt.Errorf("dpdk: %w", transport.ErrClosed)
	errGone   = errors.New("dpdk: the device was pulled out")
)

// queue is one queue of a port. Its owner's thread enters C once to receive and
// once to send.
type queue struct {
	port  *port
	index int
	burst *burst
	local netip.AddrPort
	usual netip.Addr // that usual frames are sent to; zero if LocalAddr says it
	caps  transport.Caps

	parser   netstack.Parser
	datagram netstack.Datagram
	// Frames [next, got) of the last burst are still to be looked at.
	next, got int
	ask       int // how many packets the next burst is for
	held      int // received packets that were not released

	routes     routes.Table[destination]
	generation uint64 // of the stack's neighbours, as the routes know them
	ticked     int64  // the port's clock when the stack last had its turn

	taken    uint64
	reserved int // heads lent and not sent
	full     bool

	heard  uint64                       // of the stack's reports, the last that was looked at
	quoted [netstack.QuotedPayload]byte // by the last that was returned

	stats  counters
	sleep  sleeper
	closed atomic.Bool
}

// counters are written once per batch, and read by anybody.
type counters struct {
	rxPackets, rxBytes, rxCalls, rxMalformed                   atomic.Uint64
	txPackets, txBytes, txCalls, tooLarge, refused, unresolved atomic.Uint64
}

// headers4 and headers6 are the sizes of IP and UDP headers.
const headers4, headers6 = 20 + 8, 40 + 8

// openQueue makes a queue of p its caller's.
func openQueue(p *port, cfg *Config, index int) (_ *queue, err error) {
	q := &queue{port: p, index: index, ask: leastAsk, parser: p.stack.Parser(), local: p.local, heard: p.stack.Heard()}
	headers := headers4
	if slices.ContainsFunc(cfg.IP, func(ip string) bool { return strings.Contains(ip, ":") }) {
		headers = headers6
	}
	if len(cfg.IP) > 1 {
		q.usual = q.parser.UsualTo()
	}
	if q.burst, err = p.openBurst(index); err != nil {
		return nil, err
	}
	if err := q.openSleeper(cfg.Interrupts && p.interrupts); err != nil {
		q.burst.close()
		return nil, errors.Join(err, q.sleep.close())
	}
	q.caps = transport.Caps{
		Backend:    name,
		MaxPayload: p.mtu - headers,
		RxBatch:    burstSize,
		TxBatch:    burstSize,
		RxBuffers:  cfg.Buffers / 2,
		Queue:      index,
		Queues:     len(p.queues),
		ZeroCopyRx: true,
		ECN:        true,
		Integrity:  true,
		LinkRate:   p.linkRate.Load(),
		Notes:      p.notes,
	}
	if index == 0 {
		p.stack.Announce(q.emit)
	}
	return q, nil
}

// emit sends a frame of the stack's own, if there is room.
func (q *queue) emit(data []byte) {
	b := q.burst
	if b.lentCount == 0 {
		b.lend()
	}
	if b.lentCount == 0 {
		return // the pool is dry: neighbours ask again
	}
	b.lentCount--
	lent := b.lent[b.lentCount]
	b.tx[0] = txFrame{data: lent, len: uint32(copy(view(lent, len(data)), data))}
	if b.send(1) == 0 {
		q.free(mbufOf(lent))
	}
}

// LocalAddr implements [transport.Transport].
func (q *queue) LocalAddr() netip.AddrPort { return q.local }

// Caps implements [transport.Transport].
func (q *queue) Caps() transport.Caps { return q.caps }

// Stats implements [transport.Transport].
func (q *queue) Stats() transport.Stats {
	c := &q.stats
	return transport.Stats{
		RxPackets:    c.rxPackets.Load(),
		RxBytes:      c.rxBytes.Load(),
		RxCalls:      c.rxCalls.Load(),
		RxMalformed:  c.rxMalformed.Load(),
		RxOverflow:   q.port.overflow(q.index),
		TxPackets:    c.txPackets.Load(),
		TxBytes:      c.txBytes.Load(),
		TxCalls:      c.txCalls.Load(),
		TxTooLarge:   c.tooLarge.Load(),
		TxRefused:    c.refused.Load(),
		TxUnresolved: c.unresolved.Load(),
	}
}

// ExtendedStats implements [ExtendedStats].
func (q *queue) ExtendedStats() ([]Stat, error) { return q.port.ExtendedStats() }

// Close implements [transport.Transport].
func (q *queue) Close() error {
	if q.closed.Swap(true) {
		return nil
	}
	q.sleep.waiter.Expel()
	q.sleep.inside.Lock() // until the owner is out of Wait
	defer q.sleep.inside.Unlock()
	return errors.Join(q.release(), q.sleep.close())
}

// release gives the queue back to its port.
func (q *queue) release() error {
	for ; q.next < q.got; q.next++ {
		q.free(q.burst.rx[q.next].mbuf)
	}
	q.routes.Each(q.forget)
	q.burst.close()
	return q.port.release(q.index, q.held+q.reserved)
}
