package core

import (
	"fmt"
	"net/netip"

	"github.com/peregrine-rpc/peregrine/core/packet"
)

// Move makes the session one to addr from now on: its server has moved there.
// Calls under way fail as where a connection is lost; those that wait, for a slot
// or for the connection, move along. An error leaves the session where it was.
func (s *Session) Move(addr netip.AddrPort) error {
	if s.over() {
		return s.closedError()
	}
	from, shown := s.mux, s.State()
	to, err := from.e.dial(addr, s.name)
	if err != nil || to == from {
		return err
	}
	s.failActive(&Error{Code: Unavailable, Message: fmt.Sprintf("the session moved from %v to %v", from.conn.Addr(), to.conn.Addr())})
	s.detach()
	s.attach(to)
	s.why = nil
	if state := s.State(); state != shown {
		s.changed(state, nil)
	}
	switch {
	case to.conn.State() == packet.Connected:
		s.connected()
	case to.failure != nil:
		s.failWaiting(s.reason(to.failure), false)
	}
	if s.waits() {
		to.connect()
	}
	return nil
}

// Explain has calls that fail, because no connection can be made, say why by err:
// for one who seeks the server elsewhere too, and knows more than the session. It
// holds until there is a connection, or the session moves; nil ends it.
func (s *Session) Explain(err *Error) { s.why = err }

// reason is why no connection can be made, if failure is all that its connection knows.
func (s *Session) reason(failure *Error) *Error {
	if s.why != nil {
		return s.why
	}
	return failure
}
