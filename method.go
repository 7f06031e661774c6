package peregrine

import (
	"context"
	"strconv"
	"sync/atomic"

	"github.com/peregrine-rpc/peregrine/wire"
)

// Method is a method of a session's server, known by its number or its name. It is a
// small value, and any goroutine may use it.
//
// The number of a name is the server's choice, and good for one connection. The first
// call or stream over a connection asks for it, which costs a round trip; those after
// it cost what they do with a number. Keep the Method: it is what remembers.
type Method struct {
	session *Session
	number  uint16
	named   *named // nil: it has no name
}

// named is a name, and what is known of it.
type named struct {
	name  string
	known atomic.Pointer[binding] // nil: nothing
}

// binding is the number of a name on a connection.
type binding struct {
	number     uint16
	connection uint64 // Session.Connection of the engine
}

// Method is the method of a name, as the server's [Endpoint.HandleName] has it. It does
// not ask the server whether there is one: calls and streams of a method that there is
// not fail with Unimplemented.
func (s *Session) Method(name string) Method { return Method{session: s, named: &named{name: name}} }

// Session is the one that the method is called over.
func (m Method) Session() *Session { return m.session }

// Name is the method's; "" if it is known by number.
func (m Method) Name() string {
	if m.named == nil {
		return ""
	}
	return m.named.name
}

// Number is the method's. Of one known by name it is what the server said last, 0 before
// it did; calls see to it themselves that it is still true.
func (m Method) Number() uint16 {
	if m.named != nil {
		if known := m.named.known.Load(); known != nil {
			return known.number
		}
	}
	return m.number
}

// String is the name, or the number if there is none.
func (m Method) String() string {
	if m.named == nil {
		return strconv.Itoa(int(m.number))
	}
	return m.named.name
}

// Call calls the method, as [Session.Call] does.
func (m Method) Call(ctx context.Context, request, buf []byte) ([]byte, error) {
	switch {
	case m.session == nil || m.session.endpoint == nil:
		return nil, errNotOpen
	case m.session.endpoint.call != nil:
		return m.session.endpoint.call(ctx, m, request, buf)
	}
	return m.call(ctx, request, buf)
}

func (m Method) call(ctx context.Context, request, buf []byte) ([]byte, error) {
	if m.named == nil {
		response, _, err := m.session.call(ctx, binding{number: m.number}, request, buf)
		return response, err
	}
	for {
		known, err := m.binding(ctx)
		if err != nil {
			return nil, err
		}
		response, _, err := m.session.call(ctx, known, request, buf)
		if err != errOtherConnection {
			return response, err
		}
		m.named.known.Store(nil) // it waited for a slot until the connection was another
	}
}

// binding is the number of the name, and the connection that it is good for.
func (m Method) binding(ctx context.Context) (binding, error) {
	if known := m.named.known.Load(); known != nil && known.connection == m.session.connection.up.Load() {
		return *known, nil
	}
	answer, connection, err := m.session.call(ctx, binding{number: wire.NamesMethod}, []byte(m.named.name), nil)
	if e, ok := err.(*Error); ok {
		asked := *e
		asked.MayHaveExecuted = false // the method itself did not
		if e.Code == Unimplemented {
			asked.Message = "no such method: " + m.named.name
		}
		return binding{}, &asked
	}
	if err != nil {
		return binding{}, err
	}
	number, err := wire.ParseNumber(answer, m.named.name)
	if err != nil {
		return binding{}, &Error{Code: DataLoss, Message: "the number of " + m.named.name + " was damaged on its way: see checksum", Cause: err}
	}
	known := &binding{number, connection}
	m.named.known.Store(known)
	if m.session.owner { // another session's server may have it for another name
		m.session.endpoint.names.learn(number, m.named.name)
	}
	return *known, nil
}
