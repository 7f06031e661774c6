package core

import (
	"fmt"
	"slices"
	"time"
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

// The pause after an attempt that failed, and the longest. Each is 1.6 times
// the one before, give or take a fifth, as in gRPC, but shorter: in a data
// centre an attempt is cheap, and a server is back soon.
const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// backoff is the pause after so many failures in a row.
func (e *Endpoint) backoff(failures int) time.Duration {
	d := minBackoff
	for ; failures > 1 && d < maxBackoff; failures-- {
		d = d * 8 / 5
	}
	d = min(d, maxBackoff)
	return d - d/5 + time.Duration(e.random.Uint64()%uint64(2*d/5))
}

// connect begins an attempt to connect, if nothing is known against it.
func (p *peer) connect() {
	if p.state == peerIdle {
		p.attempt()
	}
}

func (p *peer) attempt() {
	p.state = peerConnecting
	p.hello = hello{begun: p.ep.now, again: p.ep.now, wait: helloInterval}
	p.ep.timers.set(&p.timer, p.ep.now)
	p.changed(nil)
}

// unanswered ends an attempt that nobody answered. Who waits since less than
// the attempt goes on to wait, for the next one.
func (p *peer) unanswered() {
	p.attemptFailed(&Error{
		Code:    Unavailable,
		Message: fmt.Sprintf("no answer from %v within %v; is a server running there?", p.addr, p.ep.cfg.ConnectTimeout),
	})
}

// refused ends an attempt that the peer or its host has answered with no.
func (p *peer) refused(err *Error) {
	p.attemptFailed(err)
	p.eachSession(func(s *Session) { s.notifyReady(err) })
}

// attemptFailed ends an attempt that led to nothing. Nothing was sent yet, so
// all calls that wait may be made again.
func (p *peer) attemptFailed(err *Error) {
	e := p.ep
	e.renew(p)
	p.state = peerWaiting
	p.failure, p.wanted = err, false
	p.failures++
	e.timers.set(&p.timer, e.now+e.backoff(p.failures))
	p.failPings(err)
	p.eachSession(func(s *Session) { s.failWaiting(s.reason(err), false) })
	p.changed(err)
}

// backoffOver is the end of the pause after an attempt that failed.
func (p *peer) backoffOver() {
	p.state = peerIdle
	if p.wanted || p.awaited() {
		p.attempt()
		return
	}
	p.failure = nil
	p.changed(nil)
}

// awaited says whether anybody waits for the connection.
func (p *peer) awaited() bool {
	waits := len(p.pings) > 0
	p.eachSession(func(s *Session) { waits = waits || s.waiting.head != nil || len(s.ready) > 0 })
	return waits
}

// connState is what sessions see of the peer's state.
func (p *peer) connState() ConnState {
	switch {
	case p.state == peerConnected:
		return Ready
	case p.state == peerGone:
		return Shutdown
	case p.failure != nil:
		return TransientFailure
	case p.state == peerConnecting:
		return Connecting
	}
	return Idle
}

// changed tells the sessions if they see another state than before, and why.
func (p *peer) changed(why error) {
	state := p.connState()
	if state == p.shown {
		return
	}
	p.shown = state
	p.eachSession(func(s *Session) {
		s.changed(state, why)
	})
}

// changed tells that the state is another, unless nobody wants to know by then.
func (s *Session) changed(state ConnState, why error) {
	f := s.notify
	if f == nil {
		return
	}
	s.peer.ep.later(func() {
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
	return s.peer.connState()
}

// Notify has f called, on the endpoint's goroutine, at each change of State from
// now on; nil ends that. The error says why, of TransientFailure and of Idle after
// a connection was lost. f must not panic.
func (s *Session) Notify(f func(ConnState, error)) { s.notify = f }

// readiness is one who waits for the connection.
type readiness struct {
	session  *Session
	done     func(error)
	deadline timer
}

// Ready calls f once the session is connected, or with the error that the peer
// or its host refused the connection with, or after ConnectTimeout. It does not
// wait for the end of a pause between two attempts. f must not panic.
func (s *Session) Ready(f func(error)) {
	p := s.peer
	if s.over() || p.state == peerConnected {
		f(s.closedError())
		return
	}
	r := &readiness{session: s, done: f}
	r.deadline.owner = r
	s.ready = append(s.ready, r)
	p.ep.timers.set(&r.deadline, p.ep.now+p.ep.cfg.ConnectTimeout)
	if p.state != peerConnecting {
		p.attempt()
	}
}

// expired is the end of a wait for the connection.
func (r *readiness) expired() {
	s := r.session
	s.ready = slices.DeleteFunc(s.ready, func(o *readiness) bool { return o == r })
	p := s.peer
	err := &Error{
		Code:    Unavailable,
		Message: fmt.Sprintf("no answer from %v within %v; is a server running there?", p.addr, p.ep.cfg.ConnectTimeout),
	}
	if p.failure != nil {
		err.Cause = p.failure.Cause
	}
	r.done(err)
}

func (s *Session) notifyReady(err error) {
	ready := s.ready
	s.ready = nil
	for _, r := range ready {
		s.peer.ep.timers.stop(&r.deadline)
	}
	for _, r := range ready {
		s.peer.ep.later(func() { r.done(err) })
	}
}
