package packet_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core/packet"
	"github.com/peregrine-rpc/peregrine/core/packet/psk"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/sim"
	"github.com/peregrine-rpc/peregrine/wire"
)

// keyed has a site take and make only connections sealed with a pre-shared key.
func keyed(key byte, others ...byte) func(*packet.Config) {
	return func(c *packet.Config) {
		keys := [][psk.KeySize]byte{{key}}
		for _, k := range others {
			keys = append(keys, [psk.KeySize]byte{k})
		}
		security, err := psk.New(keys, rand.NewChaCha8(c.Seed))
		if err != nil {
			panic(err)
		}
		c.Security, c.Handshakes = security, 16
	}
}

func TestASealedConnectionCarriesWhatAPlainOneDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client, out, in := w.pair(keyed(1))
	w.deliver(out, in, 10, 100, 300)
	w.deliver(out, in, 3, 10, 100_000)
	w.deliver(in, out, 3, 10, 100_000)
	require.Equal(t, psk.Peer{}, out.conn.Peer())
	require.Equal(t, psk.Peer{}, in.conn.Peer())
	require.Equal(t, 1472, out.conn.MTU(), "the tag has its place in the datagram")
	require.Equal(t, 1472-wire.HeaderSize-16, out.conn.Room())
	w.settled(server, client)
	require.Zero(t, server.Stats().RxForged+client.Stats().RxForged)
}

func TestNothingOfASealedConnectionCanBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	word := bytes.Repeat([]byte("secret"), 50)
	types := map[wire.Type]int{}
	server, client := w.add(keyed(1)), w.add(keyed(1))
	w.fate = func(p *sim.Packet) sim.Verdict {
		require.NotContains(t, string(p.Data), "secret")
		types[typeOf(p.Data)]++
		sealed := p.Data[2]&wire.FlagSealed != 0
		switch typ := typeOf(p.Data); typ {
		case wire.Data, wire.Ack, wire.Close:
			require.True(t, sealed)
			require.Zero(t, p.Data[2]&wire.FlagChecksum)
		case wire.Hello, wire.Retry:
			require.False(t, sealed)
		}
		return sim.Verdict{}
	}
	out, in := w.connect(client, server)
	for range 100 {
		out.send(word)
		in.send(word)
	}
	w.until(func() bool { return out.arrived == 100 && in.arrived == 100 })
	w.run(time.Second)
	out.conn.Close("that is all")
	w.until(func() bool { return in.gone })
	require.NotZero(t, types[wire.Close])
	require.NotZero(t, types[wire.Ack])
	require.Zero(t, types[wire.Accept])
}

func TestASealedConnectionIsMadeWhateverIsLost(t *testing.T) {
	t.Parallel()
	for seed := range seeds(50) {
		w := newWorld(t, seed)
		server, client := w.add(keyed(1)), w.add(keyed(1))
		w.faults(sim.Faults{Loss: 0.3, Duplicate: 0.2, Reorder: 0.3, ReorderDelay: 200 * time.Microsecond, Corrupt: 0.02})
		out := client.dial(server.addr)
		w.until(func() bool { return out.ups > 0 })
		in := server.accept()
		w.until(func() bool { return in.ups > 0 })
		w.deliver(out, in, 5, 30, 3000)
		w.deliver(in, out, 5, 30, 3000)
	}
}

// overheard is a sealed connection, and what was said on it so far.
type overheard struct {
	*world
	server, client *site
	out, in        *blobs
	said           []sim.Packet
}

func overhear(t *testing.T) *overheard {
	o := &overheard{world: newWorld(t, 1)}
	o.server, o.client = o.add(keyed(1)), o.add(keyed(1))
	o.fate = func(p *sim.Packet) sim.Verdict {
		said := *p
		said.Data = bytes.Clone(p.Data)
		o.said = append(o.said, said)
		return sim.Verdict{}
	}
	o.out, o.in = o.connect(o.client, o.server)
	o.deliver(o.out, o.in, 4, 20, 300)
	o.deliver(o.in, o.out, 4, 20, 300)
	o.run(time.Second)
	o.fate = nil
	return o
}

// unmoved tells the one that a datagram is for, and checks that nothing came of it.
func (o *overheard) unmoved(to, from netip.AddrPort, data []byte) {
	o.t.Helper()
	victim, conn, blobs := o.server, o.in.conn, o.in
	if to == o.client.addr {
		victim, conn, blobs = o.client, o.out.conn, o.out
	}
	before, sent, received := conn.Inside(), o.sent, blobs.again+len(blobs.received)
	events := victim.Stats().PeersMoved + victim.Stats().PeersFailed
	victim.port.Deliver(from, bytes.Clone(data), transport.NotECT)
	o.run(0)
	require.Equal(o.t, before, conn.Inside())
	require.Equal(o.t, sent, o.sent, "nobody answers")
	require.Equal(o.t, received, blobs.again+len(blobs.received))
	require.Equal(o.t, events, victim.Stats().PeersMoved+victim.Stats().PeersFailed)
}

func TestNoBitOfASealedDatagramCanBeChanged(t *testing.T) {
	t.Parallel()
	o := overhear(t)
	tried := 0
	for _, p := range o.said {
		if p.Data[2]&wire.FlagSealed == 0 || len(p.Data) > 400 && testing.Short() {
			continue
		}
		if tried++; tried > 40 {
			break
		}
		for i := range p.Data {
			if i < 12 && i != 2 && i != 3 {
				continue // another protocol, type, connection or token: told of below
			}
			changed := bytes.Clone(p.Data)
			changed[i] ^= 1 << (i % 8)
			o.unmoved(p.To, p.From, changed)
		}
	}
	require.NotZero(t, tried)
	o.fine()
}

// fine checks that the connection goes on.
func (o *overheard) fine() {
	o.t.Helper()
	o.deliver(o.out, o.in, 1, 1, 3000)
	o.deliver(o.in, o.out, 1, 1, 3000)
	require.Zero(o.t, o.out.downs)
}

func TestWhatWasSaidOnASealedConnectionCannotBeSaidAgain(t *testing.T) {
	t.Parallel()
	o := overhear(t)
	for _, p := range o.said {
		if typ := typeOf(p.Data); typ == wire.Hello || typ == wire.Retry {
			continue
		}
		o.unmoved(p.To, p.From, p.Data)
		o.unmoved(p.To, stranger, p.Data)
		o.unmoved(p.To, p.From, p.Data[:len(p.Data)-1])
		o.unmoved(p.To, p.From, append(bytes.Clone(p.Data), 0))
		if len(p.Data) > wire.HeaderSize {
			o.unmoved(p.To, p.From, p.Data[:wire.HeaderSize])
		}
	}
	require.NotZero(t, o.server.Stats().RxDuplicate)
	o.fine()
}

func TestAConversationSentBackOrInReverseIsDropped(t *testing.T) {
	t.Parallel()
	o := overhear(t)
	for _, p := range o.said {
		if p.Data[2]&wire.FlagSealed == 0 {
			continue
		}
		turned := bytes.Clone(p.Data) // to whom said it, with the names it goes by
		conn := o.in.conn
		if p.From == o.client.addr {
			conn = o.out.conn
		}
		copy(turned[4:], quoteOf(conn)[4:12])
		o.unmoved(p.From, p.To, turned)
	}
	o.fine()
}

func TestPlainTextToASealedConnectionIsDropped(t *testing.T) {
	t.Parallel()
	o := overhear(t)
	for _, conn := range []*packet.Conn{o.in.conn, o.out.conn} {
		to, from := o.server.addr, o.client.addr
		if conn == o.out.conn {
			to, from = from, to
		}
		c := conn.Inside()
		for _, typ := range []wire.Type{wire.Data, wire.Ack, wire.Close, wire.PathChallenge, wire.PathResponse, wire.Crypto, wire.PostCrypto} {
			h := wire.Header{Type: typ, Flags: wire.FlagChecksum, Connection: c.Index, Token: c.Token, Number: uint32(c.Expected)}
			data := make([]byte, 100)
			h.Put(data)
			wire.Seal(data, nil)
			o.unmoved(to, from, data)
			if typ <= wire.Ack {
				h.Flags = 0
				h.Put(data)
				o.unmoved(to, from, data)
			}
		}
	}
	o.fine()
}

func TestAResetOrReportOfWhoSeesAllEndsNoSealedConnection(t *testing.T) {
	t.Parallel()
	o := overhear(t)
	for range 20 {
		for _, conn := range []*packet.Conn{o.in.conn, o.out.conn} {
			to, from := o.server, o.client
			if conn == o.out.conn {
				to, from = from, to
			}
			data := make([]byte, wire.HeaderSize+wire.ChecksumSize+wire.ResetSize)
			n := (&wire.Header{Type: wire.Reset, Flags: wire.FlagChecksum}).Put(data)
			c := conn.Inside()
			(&wire.ResetBody{Connection: c.RemoteIndex, Token: c.RemoteToken, Number: uint32(c.Next) - 1}).Put(data[n:])
			wire.Seal(data, nil)
			to.port.Deliver(from.addr, data, transport.NotECT)
		}
		o.client.InjectUnreachable(&transport.Unreachable{To: o.server.addr, Err: syscall.ECONNREFUSED, Data: quoteOf(o.out.conn)})
		o.run(30 * time.Millisecond)
	}
	o.run(time.Second)
	require.Zero(t, o.out.downs)
	require.False(t, o.in.gone)
	o.fine()
}

func TestASealedServerThatRestartedIsFoundOutSoon(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client := w.add(keyed(1)), w.add(keyed(1))
	out, _ := w.connect(client, server)
	server.restart()
	began := w.Now()
	out.send(blobOf(0, 100))
	w.until(func() bool { return out.downs == 1 })
	require.LessOrEqual(t, w.Now()-began, 120*time.Millisecond)
	require.Contains(t, out.failures[0].Reason, "has restarted")
}

func TestWhoHasAnotherKeyOrNoneIsToldSo(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]struct {
		server, client func(*packet.Config)
		reason         string
		code           uint8
		trips          int
	}{
		"another key":     {keyed(1), keyed(2), "another pre-shared key", 16, 2},
		"a plain client":  {keyed(1), func(*packet.Config) {}, "this server demands a pre-shared key", 9, 1},
		"a plain server":  {func(*packet.Config) {}, keyed(1), "this server speaks plain text only", 9, 1},
		"another kind":    {keyed(1), tlsInName, "this server demands a pre-shared key", 9, 1},
		"a server of tls": {tlsInName, keyed(1), "this server demands TLS", 9, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			server, client := w.add(story.server), w.add(story.client)
			began := w.Now()
			out := client.dial(server.addr)
			w.until(func() bool { return len(out.failures) > 0 })
			require.Contains(t, out.failures[0].Reason, story.reason)
			require.Equal(t, story.code, out.failures[0].Code)
			require.LessOrEqual(t, w.Now()-began, time.Duration(story.trips)*2*oneWay+10*time.Microsecond)
			require.Zero(t, out.ups)
			for _, in := range server.accepted {
				require.Zero(t, in.ups)
			}
		})
	}
}

// tlsInName has a site say that it speaks TLS.
func tlsInName(c *packet.Config) {
	keyed(1)(c)
	c.Security = renamed{c.Security}
}

type renamed struct{ packet.Security }

func (renamed) Feature() uint32 { return wire.FeatureTLS }

func TestAKeyIsReplacedWithoutAPause(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, old, young := w.add(keyed(2, 1)), w.add(keyed(1)), w.add(keyed(2))
	_, in := w.connect(old, server)
	require.Equal(t, psk.Peer{Key: 1}, in.conn.Peer())
	_, in = w.connect(young, server)
	require.Equal(t, psk.Peer{Key: 0}, in.conn.Peer())
}

func TestAHelloThatIsPlayedBackOpensNothing(t *testing.T) {
	t.Parallel()
	o := overhear(t)
	o.out.conn.Close("done")
	o.until(func() bool { return o.in.gone })
	for _, p := range o.said {
		if p.From == o.client.addr {
			o.server.port.Deliver(p.From, p.Data, transport.NotECT)
		}
	}
	o.run(100 * time.Millisecond)
	require.Greater(t, o.server.held().Accepted, 0, "it has to be looked at")
	o.run(2 * time.Second)
	require.Zero(t, o.server.held().Accepted)
	for _, in := range o.server.accepted[1:] {
		require.Zero(t, in.ups)
		require.Empty(t, in.received)
	}
}

func TestHandshakesThatAreNeverEndedAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	server, client := w.add(keyed(1)), w.add(keyed(1))
	w.fate = func(p *sim.Packet) sim.Verdict { // clients that go silent in the midst of theirs
		return sim.Verdict{Drop: typeOf(p.Data) == wire.Crypto && p.To == server.addr}
	}
	for range 40 {
		slow := w.add(keyed(1))
		slow.dial(server.addr)
	}
	w.run(300 * time.Millisecond)
	require.Equal(t, 16, server.held().Accepted)
	require.NotZero(t, server.Stats().HandshakesDeferred)
	w.run(time.Second)
	require.NotZero(t, server.Stats().HandshakesFailed, "who runs the server sees it")
	w.fate = nil
	out := client.dial(server.addr)
	w.until(func() bool { return out.ups > 0 }) // once they are given up
}

// FuzzSealedDatagrams changes what was said on a sealed connection in any way, or makes it
// up, names and all: both sides go on, and nothing came of it.
func FuzzSealedDatagrams(f *testing.F) {
	f.Add(uint16(3), uint16(20), byte(1), []byte(nil))
	f.Add(uint16(9), uint16(2), byte(4), []byte{1, 2, 3})
	f.Add(uint16(0), uint16(0), byte(0), append([]byte{0xF7, 0x10, 4, 1}, make([]byte, 60)...))
	f.Fuzz(func(t *testing.T, which, at uint16, change byte, tail []byte) {
		o := overhear(t)
		p := o.said[int(which)%len(o.said)]
		data := append(bytes.Clone(p.Data), tail...)
		data[int(at)%len(data)] ^= change
		for _, made := range [][]byte{data, append(bytes.Clone(p.Data[:12]), tail...), tail} {
			var h wire.Header
			if _, err := h.Parse(made); err == nil && h.Type > wire.Ack && h.Type <= wire.Reset {
				continue // of no connection
			}
			victim := o.server
			if p.To == o.client.addr {
				victim = o.client
			}
			victim.port.Deliver(p.From, made, transport.NotECT)
			o.run(time.Millisecond)
		}
		require.Zero(t, o.server.Stats().PeersMoved)
		o.fine()
	})
}
