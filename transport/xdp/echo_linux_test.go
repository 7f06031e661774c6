package xdp

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stretchr/testify/require"

	"github.com/peregrine-rpc/peregrine/core"
	"github.com/peregrine-rpc/peregrine/transport"
)

// BenchmarkEcho has both sides on one thread, which takes turns: what an echo costs
// both together, in the program and in the kernel, by the thread's own clock.
func BenchmarkEcho(b *testing.B) {
	for _, m := range []string{"native", "generic"} {
		for _, n := range []int{1, inFlight} {
			at := fmt.Sprintf("%s/%d in flight", m, n)
			b.Run(at+"/raw", func(b *testing.B) { echo(b, m, raw(n)) })
			b.Run(at+"/one message a datagram", func(b *testing.B) { echo(b, m, engine(n, true)) })
		}
		b.Run(fmt.Sprintf("%s/%d in flight/coalesced", m, inFlight), func(b *testing.B) { echo(b, m, engine(inFlight, false)) })
	}
}

const inFlight = 64 // at most

// echoes does something b.N times between two ends.
type echoes func(b *testing.B, near, far transport.Transport)

// echo measures it.
func echo(b *testing.B, m string, with echoes) {
	w := wired(b, 1500, fourAddresses...)
	near, far := opened(b, w.near.xdp(mode(m))), opened(b, w.far.xdp(mode(m)))
	reaches(b, near, far, far.LocalAddr())
	reaches(b, far, near, near.LocalAddr())
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, stats := threadTime(b), near.Stats()
	b.ResetTimer()
	with(b, near, far)
	b.StopTimer()
	spent, end := threadTime(b)-before, near.Stats()
	n := float64(b.N)
	b.ReportMetric(float64(spent)/n, "cpu-ns/op")
	b.ReportMetric(float64(end.TxPackets-stats.TxPackets)/n, "packets/op")
	b.ReportMetric(float64(end.TxPackets-stats.TxPackets)/float64(max(1, end.TxCalls-stats.TxCalls)), "packets/kick")
}

// check is cheaper than a requirement, of which an echo has several.
func check(b *testing.B, ok bool) {
	if !ok {
		b.Fatal("the echo ended")
	}
}

// threadTime is what the calling thread has used of a CPU.
func threadTime(b *testing.B) time.Duration {
	var now unix.Timespec
	require.NoError(b, unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now))
	return time.Duration(now.Nano())
}

// raw sends datagrams, and sends back what arrives.
func raw(window int) echoes {
	return func(b *testing.B, near, far transport.Transport) {
		ends := [2]*echoing{{Transport: near}, {Transport: far}}
		for i, e := range ends {
			var err error
			e.route, err = e.Resolve(ends[1-i].LocalAddr(), netip.Addr{})
			require.NoError(b, err)
		}
		ends[0].send(b, min(window, b.N))
		for done, left := 0, b.N-min(window, b.N); done < b.N; {
			ends[1].send(b, ends[1].receive(b))
			n := ends[0].receive(b)
			done += n
			n = min(n, left)
			ends[0].send(b, n)
			left -= n
		}
	}
}

// echoing is one side.
type echoing struct {
	transport.Transport
	route transport.Route
	rx    [inFlight]transport.RxPacket
	tx    [inFlight]transport.TxPacket
}

func (e *echoing) receive(b *testing.B) int {
	n, err := e.Recv(e.rx[:])
	check(b, err == nil)
	e.Release(e.rx[:n])
	return n
}

func (e *echoing) send(b *testing.B, n int) {
	if n == 0 {
		return
	}
	check(b, e.Reserve(e.tx[:n]) == n)
	for i := range e.tx[:n] {
		e.tx[i].Route, e.tx[i].Head = e.route, e.tx[i].Head[:32]
	}
	sent, err := e.Send(e.tx[:n])
	check(b, err == nil && sent == n)
}

// engine calls, with a message in each datagram or many.
func engine(window int, alone bool) echoes {
	return func(b *testing.B, near, far transport.Transport) {
		began := time.Now().Add(-time.Second)
		now := func() time.Duration { return time.Since(began) }
		var ends [2]*core.Endpoint
		for i, tr := range []transport.Transport{near, far} {
			var err error
			ends[i], err = core.New(core.Config{NoCoalesce: alone}, tr, now())
			require.NoError(b, err)
			defer ends[i].Close()
		}
		ends[1].Handle(1, func(r *core.Request) { r.Reply(r.Data) })
		session, err := ends[0].Connect(far.LocalAddr())
		require.NoError(b, err)
		done, left := 0, b.N
		for range min(window, b.N) {
			call := &core.Call{Method: 1, Request: make([]byte, 32), Response: make([]byte, 0, 32)}
			call.Done = func(c *core.Call) {
				done++
				if left > 0 {
					left--
					c.Response = c.Response[:0]
					session.Submit(c)
				}
			}
			left--
			session.Submit(call)
		}
		for done < b.N {
			for _, e := range ends {
				_, err := e.Poll(now())
				check(b, err == nil)
			}
		}
	}
}
