package core

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/peregrine-rpc/peregrine/wire"
)

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
