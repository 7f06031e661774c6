package handshake_test

import (
	"crypto/tls"
	"net/netip"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/internal/handshake"
	"github.com/peregrine-rpc/peregrine/internal/testcert"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}

var (
	authority = testcert.New("authority")
	stranger  = testcert.New("stranger")
	serverAt  = netip.MustParseAddrPort("127.0.0.1:31850")
	clientAt  = netip.MustParseAddrPort("192.0.2.7:4711")
)

func serverConfig() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{authority.Issue("server")}, ClientCAs: authority.Pool()}
}

func clientConfig() *tls.Config { return &tls.Config{RootCAs: authority.Pool(), ServerName: "server"} }

// side is one end of a handshake, and what it has asked for so far.
type side struct {
	packet.Handshake
	kinds   []packet.StepKind // that were asked for, with StepNone left out
	sent    map[packet.Level]int
	keys    map[packet.Level]packet.Protection
	params  string
	done    bool
	failure *packet.Failure
	woken   chan struct{}
}

// inline runs handshakes where they are called: in order, and without another goroutine that works.
func inline(work func()) { work() }

func newTLS(t testing.TB, c handshake.Config) *handshake.TLS {
	security, err := handshake.New(c)
	require.NoError(t, err)
	return security
}

func begin(t testing.TB, security packet.Security, dialed bool, name string) *side {
	s := &side{sent: map[packet.Level]int{}, keys: map[packet.Level]packet.Protection{}, woken: make(chan struct{}, 1)}
	peer, params := clientAt, "the server's"
	if dialed {
		peer, params = serverAt, "the client's"
	}
	wake := func() {
		select {
		case s.woken <- struct{}{}:
		default:
		}
	}
	var err error
	s.Handshake, err = security.Begin(packet.Beginning{Dialed: dialed, Peer: peer, Name: name, Params: []byte(params), Wake: wake})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// step does what the side asks for, and gives the other what there is to say.
func (s *side) step(other *side) (progress bool) {
	for {
		step := s.Next()
		if step.Kind == packet.StepNone {
			return progress
		}
		progress = true
		s.kinds = append(s.kinds, step.Kind)
		switch step.Kind {
		case packet.StepSend:
			s.sent[step.Level] += len(step.Bytes)
			for b := step.Bytes; len(b) > 0; { // in pieces, as it travels
				n := min(len(b), 1100)
				other.Consume(step.Level, b[:n])
				b = b[n:]
			}
		case packet.StepKeys:
			s.keys[step.Level] = step.Keys
		case packet.StepParams:
			s.params = string(step.Bytes)
		case packet.StepDone:
			s.done = true
		case packet.StepFailed:
			s.failure = step.Failure
		}
	}
}

// converse goes on until neither side has anything to say.
func converse(client, server *side) {
	for client.step(server) || server.step(client) {
	}
}

// shake has two configurations shake hands.
func shake(t testing.TB, client, server *tls.Config) (c, s *side) {
	c = begin(t, newTLS(t, handshake.Config{TLS: client, Run: inline}), true, "")
	s = begin(t, newTLS(t, handshake.Config{TLS: server, Run: inline}), false, "")
	converse(c, s)
	return c, s
}

func requireDone(t testing.TB, sides ...*side) {
	for _, s := range sides {
		require.Nil(t, s.failure)
		require.True(t, s.done)
	}
}

func peerOf(s *side) *tls.ConnectionState {
	state, _ := s.Peer().(*tls.ConnectionState)
	return state
}

// understands has one side seal what the other opens, at a level.
func understands(t testing.TB, from, to *side, level packet.Level) {
	b := append(make([]byte, 16, 64), "sealed"...)
	b = from.keys[level].Seal(b, 1)
	text, ok := to.keys[level].Open(make([]byte, 0, 64), b, 1)
	require.True(t, ok)
	assert.Equal(t, "sealed", string(text))
}

// failures collects what Config.Failed is told.
type failures struct {
	sync.Mutex
	errs []error
}

func (f *failures) add(_ netip.AddrPort, _ bool, err error) {
	f.Lock()
	defer f.Unlock()
	f.errs = append(f.errs, err)
}

func (f *failures) all() []error {
	f.Lock()
	defer f.Unlock()
	return f.errs
}
