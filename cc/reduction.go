package cc

// reduction is proportional rate reduction (RFC 9937): while a window is cut, in
// proportion to what arrives so much is sent that at the end of the round trip
// the new window is in flight, neither in a burst nor after a silence. In bytes.
type reduction struct {
	recovering bool
	window     int
	flight     int // RecoverFS: in flight when it began
	delivered  int // prr_delivered
	out        int // prr_out
}

// enter begins recovery: flight bytes were in flight, and window bytes may be
// until the next acknowledgement.
func (r *reduction) enter(flight, window int) {
	*r = reduction{recovering: true, flight: flight, window: window}
}

// sent takes in what was sent.
func (r *reduction) sent(bytes int) { r.out = bounded(r.out + bytes) }

// acked takes in that bytes arrived. inFlight remain, of a window of target in
// the end; safe says that nothing more was lost. The first acknowledgement is the
// one that told of the congestion.
func (r *reduction) acked(first bool, bytes, inFlight, target, datagram int, safe bool) {
	if first {
		r.flight = max(r.flight, inFlight+bytes)
	}
	r.delivered = bounded(r.delivered + bytes)
	var send int
	if inFlight > target {
		send = int((int64(r.delivered)*int64(target)+int64(r.flight)-1)/int64(r.flight)) - r.out
	} else {
		send = max(r.delivered-r.out, bytes)
		if safe {
			send += datagram
		}
		send = min(target-inFlight, send)
	}
	if r.out == 0 {
		send = max(send, datagram) // what was lost goes at once
	}
	r.window = inFlight + max(send, 0)
}
