package handshake_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/core/packet/seal"
	"github.com/peregrine-rpc/peregrine/internal/handshake"
)

// The order of steps is what the packet layer relies on: keys before what they seal, and
// all that was learnt before StepDone. crypto/tls has its own "handshake done" before the
// last secret.
func TestTheStepsOfAHandshakeComeInOrder(t *testing.T) {
	t.Parallel()
	client, server := shake(t, clientConfig(), serverConfig())
	requireDone(t, client, server)
	assert.Equal(t, []packet.StepKind{
		packet.StepSend,                    // ClientHello
		packet.StepKeys, packet.StepParams, // of the handshake; the server's, behind its Hello
		packet.StepSend, packet.StepKeys, // Finished; of the connection
		packet.StepDone,
	}, client.kinds)
	assert.Equal(t, []packet.StepKind{
		packet.StepParams, packet.StepSend, // ServerHello
		packet.StepKeys, packet.StepSend, // of the handshake; certificate to Finished
		packet.StepKeys, packet.StepDone, packet.StepSend, // of the connection; the ticket
	}, server.kinds)
	assert.Equal(t, "the server's", client.params)
	assert.Equal(t, "the client's", server.params)
	for _, level := range []packet.Level{packet.LevelHandshake, packet.LevelApplication} {
		understands(t, client, server, level)
		understands(t, server, client, level)
	}
	assert.Zero(t, client.sent[packet.LevelApplication])
	assert.NotZero(t, server.sent[packet.LevelApplication], "tickets are sent as if by the connection")

	state := peerOf(client)
	require.NotNil(t, state)
	assert.Equal(t, handshake.ALPN, state.NegotiatedProtocol)
	assert.EqualValues(t, tls.VersionTLS13, state.Version)
	assert.Equal(t, "server", state.PeerCertificates[0].Subject.CommonName)
	assert.Len(t, state.VerifiedChains, 1)
	assert.Empty(t, peerOf(server).PeerCertificates)
}

func TestHandshakesRunBesideTheLoop(t *testing.T) {
	t.Parallel()
	client := begin(t, newTLS(t, handshake.Config{TLS: clientConfig()}), true, "")
	server := begin(t, newTLS(t, handshake.Config{TLS: serverConfig()}), false, "")
	for !client.done || !server.done {
		converse(client, server)
		require.Nil(t, client.failure)
		require.Nil(t, server.failure)
		if client.done && server.done {
			break
		}
		select {
		case <-client.woken:
		case <-server.woken:
		case <-time.After(time.Minute):
			t.Fatal("nobody has called Wake")
		}
	}
	understands(t, client, server, packet.LevelApplication)
}

func TestBothSidesShowCertificates(t *testing.T) {
	t.Parallel()
	c, s := clientConfig(), serverConfig()
	c.Certificates = []tls.Certificate{authority.Issue("client")}
	s.ClientAuth = tls.RequireAndVerifyClientCert
	client, server := shake(t, c, s)
	requireDone(t, client, server)
	assert.Equal(t, "client", peerOf(server).VerifiedChains[0][0].Subject.CommonName)
}

// TLS 1.3 has a client be done before its server has seen its certificate.
func TestAClientThatIsNotKnownIsRefusedAfterItIsDone(t *testing.T) {
	t.Parallel()
	for name, certificates := range map[string][]tls.Certificate{
		"none":       nil,
		"stranger's": {stranger.Issue("client")},
		"expired":    {authority.Issue("client", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })},
		"server's": {authority.Issue("client", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})},
	} {
		c, s := clientConfig(), serverConfig()
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(certificates) == 0 {
				return &tls.Certificate{}, nil
			}
			return &certificates[0], nil // also if its authority was not asked for
		}
		s.ClientAuth = tls.RequireAndVerifyClientCert
		client, server := shake(t, c, s)
		assert.True(t, client.done, name)
		require.NotNil(t, server.failure, name)
		assert.False(t, server.done, name)
		assert.Nil(t, server.keys[packet.LevelApplication], name)
		assert.Nil(t, server.Peer(), name)
		assert.EqualValues(t, 16, server.failure.Code, name)
		assert.True(t, strings.HasPrefix(server.failure.Reason, "TLS handshake failed at the server: tls: "), server.failure.Reason)
	}
}

func TestAServerThatIsNotKnownIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		certificate tls.Certificate
		problem     string
	}{
		"another name": {authority.Issue("other"), "certificate is valid for other, not server"},
		"stranger's":   {stranger.Issue("server"), "certificate signed by unknown authority"},
		"expired": {authority.Issue("server", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
			"certificate has expired"},
	} {
		s := serverConfig()
		s.Certificates = []tls.Certificate{test.certificate}
		client, server := shake(t, clientConfig(), s)
		require.NotNil(t, client.failure, name)
		assert.EqualValues(t, 16, client.failure.Code, name)
		assert.Contains(t, client.failure.Reason, test.problem)
		var verify *tls.CertificateVerificationError
		assert.ErrorAs(t, client.failure.Cause, &verify, name)
		assert.False(t, client.done || server.done, name)
		assert.Nil(t, client.keys[packet.LevelApplication], name)
	}
}

func TestTheNameOfTheServerIsTheOneDialedOrItsAddress(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"server", "other", ""} {
		c := clientConfig()
		c.ServerName = ""
		client := begin(t, newTLS(t, handshake.Config{TLS: c, Run: inline}), true, name)
		server := begin(t, newTLS(t, handshake.Config{TLS: serverConfig(), Run: inline}), false, "")
		converse(client, server)
		if name == "other" {
			require.NotNil(t, client.failure)
			continue
		}
		requireDone(t, client, server) // 127.0.0.1 is in the certificate
	}
}

func TestLongCertificatesPass(t *testing.T) {
	t.Parallel()
	s := serverConfig()
	s.Certificates = []tls.Certificate{authority.Issue("server", func(c *x509.Certificate) {
		for range 400 {
			c.DNSNames = append(c.DNSNames, strings.Repeat("n", 40)+".example")
		}
	})}
	client, server := shake(t, clientConfig(), s)
	requireDone(t, client, server)
	assert.Greater(t, server.sent[packet.LevelHandshake], 16<<10)
}

func TestSuitesAreThoseOfTheConfiguredProcessor(t *testing.T) {
	t.Parallel()
	client, server := shake(t, clientConfig(), serverConfig())
	requireDone(t, client, server)
	assert.EqualValues(t, seal.Best(), client.keys[packet.LevelApplication].(*seal.Keys).Suite(), "crypto/tls chooses as we do")
}

func TestTicketsResumeSessions(t *testing.T) {
	t.Parallel()
	c, s := clientConfig(), serverConfig()
	c.Certificates = []tls.Certificate{authority.Issue("client")}
	s.ClientAuth = tls.RequireAndVerifyClientCert
	dialer, listener := newTLS(t, handshake.Config{TLS: c, Run: inline}), newTLS(t, handshake.Config{TLS: s, Run: inline})
	for i := range 3 {
		client, server := begin(t, dialer, true, ""), begin(t, listener, false, "")
		converse(client, server)
		requireDone(t, client, server)
		assert.Equal(t, i > 0, peerOf(client).DidResume)
		assert.Equal(t, i > 0, peerOf(server).DidResume)
		assert.Equal(t, "client", peerOf(server).VerifiedChains[0][0].Subject.CommonName, "the ticket says who it was")
		understands(t, client, server, packet.LevelApplication)
		for _, side := range []*side{client, server} {
			assert.NotContains(t, side.kinds, packet.StepFailed)
		}
	}
}

func TestWithoutTicketsNothingIsResumed(t *testing.T) {
	t.Parallel()
	s := serverConfig()
	s.SessionTicketsDisabled = true
	dialer := newTLS(t, handshake.Config{TLS: clientConfig(), Run: inline})
	listener := newTLS(t, handshake.Config{TLS: s, Run: inline})
	for range 2 {
		client, server := begin(t, dialer, true, ""), begin(t, listener, false, "")
		converse(client, server)
		requireDone(t, client, server)
		assert.False(t, peerOf(client).DidResume)
		assert.Zero(t, server.sent[packet.LevelApplication])
	}
}

// A certificate that its owner does not show any more is not taken from a ticket for
// longer than it is good.
func TestATicketOfAClientWhoseCertificateHasExpiredIsWorthNothing(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c, s := clientConfig(), serverConfig()
	c.Certificates = []tls.Certificate{authority.Issue("client", func(c *x509.Certificate) { c.NotAfter = now.Add(time.Minute) })}
	s.ClientAuth = tls.RequireAndVerifyClientCert
	s.Time = func() time.Time { return now }
	dialer, listener := newTLS(t, handshake.Config{TLS: c, Run: inline}), newTLS(t, handshake.Config{TLS: s, Run: inline})
	client, server := begin(t, dialer, true, ""), begin(t, listener, false, "")
	converse(client, server)
	requireDone(t, client, server)
	now = now.Add(2 * time.Minute)
	client, server = begin(t, dialer, true, ""), begin(t, listener, false, "")
	converse(client, server)
	require.NotNil(t, server.failure)
	assert.EqualValues(t, 16, server.failure.Code)
}

func TestCertificatesRotate(t *testing.T) {
	t.Parallel()
	current := authority.Issue("server")
	c, s := clientConfig(), serverConfig()
	s.Certificates = nil
	s.GetCertificate = func(info *tls.ClientHelloInfo) (*tls.Certificate, error) {
		assert.Equal(t, "server", info.ServerName)
		assert.Equal(t, clientAt.String(), info.Conn.RemoteAddr().String(), "QUICConn alone gives no Conn")
		assert.NotNil(t, info.Conn.LocalAddr())
		return &current, nil
	}
	c.SessionTicketsDisabled = true
	dialer, listener := newTLS(t, handshake.Config{TLS: c, Run: inline}), newTLS(t, handshake.Config{TLS: s, Run: inline})
	for range 2 {
		client, server := begin(t, dialer, true, ""), begin(t, listener, false, "")
		converse(client, server)
		requireDone(t, client, server)
		assert.Equal(t, current.Leaf.SerialNumber, peerOf(client).PeerCertificates[0].SerialNumber)
		current = authority.Issue("server")
	}
}

func TestAConfigurationForEachClient(t *testing.T) {
	t.Parallel()
	s := &tls.Config{GetConfigForClient: func(info *tls.ClientHelloInfo) (*tls.Config, error) {
		assert.Equal(t, clientAt.String(), info.Conn.RemoteAddr().String())
		return serverConfig(), nil // which says nothing of TLS 1.3 and of our protocol
	}}
	client, server := shake(t, clientConfig(), s)
	requireDone(t, client, server)
	assert.Equal(t, handshake.ALPN, peerOf(server).NegotiatedProtocol)
}

func TestACallbackThatPanicsFailsItsHandshakeOnly(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(c, s *tls.Config){
		"GetCertificate": func(_, s *tls.Config) {
			s.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("no") }
			s.Certificates = nil
		},
		"GetConfigForClient": func(_, s *tls.Config) {
			s.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { panic("no") }
		},
		"VerifyConnection": func(c, _ *tls.Config) { c.VerifyConnection = func(tls.ConnectionState) error { panic("no") } },
		"VerifyPeerCertificate": func(c, _ *tls.Config) {
			c.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { panic("no") }
		},
		"GetClientCertificate": func(c, s *tls.Config) {
			s.ClientAuth = tls.RequestClientCert
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { panic("no") }
		},
		"WrapSession": func(_, s *tls.Config) {
			s.WrapSession = func(tls.ConnectionState, *tls.SessionState) ([]byte, error) { panic("no") }
		},
		"a key that signs": func(_, s *tls.Config) {
			s.Certificates[0].PrivateKey = broken{s.Certificates[0].PrivateKey.(crypto.Signer)}
		},
		"a key that signs messages": func(_, s *tls.Config) {
			s.Certificates[0].PrivateKey = messages{broken{s.Certificates[0].PrivateKey.(crypto.Signer)}}
		},
		"a key that comes late": func(_, s *tls.Config) {
			late := s.Certificates[0]
			late.PrivateKey = broken{late.PrivateKey.(crypto.Signer)}
			s.Certificates = nil
			s.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &late, nil }
		},
		"KeyLogWriter": func(c, _ *tls.Config) { c.KeyLogWriter = broken{} },
		"GetEncryptedClientHelloKeys": func(_, s *tls.Config) {
			s.GetEncryptedClientHelloKeys = func(*tls.ClientHelloInfo) ([]tls.EncryptedClientHelloKey, error) { panic("no") }
		},
	} {
		c, s := clientConfig(), serverConfig()
		change(c, s)
		client, server := shake(t, c, s)
		failure := client.failure
		if failure == nil {
			failure = server.failure
		}
		require.NotNil(t, failure, name)
		assert.ErrorContains(t, failure.Cause, "a callback of the tls.Config panicked: no", name)
	}
}

// broken panics whatever is asked of it.
type broken struct{ crypto.Signer }

func (broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { panic("no") }
func (broken) Write([]byte) (int, error)                                 { panic("no") }
func (broken) Get(string) (*tls.ClientSessionState, bool)                { panic("no") }
func (broken) Put(string, *tls.ClientSessionState)                       { panic("no") }

// messages is a key that hashes itself.
type messages struct{ broken }

func (messages) SignMessage(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { panic("no") }

// Without sessions from the cache handshakes are full ones.
func TestACacheThatPanicsResumesNothing(t *testing.T) {
	t.Parallel()
	c := clientConfig()
	c.ClientSessionCache = broken{}
	for range 2 {
		client, server := shake(t, c, serverConfig())
		requireDone(t, client, server)
		assert.False(t, peerOf(client).DidResume)
	}
}

// What a key can do is what crypto/tls makes use of.
func TestAKeyOfADeviceSigns(t *testing.T) {
	t.Parallel()
	s := serverConfig()
	s.Certificates[0].PrivateKey = device{s.Certificates[0].PrivateKey.(crypto.Signer)}
	client, server := shake(t, clientConfig(), s)
	requireDone(t, client, server)
}

type device struct{ crypto.Signer }

// Tickets are worth nothing any more once the server's ticket keys are others.
func TestTicketsEndWithTheirKeys(t *testing.T) {
	t.Parallel()
	config := serverConfig()
	keys := func(first byte, others ...byte) (all [][32]byte) {
		for _, k := range append([]byte{first}, others...) {
			all = append(all, [32]byte{k})
		}
		return all
	}
	var chosen atomic.Pointer[tls.Config]
	choose := func(k [][32]byte) {
		c := config.Clone()
		c.SetSessionTicketKeys(k)
		chosen.Store(c)
	}
	listener := newTLS(t, handshake.Config{Run: inline, TLS: &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return chosen.Load(), nil },
	}})
	dialer := newTLS(t, handshake.Config{TLS: clientConfig(), Run: inline})
	for _, step := range []struct {
		keys    [][32]byte
		resumed bool
	}{{keys(1), false}, {keys(1), true}, {keys(2, 1), true}, {keys(2), true}, {keys(3), false}, {keys(3), true}} {
		choose(step.keys)
		client, server := begin(t, dialer, true, ""), begin(t, listener, false, "")
		converse(client, server)
		requireDone(t, client, server)
		assert.Equal(t, step.resumed, peerOf(server).DidResume)
	}
}

// A client that closes as soon as it has its ticket keeps it.
func TestATicketThatCameLastIsKept(t *testing.T) {
	t.Parallel()
	var later []func()
	slow := false
	dialer := newTLS(t, handshake.Config{TLS: clientConfig(), Run: func(work func()) {
		if slow {
			later = append(later, work)
		} else {
			work()
		}
	}})
	listener := newTLS(t, handshake.Config{TLS: serverConfig(), Run: inline})
	client, server := begin(t, dialer, true, ""), begin(t, listener, false, "")
	for !server.done {
		client.step(server)
		slow = client.done
		server.step(client)
	}
	client.Close()
	for len(later) > 0 {
		work := later[0]
		later = later[1:]
		work()
	}
	slow = false
	client, server = begin(t, dialer, true, ""), begin(t, listener, false, "")
	converse(client, server)
	requireDone(t, client, server)
	assert.True(t, peerOf(server).DidResume)
}

// Whoever likes can make up a ticket.
func TestAPanicAboutATicketFailsItsHandshakeOnly(t *testing.T) {
	t.Parallel()
	s := serverConfig()
	s.UnwrapSession = func([]byte, tls.ConnectionState) (*tls.SessionState, error) { panic("no") }
	dialer, listener := newTLS(t, handshake.Config{TLS: clientConfig(), Run: inline}), newTLS(t, handshake.Config{TLS: s, Run: inline})
	client, server := begin(t, dialer, true, ""), begin(t, listener, false, "")
	converse(client, server)
	requireDone(t, client, server)
	client, server = begin(t, dialer, true, ""), begin(t, listener, false, "")
	converse(client, server)
	require.NotNil(t, server.failure)
	assert.ErrorContains(t, server.failure.Cause, "a callback of the tls.Config panicked: no")
}

func TestAServerTellsItsClientNoMoreThanTheAlert(t *testing.T) {
	t.Parallel()
	var told failures
	s := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return nil, errors.New("secret store at 10.1.2.3 does not answer")
	}}
	client := begin(t, newTLS(t, handshake.Config{TLS: clientConfig(), Run: inline}), true, "")
	server := begin(t, newTLS(t, handshake.Config{TLS: s, Run: inline, Failed: told.add}), false, "")
	converse(client, server)
	require.NotNil(t, server.failure)
	assert.Equal(t, "TLS handshake failed at the server: tls: internal error", server.failure.Reason)
	require.Len(t, told.all(), 1)
	assert.ErrorContains(t, told.all()[0], "10.1.2.3", "its own log has it all")
}

func TestWhoSpeaksAnotherProtocolIsRefused(t *testing.T) {
	t.Parallel()
	for _, protocols := range [][]string{nil, {"h3"}} {
		server := begin(t, newTLS(t, handshake.Config{TLS: serverConfig(), Run: inline}), false, "")
		c := clientConfig()
		c.MinVersion, c.NextProtos = tls.VersionTLS13, protocols
		client := tls.QUICClient(&tls.QUICConfig{TLSConfig: c})
		client.SetTransportParameters(nil)
		require.NoError(t, client.Start(t.Context()))
		server.Consume(packet.LevelInitial, bytes.Clone(client.NextEvent().Data))
		server.step(nil)
		require.NotNil(t, server.failure)
		assert.EqualValues(t, 9, server.failure.Code)
		assert.Contains(t, server.failure.Reason, "no application protocol")
		client.Close()
	}
}

func TestConfigurationsThatCannotBeObeyedAreRefused(t *testing.T) {
	t.Parallel()
	_, err := handshake.New(handshake.Config{})
	assert.ErrorContains(t, err, "nil")
	_, err = handshake.New(handshake.Config{TLS: &tls.Config{MaxVersion: tls.VersionTLS12}})
	assert.ErrorContains(t, err, "MaxVersion")
}

func TestTheUsersConfigurationIsNotChanged(t *testing.T) {
	t.Parallel()
	c := clientConfig()
	newTLS(t, handshake.Config{TLS: c})
	assert.Zero(t, c.MinVersion)
	assert.Nil(t, c.NextProtos)
	assert.Nil(t, c.ClientSessionCache)
}

func TestHandshakesUnderWayAreBounded(t *testing.T) {
	t.Parallel()
	listener := newTLS(t, handshake.Config{TLS: serverConfig(), Accepting: 2, Run: inline})
	dialer := newTLS(t, handshake.Config{TLS: clientConfig(), Run: inline})
	first, second := begin(t, listener, false, ""), begin(t, listener, false, "")
	beginning := packet.Beginning{Peer: clientAt, Params: []byte{1}, Wake: func() {}}
	_, err := listener.Begin(beginning)
	assert.ErrorIs(t, err, handshake.ErrBusy)

	first.Close()
	first.Close()
	third := begin(t, listener, false, "")
	_, err = listener.Begin(beginning)
	assert.ErrorIs(t, err, handshake.ErrBusy, "closing twice gives one place back")

	client := begin(t, dialer, true, "")
	converse(client, second)
	requireDone(t, client, second)
	begin(t, listener, false, "").Consume(packet.LevelInitial, []byte("no handshake message at all"))
	begin(t, listener, false, "")
	_, err = listener.Begin(beginning)
	assert.ErrorIs(t, err, handshake.ErrBusy, "those that are done or have failed do not count")
	third.Close()
}

// A callback that blocks holds up its own handshake; giving that up ends its context.
func TestACallbackThatBlocksHoldsUpNobody(t *testing.T) {
	t.Parallel()
	blocked, ended := make(chan struct{}), make(chan error, 1)
	s := &tls.Config{GetCertificate: func(info *tls.ClientHelloInfo) (*tls.Certificate, error) {
		close(blocked)
		<-info.Context().Done()
		ended <- info.Context().Err()
		return nil, info.Context().Err()
	}}
	var told failures
	client := begin(t, newTLS(t, handshake.Config{TLS: clientConfig(), Run: inline}), true, "")
	server := begin(t, newTLS(t, handshake.Config{TLS: s, Failed: told.add}), false, "")
	client.step(server)
	<-blocked
	server.Consume(packet.LevelInitial, make([]byte, 1000)) // returns
	assert.Equal(t, packet.StepNone, server.Next().Kind)
	server.Close()
	assert.ErrorIs(t, <-ended, context.Canceled)
	assert.Equal(t, packet.StepNone, server.Next().Kind)
	assert.Empty(t, told.all(), "it was given up, and has not failed")
}

// A callback that does not look at its context goes on after its handshake was given up: it
// keeps its place, or there could be any number of them.
func TestACallbackThatGoesOnKeepsItsPlace(t *testing.T) {
	t.Parallel()
	blocked, release := make(chan struct{}), make(chan struct{})
	s := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		close(blocked)
		<-release
		return nil, errors.New("never mind")
	}}
	client := begin(t, newTLS(t, handshake.Config{TLS: clientConfig(), Run: inline}), true, "")
	listener := newTLS(t, handshake.Config{TLS: s, Accepting: 1})
	server := begin(t, listener, false, "")
	client.step(server)
	<-blocked
	server.Close()
	beginning := packet.Beginning{Peer: clientAt, Params: []byte{1}, Wake: func() {}}
	_, err := listener.Begin(beginning)
	require.ErrorIs(t, err, handshake.ErrBusy)
	close(release)
	require.Eventually(t, func() bool {
		next, err := listener.Begin(beginning)
		if err == nil {
			next.Close()
		}
		return err == nil
	}, time.Minute, time.Millisecond, "it is free once the callback has returned")
}

func TestAFloodWhileACallbackBlocksIsNotKept(t *testing.T) {
	t.Parallel()
	blocked, release := make(chan struct{}), make(chan struct{})
	s := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		close(blocked)
		<-release
		return nil, errors.New("never mind")
	}}
	client := begin(t, newTLS(t, handshake.Config{TLS: clientConfig(), Run: inline}), true, "")
	server := begin(t, newTLS(t, handshake.Config{TLS: s}), false, "")
	client.step(server)
	<-blocked
	for range 2000 {
		server.Consume(packet.LevelInitial, make([]byte, 1000))
	}
	assert.LessOrEqual(t, handshake.Unread(server.Handshake), 512<<10)
	close(release)
	for server.failure == nil {
		<-server.woken
		server.step(client)
	}
}

func TestNobodySaysAnythingToAServerAfterTheHandshake(t *testing.T) {
	t.Parallel()
	client, server := shake(t, clientConfig(), serverConfig())
	requireDone(t, client, server)
	server.Consume(packet.LevelApplication, []byte{24, 0, 0, 1, 0}) // a KeyUpdate of TLS
	server.step(client)
	require.NotNil(t, server.failure)
	assert.Contains(t, server.failure.Cause.Error(), "no more to say")
}

// With GODEBUG=fips140=on all works. With fips140=only Go refuses AES-GCM with nonces of
// ours, save for its own TLS and SSH, and so does the handshake, with an error that says it.
func TestFIPSMode(t *testing.T) {
	t.Parallel()
	if mode := os.Getenv("PEREGRINE_TEST_FIPS"); mode != "" {
		client, server := shake(t, fipsConfig(clientConfig()), fipsConfig(serverConfig()))
		if mode == "on" {
			requireDone(t, client, server)
			understands(t, client, server, packet.LevelApplication)
			return
		}
		require.NotNil(t, server.failure)
		assert.ErrorContains(t, server.failure.Cause, "FIPS 140-only")
		return
	}
	for _, mode := range []string{"on", "only"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFIPSMode$")
		cmd.Env = append(os.Environ(), "PEREGRINE_TEST_FIPS="+mode, "GODEBUG=fips140="+mode)
		output, err := cmd.CombinedOutput()
		assert.NoError(t, err, "%s: %s", mode, output)
	}
}

func fipsConfig(c *tls.Config) *tls.Config {
	c.SessionTicketsDisabled = true
	return c
}

// Whatever a peer says, a handshake fails or waits; it ends in the end, and nothing is left.
func FuzzConsume(f *testing.F) {
	client := begin(f, newTLS(f, handshake.Config{TLS: clientConfig(), Run: inline}), true, "")
	f.Add(client.Next().Bytes, uint8(0))
	f.Add([]byte{1, 0, 0, 1, 0}, uint8(1))
	listener := newTLS(f, handshake.Config{TLS: serverConfig(), Run: inline})
	dialer := newTLS(f, handshake.Config{TLS: clientConfig(), Run: inline})
	f.Fuzz(func(t *testing.T, b []byte, level uint8) {
		for _, security := range []*handshake.TLS{listener, dialer} {
			h, err := security.Begin(packet.Beginning{
				Dialed: security == dialer, Peer: serverAt, Params: []byte{1}, Wake: func() {},
			})
			require.NoError(t, err)
			h.Consume(packet.Level(level%3), b)
			for step := h.Next(); step.Kind != packet.StepNone; step = h.Next() {
				if step.Kind == packet.StepDone {
					t.Fatal("it is done with somebody who has shown nothing")
				}
			}
			h.Close()
		}
	})
}
