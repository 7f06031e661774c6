package packet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The ring remembers of each packet in flight what it held, however it grows,
// wraps and shrinks.
func TestSentAgreesWithAList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type held struct {
			number    uint64
			fragments []uint32
			size      int
		}
		base := rapid.SampledFrom([]uint64{1, 1<<32 - 30}).Draw(t, "base")
		refs := rapid.SampledFrom([]uint32{0, 1<<32 - 50}).Draw(t, "refs")
		s := sent{first: base, next: base, firstEntry: refs, nextEntry: refs}
		entries := map[uint32]uint32{} // the fragment that each is of
		var model []held
		fragment := uint32(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				row := rapid.IntRange(1, 20).Draw(t, "row")
				s.makeRoom(row)
				for range row {
					h := held{number: s.next, size: rapid.IntRange(32, 9000).Draw(t, "size")}
					for i := range uint32(rapid.IntRange(1, 40).Draw(t, "count")) {
						entries[s.nextEntry+i] = fragment
						h.fragments = append(h.fragments, fragment)
						fragment++
					}
					*s.packet(s.next) = sentPacket{time.Duration(s.next), s.nextEntry, uint32(h.size), uint16(len(h.fragments)), packetInFlight}
					s.next++
					s.nextEntry += uint32(len(h.fragments))
					s.inFlight++
					s.bytes += h.size
					model = append(model, h)
				}
			case 2:
				if len(model) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(model)-1).Draw(t, "which")
				s.settle(s.packet(model[i].number), packetAcked)
				model = append(model[:i], model[i+1:]...)
				s.advance()
			case 3:
				s.shrink()
			}
			bytes := 0
			for _, h := range model {
				p := s.packet(h.number)
				require.Equal(t, packetInFlight, p.state)
				require.Equal(t, time.Duration(h.number), p.at)
				for i, f := range h.fragments {
					require.Equal(t, f, entries[p.first+uint32(i)])
				}
				bytes += h.size
			}
			require.Equal(t, len(model), s.inFlight)
			require.Equal(t, bytes, s.bytes)
			if len(model) > 0 {
				require.Equal(t, model[0].number, s.first)
			} else {
				require.Equal(t, s.next, s.first)
			}
			require.False(t, s.full())
		}
	})
}

func TestRoundTripEstimatesFollowTheSamples(t *testing.T) {
	t.Parallel()
	var r rtt
	r.sample(100 * time.Microsecond)
	require.Equal(t, 100*time.Microsecond, r.smoothed)
	require.Equal(t, 50*time.Microsecond, r.variance)
	for range 100 {
		r.sample(100 * time.Microsecond)
	}
	require.Equal(t, 100*time.Microsecond, r.smoothed)
	require.Less(t, r.variance, time.Microsecond)
	for range 100 {
		r.sample(time.Millisecond)
	}
	require.InDelta(t, time.Millisecond, r.smoothed, float64(10*time.Microsecond))
	require.Equal(t, 100*time.Microsecond, r.least)
	require.Equal(t, time.Millisecond, r.latest)
}

func TestProbesBackOffAndStayWithinTheKeepAlive(t *testing.T) {
	t.Parallel()
	r := recovery{peerAckDelay: time.Millisecond, maxProbe: 50 * time.Millisecond}
	r.sample(2 * time.Millisecond)
	want := []time.Duration{7, 14, 28, 50, 50, 50, 50, 50}
	for i, ms := range want {
		r.probes = i
		require.Equal(t, ms*time.Millisecond, r.probeTimeout())
	}
	r.maxProbe = time.Microsecond
	require.Equal(t, 7*time.Millisecond, r.probeTimeout(), "never below the unanswered round trip")
}
