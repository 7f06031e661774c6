package peregrine

import (
	"errors"

	"go.uber.org/zap"
)

// maxExits is how often a loop goes on upon a goroutine that handlers want to
// end. Each time the stack grows by theirs; then it moves to a new goroutine.
const maxExits = 4096

// turns runs the loop until it is over. It returns false early where a handler
// panicked: that request fails, and the next turns go on with what is left of
// the burst. A panic of anything else that runs on the loop, such as a
// completion, is the program's own.
//
// A goroutine that runtime.Goexit ends still runs its deferred functions, so the
// loop goes on in one. It stays on the thread, which some transports need.
func (l *loop) turns() (over bool) {
	defer func() {
		if over {
			return
		}
		value := recover()
		switch {
		case l.serving.serial != 0:
			l.contain(value)
		case value != nil:
			panic(value)
		default:
			l.abandoned()
		}
		if value != nil {
			return
		}
		if l.exits++; l.exits < maxExits {
			for !l.turns() {
			}
		}
	}()
	for !l.stopping && !l.turn() {
	}
	l.finish()
	return true
}

// contain ends the request whose inline handler panicked with value, or ended
// the goroutine if value is nil.
func (l *loop) contain(value any) {
	s := &l.serving
	l.endpoint.mishaps.caught(value, s.request.Method, s.request.Peer())
	Request{loop: l, serial: s.serial}.Fail(Internal, panicked)
	s.end()
}

var errAbandoned = errors.New("a completion ended the loop's goroutine by runtime.Goexit, and left work undone")

// abandoned takes in that a function other than a handler ended the goroutine.
// With what it receives and what was posted the loop goes on behind that. In the
// midst of the engine's timers it cannot, so that the endpoint ends.
func (l *loop) abandoned() {
	switch {
	case l.closing:
		l.err = errors.Join(errAbandoned, l.tr.Close())
	case l.flushing:
		l.flushing = false
		l.fail("endpoint closes", errAbandoned)
	default:
		l.log.Error("a completion, or a function given to Loop, ended the loop's goroutine by runtime.Goexit; the loop goes on",
			zap.Stack("stack"))
	}
}
