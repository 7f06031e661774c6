package core

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	vectors "github.com/peregrine-rpc/peregrine/docs/wire"
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

// Else the rest of the memory would show what was in it.
func TestFragmentsOfAShorterMessageCompleteNone(t *testing.T) {
	t.Parallel()
	var a assembly
	fragment := func(total, index int) *wire.Message {
		return &wire.Message{
			MessageHeader: wire.MessageHeader{Total: uint32(total), Index: uint32(index), Stride: 1000},
			Body:          pattern(min(1000, total-index*1000), byte(index)),
		}
	}
	a.begin(fragment(3000, 0), make([]byte, 3000))
	for _, total := range []int{1000, 2000, 2999, 3001} {
		for index := range (total + 999) / 1000 {
			require.False(t, a.add(fragment(total, index)), "%d bytes", total)
		}
	}
	require.Equal(t, make([]byte, 3000), a.buf)
	require.False(t, a.add(fragment(3000, 0)))
	require.False(t, a.add(fragment(3000, 1)))
	require.True(t, a.add(fragment(3000, 2)))
}

// Nor of a request, whose memory had another's before.
func TestFragmentsOfAShorterRequestCompleteNone(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	w := n.add(Config{})
	h := n.byHand(w).hand(1)
	message := pattern(3000, 1)
	whole := 0
	w.Handle(echo, func(r *Request) {
		require.True(t, string(message) == string(r.Data), "the message differs")
		whole++
		r.Reply(nil)
	})
	h.piece(0, message, 0)
	h.piece(0, message, 2)
	for _, total := range []int{1100, 2000, 2047, 4000} {
		h.piece(0, make([]byte, total), 1)
		require.Zero(t, whole, "%d bytes", total)
	}
	h.piece(0, message, 1)
	require.Equal(t, 1, whole)
}

func TestFragmentsMakeAMessageAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	var all struct {
		Fragments []struct {
			Total  int      `json:"total"`
			Pieces [][2]int `json:"pieces"`
			Whole  int      `json:"whole"`
		} `json:"fragments"`
	}
	require.NoError(t, json.Unmarshal(vectors.Arithmetic, &all))
	require.NotEmpty(t, all.Fragments)
	for _, v := range all.Fragments {
		var a assembly
		whole := -1
		for i, piece := range v.Pieces {
			stride, index := piece[0], piece[1]
			m := &wire.Message{MessageHeader: wire.MessageHeader{Total: uint32(v.Total), Index: uint32(index), Stride: uint16(stride)},
				Body: make([]byte, min(stride, v.Total-index*stride))}
			if i == 0 {
				a.begin(m, make([]byte, v.Total))
			}
			if a.add(m) && whole < 0 {
				whole = i
			}
		}
		require.Equal(t, v.Whole, whole, "%v", v.Pieces)
	}
}
