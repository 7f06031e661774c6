package peregrine

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peregrine-rpc/peregrine/core"
)

// connection is what any goroutine may know of a session's connection.
type connection struct {
	sync.Mutex
	state   ConnState
	peer    netip.AddrPort
	changed chan struct{} // closed at the next change of state; nil: nobody waits
	notify  func(ConnState, error)

	up atomic.Uint64 // the engine's Session.Connection
}

// newSession makes a session of the engine's, on its loop.
func newSession(e *Endpoint, l *loop, session *core.Session) *Session {
	s := &Session{endpoint: e, loop: l, session: session, waitForReady: e.waitForReady}
	s.connection.state, s.connection.peer = session.State(), session.Peer()
	s.connection.up.Store(session.Connection())
	session.Notify(s.stateChanged)
	return s
}

// stateChanged is called on the loop.
func (s *Session) stateChanged(state ConnState, why error) {
	c := &s.connection
	c.up.Store(s.session.Connection())
	c.Lock()
	c.state = state
	changed, notify := c.changed, c.notify
	c.changed = nil
	s.turned(state, why)
	c.Unlock()
	if changed != nil {
		close(changed)
	}
	if notify != nil {
		notify(state, why)
	}
}

// State is the state of the session's connection, Shutdown once the session or
// its endpoint is closed.
func (s *Session) State() ConnState {
	if s.session == nil {
		return Shutdown
	}
	c := &s.connection
	c.Lock()
	defer c.Unlock()
	return c.state
}

// WaitForStateChange waits until the state is another than from, and says true,
// or until ctx ends, and says false. Changes may follow each other faster than a
// waiter sees; Notify misses none. On a loop of the session's endpoint, where
// nothing would change meanwhile, it does not wait.
func (s *Session) WaitForStateChange(ctx context.Context, from ConnState) bool {
	if s.session == nil {
		return from != Shutdown
	}
	c := &s.connection
	for {
		c.Lock()
		if c.state != from {
			c.Unlock()
			return true
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.Unlock()
		if s.endpoint.here() {
			return false
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// Notify has f called at each change of the state from now on, in place of any
// former f; nil ends that. The error says why, where the connection was lost or
// could not be made. f runs on the session's loop and must not block.
func (s *Session) Notify(f func(state ConnState, why error)) {
	c := &s.connection
	c.Lock()
	defer c.Unlock()
	c.notify = f
}

// Peer is the server's address. That of a server known by a name may change, as
// the name does.
func (s *Session) Peer() netip.AddrPort {
	c := &s.connection
	c.Lock()
	defer c.Unlock()
	return c.peer
}

// LocalAddr is the address that the server sees the session come from, as far as
// this host knows it. It asks the loop, as RTT and MTU do, and so waits for a
// handler that holds it. On the loop itself all of them may be called; on another
// of the same endpoint they return zero.
func (s *Session) LocalAddr() (at netip.AddrPort) {
	s.look(func(session *core.Session) { at = session.LocalAddr() })
	return at
}

// RTT is the smoothed round trip of the connection; 0 before there is one.
func (s *Session) RTT() (rtt time.Duration) {
	s.look(func(session *core.Session) { rtt = session.RTT() })
	return rtt
}

// MTU is how many bytes a datagram to the server may have, as probed so far; 0
// once the endpoint is closed.
func (s *Session) MTU() (bytes int) {
	s.look(func(session *core.Session) { bytes = session.MTU() })
	return bytes
}

// look runs f on the loop, unless that has ended.
func (s *Session) look(f func(*core.Session)) {
	if s.session != nil {
		s.loop.ask(context.Background(), func() { f(s.session) })
	}
}
