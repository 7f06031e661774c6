package udp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine/internal/transporttest"
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
	{"portable", func(c Config) (transport.Transport, error) { return openPortable(c, 0, 1) }},
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

func TestAnEchoComesBackAlsoBetweenFamilies(t *testing.T) {
	for _, family := range []struct{ name, server, client, from string }{
		{"IPv4 to a socket of both", "[::]:0", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6 to a socket of both", "[::]:0", "[::1]:0", "::1"},
		{"both to both", ":0", ":0", "127.0.0.1"},
		{"by a name", "localhost:0", "localhost:0", "127.0.0.1"},
	} {
		t.Run(family.name, func(t *testing.T) {
			each(t, func(t *testing.T, v variant) {
				server, client := v.at(t, family.server), v.at(t, family.client)
				from := netip.MustParseAddr(family.from)
				r, err := client.Resolve(netip.AddrPortFrom(from, server.LocalAddr().Port()), netip.Addr{})
				require.NoError(t, err)
				transporttest.Send(t, client, r, "hello")

				pkts := transporttest.Receive(t, server, 1)
				require.Equal(t, "hello", string(pkts[0].Data))
				require.Equal(t, netip.AddrPortFrom(from, client.LocalAddr().Port()), pkts[0].From)
				back, err := server.Resolve(pkts[0].From, netip.Addr{})
				require.NoError(t, err)
				server.Release(pkts)
				transporttest.Send(t, server, back, "and hello to you")
				require.Equal(t, []string{"and hello to you"}, transporttest.Texts(t, client, 1))
			})
		})
	}
}

func TestBatchesOfMixedSizesAndDestinationsArriveInOrder(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a := v.at(t, "127.0.0.1:0")
		peers := []transport.Transport{v.at(t, "127.0.0.1:0"), v.at(t, "127.0.0.1:0")}
		routes := []transport.Route{transporttest.To(t, a, peers[0]), transporttest.To(t, a, peers[1])}
		sizes := []int{0, 0, 7, 7, 7, 3, 3, 1400, 1400, 1400, 1, 1, 2, 0, 9, 9, 8, 8, 9000, 9000, 30000, 30000, 30000, 5}
		want := make([][]string, 2)
		pkts := make([]transport.TxPacket, len(sizes))
		require.Equal(t, len(pkts), a.Reserve(pkts))
		for i, size := range sizes {
			peer := i / 5 % 2
			text := transporttest.Numbered(i+1, size)[i]
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
			require.Equal(t, want[i], transporttest.Texts(t, peers[i], len(want[i])))
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

func TestAForgottenRouteIsUsedAgainAndSendsNothingMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		a, b, c := v.at(t, "127.0.0.1:0"), v.at(t, "127.0.0.1:0"), v.at(t, "127.0.0.1:0")
		old := transporttest.To(t, a, b)
		a.Forget(old)
		a.Forget(old)
		transporttest.Send(t, a, old, "to nobody")
		transporttest.Send(t, a, 12345, "to nobody")
		require.Equal(t, uint64(2), a.Stats().TxRefused)

		require.Equal(t, old, transporttest.To(t, a, c))
		require.NotEqual(t, old, transporttest.To(t, a, c), "a slot forgotten twice is lent once")
		transporttest.Send(t, a, old, "to c")
		require.Equal(t, []string{"to c"}, transporttest.Texts(t, c, 1))
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
			_, err := c.tr.Resolve(netip.MustParseAddrPort(c.addr), netip.Addr{})
			require.ErrorContains(t, err, c.says)
		}
		_, err := four.Resolve(netip.AddrPort{}, netip.Addr{})
		require.ErrorContains(t, err, "no destination")
		_, err = four.Resolve(netip.MustParseAddrPort("[::ffff:127.0.0.1]:9"), netip.Addr{})
		require.NoError(t, err, "a mapped address is an IPv4 address")
	})
}

func TestAPortThatNobodyListensOnIsNoError(t *testing.T) {
	eachAlone(t, func(t *testing.T, v variant) {
		a, b := v.at(t, "127.0.0.1:0"), v.at(t, "127.0.0.1:0")
		gone := v.at(t, "127.0.0.1:0")
		nobody := transporttest.To(t, a, gone)
		require.NoError(t, gone.Close())
		somebody := transporttest.To(t, a, b)
		for range 20 {
			transporttest.Send(t, a, nobody, "anybody?")
			transporttest.Send(t, a, somebody, "hello")
			require.Equal(t, []string{"hello"}, transporttest.Texts(t, b, 1))
			n, err := a.Recv(make([]transport.RxPacket, 1))
			require.NoError(t, err)
			require.Zero(t, n)
		}
	})
}

func TestATakenPortIsAnErrorThatSaysWhatToDo(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		c := DefaultConfig()
		c.Address = v.at(t, "127.0.0.1:0").LocalAddr().String()
		_, err := v.open(c)
		require.ErrorContains(t, err, "choose")
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
	return &echo{a, b, transporttest.To(t, a, b), transporttest.To(t, b, a), make([]transport.TxPacket, n), make([]transport.RxPacket, n)}
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
