package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/peregrine-rpc/peregrine/wire"
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
		l := manifest{next: refs}
		message := &outgoing{id: 1}
		var model []held
		fragment := uint32(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				h := held{number: s.next, size: rapid.IntRange(32, 9000).Draw(t, "size")}
				for range rapid.IntRange(1, 40).Draw(t, "count") {
					l.note(message, int(fragment), s.Settled())
					h.fragments = append(h.fragments, fragment)
					fragment++
				}
				s.push(time.Duration(h.number), h.size, len(h.fragments))
				model = append(model, h)
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
				l.shrink(s.Settled())
			}
			bytes := 0
			for _, h := range model {
				p := s.packet(h.number)
				require.Equal(t, packetInFlight, p.state)
				require.Equal(t, time.Duration(h.number), p.at)
				for i, f := range h.fragments {
					require.Equal(t, f, l.at(p.first+uint32(i)).fragment)
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

func TestFragmentsMakeTheMessageInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		message := pattern(rapid.IntRange(600, 20_000).Draw(t, "size"), 1)
		stride := rapid.IntRange(wire.MinFragment, len(message)-1).Draw(t, "stride")
		var a assembly
		fragment := func(i, stride int) *wire.Message {
			start := i * stride
			return &wire.Message{MessageHeader: wire.MessageHeader{Total: uint32(len(message)), Index: uint32(i), Stride: uint16(stride)},
				Body: message[start:min(start+stride, len(message))]}
		}
		first := true
		begin := func(m *wire.Message) {
			if first {
				a.begin(m, make([]byte, len(message)))
				first = false
			}
		}
		if stride > wire.MinFragment && rapid.Bool().Draw(t, "cut anew") {
			// Some larger pieces came first, and one comes late.
			m := fragment(0, stride)
			begin(m)
			require.False(t, a.add(m))
			stride = rapid.IntRange(wire.MinFragment, stride-1).Draw(t, "new stride")
			first := fragment(0, stride)
			require.False(t, a.add(first))
			require.False(t, a.add(m), "a piece of the old cut")
		}
		count := (len(message) + stride - 1) / stride
		order := rapid.Permutation(indexes(count)).Draw(t, "order")
		missing := count
		got := map[int]bool{}
		if !first {
			got[0] = true
			missing--
		}
		for _, i := range order {
			m := fragment(i, stride)
			begin(m)
			complete := a.add(m)
			if !got[i] {
				got[i] = true
				missing--
			}
			require.Equal(t, missing == 0, complete)
			if missing > 0 {
				require.False(t, a.add(m), "again")
			}
		}
		require.Equal(t, message, a.buf)
	})
}

func indexes(n int) []int {
	x := make([]int, n)
	for i := range x {
		x[i] = i
	}
	return x
}
