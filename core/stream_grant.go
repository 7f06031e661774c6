package core

import "time"

const (
	// maxStreamWindow bounds the window of a stream that is read as fast as it comes.
	maxStreamWindow = 4 << 20
	// slowStream is how long half a window lasts where it is far too large.
	slowStream = time.Second
)

// grantMore grants more, if enough was taken that it is worth a message. A stream that
// is read as fast as it comes has its window doubled, as long as the connection's
// streams have memory for it, and halved again when it is read slowly.
func (s *Stream) grantMore() {
	in := &s.in
	if s.state != streamOpen || in.closed {
		return
	}
	base := in.next
	if in.held != nil {
		if h := in.held.live()[0]; h.place == base && h.in != nil {
			base += h.arrived
		}
	}
	limit := base + in.window
	if int32(limit-in.limit) < int32(in.window/2) {
		return
	}
	m := s.mux
	now := m.e.packets.Now()
	switch pause := now - in.granted; {
	case pause < 2*m.conn.RTT() && in.window < maxStreamWindow && int64(m.widened)+int64(in.window) <= m.e.cfg.StreamMemory:
		m.widened += int(in.window)
		in.window *= 2
	case pause > slowStream && int(in.window) > m.e.cfg.StreamWindow:
		in.window /= 2 // of which at least as much was taken
		m.widened -= int(in.window)
	}
	in.granted = now
	if limit = base + in.window; limit != in.limit {
		in.limit = limit
		s.grantWindow()
	}
}
