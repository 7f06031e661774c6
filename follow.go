package peregrine

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"
)

// following is how a session keeps up with a server that has a name, or several
// addresses: when its connection is lost, or cannot be made, it looks them up
// again and moves on.
type following struct {
	target target
	ctx    context.Context // ends with the session; nil: there is nothing to follow
	cancel context.CancelFunc
	active bool // pursue runs; guarded by the connection's lock
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
	case TransientFailure:
		f.active = true
		go s.pursue()
	case Shutdown:
		f.cancel()
	}
}

// pursue looks for the server, one address after the other, until the session is
// connected or nobody wants it to be.
func (s *Session) pursue() {
	f := &s.following
	for turn := 1; ; turn++ {
		to, err := f.target.lookup(f.ctx, s.endpoint.resolver)
		if err != nil && f.ctx.Err() == nil {
			s.loop.log.Warn("server is not found", zap.String("server", f.target.text), zap.Error(err))
		}
		moved := make(chan struct{})
		if !s.loop.post(message{do: func() { s.move(to); close(moved) }}) {
			return
		}
		<-moved
		if turn%max(1, len(to)) == 0 {
			s.stays(restBetweenRounds, TransientFailure, Connecting)
		}
		for s.State() == Connecting && s.WaitForStateChange(f.ctx, Connecting) {
		}
		c := &s.connection
		c.Lock()
		if f.active = c.state == TransientFailure; !f.active {
			c.Unlock()
			return
		}
		c.Unlock()
	}
}

// stays waits for as long as the state is one of these, but no longer than d.
func (s *Session) stays(d time.Duration, states ...ConnState) {
	ctx, cancel := context.WithTimeout(s.following.ctx, d)
	defer cancel()
	for state := s.State(); slices.Contains(states, state) && s.WaitForStateChange(ctx, state); state = s.State() {
	}
}

// move takes the session to the next of the addresses, on its loop, unless it has
// what it needs.
func (s *Session) move(to []netip.AddrPort) {
	state, from := s.session.State(), s.session.Peer()
	if state == Ready || state == Shutdown {
		return
	}
	at := slices.Index(to, from)
	if at >= 0 && state != TransientFailure {
		return // nothing is known against it yet
	}
	for i := range to {
		next := to[(at+1+i)%len(to)]
		if next == from || s.session.Move(next) != nil {
			continue
		}
		c := &s.connection
		c.Lock()
		c.peer = next
		c.Unlock()
		s.loop.log.Info("session moves", zap.String("server", s.following.target.text), zap.Stringer("from", from), zap.Stringer("to", next))
		return
	}
}
