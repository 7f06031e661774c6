package peregrine

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"

	"github.com/peregrine-rpc/peregrine/core"
)

// TLS is the state of the client's connection, with the certificates that it has shown, as in
// [net/http.Request]; nil if the endpoint has no TLS, or the request's time is over. It
// is shared, and must not be changed.
func (r Request) TLS() *tls.ConnectionState {
	if d := r.away(); d != nil {
		return tlsOf(d.identity(r.serial))
	}
	if q := r.current(); q != nil {
		return tlsOf(q.Identity())
	}
	return nil
}

// TLS is the state of the stream's connection at a handler, likewise; at a client see
// [Session.TLS].
func (st *Stream) TLS() *tls.ConnectionState { return st.tls }

// TLS is the state of the session's connection, with the server's certificates; nil
// without TLS, and while there is no connection. It asks the loop, as RTT does.
func (s *Session) TLS() (state *tls.ConnectionState) {
	s.look(func(session *core.Session) { state = tlsOf(session.Identity()) })
	return state
}

func tlsOf(identity any) *tls.ConnectionState {
	state, _ := identity.(*tls.ConnectionState)
	return state
}

// Access is what somebody wants of a server, and who that is.
type Access struct {
	// Method is called, or has a stream opened of it.
	Method uint16
	// Peer is the client's address.
	Peer netip.AddrPort
	// TLS is as [Request.TLS] has it.
	TLS *tls.ConnectionState

	endpoint *Endpoint
}

// Name is the method's, if the endpoint has it by name; else "".
func (a Access) Name() string { return a.endpoint.MethodName(a.Method) }

// Certificate is the client's, if it was verified; else nil.
func (a Access) Certificate() *x509.Certificate {
	if a.TLS == nil || len(a.TLS.VerifiedChains) == 0 {
		return nil
	}
	return a.TLS.VerifiedChains[0][0]
}

// WithAuthorizer has allow decide who may call what: it is asked before each handler of a
// request or a stream, also those of Pool, Partition and Go, before anything is queued
// for them, and before interceptors. An error refuses: an [*Error] with its code and message, any
// other with PermissionDenied and its text. For requests allow runs on the loop and must not
// block; for streams on the stream's goroutine.
func WithAuthorizer(allow func(Access) error) Option {
	return func(o *options) {
		if allow == nil {
			o.refuse("authorizer", "it is nil: leave the option out to let everybody in who can connect")
			return
		}
		o.authorize = allow
	}
}

// authorized says whether a request may go to its handler, and fails it if not.
func (l *loop) authorized(q *core.Request) bool {
	err := l.endpoint.authorize(Access{Method: q.Method, Peer: q.Peer(), TLS: tlsOf(q.Identity()), endpoint: l.endpoint})
	if err != nil {
		q.Fail(refusal(err))
	}
	return err == nil
}

// authorizedStream puts the question before a handler of streams.
func (e *Endpoint) authorizedStream(h StreamHandler) StreamHandler {
	if e.authorize == nil {
		return h
	}
	return func(st *Stream) error {
		err := e.authorize(Access{Method: st.method, Peer: st.Peer(), TLS: st.TLS(), endpoint: e})
		if err != nil {
			code, text := refusal(err)
			return &Error{Code: code, Message: text}
		}
		return h(st)
	}
}

// refusal is how an authorizer's error is told to the client.
func refusal(err error) (Code, string) {
	if e := (*Error)(nil); errors.As(err, &e) && e.Code != OK {
		return status(err)
	}
	return PermissionDenied, err.Error()
}
