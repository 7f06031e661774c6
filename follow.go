package peregrine

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"
)

// following is how a session keeps up with a server that has a name, or several
// addresses: when its connection is lost, or cannot be made at once, it looks
// them up again, tries all beside each other, and moves to the first to answer.
type following struct {
	target target
	ctx    context.Context // ends with the session; nil: there is nothing to follow
	cancel context.CancelFunc

	// Guarded by the connection's lock:
	active bool               // pursue runs
	settle context.CancelFunc // ends the race under way; nil: there is none
}

// restBetweenRounds is how long a session waits before it looks its server up
// again, once all addresses have failed.
const restBetweenRounds = time.Second

// follow makes the session follow t. The loop calls it, before others have the
// session.
func (s *Session) follow(t target) {
	if t.name == "" && len(t.addrs) == 1 {
		return
	}
	f := &s.following
	f.target = t
	f.ctx, f.cancel = context.WithCancel(context.Background())
	switch s.session.State() {
	case TransientFailure, Connecting:
		f.active = true
		go s.pursue()
	case Shutdown:
		f.cancel()
	}
}

// turned keeps up with the connection's state. The loop calls it at each change,
// with the connection's lock held.
func (s *Session) turned(state ConnState, why error) {
	f := &s.following
	switch {
	case f.ctx == nil:
	case state == Shutdown:
		f.cancel()
	case state == Ready && f.settle != nil:
		f.settle()
	case (why != nil || state == Connecting) && !f.active:
		f.active = true
		go s.pursue()
	}
}

// pursue looks for the server until the session is connected, or nobody wants it
// to be.
func (s *Session) pursue() {
	s.stays(attemptDelay, Connecting) // for it may be where it was
	for wanted := s.pursues(Idle, Connecting, TransientFailure); wanted; wanted = s.pursues(Connecting, TransientFailure) {
		err := s.seek()
		if !s.loop.post(message{do: func() { s.explain(err) }}) {
			return
		}
		s.stays(restBetweenRounds, Connecting, TransientFailure)
	}
}

// pursues says whether pursue is to go on, which it is in these states.
func (s *Session) pursues(states ...ConnState) bool {
	c, f := &s.connection, &s.following
	c.Lock()
	defer c.Unlock()
	f.active = slices.Contains(states, c.state)
	return f.active
}

// stays waits for as long as the state is one of these, but no longer than d.
func (s *Session) stays(d time.Duration, states ...ConnState) {
	ctx, cancel := context.WithTimeout(s.following.ctx, d)
	defer cancel()
	for state := s.State(); slices.Contains(states, state) && s.WaitForStateChange(ctx, state); state = s.State() {
	}
}

// seek looks the server up. If the session has left its address meanwhile, it goes
// to the new one. If it is to be connected, and has a choice, it goes where a
// connection is made first; the address that it has comes before the others.
func (s *Session) seek() error {
	f := &s.following
	to, err := f.target.lookup(f.ctx, s.endpoint.resolver)
	if err != nil {
		return err
	}
	if err := s.leave(to); err != nil {
		return err
	}
	at := slices.Index(to, s.Peer())
	if len(to) == 1 && at == 0 || s.State() == Idle {
		return nil
	}
	if at > 0 {
		to = slices.Concat(to[at:at+1], to[:at], to[at+1:])
	}
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	if !s.settles(cancel) {
		return nil
	}
	defer s.settles(nil)
	_, err = s.loop.race(ctx, f.target, to, false, func(won *Session) {
		s.move(won.session.Peer())
		won.session.Close()
	})
	return err
}

// settles has a race under way end, by cancel, as soon as the session is
// connected; false: there is no need of one any more.
func (s *Session) settles(cancel context.CancelFunc) bool {
	c, f := &s.connection, &s.following
	c.Lock()
	defer c.Unlock()
	f.settle = cancel
	return c.state != Ready && c.state != Shutdown
}

// leave takes the session to the first of the addresses that it can be taken to,
// unless it is at one of them, or is connected.
func (s *Session) leave(to []netip.AddrPort) (err error) {
	s.loop.ask(s.following.ctx, func() {
		if slices.Contains(to, s.session.Peer()) || s.session.State() == Ready || s.session.State() == Shutdown {
			return
		}
		attempts := make([]attempt, len(to))
		for i := range to {
			attempts[i] = attempt{to: to[i], err: s.move(to[i])}
			if attempts[i].err == nil {
				return
			}
		}
		err = &dialError{s.following.target.text, nil, attempts}
	})
	return err
}

// move takes the session to another address, on its loop, unless it is connected.
func (s *Session) move(to netip.AddrPort) error {
	from, state := s.session.Peer(), s.session.State()
	if to == from || state == Ready || state == Shutdown {
		return nil
	}
	if err := dialable(to); err != nil {
		return err
	}
	if err := s.session.Move(to); err != nil {
		return err
	}
	c := &s.connection
	c.Lock()
	c.peer = to
	c.Unlock()
	s.loop.log.Info("session moves", zap.String("server", s.following.target.text), zap.Stringer("from", from), zap.Stringer("to", to))
	return nil
}

// explain has calls say, on the loop, what became of the search for the server.
func (s *Session) explain(err error) {
	switch state := s.session.State(); {
	case state == Ready || state == Shutdown:
	case err == nil:
		s.session.Explain(nil)
	default:
		s.loop.log.Warn("server is not found", zap.String("server", s.following.target.text), zap.Error(err))
		s.session.Explain(&Error{Code: Unavailable, Message: err.Error(), Cause: err})
	}
}
