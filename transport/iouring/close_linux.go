package iouring

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// handover is how long Close waits for the one thread to come by and take the
	// ring apart itself.
	handover = 100 * time.Millisecond
	// patience is how long cancelled requests may take.
	patience = time.Second
)

// Close implements [transport.Transport].
//
// The kernel lets go of the port only when no request uses the socket, and only the
// one thread can cancel requests. So that thread takes the ring apart: in Close, in
// the Wait that Close ends, or in the next call that it makes. If it does none of
// these soon, the kernel is left to clean up, which takes it some 50 ms.
func (q *queue) Close() error {
	if q.closed.Swap(true) {
		return nil
	}
	q.waiter.Expel()
	if q.mode == oneThread && !q.mine() && alive(q.tid) {
		select {
		case <-q.dismantled:
		case <-time.After(handover):
		}
	}
	return errors.Join(q.dismantle(), q.waiter.Close())
}

// mine tells whether the calling thread is the one.
func (q *queue) mine() bool { return unix.Gettid() == q.tid }

// alive tells whether a thread of this process is there.
func alive(tid int) bool { return unix.Tgkill(unix.Getpid(), tid, 0) == nil }

// gone ends what Close could not, if the owner comes by after it, and is what
// methods return then.
func (q *queue) gone() error {
	if q.mode == oneThread && q.mine() {
		_ = q.dismantle() // Close reports it
		_ = q.ring.UnregisterSelf()
	}
	return errClosed
}

// dismantle gives back everything, once.
func (q *queue) dismantle() error {
	q.life.Lock()
	defer q.life.Unlock()
	if q.ended {
		return q.endError
	}
	q.ended = true
	var err error
	if q.mode != oneThread || q.mine() {
		if q.async() {
			q.cancel()
		}
		err = errors.Join(q.ring.UnregisterFile(), q.ring.UnregisterSelf())
	}
	q.endError = errors.Join(err, q.sock.Close(), q.rig.close())
	q.memory.Free()
	close(q.dismantled)
	return q.endError
}

// cancel ends all requests. Zero-copy memory that is still out may stay there: what
// is sent of it from now on is nobody's concern.
func (q *queue) cancel() {
	_ = q.ring.CancelAll(patience)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		q.reap()
		if q.rx.out == none && !q.tx.watched && !q.listens {
			return
		}
		_ = q.ring.Wait(patience / 10)
	}
}
