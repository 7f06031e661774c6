package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What is as short as it may be decodes, and what is a byte shorter does not.
func TestWhatIsAsShortAsItMayBeIsTaken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		least []byte
		parse func(b []byte) error
	}{
		"the end of a stream that says nothing": {
			make([]byte, endTextSize),
			func(b []byte) error { _, _, err := ParseEnd(b); return err },
		},
		"a handshake's place for a piece, without one": {
			make([]byte, pieceHead),
			func(b []byte) error { var p Piece; return p.Parse(b) },
		},
		"a piece of one byte": {
			[]byte{0, 0, 1, 0, 7},
			func(b []byte) error { var p Piece; return p.Parse(b) },
		},
	} {
		require.NoError(t, c.parse(c.least), name)
		require.ErrorIs(t, c.parse(c.least[:len(c.least)-1]), ErrLength, name)
	}
}

// A request that ends where its datagram does takes the short way.
func TestAMessageThatEndsWithItsDatagramIsPlain(t *testing.T) {
	t.Parallel()
	b := make([]byte, MessageHeaderSize+3)
	NewMessageLead(Request, 1, 1, 0, 7, 1).Put(b, 3)
	_, end, plain := ParseMessage(b)
	require.True(t, plain)
	require.Equal(t, len(b), end)
	_, _, plain = ParseMessage(b[:len(b)-1])
	require.False(t, plain)
}
