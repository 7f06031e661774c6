package main

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// packet is an IPv4 header with a code point of ECN, and its checksum.
func packet(ecn byte) []byte {
	p := make([]byte, 1000)
	p[0], p[1], p[8] = 0x45, ecn, 64
	binary.BigEndian.PutUint16(p[10:], ^sum(p[:20]))
	return p
}

// sum is the ones' complement sum of RFC 1071.
func sum(b []byte) uint16 {
	var s uint32
	for ; len(b) > 1; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	for s>>16 != 0 {
		s = s&0xFFFF + s>>16
	}
	return uint16(s)
}

func TestARelayKeepsItsRateAndDropsWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := lane{path: path{rate: 8e6, trip: 10 * time.Millisecond, queue: 20 * time.Millisecond}, chance: rand.New(rand.NewPCG(1, 1))}
	for i := range 20 { // a millisecond each
		at, ok := l.take(packet(0), now)
		require.True(t, ok)
		require.Equal(t, time.Duration(i+1)*time.Millisecond+5*time.Millisecond, at.Sub(now))
	}
	_, ok := l.take(packet(0), now)
	require.False(t, ok)
	_, ok = l.take(packet(0), now.Add(time.Millisecond))
	require.True(t, ok)
}

func TestARelayMarksWhatUnderstandsAndTheChecksumHolds(t *testing.T) {
	t.Parallel()
	l := lane{path: path{rate: 8e6, queue: 20 * time.Millisecond, marks: true}, chance: rand.New(rand.NewPCG(1, 1))}
	for i := range 20 {
		for _, ecn := range []byte{0, 1, 2} {
			p := packet(ecn)
			full := float64(i) / 10
			l.mark(p, full)
			require.EqualValues(t, 0xFFFF, sum(p[:20]))
			switch marked := p[1]&3 == 3; {
			case ecn == 0 || full < 0.5:
				require.False(t, marked)
			case full >= 1:
				require.True(t, marked)
			}
		}
	}
}

func TestJainsIndexIsOverBothGroups(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 1, outcome{left: []float64{2}, right: []float64{2, 2}}.jain(), 1e-9)
	require.InDelta(t, 0.25, outcome{left: []float64{5}, right: []float64{0, 0, 0}}.jain(), 1e-9)
	require.InDelta(t, 0.25, outcome{left: []float64{1}, right: []float64{1, 2}}.share(), 1e-9)
}
