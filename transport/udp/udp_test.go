package udp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// variant is one way to open a transport that every story holds for.
type variant struct {
	name string
	open func(Config) (transport.Transport, error)
}

var variants = []variant{
	{"as opened", func(c Config) (transport.Transport, error) { return Open(c, 0, 1) }},
	{"portable", func(c Config) (transport.Transport, error) {
		addr, err := prepare(&c, 0, 1)
		if err != nil {
			return nil, err
		}
		return openPortable(c, addr, 0, 1)
	}},
	{"without offload", func(c Config) (transport.Transport, error) {
		c.Segment, c.GRO = false, false
		return Open(c, 0, 1)
	}},
	{"segments down only", func(c Config) (transport.Transport, error) {
		c.GRO = false
		return Open(c, 0, 1)
	}},
}

// each tells a story of every variant.
func each(t *testing.T, story func(t *testing.T, v variant)) {
	t.Parallel()
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			story(t, v)
		})
	}
}

// eachAlone is each for stories that bear no others beside them. Those that give
// up a port are among them: another might be given it.
func eachAlone(t *testing.T, story func(t *testing.T, v variant)) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) { story(t, v) })
	}
}

// at opens a transport at an address for the length of the test.
func (v variant) at(t testing.TB, address string) transport.Transport {
	t.Helper()
	c := DefaultConfig()
	c.Address = address
	return v.with(t, c)
}

func (v variant) with(t testing.TB, c Config) transport.Transport {
	t.Helper()
	tr, err := v.open(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	return tr
}

// to resolves b's address for a.
func to(t testing.TB, a, b transport.Transport) transport.Route {
	t.Helper()
	r, err := a.Resolve(b.LocalAddr())
	require.NoError(t, err)
	return r
}

// send sends one packet per text, all of it in the Head.
func send(t testing.TB, tr transport.Transport, r transport.Route, texts ...string) {
	t.Helper()
	for len(texts) > 0 {
		pkts := make([]transport.TxPacket, min(len(texts), tr.Caps().TxBatch))
		require.Equal(t, len(pkts), tr.Reserve(pkts))
		for i := range pkts {
			pkts[i].Route = r
			require.Len(t, pkts[i].Head, tr.Caps().MaxPayload)
			pkts[i].Head = pkts[i].Head[:copy(pkts[i].Head, texts[i])]
		}
		n, err := tr.Send(pkts)
		require.NoError(t, err)
		require.Equal(t, len(pkts), n)
		texts = texts[n:]
	}
}

// patience bounds what a story waits for; it is far more than it takes.
const patience = 20 * time.Second

// receive waits for n packets and returns them, unreleased.
func receive(t testing.TB, tr transport.Transport, n int) []transport.RxPacket {
	t.Helper()
	pkts := make([]transport.RxPacket, n)
	have := 0
	for end := time.Now().Add(patience); have < n; {
		k, err := tr.Recv(pkts[have:])
		require.NoError(t, err)
		have += k
		if k == 0 {
			require.True(t, time.Now().Before(end), "%d of %d packets have arrived: %+v", have, n, tr.Stats())
			require.NoError(t, tr.Wait(time.Second))
		}
	}
	return pkts
}

// texts waits for n packets and returns their contents.
func texts(t testing.TB, tr transport.Transport, n int) []string {
	t.Helper()
	pkts := receive(t, tr, n)
	out := make([]string, n)
	for i, p := range pkts {
		out[i] = string(p.Data)
	}
	tr.Release(pkts)
	return out
}

// numbered returns n different texts of that size.
func numbered(n, size int) []string {
	out := make([]string, n)
	for i := range out {
		b := make([]byte, size)
		for j := range b {
			b[j] = byte(i + j)
		}
		if size >= 4 {
			binary.BigEndian.PutUint32(b, uint32(i))
		}
		out[i] = string(b)
	}
	return out
}

func TestAnEchoComesBack(t *testing.T) {
	for _, family := range []struct{ name, server, client, from string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6", "[::1]:0", "[::1]:0", "::1"},
		{"IPv4 to a socket of both", "[::]:0", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6 to a socket of both", "[::]:0", "[::1]:0", "::1"},
		{"both to both", ":0", ":0", "127.0.0.1"},
		{"by a name", "localhost:0", "localhost:0", "127.0.0.1"},
	} {
		t.Run(family.name, func(t *testing.T) {
			each(t, func(t *testing.T, v variant) {
				server, client := v.at(t, family.server), v.at(t, family.client)
				from := netip.MustParseAddr(family.from)
				r, err := client.Resolve(netip.AddrPortFrom(from, server.LocalAddr().Port()))
				require.NoError(t, err)
				send(t, client, r, "hello")

				pkts := receive(t, server, 1)
				require.Equal(t, "hello", string(pkts[0].Data))
				require.Equal(t, netip.AddrPortFrom(from, client.LocalAddr().Port()), pkts[0].From)
				back, err := server.Resolve(pkts[0].From)
				require.NoError(t, err)
				server.Release(pkts)
				send(t, server, back, "and hello to you")
				require.Equal(t, []string{"and hello to you"}, texts(t, client, 1))
			})
		})
	}
}

func TestBatchesOfEverySizeArriveInOrder(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, "127.0.0.1:0"), v.at(t, "127.0.0.1:0")
		r := to(t, a, b)
		for n := 1; n <= 100; n++ {
			want := numbered(n, 48)
			send(t, a, r, want...)
			require.Equal(t, want, texts(t, b, n))
		}
	})
}

func TestBatchesOfMixedSizesAndDestinationsArriveInOrder(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a := v.at(t, "127.0.0.1:0")
		peers := []transport.Transport{v.at(t, "127.0.0.1:0"), v.at(t, "127.0.0.1:0")}
		routes := []transport.Route{to(t, a, peers[0]), to(t, a, peers[1])}
		sizes := []int{0, 0, 7, 7, 7, 3, 3, 1400, 1400, 1400, 1, 1, 2, 0, 9, 9, 8, 8, 9000, 9000, 30000, 30000, 30000, 5}
		want := make([][]string, 2)
		pkts := make([]transport.TxPacket, len(sizes))
		require.Equal(t, len(pkts), a.Reserve(pkts))
		for i, size := range sizes {
			peer := i / 5 % 2
			text := numbered(i+1, size)[i]
			want[peer] = append(want[peer], text)
			pkts[i].Route = routes[peer]
			// Some all in the head, some all in the payload, some in both.
			cut := []int{size, 0, size / 2}[i%3]
			pkts[i].Head = pkts[i].Head[:copy(pkts[i].Head, text[:cut])]
			pkts[i].Payload = []byte(text[cut:])
		}
		n, err := a.Send(pkts)
		require.NoError(t, err)
		require.Equal(t, len(pkts), n)
		for i := range peers {
			require.Equal(t, want[i], texts(t, peers[i], len(want[i])))
		}
	})
}

func TestTheLargestDatagramFitsAndOneByteMoreIsDroppedAndCounted(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
			a, b := v.at(t, addr), v.at(t, addr)
			r := to(t, a, b)
			most := a.Caps().MaxPayload
			want := numbered(3, most)
			pkts := make([]transport.TxPacket, 5)
			require.Equal(t, 5, a.Reserve(pkts))
			for i := range pkts {
				pkts[i].Route = r
				text := []string{want[0], want[1] + "!", want[1], want[2] + "!", want[2]}[i]
				pkts[i].Head = pkts[i].Head[:copy(pkts[i].Head, text[:100])]
				pkts[i].Payload = []byte(text[100:])
			}
			n, err := a.Send(pkts)
			require.NoError(t, err)
			require.Equal(t, 5, n)
			require.Equal(t, want, texts(t, b, 3))
			st := a.Stats()
			require.Equal(t, uint64(2), st.TxTooLarge)
			require.Equal(t, uint64(3), st.TxPackets)
			require.Equal(t, uint64(5), a.Completed(), "a dropped packet is taken too")
		}
	})
}

func TestTheMaxPayloadFollowsTheMTU(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		c := DefaultConfig()
		c.MTU = 1500
		c.Address = "127.0.0.1:0"
		require.Equal(t, 1472, v.with(t, c).Caps().MaxPayload)
		c.Address = "[::1]:0"
		require.Equal(t, 1452, v.with(t, c).Caps().MaxPayload)
	})
}

func TestSentPacketsLoseTheirMemoryAndTheBuffersComeBack(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, "127.0.0.1:0"), v.at(t, "127.0.0.1:0")
		r := to(t, a, b)
		all := make([]transport.TxPacket, 1000)
		lent := a.Reserve(all)
		require.GreaterOrEqual(t, lent, a.Caps().TxBatch)
		require.Less(t, lent, len(all))
		require.Zero(t, a.Reserve(all[lent:]), "all buffers are lent")
		seen := map[*byte]bool{}
		for i := range all[:lent] {
			require.False(t, seen[&all[i].Head[0]], "a buffer is lent twice")
			seen[&all[i].Head[0]] = true
			all[i].Route = r
			all[i].Head = all[i].Head[:1]
			all[i].Payload = []byte("payload")
		}
		n, err := a.Send(all[:lent])
		require.NoError(t, err)
		require.Equal(t, lent, n)
		for _, p := range all[:n] {
			require.Nil(t, p.Head)
			require.Nil(t, p.Payload)
		}
		require.Equal(t, uint64(lent), a.Completed())
		require.Equal(t, lent, a.Reserve(all), "all buffers are back")
		texts(t, b, n)
	})
}

func TestReceivedViewsStayValidUntilReleasedInAnyOrder(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, "127.0.0.1:0"), v.at(t, "127.0.0.1:0")
		r := to(t, a, b)
		first := numbered(60, 100)
		send(t, a, r, first...)
		held := receive(t, b, len(first))
		for range 20 {
			send(t, a, r, numbered(40, 101)...)
			texts(t, b, 40)
		}
		for i, p := range held {
			require.Equal(t, first[i], string(p.Data))
			require.Equal(t, len(p.Data), cap(p.Data), "a view ends where its datagram ends")
		}
		for i := range held { // the odd ones, then the even ones backwards
			if i%2 == 1 {
				b.Release(held[i : i+1])
			}
		}
		for i := len(held) - 2; i >= 0; i -= 2 {
			b.Release(held[i : i+1])
		}
		send(t, a, r, first...)
		require.Equal(t, first, texts(t, b, len(first)))
	})
}

func TestAHoarderStopsReceivingUntilItReleases(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, "127.0.0.1:0"), v.at(t, "127.0.0.1:0")
		r := to(t, a, b)
		held := []transport.RxPacket{}
		one := make([]transport.RxPacket, 1)
		stopped := func() bool {
			send(t, a, r, "again")
			for range 100 {
				n, err := b.Recv(one)
				require.NoError(t, err)
				if n == 1 {
					held = append(held, one[0])
					return false
				}
				require.NoError(t, b.Wait(10*time.Millisecond))
			}
			return true
		}
		for !stopped() {
			require.Less(t, len(held), 1000)
		}
		require.GreaterOrEqual(t, len(held), b.Caps().RxBuffers)
		b.Release(held)
		require.Equal(t, []string{"again"}, texts(t, b, 1))
	})
}

func TestASmallSliceTakesALargeBatchBitByBit(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, "127.0.0.1:0"), v.at(t, "127.0.0.1:0")
		want := numbered(64, 20)
		send(t, a, to(t, a, b), want...)
		for i := 0; i < 64; i += 4 {
			require.Equal(t, want[i:i+4], texts(t, b, 4))
		}
		n, err := b.Recv(nil)
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

func TestAForgottenRouteIsUsedAgainAndSendsNothingMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b, c := v.at(t, "127.0.0.1:0"), v.at(t, "127.0.0.1:0"), v.at(t, "127.0.0.1:0")
		old := to(t, a, b)
		a.Forget(old)
		a.Forget(old)
		send(t, a, old, "to nobody")
		send(t, a, 12345, "to nobody")
		require.Equal(t, uint64(2), a.Stats().TxRefused)

		require.Equal(t, old, to(t, a, c))
		require.NotEqual(t, old, to(t, a, c), "a slot forgotten twice is lent once")
		send(t, a, old, "to c")
		require.Equal(t, []string{"to c"}, texts(t, c, 1))
	})
}

func TestAnAddressThatCannotBeReachedIsAnErrorThatSaysWhy(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		four, six := v.at(t, "127.0.0.1:0"), v.at(t, "[::1]:0")
		for _, c := range []struct {
			tr         transport.Transport
			addr, says string
		}{
			{four, "[::1]:9", "open the transport on [::]"},
			{six, "127.0.0.1:9", "open the transport on 0.0.0.0"},
			{four, "127.0.0.1:0", "no destination"},
			{four, "0.0.0.0:9", "no destination"},
		} {
			_, err := c.tr.Resolve(netip.MustParseAddrPort(c.addr))
			require.ErrorContains(t, err, c.says)
		}
		_, err := four.Resolve(netip.AddrPort{})
		require.ErrorContains(t, err, "no destination")
		_, err = four.Resolve(netip.MustParseAddrPort("[::ffff:127.0.0.1]:9"))
		require.NoError(t, err, "a mapped address is an IPv4 address")
	})
}

func TestAPortThatNobodyListensOnIsNoError(t *testing.T) {
	eachAlone(t, func(t *testing.T, v variant) {
		a, b := v.at(t, "127.0.0.1:0"), v.at(t, "127.0.0.1:0")
		gone := v.at(t, "127.0.0.1:0")
		nobody := to(t, a, gone)
		require.NoError(t, gone.Close())
		somebody := to(t, a, b)
		for range 20 {
			send(t, a, nobody, "anybody?")
			send(t, a, somebody, "hello")
			require.Equal(t, []string{"hello"}, texts(t, b, 1))
			n, err := a.Recv(make([]transport.RxPacket, 1))
			require.NoError(t, err)
			require.Zero(t, n)
		}
	})
}

func TestAWakeIsNeverLost(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		tr := v.at(t, "127.0.0.1:0")
		// Wakers publish a number, then wake; the owner waits without a limit
		// until it has seen the last number. A lost wake-up hangs it.
		const wakers, rounds = 4, 2000
		var published [wakers]atomic.Int64
		seen := make(chan struct{}, wakers)
		var all sync.WaitGroup
		for w := range wakers {
			all.Go(func() {
				for i := int64(1); i <= rounds; i++ {
					published[w].Store(i)
					tr.Wake()
					if w == 0 { // one at a time, to find the owner asleep
						<-seen
					}
				}
			})
		}
		last := int64(0)
		for end := time.AfterFunc(patience, func() { panic("a wake-up was lost") }); ; {
			now := published[0].Load()
			if now != last {
				last = now
				seen <- struct{}{}
			}
			done := true
			for w := range published {
				done = done && published[w].Load() == rounds
			}
			if done && last == rounds {
				end.Stop()
				break
			}
			require.NoError(t, tr.Wait(-1))
		}
		all.Wait()
	})
}

func TestAWakeBeforeWaitIsRemembered(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		tr := v.at(t, "127.0.0.1:0")
		for range 100 {
			tr.Wake()
			tr.Wake()
			require.NoError(t, tr.Wait(-1))
		}
	})
}

func TestWaitEndsWithATimeoutAndWithAnArrival(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, "127.0.0.1:0"), v.at(t, "127.0.0.1:0")
		require.NoError(t, b.Wait(0))
		require.NoError(t, b.Wait(time.Millisecond))
		send(t, a, to(t, a, b), "hello")
		pkts := make([]transport.RxPacket, 1)
		for n := 0; n == 0; {
			require.NoError(t, b.Wait(-1))
			var err error
			n, err = b.Recv(pkts)
			require.NoError(t, err)
		}
		require.Equal(t, "hello", string(pkts[0].Data))
	})
}

func TestCloseEndsAWait(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		for range 50 {
			tr, err := v.open(DefaultConfig())
			require.NoError(t, err)
			waited := make(chan error)
			go func() {
				for {
					if err := tr.Wait(-1); err != nil {
						waited <- err
						return
					}
				}
			}()
			go tr.Wake()
			require.NoError(t, tr.Close())
			require.ErrorIs(t, <-waited, transport.ErrClosed)
		}
	})
}

func TestAfterCloseEverythingSaysSo(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, "127.0.0.1:0"), v.at(t, "127.0.0.1:0")
		r := to(t, a, b)
		send(t, a, r, "last words")
		held := receive(t, b, 1)
		pkts := make([]transport.TxPacket, 1)
		require.Equal(t, 1, a.Reserve(pkts))
		before := a.Stats()
		for range 2 {
			require.NoError(t, a.Close())
			require.NoError(t, b.Close())
		}
		_, err := a.Send(pkts)
		require.ErrorIs(t, err, transport.ErrClosed)
		_, err = a.Recv(make([]transport.RxPacket, 1))
		require.ErrorIs(t, err, transport.ErrClosed)
		_, err = a.Resolve(b.LocalAddr())
		require.ErrorIs(t, err, transport.ErrClosed)
		require.ErrorIs(t, a.Wait(-1), transport.ErrClosed)
		require.Zero(t, a.Reserve(make([]transport.TxPacket, 1)))
		a.Wake()
		a.Forget(r)
		b.Release(held)
		require.Equal(t, before.TxPackets, a.Stats().TxPackets)
		require.Equal(t, "udp", a.Caps().Backend)
		require.True(t, a.LocalAddr().IsValid())
	})
}

func TestAPortIsFreeAfterClose(t *testing.T) {
	eachAlone(t, func(t *testing.T, v variant) {
		c := DefaultConfig()
		c.Address = "127.0.0.1:0"
		first, err := v.open(c)
		require.NoError(t, err)
		c.Address = first.LocalAddr().String()
		_, err = v.open(c)
		require.ErrorContains(t, err, "choose")
		require.NoError(t, first.Close())
		v.with(t, c)
	})
}

func TestTheCountersAddUp(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b := v.at(t, "127.0.0.1:0"), v.at(t, "127.0.0.1:0")
		r := to(t, a, b)
		packets, bytes := uint64(0), uint64(0)
		for _, n := range []int{1, 64, 7, 30} {
			for _, size := range []int{0, 1, 48, 1400} {
				send(t, a, r, numbered(n, size)...)
				texts(t, b, n)
				packets += uint64(n)
				bytes += uint64(n * size)
			}
		}
		tx, rx := a.Stats(), b.Stats()
		require.Equal(t, packets, tx.TxPackets)
		require.Equal(t, bytes, tx.TxBytes)
		require.Equal(t, packets, rx.RxPackets)
		require.Equal(t, bytes, rx.RxBytes)
		require.Positive(t, tx.TxCalls)
		require.Positive(t, rx.RxCalls)
		require.Zero(t, tx.TxTooLarge+tx.TxRefused+rx.RxTruncated+rx.RxOverflow+rx.RxMalformed)
	})
}

func TestNothingIsAllocatedPerPacket(t *testing.T) {
	// Alone, because allocations are counted for the whole process.
	eachAlone(t, func(t *testing.T, v variant) {
		for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
			for _, n := range []int{1, 32} {
				e := newEcho(t, v, addr, n)
				e.round(t) // fills what is filled once
				require.Zero(t, testing.AllocsPerRun(100, func() { e.round(t) }), "%s, %d packets", addr, n)
			}
		}
	})
}

// echo bounces batches of 48-byte datagrams between two transports.
type echo struct {
	a, b transport.Transport
	ab   transport.Route
	ba   transport.Route
	tx   []transport.TxPacket
	rx   []transport.RxPacket
}

func newEcho(t testing.TB, v variant, addr string, n int) *echo {
	a, b := v.at(t, addr), v.at(t, addr)
	return &echo{a, b, to(t, a, b), to(t, b, a), make([]transport.TxPacket, n), make([]transport.RxPacket, n)}
}

func (e *echo) round(t testing.TB) {
	e.pass(t, e.a, e.b, e.ab)
	e.pass(t, e.b, e.a, e.ba)
}

func (e *echo) pass(t testing.TB, from, to transport.Transport, r transport.Route) {
	if n := from.Reserve(e.tx); n != len(e.tx) {
		t.Fatalf("%d of %d buffers", n, len(e.tx))
	}
	for i := range e.tx {
		e.tx[i].Route, e.tx[i].Head, e.tx[i].ECN = r, e.tx[i].Head[:48], transport.ECT0
	}
	if n, err := from.Send(e.tx); n != len(e.tx) || err != nil {
		t.Fatal(n, err)
	}
	for have := 0; have < len(e.tx); {
		n, err := to.Recv(e.rx)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			if err := to.Wait(time.Second); err != nil {
				t.Fatal(err)
			}
		}
		to.Release(e.rx[:n])
		have += n
	}
}

// BenchmarkEcho is both ends on one goroutine: the cost of the system calls of
// both, without any waiting. An operation is a packet there and back.
func BenchmarkEcho(b *testing.B) {
	for _, v := range variants {
		for _, n := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d", v.name, n), func(b *testing.B) {
				e := newEcho(b, v, "127.0.0.1:0", n)
				b.ReportAllocs()
				b.ResetTimer()
				for i := 0; i < b.N; i += n {
					e.round(b)
				}
			})
		}
	}
}
