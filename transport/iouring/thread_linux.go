package iouring

import (
	"errors"
	"fmt"
)

// BindThread implements [transport.ThreadBinder]: from now on the kernel leaves its
// work to this thread's next call, and an idle queue is looked at without a system
// call.
func (q *queue) BindThread() error {
	if q.closed.Load() {
		return q.gone()
	}
	if q.mode != anyThread {
		return nil
	}
	// All that the old ring was asked has completed; whatever has arrived by it is
	// noted. Its buffers go to the new one.
	bound, err := newRig(oneThread, q.cfg, q.sock, &q.rx)
	if err != nil {
		return fmt.Errorf("iouring: not bound to its thread: %w", err)
	}
	old := q.rig
	q.life.Lock()
	q.rig = bound
	q.life.Unlock()
	q.sleeps()
	return errors.Join(old.ring.UnregisterFile(), old.close())
}
