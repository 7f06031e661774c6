package packet

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"
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
	memory []byte // where it expects what comes, behind so many bytes of others
	others int
	takes  int      // datagrams in two places
	wary   bool     // takes none
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

func (s *scribe) Expects(n int) ([]byte, int) {
	if n > len(s.memory) {
		return nil, 0
	}
	return s.memory[:n:n], s.others
}

func (s *scribe) TakeApart(head, body []byte) bool {
	if s.wary {
		return false
	}
	s.takes++
	s.taken = append(s.taken, slices.Concat(head, body))
	return true
}

// half is one end of a connection that was made without a handshake.
type half struct {
	*Endpoint
	conn  *Conn
	layer *scribe
	other transport.Transport // the far end's
	sent  [][]byte
}

// How datagrams are protected.
const (
	plainly = iota
	checked
	sealed
)

// keys are a Protection that hides nothing, and whose tags tell what was changed.
type keys struct {
	packets uint64 // sealed: of every second one the phase is odd
	forged  int
}

func (*keys) Overhead() int { return wire.TagSize }
func (*keys) Spent() bool   { return false }

func (k *keys) Seal(datagram []byte, number uint64) []byte {
	if k.packets++; k.packets%2 == 0 {
		datagram[2] |= wire.FlagPhase
	}
	return tagged(datagram, datagram, number)
}

func (k *keys) Open(dst, datagram []byte, number uint64) ([]byte, bool) {
	text := datagram[:len(datagram)-wire.TagSize]
	if !bytes.Equal(tagged(nil, text, number), datagram[len(text):]) {
		k.forged++
		return nil, false
	}
	return append(dst, text[wire.HeaderSize:]...), true
}

func tagged(dst, text []byte, number uint64) []byte {
	sum := fnv.New128a()
	sum.Write(binary.LittleEndian.AppendUint64(nil, number))
	sum.Write(text)
	return sum.Sum(dst)
}

func newHalf(t require.TestingT, dialed bool, how int) *half {
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
	switch how {
	case checked:
		params.Features = wire.FeatureChecksum
	case sealed:
		h.conn.guard = &guard{Protection: &keys{}}
		h.Endpoint.plain, h.reserved = make([]byte, 2048), wire.HeaderSize+wire.TagSize
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

// forgetSettled clears the records that mean nothing any more.
func (h *half) forgetSettled() {
	c := h.conn
	for n := c.next - min(c.next, uint64(len(c.packets))); n < c.oldest(); n++ {
		*c.packet(n) = sentPacket{}
	}
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
	seals := c.guard != nil && often("seals")
	if !seals && c.flags != 0 == often("checksum") {
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
	body := rapid.IntRange(0, 100).Draw(t, "body")
	if c.guard != nil && often("long") {
		body += apartMin - wire.TagSize - 10
	}
	b := make([]byte, head.Size()+body)
	for i := head.Size(); i < len(b); i++ {
		b[i] = byte(i)
	}
	head.Put(b)
	switch {
	case seals:
		b[2] |= wire.FlagSealed
		if !often("right block") && len(b) > wire.HeaderSize {
			b[wire.HeaderSize] ^= 0x80
		}
		k := keys{packets: uint64(rapid.IntRange(0, 1).Draw(t, "phase"))}
		b = k.Seal(b, expand(head.Number, c.in.next))
	case head.Flags&wire.FlagChecksum != 0:
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
	quick, apart := make([]int, sealed+1), 0
	rapid.Check(t, func(t *rapid.T) {
		dialed, how := rapid.Bool().Draw(t, "dialed"), rapid.SampledFrom([]int{plainly, plainly, sealed, sealed, checked}).Draw(t, "protection")
		a, b := newHalf(t, dialed, how), newHalf(t, dialed, how)
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
			if how == sealed && rapid.IntRange(0, 9).Draw(t, "doubted") == 0 {
				a.conn.guard.doubt, b.conn.guard.doubt = time.Hour, time.Hour
			}
			others := bytes.Repeat([]byte{0xEE}, rapid.IntRange(0, MaxApart).Draw(t, "others"))
			a.layer.memory = append(bytes.Clone(others), make([]byte, rapid.IntRange(0, 3).Draw(t, "expects")*1024)...)
			a.layer.others, a.layer.wary = len(others), rapid.IntRange(0, 9).Draw(t, "wary") == 0
			if a.inOrder(&rx) {
				quick[how]++
			} else {
				a.receive(&rx)
			}
			require.Equal(t, others, a.layer.memory[:len(others)], "what is another's stays as it is")
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
			a.forgetSettled()
			b.forgetSettled()
			require.Equal(t, b.conn.recovery, a.conn.recovery)
			require.Equal(t, b.conn.state, a.conn.state)
			require.Equal(t, b.conn.lastHeard, a.conn.lastHeard)
			require.Equal(t, b.conn.dirty, a.conn.dirty)
			require.Equal(t, b.conn.timer.at, a.conn.timer.at)
			require.Equal(t, b.conn.check, a.conn.check)
			require.Equal(t, b.conn.guard, a.conn.guard)
			require.Equal(t, b.stats, a.stats)
			require.Equal(t, b.layer.taken, a.layer.taken)
			require.Equal(t, b.layer.told, a.layer.told)
			require.Equal(t, b.sent, a.sent)
		}
		apart += a.layer.takes
	})
	require.NotZero(t, quick[plainly])
	require.NotZero(t, quick[sealed])
	if !testing.Short() { // which draws too few to be sure of what is rare
		require.NotZero(t, apart)
	}
}

// An acknowledgement of all that is in flight is taken in as namedArrived does.
func TestAnAcknowledgementOfAllInFlightIsTakenInAsAnyOther(t *testing.T) {
	t.Parallel()
	quick := 0
	rapid.Check(t, func(t *rapid.T) {
		a, b := newHalf(t, true, plainly), newHalf(t, true, plainly)
		both := []*half{a, b}
		for _, h := range both {
			h.conn.credits = 200
		}
		for range rapid.IntRange(1, 20).Draw(t, "acknowledgements") {
			messages := rapid.IntRange(0, 80).Draw(t, "messages")
			now := a.now + time.Duration(rapid.IntRange(0, 20_000).Draw(t, "passes"))*time.Microsecond
			long := rapid.IntRange(0, 9).Draw(t, "long") == 0
			for _, h := range both {
				h.layer.unsent += messages
				h.Advance(now)
				h.Expire() // which takes some for lost
				h.conn.Touch()
				h.send(t)
				if c := h.conn; long && c.inFlight > 0 && c.packet(c.next-1).state == packetInFlight {
					c.packet(c.next - 1).size += wire.MinHello
					c.bytes += wire.MinHello
				}
			}
			if a.conn.next < 2 {
				continue
			}
			block := wire.AckBlock{Words: rapid.Uint8Range(1, 3).Draw(t, "words")}
			largest := a.conn.next - 1 - min(a.conn.next-2, uint64(rapid.SampledFrom([]int{0, 0, 1, 5, 63, 64, 100}).Draw(t, "behind")))
			for i := range block.Bitmap {
				block.Bitmap[i] = rapid.SampledFrom([]uint64{^uint64(0), ^uint64(0), 1 << 63, ^uint64(1), rapid.Uint64().Draw(t, "bits")}).Draw(t, "bitmap")
			}
			block.Bitmap[0] |= 1 << 63
			news := [2]tidings{{largest: largest}, {largest: largest}}
			if a.conn.allArrived(block.Bitmap[0], &news[0]) {
				quick++
			} else {
				a.conn.namedArrived(&block, &news[0])
			}
			b.conn.namedArrived(&block, &news[1])
			require.Equal(t, news[1], news[0])
			for _, h := range both {
				h.conn.advance()
				h.forgetSettled()
			}
			require.Equal(t, b.conn.recovery, a.conn.recovery)
			require.Equal(t, b.layer.told, a.layer.told)
		}
	})
	require.NotZero(t, quick)
}
