package packet_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/cc"
	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// blobs is about the least that a message layer can be: it sends numbered blobs,
// each until it has arrived, and there are no replies. In a datagram a blob is a
// byte that tells it from a ping, its number, its length and its bytes.
type blobs struct {
	conn  *packet.Conn
	queue []blob
	noted []blob // an entry each, since the connection was made

	sent, arrived int
	received      map[uint32][]byte
	again         int // received more than once
	ups, downs    int
	failed        []string
	gone          bool
	trips         []time.Duration
}

type blob struct {
	number uint32
	data   []byte
	ping   bool
	size   int   // of a ping that is padded
	done   *bool // it has arrived
}

const (
	blobMark = 0xB1
	blobHead = 1 + 4 + 2
)

func (b *blobs) send(data []byte) {
	b.queue = append(b.queue, blob{number: uint32(b.sent), data: data, done: new(bool)})
	b.sent++
	b.conn.Touch()
}

func (b *blob) length() int {
	if b.ping {
		return wire.MessageHeaderSize
	}
	return blobHead + len(b.data)
}

func (b *blobs) Next() packet.Next {
	switch {
	case len(b.queue) == 0:
		return packet.Nothing
	case b.queue[0].size > 0:
		return packet.Padded
	}
	return packet.Next(b.queue[0].length())
}

func (b *blobs) Fill(room []byte, _ *[]byte) (n, entries int, after packet.Next) {
	for len(b.queue) > 0 {
		next := b.queue[0]
		if next.size > 0 {
			if entries == 0 {
				n, entries = (&wire.MessageHeader{Kind: wire.Ping}).Put(room, next.size-wire.MessageHeaderSize), 1
				clear(room[n:next.size])
				n = next.size
				b.note(next)
			}
			break
		}
		if n+next.length() > len(room) {
			break
		}
		if next.ping {
			n += (&wire.MessageHeader{Kind: wire.Ping}).Put(room[n:], 0)
		} else {
			room[n] = blobMark
			binary.LittleEndian.PutUint32(room[n+1:], next.number)
			binary.LittleEndian.PutUint16(room[n+5:], uint16(len(next.data)))
			n += blobHead + copy(room[n+blobHead:], next.data)
		}
		b.note(next)
		entries++
	}
	return n, entries, b.Next()
}

func (b *blobs) note(next blob) {
	b.noted = append(b.noted, next)
	b.queue = b.queue[1:]
}

func (b *blobs) Arrived(first uint32, count int) {
	for _, held := range b.noted[first:][:count] {
		if !held.ping && !*held.done {
			*held.done = true
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
	b.queue = append(b.queue, blob{ping: true, size: size})
	b.conn.Touch()
}

func (b *blobs) Take(data []byte) {
	for len(data) > 0 {
		size := blobHead
		switch {
		case data[0] == byte(wire.Ping) && len(data) >= wire.MessageHeaderSize:
			size = wire.MessageHeaderSize + int(binary.LittleEndian.Uint16(data[2:]))
		case data[0] == blobMark && len(data) >= blobHead:
			size += int(binary.LittleEndian.Uint16(data[5:]))
		default:
			return
		}
		if size > len(data) {
			return
		}
		if data[0] == blobMark {
			number := binary.LittleEndian.Uint32(data[1:])
			if _, twice := b.received[number]; twice {
				b.again++
			}
			b.received[number] = bytes.Clone(data[blobHead:size])
		}
		data = data[size:]
	}
}

// Of slots and sessions there are none, but the handshake wants numbers.
func (b *blobs) Offer(own *wire.Params)   { own.Slots, own.Sessions, own.MaxMessage = 1, 1, 1<<16-1 }
func (b *blobs) Up(*wire.Params)          { b.ups++ }
func (b *blobs) Measured(t time.Duration) { b.trips = append(b.trips, t) }
func (b *blobs) Quiet()                   {}
func (b *blobs) Rested()                  { b.conn.Connect() }
func (b *blobs) Gone()                    { b.gone = true }
func (b *blobs) Down(why *packet.Failure) {
	b.downs++
	b.failed = append(b.failed, why.Reason)
	var left []blob
	for _, held := range append(b.noted, b.queue...) { // the connection begins anew, and so do they
		if !held.ping && !*held.done {
			left = append(left, held)
		}
	}
	b.noted, b.queue = nil, left
	b.conn.Connect()
}

func (b *blobs) Failed(why *packet.Failure, _ bool) { b.failed = append(b.failed, why.Reason) }

// site is an endpoint of blobs on a host.
type site struct {
	*packet.Endpoint
	t        *testing.T
	host     *sim.Host
	port     *sim.Port
	accepted []*blobs
}

// pair is two sites, and the wires from each to the other.
type pair struct {
	*sim.Network
	t              *testing.T
	client, server *site
	wires          [2]*sim.Pipe
}

func newPair(t *testing.T, seed uint64) *pair {
	p := &pair{Network: sim.New(seed), t: t}
	a, b := p.Host("client", sim.HostConfig{}), p.Host("server", sim.HostConfig{})
	link := p.Link(a, b, sim.LinkConfig{Delay: 20 * time.Microsecond, MTU: 1500})
	p.wires = [2]*sim.Pipe{link.Toward(b), link.Toward(a)}
	p.client, p.server = p.open(a), p.open(b)
	return p
}

func (p *pair) open(h *sim.Host) *site {
	s := &site{t: p.t, host: h, port: h.Open(1)}
	cfg := packet.Config{
		Peers: 10, Credits: 256, MaxDatagram: 8972, AckDelay: 500 * time.Microsecond, KeepAlive: time.Second,
		ConnectTimeout: time.Second, Controller: cc.None(cc.DefaultWindow),
	}
	copy(cfg.Seed[:], h.Name())
	var err error
	s.Endpoint, err = packet.New(cfg, s.port, func(c *packet.Conn) packet.Layer {
		b := &blobs{conn: c, received: map[uint32][]byte{}}
		s.accepted = append(s.accepted, b)
		return b
	}, p.Now())
	require.NoError(p.t, err)
	h.Run(s.Endpoint, s.port)
	return s
}

func (s *site) dial(to netip.AddrPort) *blobs {
	b := &blobs{received: map[uint32][]byte{}}
	c, err := s.Dial(to, b)
	require.NoError(s.t, err)
	b.conn = c
	c.Connect()
	s.host.Kick()
	return b
}

// until runs until done, checking all the while that accounts are right.
func (p *pair) until(done func() bool) {
	p.t.Helper()
	p.client.host.Kick()
	p.server.host.Kick()
	require.NoError(p.t, p.Until(time.Minute, done))
	for _, s := range []*site{p.client, p.server} {
		s.Advance(p.Now())
		_, err := s.Held()
		require.NoError(p.t, err)
	}
}

// blobOf is what blob number i holds.
func blobOf(i int) []byte { return bytes.Repeat([]byte{byte(i), byte(i >> 8)}, i*7%400) }

func TestAnotherMessageLayerMayStandOnPackets(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0, 0.05, 0.3} {
		p := newPair(t, 1)
		for _, w := range p.wires {
			if loss > 0 {
				w.SetFaults(sim.Faults{Loss: loss, Duplicate: 0.05, Jitter: 100 * time.Microsecond})
			}
		}
		out := p.client.dial(p.server.port.LocalAddr())
		const count = 2000
		for i := range count {
			out.send(blobOf(i))
		}
		p.until(func() bool { return out.arrived == count })
		require.Equal(t, 1, out.ups)
		in := p.server.accepted[len(p.server.accepted)-1] // perhaps an Accept or two were lost
		require.Len(t, in.received, count)
		for i := range count {
			require.True(t, bytes.Equal(blobOf(i), in.received[uint32(i)]), "blob %d", i)
		}
		if loss == 0 {
			require.Zero(t, in.again)
			require.Zero(t, p.client.Stats().LostPackets)
		} else {
			require.NotZero(t, p.client.Stats().LostPackets)
		}

		in.send([]byte("and back"))
		p.until(func() bool { return in.arrived == 1 })
		require.Equal(t, []byte("and back"), out.received[0])
	}
}

func TestALayerHearsThatItsConnectionIsUpDownAndGone(t *testing.T) {
	t.Parallel()
	p := newPair(t, 1)
	out := p.client.dial(p.server.port.LocalAddr())
	p.until(func() bool { return out.ups == 1 })
	out.conn.Ping()
	p.until(func() bool { return len(out.trips) == 1 })
	require.GreaterOrEqual(t, out.trips[0], 40*time.Microsecond)

	out.send([]byte("lost with the server"))
	p.server.host.Kill()
	p.until(func() bool { return out.downs == 1 })
	require.ErrorContains(t, errorOf(out.failed[0]), "fell silent")
	p.server = p.open(p.server.host)
	p.until(func() bool { return out.arrived == 1 })
	require.Equal(t, 2, out.ups)
	require.Equal(t, []byte("lost with the server"), p.server.accepted[0].received[0])

	out.conn.Close("that was all")
	require.True(t, out.gone)
	p.until(func() bool { return p.server.accepted[0].gone })
	require.Zero(t, p.client.Stats().Peers+p.server.Stats().Peers)
}

type errorOf string

func (e errorOf) Error() string { return string(e) }

// FuzzDatagrams gives both ends of a connection that carries blobs anything to
// take in, as from the other end or from a stranger, with the right index and
// token or as it is, and a right checksum or not. Nothing panics, accounts stay
// right, and a connection whose secrets nobody used still works.
func FuzzDatagrams(f *testing.F) {
	f.Add([]byte{0xF7, 0x10}, byte(0))
	for typ := range byte(10) {
		for how := range byte(16) {
			f.Add(append([]byte{0xF7, 0x10 | typ, 1, 0}, make([]byte, 60)...), how)
		}
	}
	f.Add(append([]byte{0xF7, 0x11, 0, 1}, bytes.Repeat([]byte{0xFF}, 40)...), byte(1|2))
	f.Fuzz(func(t *testing.T, data []byte, how byte) {
		p := newPair(t, 1)
		out := p.client.dial(p.server.port.LocalAddr())
		out.send(blobOf(50))
		p.until(func() bool { return out.arrived == 1 })
		to, from, conn := p.server, p.client, p.server.accepted[0].conn
		if how&8 != 0 {
			to, from, conn = from, to, out.conn
		}
		source := from.port.LocalAddr()
		if how&1 == 0 {
			source = netip.MustParseAddrPort("192.0.2.1:1")
		}
		data = bytes.Clone(data)
		if how&2 != 0 && len(data) >= wire.HeaderSize {
			binary.LittleEndian.PutUint32(data[4:], conn.Inside().Index)
			binary.LittleEndian.PutUint32(data[8:], conn.Inside().Token)
		}
		if how&4 != 0 && len(data) >= wire.HeaderSize+wire.ChecksumSize {
			wire.Seal(data, nil)
		}
		to.port.Deliver(source, data, transport.NotECT)
		p.until(func() bool { return true })
		p.Run(3 * time.Second)
		if how&2 == 0 {
			require.Zero(t, out.downs)
		}
		out.send(blobOf(51))
		p.until(func() bool { return out.arrived == 2 })
	})
}
