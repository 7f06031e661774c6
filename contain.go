package peregrine

import (
	"go.uber.org/zap"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/internal/goroutine"
)

// maxExits is how often a loop goes on upon a goroutine that functions on it want
// to end. Each time the stack grows by theirs; then the loop moves to a new one.
const maxExits = 256

// turns runs the loop until it is over. It returns false early where a handler
// panicked: that request fails, and the next turns go on with what is left of
// the burst. A panic of anything else that runs on the loop, such as a
// completion, is the program's own.
//
// A goroutine that runtime.Goexit ends still runs its deferred functions, so the
// loop goes on in one. It stays on its thread, which some transports need.
func (l *loop) turns() (over bool) {
	defer func() {
		if over {
			return
		}
		value := recover()
		switch q := l.engine.Serving(); {
		case q != nil:
			method := q.Method
			l.contain(q, value)
			if h := l.handlers[method]; value == nil && h != nil {
				l.handle(method, l.aside(h)) // it may do it again
			}
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

// contain ends the request q, whose inline handler panicked with value, or ended
// the goroutine if value is nil.
func (l *loop) contain(q *core.Request, value any) {
	told := l.endpoint.mishaps.caught(value, q.Method, q.Peer())
	l.inline(q).Fail(Internal, told)
	l.engine.Left()
	if l.deferred != nil {
		l.served()
	}
}

// aside runs h on a goroutine that it may end, in the loop's place, which waits.
func (l *loop) aside(h Handler) Handler {
	return func(r Request) {
		self := l.self.Load()
		ended := make(chan struct{})
		go func() {
			returned := false
			defer func() {
				l.self.Store(self) // before this goroutine's ID may be another's
				close(ended)
			}()
			defer func() {
				if !returned {
					l.contain(r.handle.request, recover())
				}
			}()
			l.self.Store(uintptr(goroutine.Self()))
			h(r)
			returned = true
		}()
		<-ended
	}
}

// abandoned takes in that a function other than a handler ended the goroutine.
// The engine goes on behind a completion as it does behind a handler, and drain
// behind what was posted.
func (l *loop) abandoned() {
	l.log.Error("a completion, or a function given to Loop, ended the loop's goroutine (runtime.Goexit, or FailNow of a test); "+
		"the loop goes on", zap.Stack("stack"))
}
