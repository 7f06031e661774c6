package core

import (
	"container/heap"
	"time"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/wire"
)

// What a server does about sessions in which nothing is asked: it ends them after a
// while, and sooner where another client has no room.

const (
	// idleKeepAlives is after how many times keep_alive without anything under way a
	// session is ended, and sweepKeepAlives how often it is looked.
	idleKeepAlives  = 100
	sweepKeepAlives = 10
	// roomLooks is how many sessions are looked at to make room for one.
	roomLooks = 64
)

// sweep ends a client's idle sessions.
type sweep struct {
	mux   *mux
	timer packet.Timer
	hand  int // index of the session that was looked at last
}

// opened counts a session that a client has opened.
func (m *mux) opened() {
	e := m.e
	e.sessions++
	m.sessions++
	m.account.sessions++
	if m.sessions == 1 {
		heap.Push(&e.crowds, m)
		m.sweep.mux, m.sweep.timer = m, packet.NewTimer(&m.sweep)
		e.packets.Set(&m.sweep.timer, e.packets.Now()+sweepKeepAlives*e.cfg.KeepAlive)
		return
	}
	heap.Fix(&e.crowds, m.crowd-1)
}

// ended counts one that has ended.
func (m *mux) ended() {
	e := m.e
	e.sessions--
	m.sessions--
	m.account.sessions--
	if m.sessions == 0 {
		heap.Remove(&e.crowds, m.crowd-1)
		e.packets.Stop(&m.sweep.timer)
		return
	}
	heap.Fix(&e.crowds, m.crowd-1)
}

// Expired is the timer of a client that has sessions.
func (s *sweep) Expired() {
	m, keepAlive := s.mux, s.mux.e.cfg.KeepAlive
	wait := sweepKeepAlives * keepAlive
	for range m.served {
		if !m.mayTell() {
			wait = keepAlive
			break
		}
		m.endIfIdle(idleKeepAlives * keepAlive)
	}
	if m.sessions > 0 {
		m.e.packets.Set(&s.timer, m.e.packets.Now()+wait)
	}
}

// endIfIdle moves the hand to the next session, and ends that if nothing has been
// under way in it for so long.
func (m *mux) endIfIdle(least time.Duration) bool {
	m.sweep.hand = (m.sweep.hand + 1) % len(m.served)
	entry := &m.served[m.sweep.hand]
	s, now := entry.session, m.e.packets.Now()
	switch {
	case s == nil:
		return false
	case s.busy():
		s.heard = now
		return false
	case now-s.heard < least:
		return false
	}
	m.e.stats.SessionsExpelled++
	m.endSession(entry, errSessionOver)
	entry.expelled = true
	if m.mayTell() {
		m.tellExpelled(uint16(m.sweep.hand), entry.generation)
	}
	return true
}

// busy says whether anything is under way.
func (s *servedSession) busy() bool {
	if s.serving > 0 {
		return true
	}
	for i := range s.slots {
		if s.slots[i].request != 0 {
			return true
		}
	}
	return false
}

// makeRoom ends an idle session of the client that has the most, if it has more than m
// would have with one more.
func (m *mux) makeRoom() bool {
	g := m.e.crowds.first()
	if g == nil || g == m || g.sessions <= m.sessions+1 {
		return false
	}
	for range min(roomLooks, len(g.served)) {
		if g.endIfIdle(m.e.cfg.KeepAlive) {
			return true
		}
	}
	return false
}

// mayTell says whether a client may be told of sessions that were ended before it asks
// for anything in them: not as long as it owes many acknowledgements.
func (m *mux) mayTell() bool {
	return m.controls < maxRefusals/2 && m.e.controlling < allRefusals/2
}

// tellExpelled tells a client that its session is no more. It opens another one with
// its next request.
func (m *mux) tellExpelled(session, generation uint16) {
	m.enqueue(m.newControl(wire.NewMessageLead(wire.CloseSession, session, generation, 0, 0, 0)))
	m.weighRefusals()
}

// expelled takes in, at the client, that the server has ended a session that it took
// for idle. The session goes on under its next generation.
func (m *mux) expelled(lead wire.MessageLead) {
	s := m.client(lead)
	if s == nil {
		m.e.stats.RxStale++
		return
	}
	s.failActive(errExpelled)
	entry := &m.clients[s.index]
	entry.generation++
	s.generation = entry.generation
	s.startWaiting()
}

var errExpelled = &Error{Code: Unavailable, Message: "the server has ended the session, which it took for idle; the next call opens it again"}
