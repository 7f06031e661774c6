package peregrine

import "github.com/peregrine-rpc/peregrine/core"

// What the loop does for streams: it gives the engine what users send, and users what
// the engine receives.

// ask has the loop do what is to be done. A loop that takes no more is about to end the
// stream, with the engine, which may still read what is sent. st.mu is held.
func (st *Stream) ask() {
	if st.posted || st.over {
		return
	}
	st.posted = true
	st.loop.post(message{do: st.turn})
}

// end notes that the engine is done with the stream. st.mu is held.
func (st *Stream) end(err error) {
	st.over, st.headed = true, st.headed || err == nil
	if st.err == nil {
		st.err = err
	}
	st.large, st.largeIn = nil, false
	st.out = lane{}
	st.changed.Broadcast()
}

// take does what the user has asked for, on the loop.
func (st *Stream) take() {
	st.mu.Lock()
	st.posted = false
	quit, over := st.quit, st.over
	receive := st.starved && st.in.waiting < laneRoom/2
	if receive {
		st.starved = false
	}
	st.mu.Unlock()
	switch {
	case over:
	case quit != nil:
		st.stream.Reset(quit.Code, quit.Message)
	default:
		if receive {
			st.stream.Receive()
		}
		st.push()
	}
}

// push gives the engine what is to be sent, as long as that takes more.
func (st *Stream) push() {
	for !st.blocked {
		st.mu.Lock()
		if !st.stream.Writable() {
			st.deaf = true
			st.changed.Broadcast()
			st.mu.Unlock()
			return
		}
		header := st.own
		st.own = nil
		if st.joins {
			st.room = st.stream.Room()
		}
		message, ok := st.out.take()
		if !ok && st.large != nil && !st.largeIn {
			message, ok, st.largeIn = st.large, true, true
		}
		large, finished := st.largeIn, st.finished
		st.changed.Broadcast()
		st.mu.Unlock()
		var err error
		if header != nil {
			err = st.stream.SendHeader(header)
		}
		switch {
		case err != nil:
		case ok:
			var more bool
			more, err = st.stream.Send(message)
			st.blocked = !more
			if large && more && err == nil {
				st.largeSent()
			}
		case finished:
			st.conclude()
			return
		default:
			return
		}
		if err != nil {
			st.stream.Reset(status(err)) // too long
			return
		}
	}
}

// largeSent notes that the engine reads no message where it is any more.
func (st *Stream) largeSent() {
	st.mu.Lock()
	st.large, st.largeIn = nil, false
	st.changed.Broadcast()
	st.mu.Unlock()
}

// conclude says that this side sends no more.
func (st *Stream) conclude() {
	if st.client {
		st.stream.CloseSend()
		return
	}
	st.mu.Lock()
	code, text, trailer := st.code, st.text, st.trailer
	st.mu.Unlock()
	st.stream.End(code, text, trailer)
}

// streamUser is a Stream as the engine knows it: it runs on the loop.
type streamUser Stream

func (u *streamUser) Opened(_ *core.Stream, header []byte) {
	u.mu.Lock()
	u.header, u.headed = append(empty, header...), true
	u.changed.Broadcast()
	u.mu.Unlock()
}

func (u *streamUser) Received(s *core.Stream, message []byte) {
	u.mu.Lock()
	u.headed = true
	u.in.put(message, 0)
	u.starved = u.in.waiting >= laneRoom
	more := !u.starved
	u.changed.Broadcast()
	u.mu.Unlock()
	if more {
		s.Receive()
	}
}

func (u *streamUser) Closed(*core.Stream) {
	u.mu.Lock()
	u.closed = true
	u.changed.Broadcast()
	u.mu.Unlock()
}

func (u *streamUser) Sent(*core.Stream) {
	st := (*Stream)(u)
	st.blocked = false
	if st.largeIn {
		st.largeSent()
	}
	st.push()
}

func (u *streamUser) Ended(s *core.Stream) {
	st := (*Stream)(u)
	st.mu.Lock()
	if st.client {
		st.trailer = s.Trailer
	}
	st.end(s.Err)
	undo, cancel, onEnd, err := st.undo, st.cancel, st.onEnd, st.err
	st.mu.Unlock()
	if onEnd != nil {
		defer onEnd(err) // which may not return
	}
	if undo != nil {
		undo()
	}
	if cancel != nil {
		cancel()
	}
}
