package sim

import (
	"slices"
	"time"
)

// Actor is a program that runs on a host. A *core.Endpoint is one.
type Actor interface {
	// Poll does all there is to do at time now. It is called again if it made
	// progress. After an error it is not called any more: see [Host.Err].
	Poll(now time.Duration) (progress bool, err error)
	// NextDeadline is when Poll has to be called at the latest; ok is false if
	// there is no such time. It is asked after each Poll without progress.
	NextDeadline() (at time.Duration, ok bool)
}

// task is an actor that runs.
type task struct {
	host  *Host
	actor Actor
	ports []*Port

	wanted   bool          // has something to do
	queued   bool          // is in Network.ready
	ended    bool          // is not polled any more
	cpu      time.Duration // is busy until then
	deadline time.Duration

	// It has one event outstanding, or none. If the deadline moves away, the
	// event stays where it is and is set anew when it comes: most deadlines
	// move with every poll.
	timerAt    time.Duration
	timerOrder uint64
}

// wake has the actor polled as soon as it can be.
func (t *task) wake() {
	t.wanted = true
	switch {
	case t.queued || t.ended || t.host.paused():
	case t.cpu > t.host.net.now:
		t.arm(t.cpu)
	default:
		t.queued = true
		t.host.net.ready.push(t)
	}
}

// poll is the actor's turn.
func (t *task) poll() {
	now := t.host.net.now
	t.queued = false
	if t.ended || t.host.paused() {
		return
	}
	t.wanted, t.deadline = false, never
	progress, err := t.actor.Poll(now)
	if t.ended {
		return
	}
	if err != nil {
		t.ended = true
		t.host.fail(err)
		return
	}
	if progress {
		t.wake()
		return
	}
	if at, ok := t.actor.NextDeadline(); ok {
		t.deadline = max(at, now+1) // else time would stand still
		t.arm(max(t.deadline, t.cpu))
	}
}

func (t *task) arm(at time.Duration) {
	if at < t.timerAt {
		t.timerAt = at
		t.timerOrder = t.host.net.schedule(at, t)
	}
}

// happen is the timer.
func (t *task) happen(order uint64) {
	if order != t.timerOrder {
		return
	}
	t.timerAt = never
	switch now := t.host.net.now; {
	case t.ended || t.host.paused():
	case t.wanted || t.deadline <= now:
		t.wake()
	case t.deadline < never:
		t.arm(t.deadline)
	}
}

// spend takes the CPU time of n datagrams, and returns when it has passed.
func (t *task) spend(n int) time.Duration {
	t.cpu = max(t.cpu, t.host.net.now) + time.Duration(n)*t.host.cfg.PacketCost
	return t.cpu
}

// leave ends the actor if it has no port any more.
func (t *task) leave() {
	for _, p := range t.ports {
		if !p.closed {
			return
		}
	}
	t.ended = true
	if i := slices.Index(t.host.tasks, t); i >= 0 {
		t.host.tasks = slices.Delete(t.host.tasks, i, i+1)
	}
}
