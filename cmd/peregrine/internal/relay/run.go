package relay

import (
	"runtime"
	"time"
)

// Forever as a Spin never blocks.
const Forever = time.Duration(1<<63 - 1)

const (
	// glance is how long Run sleeps at most where it has a transport that cannot be
	// waited for together with others, or something that could not be sent; and first
	// after it has done anything, then twice as long, and so on, for a transport may
	// have something left to do that it does not tell of.
	glance = time.Millisecond
	// nap is how long it sleeps at most in any case.
	nap = time.Minute
)

// Run passes datagrams until Stop is called or a transport fails.
func (r *Relay) Run() error {
	epoch := time.Now()
	worked, rest := time.Duration(0), glance // when the last datagram passed; how long to sleep
	for !r.stopped.Load() {
		now := time.Since(epoch)
		progress, err := r.Poll(now)
		switch {
		case err != nil:
			return err
		case progress:
			worked, rest = now, glance
		case now-worked < r.cfg.Spin:
			err = r.look()
		default:
			err = r.sleep(min(r.patience(now), rest))
			rest = min(2*rest, nap)
		}
		if err != nil {
			return err
		}
		if !r.cfg.Pinned {
			runtime.Gosched()
		}
	}
	return nil
}

// Stop makes Run return. Any goroutine may call it.
func (r *Relay) Stop() {
	r.stopped.Store(true)
	r.sleeper.wake()
	r.inside.tr.Wake()
}

// patience is how long there is nothing to do unless something arrives.
func (r *Relay) patience(now time.Duration) time.Duration {
	limit := nap
	if at, ok := r.NextDeadline(); ok {
		limit = min(limit, at-now)
	}
	if !r.inside.watched || len(r.inside.unsent) > 0 {
		limit = min(limit, glance)
	}
	for _, s := range r.active {
		if !s.watched || len(s.unsent) > 0 {
			limit = min(limit, glance)
		}
	}
	return max(0, limit)
}
