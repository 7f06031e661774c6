package core

import (
	"fmt"
	"slices"

	"github.com/peregrine-rpc/peregrine/core/packet"
)

// ConnState is the state of a session's connection, in gRPC's names and
// meanings.
type ConnState uint8

// Connection states.
const (
	// Idle: not connected, and nobody waits to be. The next call connects.
	Idle ConnState = iota
	// Connecting: the first attempt since Idle is under way. Calls wait for it.
	Connecting
	// Ready: connected.
	Ready
	// TransientFailure: the last attempt failed. Calls fail at once, unless they
	// wait for ready. As long as there are calls, or anybody who waits, attempts go
	// on in the background, without leaving this state before one succeeds.
	TransientFailure
	// Shutdown: the session is closed.
	Shutdown
)

func (c ConnState) String() string {
	if c <= Shutdown {
		return [...]string{"Idle", "Connecting", "Ready", "TransientFailure", "Shutdown"}[c]
	}
	return fmt.Sprintf("ConnState(%d)", uint8(c))
}

// connect begins an attempt to connect, if nothing is known against it.
func (m *mux) connect() {
	if m.conn.State() == packet.Idle {
		m.attempt()
	}
}

func (m *mux) attempt() {
	m.conn.Connect()
	m.changed(nil)
}

// Failed ends an attempt that led to nothing. Nothing was sent yet, so all calls
// that wait may be made again. Who waits since less than the attempt goes on to
// wait, for the next one, unless the answer was no.
func (m *mux) Failed(failure *packet.Failure, answered bool) {
	err := failed(failure)
	m.failure, m.wanted = err, false
	m.failPings(err)
	m.eachSession(func(s *Session) { s.failWaiting(s.reason(err), false) })
	m.changed(err)
	if answered {
		m.eachSession(func(s *Session) { s.notifyReady(err) })
	}
}

// Rested is the end of the pause after an attempt that failed.
func (m *mux) Rested() {
	if m.wanted || m.awaited() {
		m.attempt()
		return
	}
	m.failure = nil
	m.changed(nil)
}

// awaited says whether anybody waits for the connection.
func (m *mux) awaited() bool {
	waits := len(m.pings) > 0
	m.eachSession(func(s *Session) { waits = waits || s.waits() })
	return waits
}

// connState is what sessions see of the connection's state.
func (m *mux) connState() ConnState {
	switch state := m.conn.State(); {
	case state == packet.Connected:
		return Ready
	case state == packet.Gone:
		return Shutdown
	case m.failure != nil:
		return TransientFailure
	case state == packet.Connecting:
		return Connecting
	}
	return Idle
}

// changed tells the sessions if they see another state than before, and why.
func (m *mux) changed(why error) {
	state := m.connState()
	if state == m.shown {
		return
	}
	m.shown = state
	m.eachSession(func(s *Session) { s.changed(state, why) })
}

// changed tells that the state is another, unless nobody wants to know by then.
func (s *Session) changed(state ConnState, why error) {
	f := s.notify
	if f == nil {
		return
	}
	s.mux.e.later(func() {
		if s.notify != nil && (!s.closed || state == Shutdown) {
			f(state, why)
		}
	})
}

// State is the state of the session's connection.
func (s *Session) State() ConnState {
	if s.over() {
		return Shutdown
	}
	return s.mux.connState()
}

// Notify has f called, on the endpoint's goroutine, at each change of State from
// now on; nil ends that. The error says why, of TransientFailure and of Idle after
// a connection was lost. f must not panic.
func (s *Session) Notify(f func(ConnState, error)) { s.notify = f }

// readiness is one who waits for the connection.
type readiness struct {
	session  *Session
	done     func(error)
	deadline packet.Timer
}

// Ready calls f once the session is connected, or with the error that the peer
// or its host refused the connection with, or after ConnectTimeout. It does not
// wait for the end of a pause between two attempts. f must not panic.
func (s *Session) Ready(f func(error)) {
	m := s.mux
	if s.over() || m.conn.State() == packet.Connected {
		f(s.closedError())
		return
	}
	r := &readiness{session: s, done: f}
	r.deadline = packet.NewTimer(r)
	s.ready = append(s.ready, r)
	m.e.packets.Set(&r.deadline, m.e.packets.Now()+m.e.cfg.ConnectTimeout)
	if m.conn.State() != packet.Connecting {
		m.attempt()
	}
}

// Expired is the end of a wait for the connection.
func (r *readiness) Expired() {
	s := r.session
	s.ready = slices.DeleteFunc(s.ready, func(o *readiness) bool { return o == r })
	m := s.mux
	err := &Error{
		Code:    Unavailable,
		Message: m.conn.Unanswered(),
	}
	if m.failure != nil {
		err.Cause = m.failure.Cause
	}
	r.done(err)
}

func (s *Session) notifyReady(err error) {
	ready := s.ready
	s.ready = nil
	for _, r := range ready {
		s.mux.e.packets.Stop(&r.deadline)
	}
	for _, r := range ready {
		s.mux.e.later(func() { r.done(err) })
	}
}
