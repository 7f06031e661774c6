package core

import "bytes"

// With Config.Poison whoever keeps memory beyond its time finds that out: it is
// overwritten. Views are copies then, since receive memory is the transport's,
// and nothing is used again, so that the poison stays.

// poisonous is a page of what overwrites.
var poisonous = bytes.Repeat([]byte{0xDB}, 4096)

// poison overwrites memory whose time is over; by pages, since the race detector
// looks at every store.
func poison(b []byte) {
	for len(b) > 0 {
		b = b[copy(b, poisonous):]
	}
}

// runPoisoned is run for a request whose Data is a view: it ends with the handler.
func (r *Request) runPoisoned() {
	view := bytes.Clone(r.Data)
	r.Data = view
	defer poison(view) // also if the handler panics
	r.run()
}

// poison ends what a deferred request kept.
func (r *Request) poison() {
	poison(r.kept)
	r.endpoint.buffers.copies -= int64(cap(r.kept))
	r.kept = nil
}

// donePoisoned completes a call whose Response is a view: it ends with Done.
func (e *Endpoint) donePoisoned(c *Call) {
	view := c.Response
	c.view = false
	defer poison(view)
	c.Done(c)
}
