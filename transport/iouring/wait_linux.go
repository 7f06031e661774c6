package iouring

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/peregrine-rpc/peregrine/internal/uring"
	"github.com/peregrine-rpc/peregrine/internal/waiter"
)

// Wait implements [transport.Transport].
func (q *queue) Wait(timeout time.Duration) error {
	if q.closed.Load() {
		return q.gone()
	}
	err := q.waiter.Wait(-1, 0, timeout)
	if err == waiter.ErrExpelled {
		return q.gone()
	}
	return err
}

// sleeps chooses how Wait sleeps, and Wake ends it. The queue is the owner's while it
// does: Close waits for it to end.
func (q *queue) sleeps() {
	switch {
	case !q.async():
		q.waiter.Otherwise(q.sleepOnSocket, nil)
	case !q.messages:
		q.waiter.Otherwise(q.sleepInRing, nil)
	default:
		fd := q.ring.FD()
		// The kernel may have no memory for a message: then the bell rings.
		q.waiter.Otherwise(q.sleepInRing, func() bool { return uring.Message(fd, dataWake) == 0 })
	}
}

// sleepOnSocket is for a ring without requests under way.
func (q *queue) sleepOnSocket(timeout time.Duration) error {
	if err := q.catchUp(); err != nil || q.ready() {
		return err
	}
	// With no buffer free an arrived datagram is no reason to return.
	var events int16
	if q.rx.able() {
		events |= unix.POLLIN
	}
	if q.tx.stalled {
		events |= unix.POLLOUT
	}
	if err := q.waiter.Poll(q.sock.FD, events, timeout); err != nil {
		return err
	}
	if q.waiter.Ready(unix.POLLERR) {
		q.hear() // or the next Wait would return at once
	}
	if q.waiter.Ready(unix.POLLOUT) {
		q.tx.stalled = false
	}
	return q.risen()
}

// sleepInRing is for a ring with requests under way.
func (q *queue) sleepInRing(timeout time.Duration) error {
	if err := q.catchUp(); err != nil || q.ready() {
		return err
	}
	if !q.ask() {
		return q.submit() // for a sleep without them might not end
	}
	before := q.ring.Enters
	errno := q.ring.Wait(timeout)
	q.stats.RxCalls.Add(q.ring.Enters - before)
	if err := q.fatal(errno); err != nil {
		return err
	}
	return q.risen()
}

// ask queues the requests whose completions end a sleep, and tells whether there was
// room for them all. A thread that polls the ring's descriptor is not told of work
// that the kernel has left to it: the ring polls the bell instead.
func (q *queue) ask() (ok bool) {
	if q.ring.Room() < 3 {
		return false
	}
	q.rx.ask(&q.rig, true)
	if t := &q.tx; t.stalled && !t.watched {
		e := q.ring.Next()
		e.Poll(unix.POLLOUT)
		e.Flags |= uring.FixedFile
		e.UserData = dataWritable
		t.watched = true
	}
	if !q.listens {
		e := q.ring.Next()
		e.Poll(unix.POLLIN)
		e.FD = int32(q.waiter.Bell())
		e.UserData = dataBell
		q.listens = true
	}
	return true
}

// ready tells whether there is a reason not to sleep. It is asked after catchUp, which
// may have taken in the completion by which a Wake, or a send, would end the sleep to
// come.
func (q *queue) ready() bool {
	return q.rx.pending() || q.tx.relieved() || q.sock.Reports() || !q.waiter.Asleep()
}

// risen is what there is to do after a sleep.
func (q *queue) risen() error {
	if q.closed.Load() {
		// Here, where the thread is the right one, and before Close goes on.
		return q.dismantle()
	}
	return q.catchUp()
}

// catchUp takes in what has completed, and goes on with what that allows.
func (q *queue) catchUp() error {
	if q.async() {
		q.reap()
	}
	if q.rx.told {
		q.hear()
	}
	if len(q.tx.back) > 0 && !q.tx.stalled {
		return q.sendBack()
	}
	return nil
}
