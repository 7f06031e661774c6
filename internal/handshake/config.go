package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"slices"
)

// ALPN is the name of the protocol in handshakes (RFC 7301).
const ALPN = "peregrine/1"

// prepare makes of a user's configuration one for our handshakes, which QUICConn takes.
func prepare(c *tls.Config) (*tls.Config, error) {
	switch {
	case c == nil:
		return nil, errors.New("the tls.Config is nil: leave TLS out for plain text")
	case c.MaxVersion != 0 && c.MaxVersion < tls.VersionTLS13:
		return nil, errors.New("MaxVersion is below TLS 1.3, and there is no older one here: leave it 0")
	}
	c = ours(c.Clone())
	if c.ClientSessionCache == nil && !c.SessionTicketsDisabled {
		c.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	if get := guarded(c.GetConfigForClient); get != nil {
		c.GetConfigForClient = func(info *tls.ClientHelloInfo) (*tls.Config, error) {
			info.Conn = connOf(info.Context())
			other, err := get(info)
			if other == nil || err != nil {
				return nil, err
			}
			return ours(other.Clone()), nil
		}
	}
	return c, nil
}

// ours sets what has to be as we say, in a configuration that is a copy.
func ours(c *tls.Config) *tls.Config {
	c.MinVersion = tls.VersionTLS13 // else QUICConn refuses
	c.NextProtos = []string{ALPN}
	if get := holding(guarded(c.GetCertificate)); get != nil {
		c.GetCertificate = func(info *tls.ClientHelloInfo) (*tls.Certificate, error) {
			info.Conn = connOf(info.Context())
			return get(info)
		}
	}
	c.GetClientCertificate = holding(guarded(c.GetClientCertificate))
	c.Certificates = slices.Clone(c.Certificates)
	for i := range c.Certificates {
		c.Certificates[i] = *held(&c.Certificates[i])
	}
	if c.ClientSessionCache != nil {
		c.ClientSessionCache = cache{c.ClientSessionCache}
	}
	if c.KeyLogWriter != nil {
		c.KeyLogWriter = keyLog{c.KeyLogWriter}
	}
	if verify := c.VerifyConnection; verify != nil {
		c.VerifyConnection = func(state tls.ConnectionState) (err error) {
			defer contain(&err)
			return verify(state)
		}
	}
	if verify := c.EncryptedClientHelloRejectionVerify; verify != nil {
		c.EncryptedClientHelloRejectionVerify = func(state tls.ConnectionState) (err error) {
			defer contain(&err)
			return verify(state)
		}
	}
	if unwrap := c.UnwrapSession; unwrap != nil { // of bytes that anybody may have made up
		c.UnwrapSession = func(ticket []byte, state tls.ConnectionState) (_ *tls.SessionState, err error) {
			defer contain(&err)
			return unwrap(ticket, state)
		}
	}
	if wrap := c.WrapSession; wrap != nil {
		c.WrapSession = func(state tls.ConnectionState, session *tls.SessionState) (_ []byte, err error) {
			defer contain(&err)
			return wrap(state, session)
		}
	}
	c.GetEncryptedClientHelloKeys = guarded(c.GetEncryptedClientHelloKeys)
	if verify := c.VerifyPeerCertificate; verify != nil {
		c.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) (err error) {
			defer contain(&err)
			return verify(raw, chains)
		}
	}
	return c
}

// conn is what callbacks get as ClientHelloInfo.Conn, which QUICConn leaves nil: who
// asks for the client's address is not to panic. It carries nothing.
type conn struct {
	net.Conn
	peer netip.AddrPort
}

func (c *conn) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.peer) }

func (c *conn) LocalAddr() net.Addr { return &net.UDPAddr{} }

type connKey struct{}

func withConn(ctx context.Context, peer netip.AddrPort) context.Context {
	return context.WithValue(ctx, connKey{}, &conn{peer: peer})
}

func connOf(ctx context.Context) net.Conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	if c == nil {
		return nil
	}
	return c
}
