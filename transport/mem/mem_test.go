package mem_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a Pair that ends with the test, and the route from a to b.
func pair(t testing.TB, opts ...mem.Option) (a, b transport.Transport, toB transport.Route) {
	a, b = mem.Pair(opts...)
	t.Cleanup(func() {
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	})
	return a, b, route(t, a, b)
}

func route(t testing.TB, from, to transport.Transport) transport.Route {
	r, err := from.Resolve(to.LocalAddr(), netip.Addr{})
	require.NoError(t, err)
	return r
}

// open opens a URL until the test ends.
func open(t *testing.T, url string) transport.Transport {
	tr, err := transport.Open(url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	return tr
}

// send sends one datagram per text and requires that all are taken.
func send(t testing.TB, tr transport.Transport, to transport.Route, texts ...string) {
	t.Helper()
	pkts := make([]transport.TxPacket, len(texts))
	require.Equal(t, len(pkts), tr.Reserve(pkts))
	for i, text := range texts {
		pkts[i].Route = to
		pkts[i].Head = pkts[i].Head[:copy(pkts[i].Head, text)]
	}
	n, err := tr.Send(pkts)
	require.NoError(t, err)
	require.Equal(t, len(pkts), n)
}

// recv receives what is there, and releases it.
func recv(t testing.TB, tr transport.Transport) []string {
	t.Helper()
	texts := []string{}
	pkts := make([]transport.RxPacket, 16)
	for {
		n, err := tr.Recv(pkts)
		require.NoError(t, err)
		if n == 0 {
			return texts
		}
		for _, p := range pkts[:n] {
			texts = append(texts, string(p.Data))
		}
		tr.Release(pkts[:n])
	}
}

func TestDatagramsArriveInOrderAndWhole(t *testing.T) {
	t.Parallel()
	a, b, toB := pair(t)

	send(t, a, toB, "one", "", "two")
	send(t, a, toB, "three")
	require.Equal(t, []string{"one", "", "two", "three"}, recv(t, b))
	require.Empty(t, recv(t, b))
	require.Empty(t, recv(t, a))

	sent, got := a.Stats(), b.Stats()
	require.Equal(t, transport.Stats{TxPackets: 4, TxBytes: 11, TxCalls: 2}, sent)
	require.Equal(t, transport.Stats{RxPackets: 4, RxBytes: 11, RxCalls: 1}, got)
}

func TestAHeadIsReceivedInPlaceAndAPayloadBehindIt(t *testing.T) {
	t.Parallel()
	a, b, toB := pair(t)

	pkts := make([]transport.TxPacket, 1)
	require.Equal(t, 1, a.Reserve(pkts))
	require.Len(t, pkts[0].Head, a.Caps().MaxPayload)
	head := pkts[0].Head
	copy(head, "head and ")
	payload := []byte("payload")
	pkts[0] = transport.TxPacket{Route: toB, ECN: transport.CE, Head: head[:9], Payload: payload}
	_, err := a.Send(pkts)
	require.NoError(t, err)
	require.Equal(t, uint64(1), a.Completed())
	copy(payload, "reused!")
	require.Nil(t, pkts[0].Head)
	require.Nil(t, pkts[0].Payload)

	got := make([]transport.RxPacket, 2)
	n, err := b.Recv(got)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, "head and payload", string(got[0].Data))
	require.Same(t, &head[0], &got[0].Data[0])
	require.Equal(t, transport.CE, got[0].ECN)
	require.Equal(t, a.LocalAddr(), got[0].From)
	b.Release(got[:n])
}

func TestAReceiverWhoDoesNotReleasePushesBack(t *testing.T) {
	t.Parallel()
	a, b, toB := pair(t, mem.Buffers(8))
	send(t, a, toB, "1", "2", "3", "4", "5", "6", "7", "8")
	require.Zero(t, a.Reserve(make([]transport.TxPacket, 1)))

	held := make([]transport.RxPacket, 8)
	n, err := b.Recv(held)
	require.NoError(t, err)
	require.Equal(t, 8, n)
	require.Zero(t, a.Reserve(make([]transport.TxPacket, 1)))

	var waiting sync.WaitGroup
	waiting.Go(func() {
		for a.Reserve(make([]transport.TxPacket, 1)) == 0 {
			require.NoError(t, a.Wait(-1))
		}
	})
	b.Release(held[3:5])
	waiting.Wait()
	b.Release(held[:3])
	b.Release(held[5:])
	require.Equal(t, 7, a.Reserve(make([]transport.TxPacket, 9)))
}

func TestAReleasedDatagramIsPoisonedOnRequest(t *testing.T) {
	t.Parallel()
	a, b, toB := pair(t, mem.Poison())
	send(t, a, toB, "secret")

	got := make([]transport.RxPacket, 1)
	_, err := b.Recv(got)
	require.NoError(t, err)
	view := got[0].Data
	b.Release(got)
	require.Equal(t, "\xDB\xDB\xDB\xDB\xDB\xDB", string(view))
	b.Release(got)
	require.Equal(t, 512, a.Reserve(make([]transport.TxPacket, 513)), "a second release does nothing")
}

func TestOptionsAreBroughtIntoRange(t *testing.T) {
	t.Parallel()
	a, _, _ := pair(t, mem.MaxPayload(1), mem.Buffers(1<<30))
	require.Equal(t, 64, a.Caps().MaxPayload)
	require.Equal(t, 4096, a.Caps().RxBuffers)
	require.True(t, a.Caps().Integrity)
}

func TestWhatCannotBeDeliveredIsCounted(t *testing.T) {
	t.Parallel()
	a, b, toB := pair(t, mem.MaxPayload(64), mem.Buffers(8))
	nobody, err := a.Resolve(netip.MustParseAddrPort("[100::9]:9"), netip.Addr{})
	require.NoError(t, err)

	for range 10 { // more often than there are buffers
		pkts := make([]transport.TxPacket, 3)
		require.Equal(t, 3, a.Reserve(pkts))
		pkts[0].Route = nobody
		pkts[1].Route, pkts[1].Payload = toB, []byte("too much")
		pkts[2].Route = toB
		pkts[2].Head = pkts[2].Head[:1]
		n, err := a.Send(pkts)
		require.NoError(t, err)
		require.Equal(t, 3, n)
		require.Len(t, recv(t, b), 1)
	}
	_, err = a.Send([]transport.TxPacket{{Route: toB, Head: []byte("not lent")}, {Route: 99}})
	require.NoError(t, err)
	require.Empty(t, recv(t, b))

	s := a.Stats()
	require.Equal(t, uint64(10), s.TxUnresolved)
	require.Equal(t, uint64(10), s.TxTooLarge)
	require.Equal(t, uint64(2), s.TxRefused)
	require.Equal(t, uint64(10), s.TxPackets)

	_, err = a.Resolve(netip.AddrPort{}, netip.Addr{})
	require.ErrorContains(t, err, "give an address and a port")
}

func TestWhatWasSentBeforeCloseStillArrives(t *testing.T) {
	t.Parallel()
	a, b := mem.Pair()
	send(t, a, route(t, a, b), "farewell")
	require.NoError(t, a.Close())
	require.Equal(t, []string{"farewell"}, recv(t, b))
	require.NoError(t, b.Close())
}

func TestAReceiverThatClosedKeepsNoBuffers(t *testing.T) {
	t.Parallel()
	a, b := mem.Pair(mem.Buffers(8))
	toB := route(t, a, b)
	send(t, a, toB, "released", "held", "unread")
	pkts := make([]transport.RxPacket, 2)
	_, err := b.Recv(pkts)
	require.NoError(t, err)
	b.Release(pkts[:1])
	send(t, a, toB, "1", "2", "3", "4", "5", "6")
	require.Zero(t, a.Reserve(make([]transport.TxPacket, 1)))

	require.NoError(t, b.Close())
	require.NoError(t, a.Wait(-1), "a close wakes who waits for buffers")
	heads := make([]transport.TxPacket, 9)
	require.Equal(t, 8, a.Reserve(heads))
	distinct := make(map[*byte]bool)
	for _, h := range heads[:8] {
		distinct[&h.Head[0]] = true
	}
	require.Len(t, distinct, 8)
	require.NoError(t, a.Close())
}

func TestSteadyTrafficAllocatesNothing(t *testing.T) {
	a, b, toB := pair(t)
	tx := make([]transport.TxPacket, 32)
	rx := make([]transport.RxPacket, 32)
	require.Zero(t, testing.AllocsPerRun(1000, func() { relay(a, b, toB, tx, rx) }))
}

// relay moves as many small datagrams as tx has from a to b, on one goroutine.
func relay(a, b transport.Transport, toB transport.Route, tx []transport.TxPacket, rx []transport.RxPacket) {
	n := a.Reserve(tx)
	for i := range tx[:n] {
		tx[i].Route = toB
		tx[i].Head = tx[i].Head[:64]
	}
	n, _ = a.Send(tx[:n])
	for n > 0 {
		m, _ := b.Recv(rx)
		b.Release(rx[:m])
		n -= m
	}
}

func TestAURLOpensInTheProcess(t *testing.T) {
	t.Parallel()
	server := open(t, "mem://127.0.0.1:31850?max_payload=1472&buffers=64&poison=true")
	require.Equal(t, "127.0.0.1:31850", server.LocalAddr().String())
	require.Equal(t, 1472, server.Caps().MaxPayload)
	client := open(t, "mem://")
	require.NotZero(t, client.LocalAddr().Port())

	send(t, client, route(t, client, server), "hello")
	require.Equal(t, []string{"hello"}, recv(t, server))
	send(t, server, route(t, server, client), "hello yourself")
	require.Equal(t, []string{"hello yourself"}, recv(t, client))

	_, err := transport.Open("mem://127.0.0.1:31850")
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	for url, key := range map[string]string{
		"mem://0.0.0.0":             "address",
		"mem://localhost:1":         "address",
		"mem://?max_payload=100000": "max_payload",
		"mem://?buffers=1":          "buffers",
	} {
		_, err := transport.Open(url)
		var wrong *transport.ConfigError
		require.ErrorAs(t, err, &wrong, url)
		require.Equal(t, key, wrong.Key)
	}
}

func TestALateOrRestartedListenerIsFound(t *testing.T) {
	t.Parallel()
	client := open(t, "mem://127.0.0.2:0")
	server := netip.MustParseAddrPort("127.0.0.2:7")
	r, err := client.Resolve(server, netip.Addr{})
	require.NoError(t, err)
	send(t, client, r, "too early")

	for life := range 3 {
		tr, err := transport.Open("mem://127.0.0.2:7")
		require.NoError(t, err)
		send(t, client, r, fmt.Sprint("life ", life))
		require.Equal(t, []string{fmt.Sprint("life ", life)}, recv(t, tr))
		require.NoError(t, tr.Close())
		send(t, client, r, "too late")
	}
	require.Equal(t, uint64(4), client.Stats().TxUnresolved)

	client.Forget(r)
	again, err := client.Resolve(server, netip.Addr{})
	require.NoError(t, err)
	require.Equal(t, r, again, "a route's slot is used again")
}

func TestQueuesShareAnAddressAndAnswersComeBackToTheOneThatAsked(t *testing.T) {
	t.Parallel()
	openQueues := func(n int) []transport.Transport {
		trs, err := transport.OpenQueues("mem://127.0.0.3:0", n)
		require.NoError(t, err)
		for q, tr := range trs {
			require.Equal(t, trs[0].LocalAddr(), tr.LocalAddr())
			require.Equal(t, q, tr.Caps().Queue)
			require.Equal(t, n, tr.Caps().Queues)
			t.Cleanup(func() { require.NoError(t, tr.Close()) })
		}
		return trs
	}
	servers := openQueues(3)
	clients := append(openQueues(3), openQueues(1)...)

	for _, client := range clients {
		send(t, client, route(t, client, servers[0]), "question")
		asked := 0
		for _, server := range servers {
			for range recv(t, server) {
				asked++
				send(t, server, route(t, server, client), "answer")
			}
		}
		require.Equal(t, 1, asked)
		require.Equal(t, []string{"answer"}, recv(t, client))
	}
}

// Many clients and a server on goroutines of their own; each client sees its
// own datagrams come back unchanged and in order.
func TestManyClientsHammerOneServer(t *testing.T) {
	t.Parallel()
	const clients, rounds = 4, 3000
	server := open(t, "mem://127.0.0.4:1?buffers=64&max_payload=256&poison=true")
	stop := make(chan struct{})
	var serving, calling sync.WaitGroup

	serving.Go(func() {
		routes := make(map[netip.AddrPort]transport.Route)
		rx := make([]transport.RxPacket, 16)
		tx := make([]transport.TxPacket, 16)
		for {
			n, err := server.Recv(rx)
			require.NoError(t, err)
			for done := 0; done < n; {
				m := server.Reserve(tx[:n-done])
				for i := range m {
					p := &rx[done+i]
					to, ok := routes[p.From]
					if !ok {
						to, err = server.Resolve(p.From, netip.Addr{})
						require.NoError(t, err)
						routes[p.From] = to
					}
					tx[i].Route = to
					tx[i].Head = tx[i].Head[:8]
					tx[i].Payload = p.Data[8:]
					copy(tx[i].Head, p.Data)
				}
				_, err := server.Send(tx[:m])
				require.NoError(t, err)
				server.Release(rx[done : done+m])
				done += m
				if m == 0 {
					require.NoError(t, server.Wait(-1))
				}
			}
			select {
			case <-stop:
				return
			default:
			}
			if n == 0 {
				require.NoError(t, server.Wait(-1))
			}
		}
	})
	for id := range uint64(clients) {
		calling.Go(func() {
			tr, err := transport.Open("mem://127.0.0.4:0?buffers=32&max_payload=256&poison=true")
			require.NoError(t, err)
			defer func() { require.NoError(t, tr.Close()) }()
			to := route(t, tr, server)
			tx := make([]transport.TxPacket, 8)
			rx := make([]transport.RxPacket, 8)
			var sent, got uint64
			for got < rounds {
				n := tr.Reserve(tx[:min(8, rounds-sent, 16-(sent-got))])
				for i := range n {
					h := tx[i].Head[:24]
					binary.LittleEndian.PutUint64(h, id)
					binary.LittleEndian.PutUint64(h[8:], sent)
					binary.LittleEndian.PutUint64(h[16:], ^sent)
					tx[i].Route, tx[i].Head = to, h
					sent++
				}
				_, err := tr.Send(tx[:n])
				require.NoError(t, err)
				m, err := tr.Recv(rx)
				require.NoError(t, err)
				for _, p := range rx[:m] {
					require.Equal(t, id, binary.LittleEndian.Uint64(p.Data))
					require.Equal(t, got, binary.LittleEndian.Uint64(p.Data[8:]))
					require.Equal(t, ^got, binary.LittleEndian.Uint64(p.Data[16:]))
					got++
				}
				tr.Release(rx[:m])
				if n == 0 && m == 0 {
					require.NoError(t, tr.Wait(-1))
				}
			}
		})
	}
	calling.Wait()
	close(stop)
	server.Wake()
	serving.Wait()
}

func BenchmarkRelay(b *testing.B) {
	for _, burst := range []int{1, 8, 64} {
		b.Run(fmt.Sprint("burst=", burst), func(b *testing.B) {
			from, to, r := pair(b)
			tx := make([]transport.TxPacket, burst)
			rx := make([]transport.RxPacket, burst)
			for b.Loop() {
				relay(from, to, r, tx, rx)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*burst), "ns/datagram")
		})
	}
}

func Example() {
	a, b := mem.Pair()
	defer a.Close()
	defer b.Close()

	route, _ := a.Resolve(b.LocalAddr(), netip.Addr{})
	tx := make([]transport.TxPacket, 1)
	if a.Reserve(tx) == 1 {
		tx[0].Route = route
		tx[0].Head = append(tx[0].Head[:0], "over memory"...)
		a.Send(tx)
	}

	rx := make([]transport.RxPacket, 1)
	if _, err := b.Recv(rx); errors.Is(err, transport.ErrClosed) {
		return
	}
	fmt.Printf("%s from %v\n", rx[0].Data, rx[0].From)
	b.Release(rx)
	// Output: over memory from [100::1]:1
}

func TestAWildcardIsAllLoopbackAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ server, asked string }{
		{"mem://0.0.0.0:0", "127.0.0.1"},
		{"mem://0.0.0.0:0", "127.1.2.3"},
		{"mem://[::]:0", "::1"},
		{"mem://[::]:0", "127.1.2.3"},
	} {
		server, client := open(t, c.server), open(t, "mem://[::]:0")
		at := netip.AddrPortFrom(netip.MustParseAddr(c.asked), server.LocalAddr().Port())
		r, err := client.Resolve(at, netip.Addr{})
		require.NoError(t, err)
		send(t, client, r, "question")
		pkts := make([]transport.RxPacket, 1)
		n, err := server.Recv(pkts)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, at.Addr(), pkts[0].To)
		back, err := server.Resolve(pkts[0].From, pkts[0].To)
		require.NoError(t, err)
		server.Release(pkts)
		send(t, server, back, "answer")
		n, err = client.Recv(pkts)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, at, pkts[0].From)
		client.Release(pkts)

		_, err = server.Resolve(at, netip.MustParseAddr("192.0.2.1"))
		require.ErrorContains(t, err, "not an address of this transport")
		_, err = transport.Open("mem://" + at.String())
		require.ErrorIs(t, err, syscall.EADDRINUSE)
	}
}

// TestAnEndpointTakesLittleOfTheHeap is not parallel: the heap is the whole
// process's.
func TestAnEndpointTakesLittleOfTheHeap(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const endpoints, most = 20, 128 << 10
	before := heap()
	all := make([]transport.Transport, endpoints)
	for i := range all {
		all[i] = open(t, "mem://127.0.9.1:0")
	}
	require.Less(t, (heap()-before)/endpoints, int64(most), "bytes each")
	runtime.KeepAlive(all)
}
