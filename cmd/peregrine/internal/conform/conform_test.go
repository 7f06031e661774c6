package conform

import (
	"crypto/tls"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/core/packet/psk"
	"github.com/peregrine-rpc/peregrine/internal/handshake"
	"github.com/peregrine-rpc/peregrine/internal/reference"
	"github.com/peregrine-rpc/peregrine/internal/testcert"
)

// config is that of an engine of which all of a conversation is asked.
func (c *Conversation) config() core.Config {
	return core.Config{KeepAlive: time.Duration(c.KeepAlive) * time.Millisecond, Sessions: int(c.Sessions)}
}

func TestTheEngineDoesAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	conversations, err := Conversations("server", false)
	require.NoError(t, err)
	for _, c := range conversations {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			e := w.engine(c.config())
			p := newPeer(w.line(), func() (Line, error) { return w.line(), nil }, Patience)
			r := p.converse(&c)
			require.Empty(t, r.Fault, r.Rule)
			require.Empty(t, r.Skipped)
			stats := e.Stats()
			for _, rejection := range stats.Rejections() {
				if rejection.Reason == c.Counter {
					require.NotZero(t, rejection.Count, "it is not counted as %s", c.Counter)
				}
			}
		})
	}
}

func TestTheEnginesClientDoesAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	conversations, err := Conversations("client", false)
	require.NoError(t, err)
	for _, c := range conversations {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			line := w.line()
			w.caller(core.Config{}, line.port.LocalAddr(), 10, 3000)
			p := newPeer(line, nil, Patience)
			p.serving = true
			r := p.converse(&c)
			require.Empty(t, r.Fault, r.Rule)
			require.Zero(t, w.mistaken)
		})
	}
}

// kinds are the ways to seal connections.
func kinds(t *testing.T) map[string]packet.Security {
	key, err := psk.New([][psk.KeySize]byte{{1, 2, 3}}, nil)
	require.NoError(t, err)
	authority := testcert.New("authority")
	certified, err := handshake.New(handshake.Config{
		TLS: &tls.Config{Certificates: []tls.Certificate{authority.Issue("tested")}, RootCAs: authority.Pool(), ServerName: "tested"},
		Run: func(work func()) { work() }, // in virtual time
	})
	require.NoError(t, err)
	return map[string]packet.Security{"key": key, "certificate": certified}
}

func TestSealedConnectionsAreAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	for kind, security := range kinds(t) {
		for _, tests := range []string{"server", "client"} {
			conversations, err := Conversations(tests, true)
			require.NoError(t, err)
			for _, c := range conversations {
				t.Run(kind+"/"+c.Name, func(t *testing.T) {
					t.Parallel()
					w := newWorld(t)
					line := w.line()
					p := newPeer(line, func() (Line, error) { return w.line(), nil }, Patience)
					p.sealing = &Sealing{Security: security}
					cfg := c.config()
					cfg.Security = security
					if tests == "client" {
						p.serving = true
						w.caller(cfg, line.port.LocalAddr(), 10, 3000)
						r := p.converse(&c)
						require.Empty(t, r.Fault, r.Rule)
						require.Equal(t, c.Plain, r.Skipped)
						return
					}
					e := w.engine(cfg)
					r := p.converse(&c)
					require.Empty(t, r.Fault, r.Rule)
					require.Equal(t, c.Plain, r.Skipped)
					stats := e.Stats()
					for _, rejection := range stats.Rejections() {
						if c.Sealed && rejection.Reason == c.Counter {
							require.NotZero(t, rejection.Count, "it is not counted as %s", c.Counter)
						}
					}
				})
			}
		}
	}
}

// Where no connection can be sealed there is no conversation, and the reason is the server's.
func TestAServerThatLetsNobodyIn(t *testing.T) {
	t.Parallel()
	authority := testcert.New("authority")
	security := func(of *tls.Config) packet.Security {
		s, err := handshake.New(handshake.Config{TLS: of, Run: func(work func()) { work() }}) // in virtual time
		require.NoError(t, err)
		return s
	}
	server := &tls.Config{
		Certificates: []tls.Certificate{authority.Issue("tested")},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool(),
	}
	for why, client := range map[string]*tls.Config{
		"connecting: it ends the handshake: code 16, ":          {RootCAs: authority.Pool(), ServerName: "tested"},
		"connecting: the handshake fails: TLS handshake: tls: ": {RootCAs: authority.Pool(), ServerName: "another"},
	} {
		w := newWorld(t)
		cfg := (&Conversation{}).config()
		cfg.Security = security(server)
		w.engine(cfg)
		err := Server(func() (Line, error) { return w.line(), nil }, &Sealing{Security: security(client)}, Patience, func(Result) {
			require.Fail(t, "a conversation")
		})
		require.ErrorContains(t, err, why)
	}
}

func TestTheSecondImplementationDoesAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	conversations, err := Conversations("server", false)
	require.NoError(t, err)
	for _, c := range conversations {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			p := &paper{lines: map[netip.AddrPort]*paperLine{}, now: time.Second}
			p.e = reference.New(reference.Config{Seed: 1, Streams: 4, Stream: streamBack, Handler: func(method uint16, request []byte) (uint8, []byte) {
				if method != 1 {
					return 12 | 0x80, []byte("no such method")
				}
				return 0, request
			}})
			peer := newPeer(p.line(), func() (Line, error) { return p.line(), nil }, Patience)
			r := peer.converse(&c)
			require.Empty(t, r.Fault, r.Rule)
			require.Equal(t, c.KeepAlive > 0, r.Skipped != "", "of itself it ends no session")
		})
	}
}

// streamBack sends each message of a stream back.
func streamBack(s *reference.Stream) bool {
	s.Received, s.Closed = s.Send, func() { s.End(0, "", nil) }
	return s.Method == 1
}
