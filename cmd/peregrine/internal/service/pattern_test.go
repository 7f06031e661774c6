package service_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/service"
)

func TestAPatternIsTheSameEachTimeAndAfterItGrew(t *testing.T) {
	t.Parallel()
	short := bytes.Clone(service.Pattern(7, 1000))
	long := service.Pattern(7, 1<<20)
	require.Len(t, long, 1<<20)
	require.Equal(t, short, long[:1000])
	require.Equal(t, short, service.Pattern(7+512, 1000))
}

func TestEachSeedBeginsWithAnotherWord(t *testing.T) {
	t.Parallel()
	seen := map[uint64]bool{}
	for seed := range uint64(512) {
		seen[binary.LittleEndian.Uint64(service.Pattern(seed, 8))] = true
	}
	require.Len(t, seen, 512)
}

func TestAPatternOfNothingIsEmpty(t *testing.T) {
	t.Parallel()
	require.Empty(t, service.Pattern(1, 0))
}
