package core

// What is damaged on its way is acknowledged all the same, where nobody looks at
// checksums: a request that did not reach its slot, or a response. So a call that has
// waited for long asks again, with its request or the first fragment of it. The server
// takes it for what it is: new, running, or answered and gone.

// patience is how many turns of tidy a call waits before it asks again, and between
// the times that it does.
func (e *Endpoint) patience() uint16 {
	return uint16(max(2, quietKeepAlives*e.cfg.KeepAlive/tidyEvery))
}

// askAgain has calls ask again. It runs with tidy, which does while there are any.
func (e *Endpoint) askAgain() {
	patience := e.patience()
	for _, slot := range e.slots.all {
		if slot == nil || slot.call == nil {
			continue
		}
		o := &slot.out
		if slot.asked != o.id {
			slot.asked, slot.turns = o.id, 0
		}
		if slot.turns++; slot.turns < patience || !o.acked {
			continue
		}
		slot.turns = 0
		o.acked = false
		if o.stride != 0 {
			o.arrived[0] &^= 1
			o.unacked = 1
		}
		slot.call.session.mux.retransmit(o, 0)
	}
}

// gone is what a request is told that asks again when its response is gone, for the
// client has acknowledged all of it.
var gone = []byte("the response was damaged on its way: see checksum")
