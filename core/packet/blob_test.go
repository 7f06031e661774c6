package packet_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// blobs is about the least that a message layer can be: it sends numbered blobs,
// each until it has arrived, and there are no replies. A datagram holds pieces of
// blobs, and pings. A piece is a byte that tells it from a ping, the number of its
// blob, where in it it begins, its length and its bytes.
type blobs struct {
	conn  *packet.Conn
	alone bool // one piece a datagram
	small bool // pieces leave room for acknowledgements, however long they are
	queue []piece
	noted []piece // an entry each, since the connection was made

	sent, arrived int // blobs
	received      map[uint32][]byte
	taken         map[[2]uint32]bool
	again         int // pieces received more than once
	ups, downs    int
	quiet         int
	failures      []packet.Failure
	gone          bool
	trips         []time.Duration
}

type piece struct {
	number uint32
	start  int
	data   []byte
	done   *bool // it has arrived
	left   *int  // pieces of its blob that have not
	ping   bool
	size   int // of a ping that is padded
}

const (
	blobMark = 0xB1
	blobHead = 1 + 4 + 4 + 2
	// blobBulk is the length from which pieces are lent to the transport.
	blobBulk = 1000
	blobMost = 16 << 20
)

func newBlobs(c *packet.Conn) *blobs {
	return &blobs{conn: c, received: map[uint32][]byte{}, taken: map[[2]uint32]bool{}}
}

func (b *blobs) send(data []byte) {
	left := 1
	b.queue = append(b.queue, piece{number: uint32(b.sent), data: data, done: new(bool), left: &left})
	b.sent++
	b.conn.Touch()
}

func (b *blobs) Next() packet.Next {
	switch {
	case len(b.queue) == 0:
		return packet.Nothing
	case b.queue[0].size > 0:
		return packet.Padded
	case b.queue[0].ping:
		return wire.MessageHeaderSize
	case len(b.queue[0].data) > blobBulk && !b.small:
		return packet.Bulk
	}
	return packet.Next(blobHead + len(b.queue[0].data))
}

func (b *blobs) Fill(r *packet.Run) (filled int, next packet.Next) {
	for filled < len(r.Packets) && b.Next() != packet.Nothing && (filled == 0 || b.Next() != packet.Padded) {
		t := &r.Packets[filled]
		n, entries := b.fill(t.Head[r.Skip:min(r.Limit, len(t.Head))], &t.Payload)
		t.Head = t.Head[:r.Skip+n]
		r.Entries[filled] = uint16(entries)
		filled++
	}
	return filled, b.Next()
}

func (b *blobs) fill(room []byte, payload *[]byte) (n, entries int) {
	for len(b.queue) > 0 && (entries == 0 || !b.alone) {
		next := &b.queue[0]
		space := min(len(room), b.conn.Room()) - n
		switch {
		case next.size > 0:
			if entries > 0 {
				return n, entries
			}
			n = next.size
			(&wire.MessageHeader{Kind: wire.Ping}).Put(room, n-wire.MessageHeaderSize)
			clear(room[wire.MessageHeaderSize:n])
			b.note()
			return n, 1
		case next.ping:
			if space < wire.MessageHeaderSize {
				return n, entries
			}
			n += (&wire.MessageHeader{Kind: wire.Ping}).Put(room[n:], 0)
		default:
			if space < blobHead+len(next.data) {
				if entries > 0 {
					return n, entries
				}
				b.cut(space - blobHead)
				next = &b.queue[0]
			}
			room[n] = blobMark
			binary.LittleEndian.PutUint32(room[n+1:], next.number)
			binary.LittleEndian.PutUint32(room[n+5:], uint32(next.start))
			binary.LittleEndian.PutUint16(room[n+9:], uint16(len(next.data)))
			n += blobHead
			if len(next.data) > blobBulk {
				*payload = next.data
				b.note()
				return n, entries + 1
			}
			n += copy(room[n:], next.data)
		}
		b.note()
		entries++
	}
	return n, entries
}

// cut makes two pieces of the first one, of which the first has length bytes.
func (b *blobs) cut(length int) {
	first, rest := b.queue[0], b.queue[0]
	first.data, rest.data = first.data[:length], rest.data[length:]
	rest.start += length
	first.done = new(bool)
	*first.left++
	b.queue[0] = rest
	b.queue = append([]piece{first}, b.queue...)
}

// note has the datagram that is being filled hold the first piece.
func (b *blobs) note() {
	b.noted = append(b.noted, b.queue[0])
	b.queue = b.queue[1:]
}

func (b *blobs) Arrived(first uint32, count int) {
	for _, held := range b.noted[first:][:count] {
		if held.ping || *held.done {
			continue
		}
		*held.done = true
		if *held.left--; *held.left == 0 {
			b.arrived++
		}
	}
}

func (b *blobs) Lost(first uint32, count int) {
	for _, held := range b.noted[first:][:count] {
		if !held.ping && !*held.done {
			b.queue = append(b.queue, held)
			b.conn.Touch()
		}
	}
}

func (b *blobs) Ping(size int) {
	b.queue = append(b.queue, piece{ping: true, size: size})
	b.conn.Touch()
}

func (b *blobs) Expects(int) ([]byte, int)  { return nil, 0 }
func (b *blobs) TakeApart(_, _ []byte) bool { return false }

func (b *blobs) Take(data []byte) {
	for len(data) > 0 {
		size := blobHead
		switch {
		case data[0] == byte(wire.Ping) && len(data) >= wire.MessageHeaderSize:
			size = wire.MessageHeaderSize + int(binary.LittleEndian.Uint16(data[2:]))
		case data[0] == blobMark && len(data) >= blobHead:
			size += int(binary.LittleEndian.Uint16(data[9:]))
		default:
			return
		}
		if size > len(data) {
			return
		}
		if data[0] == blobMark {
			b.take(binary.LittleEndian.Uint32(data[1:]), binary.LittleEndian.Uint32(data[5:]), data[blobHead:size])
		}
		data = data[size:]
	}
}

func (b *blobs) take(number, start uint32, data []byte) {
	if int(start)+len(data) > blobMost {
		return
	}
	place := [2]uint32{number, start}
	if b.taken[place] {
		b.again++
	}
	b.taken[place] = true
	blob := b.received[number]
	if grow := int(start) + len(data) - len(blob); grow > 0 || blob == nil {
		blob = append(blob, make([]byte, max(grow, 0))...)
	}
	copy(blob[start:], data)
	b.received[number] = blob
}

// Of slots and sessions there are none, but the handshake wants numbers.
func (b *blobs) Offer(own *wire.Params)   { own.Slots, own.Sessions, own.MaxMessage = 1, 1, 1<<16-1 }
func (b *blobs) Up(*wire.Params)          { b.ups++ }
func (b *blobs) Measured(t time.Duration) { b.trips = append(b.trips, t) }
func (b *blobs) Quiet()                   { b.quiet++ }
func (b *blobs) Rested()                  { b.conn.Connect() }
func (b *blobs) Gone()                    { b.gone = true }
func (b *blobs) Down(why *packet.Failure) {
	b.downs++
	b.failures = append(b.failures, *why)
	var left []piece
	for _, held := range append(b.noted, b.queue...) { // the connection begins anew, and so do they
		if !held.ping && !*held.done {
			left = append(left, held)
		}
	}
	b.noted, b.queue = nil, left
	if b.conn.State() == packet.Idle {
		b.conn.Connect()
	}
}

func (b *blobs) Failed(why *packet.Failure, _ bool) { b.failures = append(b.failures, *why) }

func TestAnotherMessageLayerMayStandOnPackets(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0, 0.05, 0.3} {
		w := newWorld(t, 1)
		server, client := w.add(), w.add()
		if loss > 0 {
			w.faults(sim.Faults{Loss: loss, Duplicate: 0.05, Jitter: 100 * time.Microsecond})
		}
		out := client.dial(server.addr)
		const count = 2000
		for i := range count {
			out.send(blobOf(i, i*7%400))
		}
		w.until(func() bool { return out.arrived == count })
		require.Equal(t, 1, out.ups)
		in := server.accepted[len(server.accepted)-1] // perhaps an Accept or two were lost
		require.Len(t, in.received, count)
		for i := range count {
			require.True(t, bytes.Equal(blobOf(i, i*7%400), in.received[uint32(i)]), "blob %d", i)
		}
		if loss == 0 {
			require.Zero(t, in.again)
			require.Zero(t, client.Stats().LostPackets)
		} else {
			require.NotZero(t, client.Stats().LostPackets)
		}

		in.send([]byte("and back"))
		w.until(func() bool { return in.arrived == 1 })
		require.Equal(t, []byte("and back"), out.received[0])
		w.heal()
		w.settled(server, client)
		require.NotZero(t, out.quiet)
	}
}

func TestALayerHearsThatItsConnectionIsUpDownAndGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client, out, _ := w.pair()
	out.conn.Ping()
	w.until(func() bool { return len(out.trips) == 1 })
	require.GreaterOrEqual(t, out.trips[0], 2*oneWay)

	out.send([]byte("lost with the server"))
	server.host.Kill()
	w.until(func() bool { return out.downs == 1 })
	require.Contains(t, out.failures[0].Reason, "fell silent")
	server.restart()
	w.until(func() bool { return out.arrived == 1 })
	require.Equal(t, 2, out.ups)
	require.Equal(t, []byte("lost with the server"), server.accepted[0].received[0])

	out.conn.Close("that was all")
	require.True(t, out.gone)
	w.until(func() bool { return server.accepted[0].gone })
	require.Zero(t, client.Stats().Peers+server.Stats().Peers)
}
