package core

import (
	"fmt"
	"net/netip"
)

// ConnectAs is Connect to a server that has to show by its certificate, if connections are
// sealed so, that it is the one of this name; Connect goes by the address. One address has one
// name at a time, since the sessions there share a connection.
func (e *Endpoint) ConnectAs(addr netip.AddrPort, name string) (*Session, error) {
	if e.tr == nil {
		return nil, errNotMade
	}
	if e.closed || e.draining {
		return nil, &Error{Code: Unavailable, Message: "endpoint is closed"}
	}
	p, err := e.dial(addr, name)
	if err != nil {
		return nil, err
	}
	s := &Session{name: name}
	s.attach(p)
	return s, nil
}

// isNot says that m is the connection to a server of another name.
func (m *mux) isNot(name string) error {
	if m.name == name {
		return nil
	}
	return &Error{
		Code: FailedPrecondition,
		Message: fmt.Sprintf("there is a connection to %v as %q already: dial %q over another endpoint, or under one name",
			m.conn.Addr(), m.name, name),
	}
}

// Identity is who the client has shown to be, by what packet.Config's Security has for
// that; nil: it has not, or the request has ended.
func (r *Request) Identity() any { return r.mux.identity() }

// Identity is who the other side has shown to be, likewise.
func (s *Stream) Identity() any {
	if s.session != nil {
		return s.session.Identity()
	}
	return s.mux.identity()
}

// Identity is who the server has shown to be, likewise.
func (s *Session) Identity() any { return s.mux.identity() }

func (m *mux) identity() any {
	if m == nil {
		return nil
	}
	return m.conn.Peer()
}
