package wire_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/peregrine-rpc/peregrine/wire"
)

// What a lead says of bytes, whatever they are, is what the whole header says.
func TestALeadAgreesWithItsHeader(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), wire.HeaderSize, 60).Draw(t, "datagram")
		if rapid.Bool().Draw(t, "ours") {
			sealed := rapid.SampledFrom([]uint8{0, wire.FlagSealed}).Draw(t, "sealed")
			good := wire.Header{Flags: sealed | (wire.FlagAckNow|wire.FlagPhase)&rapid.Byte().Draw(t, "flags")}
			good.Put(b)
			b[1] ^= 1 << rapid.IntRange(0, 20).Draw(t, "bit") // often none
		}
		l := wire.LeadOf(b)
		var h wire.Header
		_, err := h.Parse(b)
		require.Equal(t, binary.LittleEndian.Uint32(b[4:]), l.Connection())
		connection := l.Connection() ^ rapid.SampledFrom([]uint32{0, 0, 0, 1, 1 << 31}).Draw(t, "another's")
		like := func(flags uint8) bool {
			low, _ := wire.LeadWords(wire.Data, flags, 0, connection, 0)
			return l.Like(low)
		}
		plain, sealed := like(0), like(wire.FlagSealed)
		same := h.Connection == connection
		if err == nil {
			require.Equal(t, same && h.Type == wire.Data && h.Flags&(wire.FlagChecksum|wire.FlagSealed) == 0, plain)
			require.Equal(t, same && h.Type == wire.Data && h.Flags&wire.FlagSealed != 0, sealed)
		} else if plain {
			require.ErrorIs(t, err, wire.ErrLength)
			require.NotZero(t, l.Words(), "of the block of acknowledgements")
		} else if sealed {
			require.ErrorIs(t, err, wire.ErrLength, "of the block, or of the tag")
		}
		if plain || sealed {
			require.True(t, same)
			require.Equal(t, h.Flags&wire.FlagAckNow != 0, l.AckNow())
			require.Equal(t, h.Acks.Words, l.Words())
			require.True(t, l.Numbered(h.Token, h.Number))
			require.False(t, l.Numbered(h.Token^1, h.Number))
			require.False(t, l.Numbered(h.Token, h.Number^1<<31))
		}
	})
}

func TestAMessagesLeadAgreesWithItsHeader(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "message")
		if len(b) >= wire.MessageHeaderSize && rapid.Bool().Draw(t, "plain") {
			b[0], b[2], b[3] = b[0]%4, b[2]%50, 0
		}
		var m wire.Message
		rest, err := m.Parse(b)
		l, end, ok := wire.ParseMessage(b)
		require.Equal(t, err == nil && m.Flags == 0 && (m.Kind == wire.Request || m.Kind == wire.Response), ok)
		if err != nil {
			return
		}
		require.Equal(t, m.Lead().Header(), wire.MessageHeader{
			Kind: m.Kind, Flags: m.Flags, Code: m.Code, Session: m.Session, Generation: m.Generation,
			Slot: m.Slot, Method: m.Method, Sequence: m.Sequence,
		})
		if ok {
			require.Equal(t, m.Body, b[wire.MessageHeaderSize:end])
			require.Equal(t, rest, b[end:])
			require.Equal(t, m.MessageHeader, l.Header())
			again := make([]byte, wire.MessageHeaderSize)
			l.Put(again, len(m.Body))
			require.Equal(t, b[:wire.MessageHeaderSize], again)
		}
		answer := m.Lead().Answer().WithCode(7).Header()
		require.Equal(t, wire.MessageHeader{
			Kind: wire.Response, Code: 7, Session: m.Session, Generation: m.Generation, Slot: m.Slot, Sequence: m.Sequence,
		}, answer)
	})
}
