package iouring

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/udpsock"
	"github.com/peregrine-rpc/peregrine/internal/uring"
)

// out is the request for datagrams that the kernel has, of which there is one at a
// time.
type out uint8

const (
	none out = iota
	// single takes one datagram into a buffer of our choice. It costs the least.
	single
	// several takes all datagrams into buffers that were provided, and finds out that
	// there are no more.
	several
)

const (
	noBuffer = ^uint16(0)

	// expecting is how many looks in vain are made of the socket itself before a
	// bound queue has the kernel tell when there is something: some tens of
	// microseconds, in which an answer of the neighbourhood comes. Being told costs
	// no look, but both sides a microsecond when there is something.
	expecting = 128
)

// inquiry is what the kernel is asked for datagrams by. It keeps pointers into it.
type inquiry struct {
	out  out
	all  unix.Msghdr // says how much room there is
	one  unix.Msghdr
	iov  unix.Iovec
	mine uint16 // the buffer that one is to fill, or noBuffer

	// vain counts looks without a find. follows says that the first look after the
	// latest sends found something, so that the next goes along with the sends;
	// sent, that there was none since.
	vain          int
	found         bool // the latest look did
	follows, sent bool
}

func (r *inquiry) init() {
	r.mine = noBuffer
	r.all.Namelen = rxName
	r.all.SetControllen(udpsock.RxControl)
}

// look asks the kernel for datagrams, by a system call only if there is a reason.
func (q *queue) look() error {
	r, before := &q.rx, q.ring.Enters
	r.ask(&q.rig, false)
	err := q.submit()
	for tries := 0; r.told && err == nil && tries < maxTries; tries++ {
		q.hear()
		r.ask(&q.rig, false)
		err = q.submit()
	}
	if r.found = r.count > 0; r.found {
		r.vain = 0
	} else {
		r.vain++
	}
	if r.sent {
		r.sent, r.follows = false, r.found
	}
	calls := q.ring.Enters - before
	if q.mode == poller && r.count > 0 {
		calls = 1 // none, but a burst
	}
	if calls > 0 {
		q.stats.RxCalls.Add(calls)
	}
	if err == nil && len(q.tx.back) > 0 && !q.tx.stalled {
		err = q.sendBack()
	}
	return err
}

// ask queues a request for datagrams, where the kernel has none and there is a buffer.
// It leaves that to the next submission. One that waits stays until there is a
// datagram; others take what is there.
func (r *receiver) ask(g *rig, waits bool) {
	if r.out != none {
		return
	}
	switch {
	case g.mode == poller:
		r.askForAll(g, 0)
	case g.async() && (waits || r.vain >= expecting):
		r.askForOne(g, 0)
	case r.found:
		r.askForAll(g, unix.MSG_DONTWAIT)
	default:
		r.askForOne(g, unix.MSG_DONTWAIT)
	}
}

func (r *receiver) askForOne(g *rig, flags uint32) {
	if r.mine == noBuffer {
		if len(r.free) == 0 {
			r.askForAll(g, flags) // there may be buffers that were provided
			return
		}
		r.mine = r.free[len(r.free)-1]
		r.free = r.free[:len(r.free)-1]
		b := r.buffer(r.mine)
		r.one.Name = &b[uring.ReceivedHeader]
		r.one.Control = &b[uring.ReceivedHeader+rxName]
		r.iov.Base = &b[rxHeader]
		r.iov.SetLen(len(b) - rxHeader)
		r.one.Iov = &r.iov
		r.one.SetIovlen(1)
	}
	e := g.ring.Next()
	if e == nil {
		return
	}
	// The kernel has written how much there was.
	r.one.Namelen = rxName
	r.one.SetControllen(udpsock.RxControl)
	e.RecvMsg(&r.one, flags)
	if flags&unix.MSG_DONTWAIT == 0 {
		e.Priority |= uring.PollFirst // it was looked for in vain just now
	}
	e.Flags |= uring.FixedFile
	e.UserData = dataReceive
	r.out = single
}

func (r *receiver) askForAll(g *rig, flags uint32) {
	places := r.places
	switch {
	case g.mode == poller:
		places = rxProvided // it may be a while until they are replaced
	case r.small < rxProvided:
		places = min(places, rxFew)
	}
	for r.provided < places && len(r.free) > 0 {
		b := r.free[len(r.free)-1]
		r.free = r.free[:len(r.free)-1]
		r.with[b] = true
		r.provided++
		g.buffers.Add(uring.AddressOf(r.buffer(b)), uint32(r.size), b)
	}
	g.buffers.Publish()
	if r.provided == 0 {
		if r.mine != noBuffer {
			r.askForOne(g, flags)
		}
		return
	}
	e := g.ring.Next()
	if e == nil {
		return
	}
	r.asked = r.provided
	e.RecvMultishot(&r.all, group, flags)
	e.Flags |= uring.FixedFile
	e.UserData = dataReceive
	r.out = several
}

// received takes in a completion. Whatever it says, the request has ended where
// there will be no more.
func (r *receiver) received(e *uring.CQE) {
	kind := r.out
	if e.Flags&uring.CQEMore == 0 {
		r.out = none
	}
	switch b := e.Buffer(); {
	case kind == single && r.mine != noBuffer && e.Result >= 0:
		n := uring.LayOut(r.buffer(r.mine), &r.one, rxHeader, int(e.Result))
		r.arrive(r.mine, n)
		r.mine = noBuffer
	case e.Flags&uring.CQEBuffer == 0 || int(b) >= rxBuffers || !r.with[b]:
	default:
		r.with[b] = false
		r.provided--
		if e.Result < 0 {
			r.free = append(r.free, b)
		} else {
			r.arrive(b, e.Result)
		}
	}
	if kind == several && r.out == none {
		r.fit()
	}
	if e.Result >= 0 {
		return
	}
	switch errno := unix.Errno(-e.Result); errno {
	case unix.EAGAIN, unix.ENOBUFS, unix.ECANCELED:
	case unix.EBADF, unix.ENOTSOCK, unix.EFAULT, unix.EINVAL, unix.EACCES, unix.EOPNOTSUPP:
		r.broken = fmt.Errorf("iouring: the kernel refuses to receive: %w", errno)
	default:
		r.told = true
	}
}

// fit chooses how many buffers the kernel is given next: more where all were filled,
// fewer where few were.
func (r *receiver) fit() {
	switch filled := r.asked - r.provided; {
	case r.provided == 0:
		r.places = min(4*r.places, rxProvided)
	case 4*filled <= r.places:
		r.places = max(r.places/2, rxLeast)
	}
}

// arrive notes that a buffer was filled.
func (r *receiver) arrive(b uint16, length int32) {
	r.arrived[(r.next+r.count)%rxBuffers] = valid{b, length}
	r.count++
	if r.small++; length > rxLarge {
		r.small = 0
	}
}

// maxTries bounds how often what failed is tried again, where it may have failed for
// what became of earlier packets.
const maxTries = 8

// hear takes what the kernel has to tell of packets that were not delivered.
func (q *queue) hear() {
	q.rx.told = false
	if q.sock.DrainErrors() > 0 {
		q.tx.heard = true
	}
}
