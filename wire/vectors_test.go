package wire_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/wire"
)

// decodingErrors are named as docs/wire.md does.
var decodingErrors = map[string]error{
	"length":   wire.ErrLength,
	"magic":    wire.ErrMagic,
	"version":  wire.ErrVersion,
	"type":     wire.ErrType,
	"params":   wire.ErrParams,
	"checksum": wire.ErrChecksum,
}

func TestValidVectorsDecodeToTheirFieldsAndBack(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		if v.error != "" {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			require.NotNil(t, v.fields)
			decoded, err := decode(v.bytes)
			require.NoError(t, err)
			if v.ignored {
				decoded.forgetIgnored()
				require.NotEqual(t, v.bytes, v.fields.encode())
			} else {
				require.Equal(t, v.bytes, v.fields.encode())
			}
			require.Equal(t, v.fields, decoded)
		})
	}
}

func TestInvalidVectorsGiveTheirErrors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		if v.error == "" {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, decodingErrors, v.error)
			decoded, err := decode(v.bytes)
			require.ErrorIs(t, err, decodingErrors[v.error])
			require.Equal(t, v.fields, decoded)
		})
	}
}

func TestTheDocumentHasVectorsOfEverything(t *testing.T) {
	t.Parallel()
	types, kinds, flags, options, errs := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	add := func(set map[string]bool, names ...string) {
		for _, name := range names {
			set[name] = true
		}
	}
	for _, v := range vectors(t) {
		if v.error != "" {
			add(errs, v.error)
			continue
		}
		add(types, v.fields.Type)
		add(flags, v.fields.Flags...)
		for _, m := range v.fields.Messages {
			add(kinds, m.Kind)
			add(options, m.Options...)
		}
	}
	for _, name := range typeNames {
		require.Contains(t, types, name)
	}
	for _, name := range kindNames[1:] {
		require.Contains(t, kinds, name)
	}
	for _, name := range flagNames {
		require.Contains(t, flags, name)
	}
	for _, name := range optionNames[4:] {
		require.Contains(t, options, name)
	}
	for name := range decodingErrors {
		require.Contains(t, errs, name)
	}
}

// crc32c computes the checksum bit by bit, as the document defines it, to check
// the table-driven one against.
func crc32c(pieces ...[]byte) uint32 {
	register := ^uint32(0)
	for _, piece := range pieces {
		for _, b := range piece {
			register ^= uint32(b)
			for range 8 {
				register = register>>1 ^ 0x82F63B78&-(register&1)
			}
		}
	}
	return ^register
}

func TestTheChecksumIsTheOneThatTheDocumentDefines(t *testing.T) {
	t.Parallel()
	require.Equal(t, uint32(0xE3069283), crc32c([]byte("123456789")))
	sealed := 0
	for _, v := range vectors(t) {
		if v.fields == nil || setOf(v.fields.Flags, flagNames)&wire.FlagChecksum == 0 {
			continue
		}
		sealed++
		require.Equal(t, crc32c(v.bytes[:16], v.bytes[20:]), binary.LittleEndian.Uint32(v.bytes[16:]), v.name)
	}
	require.NotZero(t, sealed)
}

func TestNoPrefixOfAVectorMakesTheDecoderPanic(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		for n := range v.bytes {
			_, err := decode(v.bytes[:n:n])
			told := v.ignored || v.fields != nil && v.fields.Acks != nil && v.fields.Acks.Arrival != nil // without that it is whole, too
			if v.error == "" && v.fields.Type != "data" && v.fields.Padding == 0 && !told {
				require.Error(t, err, "%s cut to %d bytes", v.name, n)
			}
		}
	}
}
