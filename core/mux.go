package core

import (
	"time"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/wire"
)

// mux is the sessions on one connection, and the queues of their messages: what
// the connection carries. The side that dialed is the client of all its sessions.
type mux struct {
	e    *Endpoint
	conn *packet.Conn
	name string // dialed: of the server, for ConnectAs

	outbox
	limits
	callers
	served []servedEntry // accepted: by session index
	// filling is what the last fragment was of, unless that is over.
	filling *assembly
	sweep   sweep // of them
	shares
	widened int // bytes by which streams may receive more than StreamWindow each
}

// shares is what a client has of the limits that it shares with others.
type shares struct {
	account *account // what its share is measured by
	own     account  // unless it is one of several connections

	sessions int
	crowd    int      // 1 + place in Endpoint.crowds; 0: it has no sessions
	requests int      // held, but those refused
	memory   int64    // of requests of several packets and of what streams hold, in bytes
	claimed  int64    // what they say their lengths are
	arriving *arrival // the newest of them that is not whole
	hoard    int      // 1 + place in Endpoint.hoarders; 0: nothing is arriving
}

// maxSessions is how many sessions a connection has at most, as many as a handshake
// can tell of.
const maxSessions = 1<<16 - 1

// limits are what the handshake agreed on.
type limits struct {
	slots      int // a session
	maxSession int // sessions
	maxMessage int64
	traces     bool // the remote reads Call.Trace

	streams      int    // a session
	streamWindow uint32 // bytes that may be sent on a stream from the start
}

// callers are the sessions of a dialed connection, and what they know of it.
type callers struct {
	clients []clientEntry // by session index
	freed   []uint16      // free indexes of clients
	// unclosed are indexes of which the server has to hear still that they are closed.
	unclosed []uint16
	open     int    // sessions
	up       uint64 // the connection, by Endpoint.ups
	// outstanding counts requests in slots.
	outstanding int
	pings       []func(time.Duration, error)

	// While it is not connected:
	failure *Error // of the last attempt, until one succeeds or nobody waits
	wanted  bool   // somebody called since the last attempt
	shown   ConnState
}

// Offer is what this side says of itself, to a client with what it is granted.
func (m *mux) Offer(own *wire.Params) {
	cfg := &m.e.cfg
	own.Slots = uint16(cfg.Slots)
	own.Sessions = uint16(min(cfg.Sessions, maxSessions))
	own.MaxMessage = uint32(cfg.MaxMessage)
	own.Features |= wire.FeatureTrace
	own.Streams = uint16(cfg.Streams)
	own.StreamWindow = uint16(cfg.StreamWindow / wire.WindowUnit)
	if !m.conn.Dialed() && m.conn.State() == packet.Connected { // else the client is not known yet, and takes the less itself
		own.Slots = uint16(m.slots)
		own.Streams = uint16(m.streams)
	}
}

// Up begins with what the remote said of itself.
func (m *mux) Up(remote *wire.Params) {
	m.limits = limits{
		slots:      min(m.e.cfg.Slots, int(remote.Slots)),
		maxSession: int(remote.Sessions),
		maxMessage: int64(remote.MaxMessage),
		traces:     remote.Features&wire.FeatureTrace != 0,

		streams:      min(m.e.cfg.Streams, int(remote.Streams)),
		streamWindow: uint32(remote.StreamWindow) * wire.WindowUnit,
	}
	m.e.ups++
	m.up = m.e.ups
	m.failure = nil
	m.join()
	m.connection(true, "")
	if m.pings != nil {
		m.conn.Ping()
	}
	m.changed(nil)
	m.eachSession((*Session).connected)
}

// Down ends all that was under way: calls fail, sessions stay, and connect anew
// with the next call.
func (m *mux) Down(failure *packet.Failure) {
	why := failed(failure)
	m.connection(false, failure.Reason)
	m.drop()
	m.failPings(why)
	m.eachSession(func(s *Session) { s.failActive(why) })
	m.changed(why)
	if m.awaited() {
		m.connect()
	}
}

// Gone ends a client's sessions at their server.
func (m *mux) Gone() {
	m.connection(false, "its client is gone")
	m.drop()
	m.dropServed()
	m.quit()
	m.e.tidySoon()
}

// Quiet gives memory back.
func (m *mux) Quiet() { m.queue.shrink(m.conn.Settled()) }

// close ends the connection in order.
func (m *mux) close(reason string) {
	m.conn.Close(reason)
	m.failPings(&Error{Code: Canceled, Message: reason})
}

func (m *mux) eachSession(f func(*Session)) {
	for i := range m.clients {
		if s := m.clients[i].session; s != nil {
			f(s)
		}
	}
}

// failed is how calls fail for what a connection did.
func failed(f *packet.Failure) *Error {
	return &Error{Code: failing(f.Code), Message: f.Reason, Cause: f.Cause}
}
