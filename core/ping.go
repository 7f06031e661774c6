package core

import (
	"time"

	"github.com/peregrine-rpc/peregrine/core/packet"
)

// Ping calls done with the time of the next round trip that is measured, of a
// packet sent for the purpose or another, or with the error that ended the
// connection.
func (s *Session) Ping(done func(time.Duration, error)) {
	if s.over() {
		done(0, s.closedError())
		return
	}
	m := s.mux
	m.pings = append(m.pings, done)
	switch {
	case m.conn.State() == packet.Connected:
		m.conn.Ping()
	case m.failure != nil:
		m.wanted = true
		m.failPings(m.failure)
	default:
		m.connect() // Up pings
	}
}

// Measured tells those who wait for a round trip.
func (m *mux) Measured(trip time.Duration) {
	pings := m.pings
	m.pings = nil
	for _, done := range pings {
		m.e.later(func() { done(trip, nil) })
	}
}

func (m *mux) failPings(err error) {
	pings := m.pings
	m.pings = nil
	for _, done := range pings {
		m.e.later(func() { done(0, err) })
	}
}
