package conformance

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/transport"
)

// patience bounds what the suites wait for; it is far more than anything takes.
var patience = time.Minute

// pair is one open transport of each side, which know the way to each other.
type pair struct {
	t         *testing.T
	f         Factory
	near, far *end
}

func newPair(t *testing.T, f Factory) *pair {
	t.Helper()
	p := &pair{t: t, f: f}
	p.begin()
	return p
}

// begin opens both sides at any address.
func (p *pair) begin() {
	p.t.Helper()
	for _, side := range p.f.Order.sides() {
		*p.at(side) = p.open(side, netip.AddrPort{})
	}
	p.meet()
}

// at is where a side's end is.
func (p *pair) at(side Side) **end {
	if side == Near {
		return &p.near
	}
	return &p.far
}

// reopen opens a side that has closed at its old address. The other side, and
// its routes, stay as they are unless it depends on this one.
func (p *pair) reopen(side Side) {
	p.t.Helper()
	e, other := p.at(side), p.at(side.other())
	*e = p.open(side, (*e).LocalAddr())
	if p.f.Order.hosts(side) {
		require.NoError(p.t, (*other).Close())
		*other = p.open(side.other(), (*other).LocalAddr())
		p.meet()
		return
	}
	(*e).peer = (*e).resolve(*other)
	greet(*e, *other)
	greet(*other, *e)
}

// open opens a side until the story ends.
func (p *pair) open(side Side, addr netip.AddrPort) *end {
	p.t.Helper()
	tr, err := p.f.Open(side, addr)
	require.NoErrorf(p.t, err, "the factory opens the %v side at %v", side, addr)
	e := &end{Transport: tr, t: p.t}
	p.t.Cleanup(func() { require.NoError(p.t, e.Close()) })
	return e
}

// meet makes the two sides known to each other.
func (p *pair) meet() {
	p.t.Helper()
	p.near.peer, p.far.peer = p.near.resolve(p.far), p.far.resolve(p.near)
	greet(p.near, p.far)
	greet(p.far, p.near)
}

// greet sends one datagram until it arrives: while a link is not up, or a
// neighbour not known, packets are dropped and counted.
func greet(from, to *end) {
	from.t.Helper()
	rx := make([]transport.RxPacket, 1)
	for late := expires(); ; {
		refused := refusals(from.Stats())
		from.send(datagram{bytes: []byte("greeting")})
		for refusals(from.Stats()) == refused {
			if n := to.recv(rx); n == 1 {
				to.Release(rx)
				return
			}
			require.False(from.t, late(), "%v cannot reach %v: sender %+v, receiver %+v",
				from.LocalAddr(), to.LocalAddr(), from.Stats(), to.Stats())
			to.wait(10 * time.Millisecond)
		}
		require.False(from.t, late(), "%v does not find %v: sender %+v, receiver %+v",
			from.LocalAddr(), to.LocalAddr(), from.Stats(), to.Stats())
		// Neighbours may speak on no goroutine but their owners'.
		to.nudge()
		from.wait(5 * time.Millisecond)
		from.nudge()
	}
}

// expires returns a function that tells when patience is at its end.
func expires() (late func() bool) {
	end := time.Now().Add(patience)
	return func() bool { return time.Now().After(end) }
}

// end is a transport, and what is checked whenever it is used.
type end struct {
	transport.Transport
	t     testing.TB
	peer  transport.Route
	taken uint64        // packets, since Open
	turns atomic.Uint64 // twice the Waits that have returned, and one more inside Wait
}

// Wait lets others see whether its owner is inside.
func (e *end) Wait(timeout time.Duration) error {
	e.turns.Add(1)
	defer e.turns.Add(1)
	return e.Transport.Wait(timeout)
}

// Close ends the process if it blocks: nothing else can end it, and what other tests found would be seen only when go
// test gives up.
func (e *end) Close() error {
	stuck := time.AfterFunc(patience, func() {
		panic(fmt.Sprintf("%s: Close has been blocking for %v: it waits for nobody", e.t.Name(), patience))
	})
	defer stuck.Stop()
	return e.Transport.Close()
}

func (e *end) resolve(peer *end) transport.Route {
	e.t.Helper()
	r, err := e.Resolve(dialable(peer), netip.Addr{})
	require.NoErrorf(e.t, err, "%v resolves %v", e.LocalAddr(), peer.LocalAddr())
	return r
}

// datagram is what a story sends: the first head bytes of it in the Head, the
// others in the Payload.
type datagram struct {
	bytes []byte
	head  int
	ecn   transport.ECN
}

// headed puts all bytes into the Head.
func headed(data []byte) datagram { return datagram{bytes: data, head: len(data)} }

// load fills packets whose Heads are reserved.
func (e *end) load(pkts []transport.TxPacket, ds []datagram) {
	e.t.Helper()
	size := e.Caps().MaxPayload
	for i, d := range ds {
		require.Len(e.t, pkts[i].Head, size, "Reserve lends buffers of length MaxPayload")
		pkts[i].Route = e.peer
		pkts[i].ECN = d.ecn
		pkts[i].Head = pkts[i].Head[:copy(pkts[i].Head, d.bytes[:d.head])]
		pkts[i].Payload = d.bytes[d.head:]
	}
}

// reserve returns n packets with Heads, of which there are as many.
func (e *end) reserve(n int) []transport.TxPacket {
	e.t.Helper()
	pkts := make([]transport.TxPacket, n)
	for have := 0; have < n; {
		k := e.Reserve(pkts[have:])
		require.NotZero(e.t, k, "Zero means that all buffers are in flight")
		have += k
	}
	return pkts
}

// offer sends as many of ds, from the front, as there are buffers for.
func (e *end) offer(ds []datagram) int {
	e.t.Helper()
	pkts := make([]transport.TxPacket, len(ds))
	n := e.Reserve(pkts)
	e.load(pkts[:n], ds[:n])
	e.push(pkts[:n])
	return n
}

// send sends all of ds.
func (e *end) send(ds ...datagram) {
	e.t.Helper()
	for late := expires(); len(ds) > 0; {
		n := e.offer(ds)
		ds = ds[n:]
		if n == 0 {
			require.False(e.t, late(), "Reserve lends nothing: call again after Recv or Wait")
			e.wait(10 * time.Millisecond)
		}
	}
}

// push passes loaded packets to Send until it has taken them all.
func (e *end) push(pkts []transport.TxPacket) {
	e.t.Helper()
	for late := expires(); len(pkts) > 0; {
		n, err := e.Send(pkts)
		require.NoError(e.t, err, "an error means that this Transport is of no more use")
		require.LessOrEqual(e.t, n, len(pkts), "Send takes packets from the front of pkts")
		for _, p := range pkts[:n] {
			require.Nil(e.t, p.Head, "the Heads of taken packets are cleared")
			require.Nil(e.t, p.Payload, "the Payloads of taken packets are cleared")
		}
		e.taken += uint64(n)
		require.LessOrEqual(e.t, e.Completed(), e.taken, "Completed counts packets that Send took")
		pkts = pkts[n:]
		if n == 0 {
			require.False(e.t, late(), "the queue is full: Wait will return when there is room again")
			e.wait(10 * time.Millisecond)
		}
	}
}

func (e *end) wait(timeout time.Duration) {
	e.t.Helper()
	require.NoError(e.t, e.Wait(timeout), "Wait has no error but ErrClosed")
}

func (e *end) recv(pkts []transport.RxPacket) int {
	e.t.Helper()
	n, err := e.Recv(pkts)
	require.NoError(e.t, err, "an error means that this Transport is of no more use")
	require.LessOrEqual(e.t, n, len(pkts), "Recv fills pkts from the front")
	return n
}

// receive waits for n datagrams, and holds them.
func (e *end) receive(n int) []transport.RxPacket {
	e.t.Helper()
	pkts := make([]transport.RxPacket, n)
	have := 0
	for late := expires(); have < n; {
		k := e.recv(pkts[have:])
		have += k
		if k == 0 {
			require.False(e.t, late(), "%d of %d datagrams have arrived: %+v", have, n, e.Stats())
			e.wait(10 * time.Millisecond)
		}
	}
	return pkts
}

// carry sends ds in batches and returns what arrived, in order of arrival. It
// never has more under way than the receiver surely holds, so nothing may be
// missing; what comes too much is returned as well.
func carry(from, to *end, ds []datagram, batch int) [][]byte {
	from.t.Helper()
	var (
		got    [][]byte
		sent   int
		rx     = make([]transport.RxPacket, to.Caps().RxBatch)
		window = window(to, ds)
	)
	take := func() int {
		n := to.recv(rx)
		for _, p := range rx[:n] {
			got = append(got, append([]byte{}, p.Data...))
		}
		to.Release(rx[:n])
		return n
	}
	for late := expires(); len(got) < len(ds); {
		next := min(batch, window, len(ds)-sent)
		moved := 0
		if next > 0 && sent-len(got)+next <= window {
			moved = from.offer(ds[sent : sent+next])
			sent += moved
		}
		if moved += take(); moved == 0 {
			require.False(from.t, late(), "%d of %d datagrams have arrived: sender %+v, receiver %+v",
				len(got), sent, from.Stats(), to.Stats())
			from.wait(0) // lets it find its completions
			to.wait(10 * time.Millisecond)
		}
	}
	to.wait(time.Millisecond)
	for take() > 0 {
	}
	return got
}

// window is how many of ds the receiver can surely hold. The kernel charges a
// datagram with up to twice its size, and with its own overhead.
func window(to *end, ds []datagram) int {
	const least = 200 << 10 // any system's default
	largest := 0
	for _, d := range ds {
		largest = max(largest, len(d.bytes))
	}
	caps := to.Caps()
	capacity := caps.RecvBuffer / 2
	if capacity == 0 {
		capacity = least
	}
	return max(1, min(caps.RxBuffers, capacity/(2*largest+1024)))
}

// requireCarried carries ds and requires that each arrives once, as it is.
func requireCarried(from, to *end, ds []datagram, batch int) {
	from.t.Helper()
	requireSame(from.t, ds, carry(from, to, ds, batch))
}

// requireSame compares without regard to order, which no datagram is promised.
func requireSame(t testing.TB, want []datagram, got [][]byte) {
	t.Helper()
	missing := make(map[string]int)
	for _, d := range want {
		missing[string(d.bytes)]++
	}
	var strange []string
	for _, data := range got {
		if missing[string(data)]--; missing[string(data)] < 0 {
			strange = append(strange, summary(data))
		}
	}
	var lost []string
	for data, n := range missing {
		for ; n > 0; n-- {
			lost = append(lost, summary([]byte(data)))
		}
	}
	require.True(t, len(lost) == 0 && len(strange) == 0,
		"each datagram arrives once and as it was sent: of %d, %d are missing %.3q and %d are damaged or came twice %.3q",
		len(want), len(lost), lost[:min(3, len(lost))], len(strange), strange[:min(3, len(strange))])
}

func summary(data []byte) string {
	return fmt.Sprintf("%d bytes %x", len(data), data[:min(16, len(data))])
}

// numbered returns n different datagrams of that size, all of them in the Head.
// From 4 bytes on each is unlike the others, below they differ if they can.
func numbered(n, size int) []datagram {
	ds := make([]datagram, n)
	for i := range ds {
		ds[i] = headed(pattern(i, size))
	}
	return ds
}

// pattern is bytes that tell their number and their place.
func pattern(number, size int) []byte {
	const period = 4 << 8 // after which it comes again
	data := make([]byte, size)
	for j := range min(size, period) {
		data[j] = byte(number>>(8*(j%4)) + j/4)
	}
	for known := period; known < size; known *= 2 {
		copy(data[known:], data[:known])
	}
	return data
}
