package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/wire"
)

// hand is a client of whom a test writes every datagram.
type hand struct {
	x    *byHand
	port uint16
	*secret
	conn *packet.Conn
	next uint32 // packet number
}

// hand makes the client at a port.
func (x *byHand) hand(port uint16) *hand {
	h := &hand{x: x, port: port, next: 1}
	h.conn, h.secret = x.join(port)
	return h
}

// send sends one message.
func (h *hand) send(m wire.MessageHeader, body []byte) {
	data := make([]byte, 2000)
	n := (&wire.Header{Type: wire.Data, Connection: h.index, Token: h.token, Number: h.next}).Put(data)
	h.next++
	n += m.Put(data[n:], len(body))
	n += copy(data[n:], body)
	h.x.take(h.port, data[:n])
}

// piece sends a fragment of a message in pieces of 1024 bytes.
func (h *hand) piece(slot uint16, message []byte, index int) {
	at := index * 1024
	h.send(wire.MessageHeader{Kind: wire.Request, Flags: wire.FlagFragment, Generation: 1, Slot: slot, Method: echo, Sequence: 1,
		Total: uint32(len(message)), Index: uint32(index), Stride: 1024}, message[at:min(at+1024, len(message))])
}

// ping says nothing but that the client is there.
func (h *hand) ping() { h.send(wire.MessageHeader{Kind: wire.Ping}, nil) }

// opens says whether a request opens a session.
func (h *hand) opens(index uint16) bool {
	before := h.x.server.sessions
	h.send(wire.MessageHeader{Kind: wire.Request, Session: index, Generation: 1, Method: echo, Sequence: 1}, nil)
	return h.x.server.sessions > before
}

// leave ends the connection.
func (h *hand) leave() {
	data := make([]byte, 100)
	n := (&wire.Header{Type: wire.Close, Flags: wire.FlagChecksum, Connection: h.index, Token: h.token}).Put(data)
	n += wire.PutReason(data[n:], uint8(Unavailable), "")
	wire.Seal(data[:n], nil)
	h.x.take(h.port, data[:n])
}

func TestWhoClaimsMemoryAndSendsLittleHoldsLittle(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	w := n.add(Config{})
	x := n.byHand(w)
	got := 0
	w.Handle(echo, func(r *Request) {
		got++
		r.Reply(nil)
	})
	message := make([]byte, 16<<20)
	greedy, other := x.hand(1), x.hand(2)
	for slot := range uint16(64) {
		greedy.piece(slot, message, 0)
	}
	require.EqualValues(t, 64, w.Stats().RequestsHeld)
	require.EqualValues(t, 64*firstMemory, w.Stats().ReassemblyBytes)
	for i := range len(message) / 1024 {
		other.piece(0, message, i)
	}
	require.Equal(t, 1, got)
}

// The last fragment is sent first, as if all but it had been lost.
func TestAFragmentFromFarAheadTakesItsOwnMemory(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	w := n.add(Config{})
	x := n.byHand(w)
	w.Handle(echo, func(r *Request) { r.Reply(nil) })
	message := make([]byte, 16<<20)
	greedy := x.hand(1)
	for slot := range uint16(64) {
		greedy.piece(slot, message, len(message)/1024-1)
	}
	require.EqualValues(t, 64*(firstMemory+1024), w.Stats().ReassemblyBytes)
}

func TestWhatSomeClientsHoldIsNotRefusedToOthers(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	w := n.add(Config{MaxMessage: 1 << 20, ReassemblyMemory: 8 << 20})
	x := n.byHand(w)
	got := 0
	w.Handle(echo, func(r *Request) {
		got++
		r.Reply(nil)
	})
	message := make([]byte, 1<<20)
	// All of the memory is with requests of which the last fragment never comes.
	for i := range uint16(4) {
		greedy := x.hand(1 + i)
		for slot := range uint16(7) {
			for piece := range len(message)/1024 - 1 {
				greedy.piece(slot, message, piece)
			}
		}
	}
	require.GreaterOrEqual(t, w.Stats().ReassemblyBytes, int64(7<<20))
	refused := w.Stats().RequestsRefused
	other := x.hand(9)
	for i := range len(message) / 1024 {
		other.piece(0, message, i)
		require.LessOrEqual(t, w.Stats().ReassemblyBytes, int64(8<<20))
	}
	require.Equal(t, 1, got)
	require.Greater(t, w.Stats().RequestsRefused, refused, "one of the others gave way")
}

func TestWhatHandlersHoldForOneClientLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	w := n.add(Config{MaxMessage: 64 << 10, ReassemblyMemory: 4 << 20})
	x := n.byHand(w)
	held := 0
	w.Handle(echo, func(r *Request) {
		held++
		r.Defer()
	})
	message := make([]byte, 64<<10)
	send := func(h *hand, slots uint16) (taken int) {
		before := held
		for slot := range slots {
			for piece := range len(message) / 1024 {
				h.piece(slot, message, piece)
			}
		}
		return held - before
	}
	require.Greater(t, send(x.hand(1), 64), 64*3/4)
	for i := range uint16(3) {
		require.NotZero(t, send(x.hand(2+i), 1), "client %d", i)
	}
}

func TestAnExpiredDeadlineGivesTheMemoryBack(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	w := n.add(Config{})
	x := n.byHand(w)
	w.Handle(echo, func(r *Request) { r.Reply(nil) })
	h := x.hand(1)
	message := make([]byte, 1<<20)
	h.send(wire.MessageHeader{Kind: wire.Request, Flags: wire.FlagFragment | wire.FlagDeadline, Generation: 1, Method: echo, Sequence: 1,
		Deadline: 50_000, Total: uint32(len(message)), Stride: 1024}, message[:1024])
	require.NotZero(t, w.Stats().ReassemblyBytes)
	n.run(60 * time.Millisecond)
	require.Zero(t, w.Stats().ReassemblyBytes)
	require.EqualValues(t, 1, w.Stats().RequestsRefused)
	h.piece(0, message, 1)
	require.Zero(t, w.Stats().ReassemblyBytes)
	require.EqualValues(t, 1, w.Stats().RequestsDuplicate)
}

func TestARequestWhoseFragmentsStopComingIsGivenUp(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	w := n.add(Config{})
	x := n.byHand(w)
	w.Handle(echo, func(r *Request) { r.Reply(nil) })
	h := x.hand(1)
	message := make([]byte, 1<<20)
	h.piece(0, message, 0)
	pass := func(d time.Duration) {
		for range int(d / time.Second) {
			n.run(time.Second)
			h.ping() // its client lives
		}
	}
	pass(20 * time.Second)
	h.piece(0, message, 1)
	pass(20 * time.Second)
	require.NotZero(t, w.Stats().ReassemblyBytes, "the second came a while ago")
	pass(11 * time.Second)
	require.Zero(t, w.Stats().ReassemblyBytes)
	require.EqualValues(t, 1, w.Stats().RequestsRefused)
}

func TestOneClientDoesNotTakeAllSessions(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	w := n.add(Config{Sessions: 1000})
	x := n.byHand(w)
	w.Handle(echo, func(r *Request) { r.Reply(nil) })
	greedy := x.hand(1)
	for i := range uint16(1000) {
		greedy.opens(i)
	}
	require.Greater(t, w.sessions, 800, "alone it may have most")
	for i := range uint16(10) {
		other := x.hand(2 + i)
		require.True(t, other.opens(0), "client %d", i)
	}
}

func TestOneClientDoesNotTakeAllTablesOfSessions(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	w := n.add(Config{})
	x := n.byHand(w)
	w.Handle(echo, func(r *Request) { r.Reply(nil) })
	for i := range uint16(5) {
		x.hand(1 + i).opens(65534) // whose table has to be as long
	}
	for i := range uint16(10) {
		require.True(t, x.hand(10+i).opens(0), "client %d", i)
	}
}

func TestTablesOfSessionsAreBoundedAndGivenBack(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	w := n.add(Config{Sessions: 1000})
	x := n.byHand(w)
	w.Handle(echo, func(r *Request) { r.Reply(nil) })
	first, second := x.hand(1), x.hand(2)
	require.True(t, first.opens(999), "its table is as long as half of all may be")
	require.False(t, second.opens(999))
	require.LessOrEqual(t, w.entries, w.mostEntries())
	require.True(t, second.opens(10), "there is room for a short one")
	first.leave()
	require.True(t, second.opens(999), "the first one's was given back")
	second.leave()
	require.Zero(t, w.entries)
}

func TestOneClientDoesNotHaveAllRequestsHeld(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, 1)
	w := n.add(Config{Requests: 100})
	x := n.byHand(w)
	held := 0
	w.Handle(echo, func(r *Request) {
		held++
		r.Defer()
	})
	ask := func(h *hand, slot uint16) {
		h.send(wire.MessageHeader{Kind: wire.Request, Generation: 1, Slot: slot, Method: echo, Sequence: 1}, nil)
	}
	greedy := x.hand(1)
	for slot := range uint16(150) {
		ask(greedy, slot)
	}
	require.Greater(t, held, 80)
	for i := range uint16(5) {
		before := held
		ask(x.hand(2+i), 0)
		require.Greater(t, held, before, "client %d", i)
	}
}

func TestRequestsArriveWholeInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(draw *rapid.T) {
		n := newNetwork(draw, 1)
		w := n.add(Config{Poison: true})
		x := n.byHand(w)
		message := pattern(rapid.SampledFrom([]int{1025, 16 << 10, 16<<10 + 1, 100_000, 300_000}).Draw(draw, "size"), 3)
		whole := 0
		w.Handle(echo, func(r *Request) {
			require.True(draw, string(message) == string(r.Data), "the message differs")
			whole++
			r.Reply(nil)
		})
		h := x.hand(1)
		order := indexes((len(message) + 1023) / 1024)
		switch rapid.IntRange(0, 2).Draw(draw, "order") {
		case 1:
			for i := range order {
				order[i] = len(order) - 1 - i
			}
		case 2:
			order = rapid.Permutation(order).Draw(draw, "permutation")
		}
		for _, i := range order {
			require.Zero(draw, whole)
			h.piece(0, message, i)
		}
		require.Equal(draw, 1, whole)
		h.send(wire.MessageHeader{Kind: wire.Cancel, Generation: 1, Sequence: 1}, nil)
		require.Zero(draw, w.Stats().ReassemblyBytes)
		m := muxOf(h.conn)
		require.Equal(draw, account{sessions: 1}, *m.account)
		left := m.shares
		left.account, left.own = nil, account{}
		require.Equal(draw, fmt.Sprint(shares{sessions: 1, crowd: 1}), fmt.Sprint(left))
		require.Empty(draw, w.hoarders.clients)
	})
}
