package load

import (
	"fmt"
	"time"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
)

// onePacket is a length of reply that any path carries in one packet, so that
// it can be looked at where it was received.
const onePacket = 1000

// continuation runs on the sessions' loop, to which all its fields belong save
// the channels.
type continuation struct {
	load     Load
	sessions []*peregrine.Session
	recorder *measure.Recorder
	base     time.Time
	slots    []slot
	turn     int // index of the session that gets the next call
	seq      uint64

	calls   uint64
	failed  failures
	stopped bool
	running int // slots with a call outstanding
	ended   chan struct{}
	gaveUp  chan struct{}
}

// slot is one of the outstanding calls.
type slot struct {
	run     *continuation
	call    peregrine.Call
	buf     []byte // of the request
	seq     uint64
	until   uint64 // calls until one is timed
	sampled bool
	sent    time.Duration
}

func newContinuation(sessions []*peregrine.Session, l Load, recorder *measure.Recorder) *continuation {
	c := &continuation{
		load: l, sessions: sessions, recorder: recorder, base: time.Now(),
		slots: make([]slot, l.Window), ended: make(chan struct{}), gaveUp: make(chan struct{}),
	}
	for i := range c.slots {
		s := &c.slots[i]
		s.run = c
		s.buf = make([]byte, l.Work.RequestSize())
		// Samples are spread over the slots, or bursts of clock readings would
		// alternate with none.
		s.until = uint64(i) % l.SampleEvery
		s.call = peregrine.Call{Method: l.Work.Method(), Done: s.done}
		if n := l.Work.ReplySize(); n > onePacket {
			s.call.Buf = make([]byte, n)
		}
	}
	return c
}

func (c *continuation) start() {
	c.sessions[0].Loop(func() {
		c.running = len(c.slots)
		for i := range c.slots {
			c.slots[i].submit()
		}
	})
}

// submit sends the slot's next call.
func (s *slot) submit() {
	c := s.run
	c.seq++
	s.seq = c.seq
	s.call.Request = c.load.Work.Request(s.buf, s.seq)
	if s.sampled = s.until == 0; s.sampled {
		s.until = c.load.SampleEvery
		s.sent = time.Since(c.base)
	}
	s.until--
	session := c.sessions[c.turn]
	if c.turn++; c.turn == len(c.sessions) {
		c.turn = 0
	}
	session.Submit(&s.call)
}

// done is the slot's Call.Done.
func (s *slot) done(call *peregrine.Call) {
	c := s.run
	if s.sampled {
		c.recorder.Record(time.Since(c.base) - s.sent)
	}
	switch {
	case call.Err != nil:
		s.fail(call.Err)
		return
	case !c.load.Work.Right(call.Request, call.Response, s.seq):
		s.fail(errWrong(s.seq))
		return
	}
	c.calls++
	if c.stopped {
		c.end()
		return
	}
	s.submit()
}

// fail counts a failure and goes on, after a turn of the loop: where calls fail
// at once, the next one must not be nested in this one's completion.
func (s *slot) fail(err error) {
	c := s.run
	c.failed.add(err)
	if c.failed.count == tooMany {
		close(c.gaveUp)
	}
	if c.stopped || c.failed.count >= tooMany {
		c.end()
		return
	}
	c.sessions[0].Loop(s.submit)
}

func (c *continuation) end() {
	if c.running--; c.running == 0 {
		close(c.ended)
	}
}

var errLoop = fmt.Errorf("the engine's loop has not looked up for %v: the machine is overloaded, or the endpoint closed", patience)

func (c *continuation) count() (counters, error) {
	answer := make(chan counters, 1)
	c.sessions[0].Loop(func() { answer <- counters{at: time.Now(), calls: c.calls} })
	select {
	case now := <-answer:
		return now, nil
	case <-time.After(patience):
		return counters{}, errLoop
	}
}

func (c *continuation) finish(grace time.Duration) (missing uint64) {
	c.sessions[0].Loop(func() { c.stopped = true })
	select {
	case <-c.ended:
		return 0
	case <-time.After(grace):
	}
	answer := make(chan uint64, 1)
	c.sessions[0].Loop(func() { answer <- uint64(c.running) })
	select {
	case missing = <-answer:
		return missing
	case <-time.After(patience):
		return uint64(len(c.slots))
	}
}

func (c *continuation) failures() failures {
	answer := make(chan failures, 1)
	c.sessions[0].Loop(func() { answer <- c.failed })
	select {
	case f := <-answer:
		return f
	case <-time.After(patience):
		return failures{count: 1, first: errLoop}
	}
}

func (c *continuation) broken() <-chan struct{} { return c.gaveUp }
