package iouring

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/arena"
	"github.com/peregrine-rpc/peregrine/internal/udpsock"
	"github.com/peregrine-rpc/peregrine/internal/uring"
	"github.com/peregrine-rpc/peregrine/internal/waiter"
	"github.com/peregrine-rpc/peregrine/transport"
)

// queue is a socket, and the ring by which the kernel is asked about it.
type queue struct {
	sock *udpsock.Socket
	rig
	cfg Config

	memory *arena.Arena
	heads  udpsock.Heads
	tx     sender
	rx     receiver

	stats  counters
	waiter *waiter.Waiter
	closed atomic.Bool

	life       sync.Mutex    // guards the end
	dismantled chan struct{} // closed at the end
	ended      bool
	endError   error
}

// counters are written once per batch, and read by anybody.
type counters struct {
	udpsock.Counters
	zeroCopied, copied         atomic.Uint64
	unsentPackets, unsentBytes atomic.Uint64 // counted as sent, and refused later
}

func open(cfg Config, index, queues int) (_ transport.Transport, err error) {
	sock, err := udpsock.Open(name, cfg.settings(), index, queues)
	if err != nil {
		return nil, err
	}
	q := &queue{sock: sock, cfg: cfg, dismantled: make(chan struct{})}
	defer func() {
		if err != nil {
			_ = sock.Close() // the error that led here says more
			if q.waiter != nil {
				_ = q.waiter.Close()
			}
			if q.memory != nil {
				q.memory.Free()
			}
		}
	}()
	if q.waiter, err = waiter.New(); err != nil {
		return nil, fmt.Errorf("iouring: %w", err)
	}
	sock.ReportErrors()
	c := &sock.Caps
	c.RxBatch, c.TxBatch, c.RxBuffers = 64, 64, rxHeld
	heads := udpsock.HeadsSize(txHeads, c.MaxPayload)
	if q.memory, err = arena.New(heads + rxMemory(*c)); err != nil {
		return nil, fmt.Errorf("iouring: no memory for buffers: %w", err)
	}
	memory := q.memory.Bytes()
	q.heads = udpsock.NewHeads(txHeads, c.MaxPayload, memory[:heads])
	q.rx.init(*c, memory[heads:])
	q.tx.init(*c, cfg)
	mode := anyThread
	if cfg.SQPoll {
		mode = poller
	}
	if q.rig, err = newRig(mode, cfg, sock, &q.rx); err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			err = fmt.Errorf("%w: %w", transport.ErrUnavailable, err)
		}
		return nil, fmt.Errorf("iouring: %w", err)
	}
	if q.note != "" {
		c.Notes = append(c.Notes, q.note)
	}
	q.sleeps()
	return q, nil
}

func (q *queue) Resolve(addr netip.AddrPort, source netip.Addr) (transport.Route, error) {
	if q.closed.Load() {
		return 0, q.gone()
	}
	return q.sock.Resolve(addr, source)
}

// Forget keeps the route for the packets that are still on their way.
func (q *queue) Forget(r transport.Route) {
	t := &q.tx
	switch {
	case t.completed == t.taken:
		q.sock.Forget(r)
	case !slices.ContainsFunc(t.forgotten, func(f forgotten) bool { return f.route == r }):
		t.forgotten = append(t.forgotten, forgotten{r, t.taken})
	}
}

func (q *queue) Reserve(pkts []transport.TxPacket) int {
	if q.closed.Load() {
		return 0
	}
	n := q.heads.Reserve(pkts)
	if n < len(pkts) && q.async() {
		q.reap()
		n += q.heads.Reserve(pkts[n:])
	}
	if n == 0 {
		q.tx.lack()
	}
	return n
}

// NextUnreachable implements [transport.UnreachableReporter].
func (q *queue) NextUnreachable() (transport.Unreachable, bool) { return q.sock.NextUnreachable() }

func (q *queue) Completed() uint64 { return q.tx.completed }

func (q *queue) Wake() { q.waiter.Wake() }

func (q *queue) LocalAddr() netip.AddrPort { return q.sock.Local }

func (q *queue) Caps() transport.Caps { return q.sock.Caps }

func (q *queue) Stats() transport.Stats {
	unsentPackets, unsentBytes := q.stats.unsentPackets.Load(), q.stats.unsentBytes.Load()
	st := q.stats.Snapshot()
	st.RxOverflow = q.sock.Overflows()
	st.TxPackets -= unsentPackets
	st.TxBytes -= unsentBytes
	st.TxZeroCopied = q.stats.zeroCopied.Load()
	st.TxCopied = q.stats.copied.Load()
	return st
}

// Completions say by their data what they are about.
const (
	dataReceive uint64 = iota << 32
	dataSend           // with flight and message
	dataWritable
	dataBell
	dataWake
	dataKind uint64 = 0xff << 32
)

// reap takes in all completions.
func (q *queue) reap() {
	for e := q.ring.Completion(); e != nil; e = q.ring.Completion() {
		q.completed(e)
	}
	q.ring.Free()
	for t := &q.tx; len(t.forgotten) > 0 && t.forgotten[0].after <= t.completed; {
		q.sock.Forget(t.forgotten[0].route)
		t.forgotten = slices.Delete(t.forgotten, 0, 1)
	}
}

func (q *queue) completed(e *uring.CQE) {
	switch e.UserData & dataKind {
	case dataReceive:
		q.rx.received(e)
	case dataSend:
		q.sent(e)
	case dataWritable:
		q.tx.watched, q.tx.stalled = false, false
	case dataBell:
		q.listens = false
		q.waiter.Quiet()
	}
}

// submit gives the kernel what was queued and takes in what has completed. An
// error means that the ring is of no more use.
func (q *queue) submit() error {
	q.tx.heard = false
	errno := q.ring.Submit()
	q.reap()
	return q.fatal(errno)
}

// fatal makes an error of an errno of enter, unless it is about that call only.
func (q *queue) fatal(errno unix.Errno) error {
	switch {
	case errno == 0 || errno == unix.EINTR || errno == unix.EAGAIN || errno == unix.EBUSY:
		return q.rx.broken
	case q.mode == oneThread && !q.mine():
		return fmt.Errorf("iouring: this queue is bound to the thread that called BindThread, which is another one or has ended: %w", errno)
	}
	return fmt.Errorf("iouring: the ring is gone: %w", errno)
}

var errClosed = fmt.Errorf("iouring: %w", transport.ErrClosed)
