package packet_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// At 10 Gbit/s dozens of packets pass one that is late by 80 µs, and several
// acknowledgements say so before it comes.
func TestAPacketThatIsLateIsAcknowledgedAndTeachesReordering(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.link.Rate, w.link.Delay, w.link.MTU = 10e9, 2*time.Microsecond, 1500
	_, client, out, in := w.pair()
	blobs, delayed := 0, uint64(0)
	w.fate = func(p *sim.Packet) (v sim.Verdict) {
		if holdsBlobs(p.Data) {
			if blobs++; blobs%300 == 0 {
				delayed++
				v.Delay = 80 * time.Microsecond
			}
		}
		return v
	}
	w.deliver(out, in, 4, 10, 1<<20)
	require.Greater(t, delayed, uint64(20))
	st := client.Stats()
	require.Less(t, st.LostPackets, delayed/2, "reordering is learnt")
	require.Equal(t, st.LostPackets, st.SpuriousRetransmits, "each is recognised as late")
}

// Acknowledgements that find no room beside a message go in a datagram of their own,
// and say as much, and as often: what is lost of them is made up for by the next.
func TestAnAcknowledgementForWhichThereIsNoRoomIsNotForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	server, client, out, in := w.pair()
	out.alone, in.small = true, true
	lost := 0
	w.fate = func(p *sim.Packet) (v sim.Verdict) {
		if typeOf(p.Data) == wire.Ack && p.To == client.addr && lost == 0 {
			lost++
			v.Drop = true
		}
		return v
	}
	before := client.Stats()
	for range 2 {
		for range 64 {
			out.send(blobOf(0, 10))
		}
		server.host.Pause(100 * time.Microsecond)
		w.run(50 * time.Microsecond)
		in.send(blobOf(0, in.conn.Room()-blobHead)) // fills its datagram
		w.run(250 * time.Microsecond)
	}
	require.Equal(t, 1, lost)
	require.Equal(t, 128, out.arrived)
	require.Equal(t, before.LostPackets, client.Stats().LostPackets)
}

// What waits in our own send queue has not left. A datagram without a number that
// waits there is not taken for the numbered one that was in its place before.
func TestAHeldResetChangesNoPacketsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5)
	d := &dictate{window: 1 << 20}
	_, client, out, in := dictated(w, d)
	const late = 20 * time.Millisecond
	w.fate = func(p *sim.Packet) (v sim.Verdict) {
		if p.From == client.addr {
			v.Delay = late
		}
		return v
	}
	w.deliver(out, in, 1, 20, 10) // how long it takes is known
	d.acks = nil
	for range 8 {
		out.send(blobOf(0, 10))
		w.run(time.Millisecond)
	}
	client.port.Full(true)
	unknown := make([]byte, 200)
	(&wire.Header{Type: wire.Data, Connection: 77, Token: 78}).Put(unknown)
	client.port.Deliver(stranger, unknown, transport.NotECT)
	w.run(2 * time.Millisecond)
	require.EqualValues(t, 1, client.Stats().ResetsSent)
	client.port.Full(false)
	w.until(func() bool { return out.arrived == out.sent })
	require.GreaterOrEqual(t, len(d.acks), 8)
	for _, a := range d.acks {
		require.InDelta(t, late+2*oneWay, a.RTT, float64(10*time.Microsecond))
	}
}
