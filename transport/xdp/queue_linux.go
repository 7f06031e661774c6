package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/netstack"
	"github.com/peregrine-rpc/peregrine/internal/routes"
	"github.com/peregrine-rpc/peregrine/internal/waiter"
	"github.com/peregrine-rpc/peregrine/internal/xsk"
	"github.com/peregrine-rpc/peregrine/transport"
)

var (
	errClosed = fmt.Errorf("xdp: %w", transport.ErrClosed)
	errGone   = errors.New("xdp: the interface was removed, or moved to another network namespace: open it again where it is")
)

// queue is a socket on one receive queue of an interface.
//
// Its frames are of two kinds. Those of receiving circulate between fill ring, RX
// ring and whoever holds what was received; those of sending between whoever
// reserved them, TX ring and completion ring. Neither kind starves the other.
type queue struct {
	port   *port
	index  int
	socket *xsk.Socket
	memory *memory
	block  *block // of memory, ours
	umem   *xsk.Umem
	local  netip.AddrPort
	caps   transport.Caps

	parser     netstack.Parser
	usualTo    netip.Addr // whom frames that parse the short way are for
	datagram   netstack.Datagram
	routes     routes.Table[destination]
	generation uint64 // of the port, as parser and routes know it
	mac        netstack.MAC
	mtu        int
	up         bool

	rxFrames xsk.Frames  // free
	filled   int         // frames in the fill ring, with the kernel, or in the RX ring
	places   int         // how many those are at most
	low      int         // so few of those that it is time for more
	held     int         // received, and not released
	lent     int         // received, and forwarded: on the way out by another queue, or back from there
	large    large       // where packets of several frames are put together
	beside   *unfinished // what comes by sockets of the kernel; nil in native mode

	txFrames xsk.Frames // free: buffers of one frame or several
	reserved int        // lent, and not sent
	inFlight int        // frames in the TX ring, with the kernel, or in the completion ring
	foreign  foreign    // those of them that another queue received
	offload  bool       // checksums are completed below
	pieces   pieces     // of buffers that have several frames
	txFirst  uint64     // where the buffers begin
	txSize   uint64     // in bytes, all of them
	pending  []pending  // by place in the TX ring: what is not known to be sent
	put      uint32     // counts what was put into the TX ring
	settled  uint32     // counts what is known to have left it
	taken    uint64
	full     bool

	polling polling // the device, in a call

	heard  uint64 // how many of the port's reports were looked at
	quoted report // the last of them

	stats     counters
	waiter    *waiter.Waiter
	inside    sync.Mutex // held by the owner in Wait
	closed    atomic.Bool
	life      sync.Mutex // guards the socket against Close in Stats
	overflows uint64     // of a closed socket
}

// pending is a datagram in the TX ring, in its last entry.
type pending struct {
	payload   uint16
	continued bool // not the last
}

// counters are written once per batch, and read by anybody.
type counters struct {
	rxPackets, rxBytes, rxCalls, rxMalformed                   atomic.Uint64
	txPackets, txBytes, txCalls, tooLarge, refused, unresolved atomic.Uint64
	forwarded, noBuffer                                        atomic.Uint64
}

// headers4 and headers6 are the sizes of IP and UDP headers.
const headers4, headers6 = 20 + 8, 40 + 8

// batch is how many packets a caller best gives or takes at a time: the kernel
// takes as many of a copying sender.
const batch = 32

// fewPlaces is how many frames the kernel is given at first, where it copies. It fills
// them in the order in which they were given, so that the fewer it has, the sooner the
// same memory is filled again, its own notes of each frame among it, which is in the
// cache then. It has more as soon as half of them were found filled.
const fewPlaces = 512

// openQueue opens one of the port's queues.
func openQueue(p *port, index int) (_ *queue, err error) {
	c, m := &p.cfg, p.memory
	q := &queue{
		port: p, index: index, memory: m, umem: m.umem, local: p.local,
		pending: make([]pending, c.TxRing),
	}
	q.makePlaces(min(fewPlaces, c.RxRing))
	q.heard = p.news.count.Load()
	if c.BusyPoll > 0 {
		q.polling = wanted
	}
	if q.waiter, err = waiter.New(); err != nil {
		return nil, fmt.Errorf("xdp: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, q.giveBack(), q.waiter.Close())
		}
	}()
	if q.block, err = m.take(q); err != nil {
		return nil, err
	}
	if err := q.cutMemory(); err != nil {
		return nil, err
	}
	// Completions have room for every frame: a full ring stops the sender.
	sizes := xsk.Sizes{Fill: c.RxRing, RX: c.RxRing, TX: c.TxRing, Completion: powerOfTwo(m.layout.frames())}
	if q.socket, err = xsk.Open(m.umem, m.socket(), sizes); err != nil {
		return nil, unsocketed(&p.device, c.Queue+index, p.frags, err)
	}
	if err := q.socket.SendBuffer(m.layout.frames() * m.umem.FrameSize()); err != nil {
		return nil, fmt.Errorf("xdp: %w", err)
	}
	q.socket.RaiseBudget(c.TxRing)
	q.refill()
	flags := uint16(unix.XDP_USE_NEED_WAKEUP)
	if p.frags {
		flags |= unix.XDP_USE_SG
	}
	switch {
	case p.mode == "generic" || c.ZeroCopy == "off":
		flags |= unix.XDP_COPY
	case c.ZeroCopy == "on":
		flags |= unix.XDP_ZEROCOPY
	}
	if err := q.socket.Bind(p.device.base, c.Queue+index, flags); err != nil {
		return nil, unsocketed(&p.device, c.Queue+index, p.frags, err)
	}
	zeroCopy, err := q.socket.ZeroCopy()
	if err != nil {
		return nil, fmt.Errorf("xdp: %w", err)
	}
	if zeroCopy { // the device takes frames before anything arrives
		q.makePlaces(c.RxRing)
		q.refill()
	}
	if p.generic() {
		if q.beside, err = newUnfinished(p, q.socket.FD(), c.Buffers/2); err != nil {
			return nil, err
		}
		if index == 0 { // which hands on what is for other loops
			if err := q.beside.read(p.claim.FD, p.local.Port()); err != nil {
				return nil, err
			}
		}
	}
	q.follow()
	q.describe(zeroCopy)
	if err := p.maps.sockets.Put(uint32(c.Queue+index), uint32(q.socket.FD())); err != nil {
		return nil, fmt.Errorf("xdp: cannot lead packets to the socket: %w", err)
	}
	m.bound = append(m.bound, q.socket)
	return q, nil
}

// cutMemory lays out the queue's block.
func (q *queue) cutMemory() (err error) {
	l := q.memory.layout
	size := uint64(l.frameSize)
	first := int(q.block.first / size)
	q.txFrames = q.umem.Runs(first, l.send, l.run)
	q.txFirst, q.txSize = q.block.first, uint64(l.send*l.run)*size
	q.offload = l.checksums != ours
	q.rxFrames = q.umem.Frames(first+l.send*l.run, l.receive)
	if q.port.frags {
		q.pieces = newPieces(l.send, uint64(l.run)*size)
		q.large, err = newLarge(q.port.cfg.Buffers/2, l.run*l.frameSize)
	}
	return err
}

// giveBack closes the socket and leaves the memory; ports are locked.
func (q *queue) giveBack() error {
	var err error
	if q.socket != nil {
		q.memory.forget(q.socket)
		err = q.socket.Close()
	}
	if q.beside != nil {
		err = errors.Join(err, q.beside.close())
	}
	q.large.free()
	if q.block != nil { // the kernel has none of the frames any more
		q.foreign.each(func(frame uint64) { q.memory.giveBack(frame * uint64(q.memory.layout.frameSize)) })
		q.block.leave()
	}
	return err
}

func powerOfTwo(n int) int {
	size := 1
	for size < n {
		size *= 2
	}
	return size
}

func (q *queue) describe(zeroCopy bool) {
	p := q.port
	headers := headers4
	for _, a := range p.view.Load().addrs {
		if a.Is6() {
			headers = headers6
		}
	}
	q.caps = transport.Caps{
		Backend:    name,
		MaxPayload: p.mtu - headers,
		RxBatch:    2 * batch,
		TxBatch:    batch,
		RxBuffers:  p.cfg.Buffers / 2,
		Queue:      q.index,
		Queues:     len(p.queues),
		ZeroCopyRx: zeroCopy,
		ZeroCopyTx: zeroCopy,
		ECN:        true,
		Integrity:  true,
		LinkRate:   p.device.linkRate(),
		Notes:      p.notes,
	}
	if !zeroCopy && p.mode == "native" {
		why := fmt.Sprintf("its driver (%s) has none", p.device.driver)
		if p.cfg.ZeroCopy == "off" {
			why = "zero_copy=off"
		}
		q.caps.Notes = append(q.caps.Notes[:len(p.notes):len(p.notes)],
			fmt.Sprintf("mode is native, and the kernel copies each packet once: %s", why))
	}
}

// follow takes over what has changed of the interface, and of neighbours.
func (q *queue) follow() {
	g := q.port.generation.Load()
	if g == q.generation {
		return
	}
	q.generation = g
	v := q.port.view.Load()
	q.parser, q.usualTo, q.mac, q.mtu, q.up = v.parser, v.parser.UsualTo(), v.mac, v.mtu, v.up
	q.routes.Each(q.point)
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
		RxOverflow:   q.overflow(),
		TxPackets:    c.txPackets.Load(),
		TxBytes:      c.txBytes.Load(),
		TxCalls:      c.txCalls.Load(),
		TxTooLarge:   c.tooLarge.Load(),
		TxRefused:    c.refused.Load(),
		TxUnresolved: c.unresolved.Load(),
		TxForwarded:  c.forwarded.Load(),
	}
}

func (q *queue) overflow() uint64 {
	q.life.Lock()
	defer q.life.Unlock()
	if !q.closed.Load() {
		q.overflows = q.lost()
	}
	return q.overflows + q.stats.noBuffer.Load()
}

// lost is what the rings, or a socket's buffer, had no room for.
func (q *queue) lost() uint64 {
	n := q.socket.Overflows()
	if q.beside != nil && q.index == 0 {
		n += q.port.claim.Overflows()
	}
	return n
}

// Close implements [transport.Transport].
func (q *queue) Close() error {
	q.life.Lock()
	if q.closed.Load() {
		q.life.Unlock()
		return nil
	}
	q.overflows = q.lost()
	q.closed.Store(true)
	q.life.Unlock()
	q.waiter.Expel()
	q.inside.Lock() // until the owner is out of Wait
	defer q.inside.Unlock()
	q.routes.Each(q.forget)
	err := q.port.maps.sockets.Delete(uint32(q.port.cfg.Queue + q.index))
	return errors.Join(err, q.port.release(q), q.waiter.Close())
}
