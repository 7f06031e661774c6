package conform

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/internal/reference"
)

// config is that of an engine of which all of a conversation is asked.
func (c *Conversation) config() core.Config {
	return core.Config{KeepAlive: time.Duration(c.KeepAlive) * time.Millisecond, Sessions: int(c.Sessions)}
}

func TestTheEngineDoesAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	conversations, err := Conversations("server")
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
	conversations, err := Conversations("client")
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

func TestTheSecondImplementationDoesAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	conversations, err := Conversations("server")
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
