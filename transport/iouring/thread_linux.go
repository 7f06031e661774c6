package iouring

import (
	"errors"
	"fmt"
	"time"
)

// lastWord is how long the kernel may take to say that zero-copy memory is free,
// when it is asked for the last time. A neighbour that does not resolve takes three
// seconds.
const lastWord = 10 * time.Second

// BindThread implements [transport.ThreadBinder]: from now on the kernel leaves its
// work to this thread's next call, and an idle queue is looked at without a system
// call.
func (q *queue) BindThread() (release func(), err error) {
	if q.closed.Load() {
		return func() {}, q.gone()
	}
	if q.mode != anyThread {
		return func() {}, nil
	}
	// All that the ring was asked has completed.
	if err := q.change(oneThread); err != nil {
		return func() {}, fmt.Errorf("iouring: not bound to its thread: %w", err)
	}
	return q.release, nil
}

// release ends what BindThread began.
func (q *queue) release() {
	if q.closed.Load() {
		_ = q.gone()
		return
	}
	q.cancel()
	t := &q.tx
	for end := time.Now().Add(lastWord); len(t.free) < len(t.flights) && time.Now().Before(end); q.reap() {
		_ = q.ring.Wait(lastWord / 100)
	}
	for i := range t.flights {
		if f := &t.flights[i]; f.out > 0 {
			q.abandon(f)
		}
	}
	// Without another ring, the calls that come tell what is wrong with this one.
	_ = q.change(anyThread)
}

// change replaces the ring, of which no request is under way, by one of another mode.
// What has arrived by it is noted already.
func (q *queue) change(m mode) error {
	next, err := newRig(m, q.cfg, q.sock, &q.rx)
	if err != nil {
		return err
	}
	old := q.rig
	q.life.Lock()
	q.rig = next
	q.life.Unlock()
	q.sleeps()
	return errors.Join(old.ring.UnregisterFile(), old.ring.UnregisterSelf(), old.close())
}
