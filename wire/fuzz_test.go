package wire_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/wire"
)

// FuzzHeader checks that a header that decodes is what its fields encode to, and
// that a checksum, once right, is so for these bytes only.
func FuzzHeader(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:len(b):len(b)]
		var h wire.Header
		rest, err := h.Parse(b)
		if err != nil {
			return
		}
		require.Equal(t, h.Size(), len(b)-len(rest))
		again := make([]byte, h.Size())
		h.Put(again)
		if h.Flags&wire.FlagChecksum != 0 {
			copy(again[wire.HeaderSize:][:wire.ChecksumSize], b[wire.HeaderSize:])
		}
		require.Equal(t, b[:h.Size()], again)
		if h.Flags&wire.FlagChecksum != 0 {
			sealed := bytes.Clone(b)
			wire.Seal(sealed, nil)
			require.NoError(t, wire.Verify(sealed))
			sealed[(int(h.Number)&0xFFFF)%len(sealed)] ^= 1 << (h.Token % 8)
			require.ErrorIs(t, wire.Verify(sealed), wire.ErrChecksum)
		}
	})
}

// FuzzMessage walks all messages of a datagram, and checks that each encodes to
// what decodes to it.
func FuzzMessage(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:len(b):len(b)]
		var h wire.Header
		rest, err := h.Parse(b)
		if err != nil {
			return
		}
		for len(rest) > 0 {
			var m, again wire.Message
			follows, err := m.Parse(rest)
			if err != nil {
				return
			}
			require.Equal(t, m.HeaderSize()+len(m.Body), len(rest)-len(follows))
			encoded := make([]byte, m.HeaderSize())
			m.Put(encoded, len(m.Body))
			left, err := again.Parse(append(encoded, m.Body...))
			require.NoError(t, err)
			require.Empty(t, left)
			require.Equal(t, m, again)
			fragment := m.Flags&wire.FlagFragment != 0
			var apart wire.Message
			require.Equal(t, fragment, apart.ParseApart(encoded, m.Body))
			require.False(t, apart.ParseApart(encoded, append(bytes.Clone(m.Body), 0)), "a body of another length")
			require.False(t, apart.ParseApart(append(bytes.Clone(encoded), 0), m.Body), "more than a header")
			if fragment {
				require.True(t, apart.ParseApart(encoded, m.Body))
				require.Equal(t, m, apart)
				end := uint64(m.Index)*uint64(m.Stride) + uint64(len(m.Body))
				require.LessOrEqual(t, end, uint64(m.Total), "a fragment lies outside of its message")
				require.True(t, end == uint64(m.Total) || len(m.Body) == int(m.Stride) && m.Stride >= wire.MinFragment)
			}
			rest = follows
		}
	})
}

// FuzzControl decodes a body of each control datagram, and checks that it
// encodes to what decodes to it.
func FuzzControl(f *testing.F) {
	for _, v := range vectors(f) {
		var h wire.Header
		if rest, _ := h.Parse(v.bytes); rest != nil && h.Type > wire.Ack {
			f.Add(uint8(h.Type), rest)
		}
	}
	f.Add(uint8(wire.Crypto), append(make([]byte, 4), 1, 2, 3, 4, 7, 0, 0, 0, 0, 0, 0, 0, 2, 1, 3, 0, 'a', 'b', 'c'))
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		b = b[:len(b):len(b)]
		var d datagram
		if d.decodeControl(wire.Type(kind), b, wire.HeaderSize+wire.ChecksumSize+len(b)) != nil {
			return
		}
		encoded := make([]byte, wire.MinHello+wire.MaxPiece)
		n := d.putControl(encoded)
		require.Equal(t, n, len(b)-d.Padding)
		var again datagram
		require.NoError(t, again.decodeControl(wire.Type(kind), encoded[:n], wire.MinHello))
		again.Padding = d.Padding
		require.Equal(t, d, again)
	})
}

// FuzzStreamEnd checks that the body of a StreamEnd is what it decodes to.
func FuzzStreamEnd(f *testing.F) {
	for _, v := range vectors(f) {
		if v.fields != nil {
			for _, m := range v.fields.Messages {
				f.Add([]byte(m.Body))
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		text, trailer, err := wire.ParseEnd(b[:len(b):len(b)])
		if err != nil || len(b) == 0 {
			return
		}
		again := make([]byte, wire.EndSize(string(text), trailer))
		require.Equal(t, len(again), wire.PutEnd(again, string(text), trailer))
		require.Equal(t, b, again)
	})
}
