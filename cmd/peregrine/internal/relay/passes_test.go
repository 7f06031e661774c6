package relay

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/wire"
)

func datagram(kind wire.Type, version byte) []byte {
	h := wire.Header{Type: kind, Flags: wire.FlagChecksum}
	b := make([]byte, 1200)
	h.Put(b)
	b[1] = version<<4 | byte(kind)
	wire.Seal(b, nil)
	return b
}

func TestOnlyWhatASideSendsPasses(t *testing.T) {
	t.Parallel()
	var h wire.Header
	for kind, from := range map[wire.Type]struct{ client, server bool }{
		wire.Data:             {true, true},
		wire.Ack:              {true, true},
		wire.Hello:            {true, false},
		wire.Retry:            {false, true},
		wire.Accept:           {false, true},
		wire.Refuse:           {false, true},
		wire.Reset:            {true, true},
		wire.Close:            {true, true},
		wire.PathChallenge:    {false, true},
		wire.PathResponse:     {true, false},
		wire.PathResponse + 1: {false, false},
	} {
		require.Equal(t, from.client, clientsSend.pass(&h, datagram(kind, wire.Version)), "type %d from a client", kind)
		require.Equal(t, from.server, serversSend.pass(&h, datagram(kind, wire.Version)), "type %d from a server", kind)
	}
}

func TestTwoEndsMaySayThatTheySpeakDifferentVersions(t *testing.T) {
	t.Parallel()
	var h wire.Header
	require.True(t, clientsSend.pass(&h, datagram(wire.Hello, 2)))
	require.True(t, serversSend.pass(&h, datagram(wire.Refuse, 2)))
	require.False(t, clientsSend.pass(&h, datagram(wire.Refuse, 2)))
	require.False(t, serversSend.pass(&h, datagram(wire.Hello, 2)))
	require.False(t, clientsSend.pass(&h, datagram(wire.Data, 2)), "nothing else of another version")
}

func TestGarbageDoesNotPass(t *testing.T) {
	t.Parallel()
	var h wire.Header
	require.False(t, clientsSend.pass(&h, nil))
	require.False(t, clientsSend.pass(&h, []byte("GET / HTTP/1.1\r\n\r\n")))
	require.False(t, clientsSend.pass(&h, datagram(wire.Hello, 2)[:wire.HeaderSize]), "of another version, and too short")
	require.False(t, clientsSend.pass(&h, []byte{0xf7}))
}
