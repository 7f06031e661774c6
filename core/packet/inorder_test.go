package packet

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/mem"
	"github.com/peregrine-rpc/peregrine/wire"
)

// scribe is a layer that writes down what it hears, and has so many messages to send.
type scribe struct {
	mute
	unsent int
	slow   bool // fills one datagram of a run only
	taken  [][]byte
	told   []uint32 // what arrived, and what was lost
}

func (s *scribe) Next() Next { return min(Next(s.unsent), 1) }

func (s *scribe) Fill(r *Run) (filled int, next Next) {
	for filled < len(r.Packets) && s.unsent > 0 && (filled == 0 || !s.slow) {
		t := &r.Packets[filled]
		t.Head = t.Head[:r.Skip+1]
		t.Head[r.Skip] = byte(s.unsent)
		s.unsent--
		r.Entries[filled] = 1
		filled++
	}
	return filled, s.Next()
}

func (s *scribe) Arrived(first uint32, count int) { s.told = append(s.told, 1, first, uint32(count)) }
func (s *scribe) Lost(first uint32, count int)    { s.told = append(s.told, 2, first, uint32(count)) }
func (s *scribe) Take(b []byte)                   { s.taken = append(s.taken, bytes.Clone(b)) }

// half is one end of a connection that was made without a handshake.
type half struct {
	*Endpoint
	conn  *Conn
	layer *scribe
	other transport.Transport // the far end's
	sent  [][]byte
}

func newHalf(t require.TestingT, dialed, checksum bool) *half {
	near, far := mem.Pair()
	e, err := New(Config{
		Peers: 2, Credits: 16, MaxDatagram: 1472, AckDelay: time.Millisecond, KeepAlive: time.Second,
		ConnectTimeout: time.Second, Controller: cc.None(cc.DefaultWindow),
	}, near, func(*Conn) Layer { return mute{} }, time.Second)
	require.NoError(t, err)
	h := &half{Endpoint: e, layer: &scribe{}, other: far}
	route, err := near.Resolve(far.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	h.conn = e.newConn(path{addr: far.LocalAddr(), route: route, dialed: dialed})
	h.conn.layer = h.layer
	params := wire.Params{Credits: 16, MaxDatagram: 1472, KeepAlive: 1000, AckDelay: 1000}
	if checksum {
		params.Features = wire.FeatureChecksum
	}
	h.conn.establish(7, 9, &params)
	return h
}

// send lets the connection send, and takes down what the far end gets.
func (h *half) send(t require.TestingT) {
	_, err := h.Send()
	require.NoError(t, err)
	rx := make([]transport.RxPacket, 64)
	n, err := h.other.Recv(rx)
	require.NoError(t, err)
	for i := range rx[:n] {
		h.sent = append(h.sent, bytes.Clone(rx[i].Data))
	}
	h.other.Release(rx[:n])
}

// forge draws a datagram that the connection might get, and mostly expects.
func (h *half) forge(t *rapid.T) transport.RxPacket {
	c := h.conn
	often := func(label string) bool { return rapid.IntRange(0, 9).Draw(t, label) > 0 }
	head := wire.Header{Connection: c.index, Token: c.token, Number: uint32(c.in.next)}
	if c.in.next == 0 {
		head.Number = rapid.Uint32Range(0, 1).Draw(t, "first")
	}
	if !often("in order") {
		head.Number += uint32(rapid.IntRange(-200, 200).Draw(t, "off"))
	}
	if !often("data") {
		head.Type = wire.Type(rapid.IntRange(0, 15).Draw(t, "type"))
	}
	if c.flags != 0 == often("checksum") {
		head.Flags = wire.FlagChecksum
	}
	if rapid.Bool().Draw(t, "ack now") {
		head.Flags |= wire.FlagAckNow
	}
	if rapid.Bool().Draw(t, "acknowledges") {
		head.Acks.Words = rapid.Uint8Range(1, 3).Draw(t, "words")
		head.Acks.Largest = uint32(c.next) - 1 - uint32(rapid.IntRange(0, 6).Draw(t, "behind"))
		if !often("was sent") {
			head.Acks.Largest += 8
		}
		head.Acks.Delay = uint16(rapid.IntRange(0, 1<<16-1).Draw(t, "delay"))
		for i := range head.Acks.Words {
			head.Acks.Bitmap[i] = rapid.Uint64().Draw(t, "bitmap")
		}
		head.Acks.Bitmap[0] |= 1 << 63
	}
	b := make([]byte, head.Size()+rapid.IntRange(0, 100).Draw(t, "body"))
	head.Put(b)
	if head.Flags&wire.FlagChecksum != 0 {
		wire.Seal(b, nil)
	}
	if !often("whole") {
		b = b[:rapid.IntRange(0, len(b)).Draw(t, "cut")]
	}
	if !often("right words") && len(b) > 3 {
		b[3] = rapid.Uint8Range(0, wire.MaxAckWords+1).Draw(t, "word")
	}
	if !often("sound") && len(b) > 0 {
		b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
	}
	rx := transport.RxPacket{Data: b, From: c.addr, Waited: time.Duration(rapid.IntRange(0, 100).Draw(t, "waited"))}
	if !often("not marked") {
		rx.ECN = transport.CE
	}
	if rapid.IntRange(0, 40).Draw(t, "from elsewhere") == 0 {
		rx.From = netip.MustParseAddrPort("[100::9]:9")
	}
	return rx
}

// What is taken in quickly is taken in as receive does, and a run of datagrams is what
// as many runs of one would be.
func TestADatagramInOrderIsTakenInAsAnyOther(t *testing.T) {
	t.Parallel()
	quick := 0
	rapid.Check(t, func(t *rapid.T) {
		dialed, checksum := rapid.Bool().Draw(t, "dialed"), rapid.IntRange(0, 5).Draw(t, "sealed") == 0
		a, b := newHalf(t, dialed, checksum), newHalf(t, dialed, checksum)
		require.Equal(t, a.conn.token, b.conn.token)
		b.layer.slow = true
		if next := rapid.SampledFrom([]uint64{0, 63, 511, 1<<32 - 1, 1<<63 - 1}).Draw(t, "next"); next > 0 {
			in := received{next: next, floor: [2]uint64{next - 2, next - 1}}
			for i := range in.bitmap {
				in.bitmap[i] = rapid.Uint64().Draw(t, "received")
			}
			a.conn.in, b.conn.in = in, in
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			rx := a.forge(t)
			if a.inOrder(&rx) {
				quick++
			} else {
				a.receive(&rx)
			}
			b.receive(&rx)
			if rapid.IntRange(0, 2).Draw(t, "sends") == 0 {
				unsent := rapid.IntRange(0, 9).Draw(t, "messages")
				full := rapid.IntRange(0, 9).Draw(t, "full") == 0
				now := a.now + time.Duration(rapid.IntRange(0, 2000).Draw(t, "passes"))*time.Microsecond
				for _, h := range []*half{a, b} {
					h.layer.unsent += unsent
					h.conn.Full(full)
					h.Advance(now)
					h.Expire()
					h.conn.Touch()
					h.send(t)
				}
			}
			require.Equal(t, b.conn.in, a.conn.in)
			require.Equal(t, b.conn.recovery, a.conn.recovery)
			require.Equal(t, b.conn.state, a.conn.state)
			require.Equal(t, b.conn.lastHeard, a.conn.lastHeard)
			require.Equal(t, b.conn.dirty, a.conn.dirty)
			require.Equal(t, b.conn.timer.at, a.conn.timer.at)
			require.Equal(t, b.conn.check, a.conn.check)
			require.Equal(t, b.stats, a.stats)
			require.Equal(t, b.layer.taken, a.layer.taken)
			require.Equal(t, b.layer.told, a.layer.told)
			require.Equal(t, b.sent, a.sent)
		}
	})
	require.NotZero(t, quick)
}
