package core

import "bytes"

// With Config.Poison whoever keeps memory beyond its time finds that out: it is
// overwritten. Views are copies then, since receive memory is the transport's,
// and nothing is used again, so that the poison stays.

// poison overwrites memory whose time is over.
func poison(b []byte) {
	for i := range b {
		b[i] = 0xDB
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
