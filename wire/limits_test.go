package wire

import (
	"encoding/binary"
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
		"a header with its checksum": {
			func() []byte {
				b := make([]byte, HeaderSize+ChecksumSize)
				(&Header{Type: Ack, Flags: FlagChecksum}).Put(b)
				return b
			}(),
			func(b []byte) error { var h Header; _, err := h.Parse(b); return err },
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

// Fields are looked at in their order: a token that is none comes before a piece that is not there.
func TestABodyThatEndsBehindItsNamesIsLookedAtSoFar(t *testing.T) {
	t.Parallel()
	var c CryptoBody
	require.ErrorIs(t, c.Parse(make([]byte, cryptoHead)), ErrParams)
	require.ErrorIs(t, c.Parse(make([]byte, cryptoHead-1)), ErrLength)
}

// And what is as long as it may be.
func TestWhatIsAsLongAsItMayBeIsTaken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		head, most int
		parse      func(b []byte) error
	}{
		"a reason": {3, MaxReason, func(b []byte) error {
			binary.LittleEndian.PutUint16(b[1:], uint16(len(b)-3))
			_, _, err := ParseReason(b)
			return err
		}},
		"a piece of a handshake": {pieceHead, MaxPiece, func(b []byte) error {
			binary.LittleEndian.PutUint16(b[2:], uint16(len(b)-pieceHead))
			var p Piece
			return p.Parse(b)
		}},
	} {
		require.NoError(t, c.parse(make([]byte, c.head+c.most)), name)
		require.ErrorIs(t, c.parse(make([]byte, c.head+c.most+1)), ErrLength, name)
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
	NewMessageLead(Cancel, 1, 1, 0, 7, 1).Put(b, 3)
	_, _, plain = ParseMessage(b)
	require.False(t, plain, "a kind that is neither request nor response")
}

// Of each type it is known whether there is one, and whether it may be sealed.
func TestTypesAreKnownAndSealedAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	sealed := map[Type]bool{Data: true, Ack: true, Close: true, PathChallenge: true, PathResponse: true, Crypto: true, PostCrypto: true}
	for kind := range Type(16) {
		b := make([]byte, 64)
		(&Header{Type: kind & 7}).Put(b)
		b[1] = b[1]&0xF0 | byte(kind)
		var h Header
		_, err := h.Parse(b)
		require.Equal(t, kind >= 12, err != nil, "type %d", kind)
		b[2] = FlagSealed
		_, err = h.Parse(b)
		require.Equal(t, sealed[kind], err == nil, "type %d, sealed", kind)
	}
}
