package packet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/wire"
)

// ways is a path of 50 µs each way, between hosts whose clocks differ.
type ways struct {
	forth
	now   time.Duration
	ahead time.Duration // the peer's clock
}

// send takes a round trip with so much waiting, and returns it without what waited on
// the way back.
func (w *ways) send(there, back time.Duration) time.Duration {
	sent := w.now
	arrived := sent + 50*time.Microsecond + there
	w.now = arrived + 50*time.Microsecond + back
	w.arrival = uint32((arrived + w.ahead) / time.Microsecond)
	return w.less(w.now, sent, w.now-sent)
}

func TestWhatWaitsOnTheWayBackIsNotInATrip(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{0, -time.Hour, 3 * time.Hour} {
		w := ways{now: 2 * time.Hour, ahead: ahead}
		require.Equal(t, 100*time.Microsecond, w.send(0, 0))
		require.Equal(t, 100*time.Microsecond, w.send(0, time.Millisecond))
		require.Equal(t, 1100*time.Microsecond, w.send(time.Millisecond, 0))
		require.Equal(t, 400*time.Microsecond, w.send(300*time.Microsecond, time.Millisecond))
	}
}

func TestAFlowThatCameToAQueueLearnsWhichWayItIs(t *testing.T) {
	t.Parallel()
	w := ways{now: time.Hour}
	require.Equal(t, 1100*time.Microsecond, w.send(0, time.Millisecond), "nobody can tell yet")
	require.Equal(t, 100*time.Microsecond, w.send(0, 0))
	require.Equal(t, 100*time.Microsecond, w.send(0, time.Millisecond))
}

// Clocks drift apart by 100 µs a second, either way, and the queue on the way there
// is emptied once a second.
func TestClocksThatDriftHideNoQueueForLong(t *testing.T) {
	t.Parallel()
	for _, drift := range []time.Duration{-1, 1} {
		w := ways{now: time.Hour}
		for second := range 60 {
			w.send(0, 0)
			for range 100 {
				w.now += 10 * time.Millisecond
				w.ahead += drift * time.Microsecond
				got := w.send(500*time.Microsecond, time.Millisecond)
				require.InDelta(t, 600, got.Microseconds(), 110, "%d s", second)
			}
		}
	}
}

func TestAnotherRouteIsTakenUp(t *testing.T) {
	t.Parallel()
	w := ways{now: time.Hour}
	w.send(0, 0)
	for end := w.now + 2*forthAge; w.now < end; w.now += 10 * time.Millisecond {
		w.send(200*time.Microsecond, 200*time.Microsecond) // longer either way, for good
	}
	require.Equal(t, 500*time.Microsecond, w.send(200*time.Microsecond, 700*time.Microsecond))
}

// An Ack may tell of nothing new, as one does that was asked for by a duplicate. What
// acknowledges the next packet then says nothing of when that arrived.
func TestAnArrivalIsOfItsOwnAcknowledgementAlone(t *testing.T) {
	t.Parallel()
	h := newHalf(t, true, plainly)
	c := h.conn
	acknowledge := func(typ wire.Type, number uint32, arrival uint32) {
		head := wire.Header{Type: typ, Connection: c.index, Token: c.token}
		if typ == wire.Data {
			head.Number = 1
		}
		head.Acks = wire.AckBlock{Words: 1, Largest: number, Bitmap: [wire.MaxAckWords]uint64{1 << 63}}
		b := make([]byte, head.Size()+wire.ArrivalSize)
		n := head.Put(b)
		if typ == wire.Ack {
			wire.PutArrival(b[n:], arrival)
		}
		rx := transport.RxPacket{Data: b, From: c.addr}
		if !h.inOrder(&rx) {
			h.receive(&rx)
		}
	}
	send := func() {
		h.layer.unsent++
		c.Touch()
		h.send(t)
		h.Advance(h.now + 100*time.Microsecond)
	}
	send()
	acknowledge(wire.Ack, 1, 1000)
	least := c.forth.least
	require.NotZero(t, least.trip)
	acknowledge(wire.Ack, 1, 5000)
	send()
	acknowledge(wire.Data, 2, 0)
	require.Equal(t, least, c.forth.least)
	require.EqualValues(t, 3, c.next)
	require.Zero(t, c.inFlight)
}
