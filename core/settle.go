package core

// parked is a completion that waits for the transport to let go of memory.
type parked struct {
	end     uint64
	call    *Call
	request *Request
	stream  *Stream
	part    *sending
}

// complete calls c.Done once the transport no longer reads c.Request, that is
// once it has completed end packets; 0 means it never did.
func (e *Endpoint) complete(c *Call, end uint64) {
	if c.deadline.IsSet() {
		e.packets.Stop(&c.deadline)
	}
	if end > 0 && e.tr.Completed() < end {
		if c.Buf == nil && c.Response != nil {
			c.Response = append([]byte(nil), c.Response...) // perhaps a view
		}
		e.parked = append(e.parked, parked{end: end, call: c})
		return
	}
	code := OK
	if c.Err == nil {
		e.stats.CallsSucceeded++
	} else {
		e.stats.CallsFailed++
		code = CodeOf(c.Err)
	}
	if e.cfg.Recorder != nil && c.Via == 0 {
		c.session.mux.recordSlotless(c, code)
	}
	c.session = nil
	if e.cfg.Ended != nil {
		if o := outcomeOf(Client, c.Method, code); !e.tally.counted(o, c.since) {
			e.endedOtherwise(o, c.since)
		}
	}
	if e.cfg.Poison && c.view {
		e.donePoisoned(c)
		return
	}
	c.Done(c)
}

func (e *Endpoint) fail(c *Call, err *Error, end uint64) {
	c.Response, c.Err = nil, err
	e.complete(c, end)
}

// failLater fails c before the present Poll ends, once all that fails with it is
// in order: a completion may do anything.
func (e *Endpoint) failLater(c *Call, err *Error, end uint64) {
	c.Response, c.Err = nil, err
	e.failed = append(e.failed, parked{end: end, call: c})
}

// completeLater fails c in the next Poll, so that Submit never calls Done.
func (e *Endpoint) completeLater(c *Call, err *Error) { e.failLater(c, err, 0) }

// later has f called before the present Poll ends, or in the next one: all is in
// order by then, whatever f does, and whether or not it returns.
func (e *Endpoint) later(f func()) { e.notices = append(e.notices, f) }

// tell calls the first that are to be called later.
func (e *Endpoint) tell(count int) {
	for ; count > 0 && len(e.notices) > 0; count-- {
		f := e.notices[0]
		if e.notices = e.notices[1:]; len(e.notices) == 0 {
			e.notices = nil
		}
		f()
	}
}

// settle tells what is to be told, and completes what waited for the next Poll or for the transport. It may be
// called again after a completion that did not return.
func (e *Endpoint) settle() {
	e.tell(len(e.notices))
	e.settleFailed(len(e.failed))
	e.takeTurns()
	if len(e.parked) == 0 {
		return
	}
	done := e.tr.Completed()
	for range len(e.parked) {
		w := e.parked[0]
		e.parked = e.parked[1:]
		switch {
		case w.end > done:
			e.parked = append(e.parked, w)
		default:
			e.unpark(w)
		}
	}
}

// unpark completes w, of whose memory the transport has let go.
func (e *Endpoint) unpark(w parked) {
	switch {
	case w.call != nil:
		e.complete(w.call, 0)
	case w.request != nil:
		w.request.free()
	case w.stream != nil:
		e.streamEnded(w.stream)
	default:
		e.recyclePart(w.part)
	}
}

// settleFailed completes the first calls that have failed, and streams that are over.
func (e *Endpoint) settleFailed(count int) {
	for ; count > 0 && len(e.failed) > 0; count-- {
		w := e.failed[0]
		if e.failed = e.failed[1:]; len(e.failed) == 0 {
			e.failed = nil
		}
		switch {
		case w.call != nil:
			e.complete(w.call, w.end)
		case w.end > e.tr.Completed():
			e.parked = append(e.parked, w)
		default:
			e.streamEnded(w.stream)
		}
	}
}
