package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/wire"
)

// apart takes in a message as the packet layer does what it has opened: where it is expected, if
// it is, and there says whether it is taken in from there.
func (m *mux) apart(h wire.MessageHeader, body []byte) (expected, taken bool) {
	b := make([]byte, h.HeaderSize()+len(body))
	copy(b[h.Put(b, len(body)):], body)
	memory, head := m.Expects(len(b))
	if memory == nil {
		m.Take(b)
		return false, false
	}
	copy(memory[head:], b[head:])
	if m.TakeApart(b[:head], memory[head:]) {
		return true, true
	}
	m.Take(b)
	return true, false
}

// pieceOf is the header and body of a request's piece of 1024 bytes.
func pieceOf(sequence uint32, message []byte, index int) (wire.MessageHeader, []byte) {
	at := index * 1024
	return wire.MessageHeader{Kind: wire.Request, Flags: wire.FlagFragment, Generation: 1, Method: echo, Sequence: sequence,
		Total: uint32(len(message)), Index: uint32(index), Stride: 1024}, message[at:min(at+1024, len(message))]
}

func TestNothingIsOpenedInTheMemoryOfAnotherClient(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	w := n.add(Config{})
	x := n.byHand(w)
	w.Handle(echo, func(r *Request) { r.Reply(nil) })
	first, second, message := x.hand(1), x.hand(2), pattern(10<<10, 3)
	one, other := muxOf(first.conn), muxOf(second.conn)
	const fragment = wire.MessageHeaderSize + wire.FragmentSize + 1024
	for i := range 10 {
		expected, taken := one.apart(pieceOf(1, message, i))
		require.Equal(t, i > 0, expected)
		require.Equal(t, i > 0, taken)
	}
	first.send(wire.MessageHeader{Kind: wire.Cancel, Generation: 1, Sequence: 1}, nil)
	require.Zero(t, w.Stats().ReassemblyBytes)
	other.apart(pieceOf(1, message, 0))
	memory, _ := other.Expects(fragment)
	require.NotEmpty(t, memory)
	memory, _ = one.Expects(fragment)
	require.Empty(t, memory, "what was the first one's is the second one's")
}

// A client gave a request up as it arrived, which the server is not told, and uses its slot
// again: the new one lies in the memory of the one that it ends.
func TestARequestThatEndsTheOneInWhoseMemoryItIsOpenedArrivesWhole(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	w := n.add(Config{Poison: true})
	h := n.byHand(w).hand(1)
	message := pattern(5<<10, 7)
	var got []string
	w.Handle(echo, func(r *Request) {
		got = append(got, string(r.Data))
		r.Reply(nil)
	})
	m := muxOf(h.conn)
	m.apart(pieceOf(1, pattern(10<<10, 3), 0))
	for i := range 5 {
		expected, _ := m.apart(pieceOf(2, message, i))
		require.True(t, expected)
	}
	require.Len(t, got, 1)
	require.True(t, got[0] == string(message), "the message differs")
}
