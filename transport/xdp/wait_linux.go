package xdp

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/waiter"
	"github.com/peregrine-rpc/peregrine/internal/xsk"
	"github.com/peregrine-rpc/peregrine/transport"
)

// unsentPause is how long Wait sleeps while packets are left in the TX ring that
// the kernel would not take: nothing tells when it would.
const unsentPause = time.Millisecond

// Wait implements [transport.Transport].
func (q *queue) Wait(timeout time.Duration) error {
	q.inside.Lock()
	defer q.inside.Unlock()
	for began := time.Now(); ; {
		if q.closed.Load() {
			return errClosed
		}
		idle := q.idle()
		limit := timeout
		if timeout >= 0 {
			limit = max(0, timeout-time.Since(began))
		}
		switch {
		case !idle || q.hears() || q.full && q.socket.TX.Room() > 0:
			limit = 0
		case q.put != q.settled && (limit < 0 || limit > unsentPause):
			limit = unsentPause
		}
		err := q.waiter.Wait(q.awaited(), unix.POLLIN, limit)
		if q.beside != nil {
			q.beside.look()
		}
		switch {
		case q.closed.Load() || errors.Is(err, waiter.ErrExpelled):
			return errClosed
		case err != nil:
			return fmt.Errorf("xdp: %w", err)
		case q.full && q.socket.TX.Room() > 0:
			q.full = false
			return nil
		case q.waiter.Woken() || !idle || q.hears() || timeout >= 0 && time.Since(began) >= timeout:
			return nil
		}
	}
}

// idle looks for datagrams; true means that there are none. What is none it takes
// out: were it to end Wait, an owner who waits on would spin. A device that is
// gone is something to receive: an error.
func (q *queue) idle() bool {
	if q.poll() != nil {
		return false
	}
	var p transport.RxPacket
	rx := &q.socket.RX
	for rx.Available() > 0 {
		d := rx.Peek()
		if d.Options&xsk.Continued != 0 {
			if q.chain(rx.Available()) > 0 {
				return false
			}
			break // the rest is on its way
		}
		if q.accept(q.umem.Bytes(d.Addr, int(d.Len)), &p) {
			return false
		}
		q.rxFrames.Put(rx.Take().Addr)
		q.filled--
		rx.Free()
	}
	return q.beside == nil || !q.beside.arrives(q.port.view.Load())
}

// awaited is readable when there is something to receive.
func (q *queue) awaited() int {
	if q.beside != nil && q.beside.full() {
		return q.socket.FD() // what is at the sockets stays there
	}
	return q.Descriptor()
}

// Descriptor implements [transport.Pollable].
func (q *queue) Descriptor() int {
	if q.beside != nil {
		return q.beside.events
	}
	return q.socket.FD()
}

// Wake implements [transport.Transport].
func (q *queue) Wake() { q.waiter.Wake() }
